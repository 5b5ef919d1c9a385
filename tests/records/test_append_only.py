"""What is written once stays, whoever asks the database for a change."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy import text

from quantdesk.errors import BadInput, DataError
from quantdesk.records import Database, protect
from quantdesk.records.append_only import is_protected, unprotect


@pytest.fixture
def database(url):
    with Database(url, "public") as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY, y text, z text, UNIQUE (y, z))"))
            protect(connection, "t", [("x",), ("y", "z")])
            connection.execute(text("INSERT INTO t VALUES (1, 'a', 'b'), (2, 'a', NULL), (3, 'a', NULL)"))
        yield database


def content(database):
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM t ORDER BY x"))]


CHANGES = [
    "UPDATE t SET y = 'c' WHERE x = 1",
    "UPDATE t SET x = x",
    "DELETE FROM t WHERE x = 1",
    "DELETE FROM t",
    "INSERT INTO t VALUES (1, 'c', 'd') ON CONFLICT (x) DO UPDATE SET y = 'c'",
]
SQLITE = [
    "INSERT OR REPLACE INTO t VALUES (1, 'c', 'd')",
    "INSERT OR REPLACE INTO t VALUES (9, 'a', 'b')",
    "REPLACE INTO t VALUES (1, 'c', 'd')",
    "UPDATE OR REPLACE t SET x = 2 WHERE x = 1",
]
POSTGRESQL = ["TRUNCATE t", "UPDATE t SET y = 'c' WHERE false", "SET session_replication_role = replica; DELETE FROM t"]


def test_the_database_refuses_every_change(database):
    before = content(database)
    for change in [*CHANGES, *(SQLITE if database.is_sqlite else POSTGRESQL[:2])]:
        with pytest.raises(DataError, match=r"refused a row .*append-only"), database.writing() as connection:
            connection.execute(text(change))
    assert content(database) == before


def test_another_program_is_refused_too(database, url, postgres):
    """With the settings of a plain connection."""
    before = content(database)
    if database.is_sqlite:
        plain = sqlite3.connect(database.place, isolation_level=None)
        for change in CHANGES + SQLITE:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                plain.execute(change)
        plain.close()
    else:  # even the superuser, in a session that skips ordinary triggers
        admin = psycopg.connect(postgres.admin(database.place.database), autocommit=True)
        for change in CHANGES + POSTGRESQL:
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
                admin.execute(change)
        admin.close()
    assert content(database) == before


def test_rows_are_added_as_ever(database):
    with database.writing() as connection:
        connection.execute(text("INSERT INTO t VALUES (4, 'a', 'c'), (5, NULL, 'b')"))
    with pytest.raises(DataError, match="refused a row"), database.writing() as connection:
        connection.execute(text("INSERT INTO t VALUES (6, 'a', 'b')"))
    assert [row[0] for row in content(database)] == [1, 2, 3, 4, 5]


def test_it_can_be_seen_and_taken_away(database):
    with database.writing() as connection:
        assert is_protected(connection, "t")
        unprotect(connection, "t")
        assert not is_protected(connection, "t")
        connection.execute(text("DELETE FROM t"))
        protect(connection, "t", [("x",)])
        assert is_protected(connection, "t")
        connection.execute(text("CREATE TABLE u (x integer)"))
        assert not is_protected(connection, "u")


def test_a_trigger_that_was_switched_off_is_seen(postgres):
    with Database(postgres(), "public") as database, database.writing() as connection:
        connection.execute(text("CREATE TABLE t (x integer)"))
        protect(connection, "t", [("x",)])
        connection.execute(text("ALTER TABLE t DISABLE TRIGGER USER"))
        assert not is_protected(connection, "t")


def test_a_name_that_cannot_stand_in_a_statement(database):
    with database.writing() as connection, pytest.raises(BadInput, match="table or column 't; DROP"):
        protect(connection, "t; DROP TABLE t", [("x",)])
