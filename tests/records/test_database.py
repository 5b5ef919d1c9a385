"""A database keeps its promises, whichever it is, and says in one sentence what is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.records import Database, DatabaseConfig

SECRET = "hunter2"
QUICK = DatabaseConfig(timeout=0.3)


@pytest.fixture
def database(url):
    with Database(url, "records") as database, database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("CREATE SCHEMA records"))
        connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY, y integer REFERENCES t)"))
    yield database
    database.close()


def insert(database, *values):
    with database.writing() as connection:
        for value in values:
            connection.execute(text("INSERT INTO t (x) VALUES (:x)"), {"x": value})


def content(database):
    with database.reading() as connection:
        return list(connection.scalars(text("SELECT x FROM t ORDER BY x")))


def test_a_block_counts_as_a_whole_or_not_at_all(database):
    insert(database, 1, 2)
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(text("INSERT INTO t (x) VALUES (3)"))
        raise ZeroDivisionError
    with pytest.raises(DataError, match="refused a row"):
        insert(database, 4, 2)
    assert content(database) == [1, 2]


def test_tables_too_are_made_as_a_whole_or_not_at_all(database):
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(text("CREATE TABLE half (x integer)"))
        raise ZeroDivisionError
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE half (x integer)"))


def test_references_hold(database):
    with pytest.raises(DataError, match="refused a row"), database.writing() as connection:
        connection.execute(text("INSERT INTO t (x, y) VALUES (1, 7)"))


def test_a_reader_sees_one_state_and_waits_for_nobody(database, url):
    insert(database, 1)
    with Database(url, "records", QUICK) as reader, database.writing() as writing:
        writing.execute(text("INSERT INTO t (x) VALUES (2)"))
        assert content(reader) == [1]
    with Database(url, "records", QUICK) as reader, reader.reading() as reading:
        assert list(reading.scalars(text("SELECT x FROM t ORDER BY x"))) == [1, 2]
        insert(database, 3)
        assert list(reading.scalars(text("SELECT x FROM t ORDER BY x"))) == [1, 2]


def test_writers_take_turns(database):
    """Each reads the largest and writes the next: without turns, two would write the same."""

    def add(_):
        with database.writing() as connection:
            found = connection.scalar(text("SELECT coalesce(max(x), 0) FROM t"))
            time.sleep(0.001)
            connection.execute(text("INSERT INTO t (x) VALUES (:x)"), {"x": found + 1})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(60)))
    assert content(database) == list(range(1, 61))


def test_who_waits_too_long_says_so(database, url):
    with Database(url, "records", QUICK) as other, database.writing():
        begun = time.monotonic()
        with pytest.raises(EnvironmentProblem, match=r"locked|changed by somebody else"):
            insert(other, 1)
        assert 0.2 < time.monotonic() - begun < 5
    insert(database, 1)


def test_the_settings_that_the_promises_rest_on(database):
    with database.writing() as connection:
        if database.is_sqlite:
            asked = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
            assert asked == {"journal_mode": "wal", "synchronous": 2}
        else:  # the tests' server is set to off
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
            assert connection.scalar(text("SHOW lock_timeout")) == "30s"
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"


def in_a_child(work):
    """What a fork of this process says of `work`: nothing, or the error."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 says it of every process with threads
        child = os.fork()
    if child == 0:
        said = ""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (it is told)
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return said


def test_a_child_opens_connections_of_its_own_or_is_told_that_it_cannot(database, url):
    insert(database, 1)

    def work():
        try:
            insert(database, 2)
        finally:
            database.close()

    said = in_a_child(work)
    another = in_a_child(lambda: insert(Database(url, "records", QUICK), 4))
    if database.is_sqlite:
        for one in (said, another):
            assert "EnvironmentProblem" in one
            assert "was open when this process was forked" in one
    else:
        assert said == another == ""
    insert(database, 3)
    assert content(database) == ([1, 3] if database.is_sqlite else [1, 2, 3, 4])


def test_a_database_that_was_closed_before_the_fork_is_the_childs_as_well(database):
    insert(database, 1)
    database.close()
    assert in_a_child(lambda: insert(database, 2)) == ""
    assert content(database) == [1, 2]


def test_a_database_in_memory_is_not_empty_in_a_child_but_refused():
    with Database("sqlite:///:memory:", config=QUICK) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY)"))
        assert "was open when" in in_a_child(lambda: insert(database, 1))
        assert in_a_child(lambda: Database("sqlite:///:memory:", config=QUICK).reading().__enter__()) == ""


def test_the_clock_of_the_database(database):
    with database.reading() as connection:
        assert abs(database.now(connection) - time.time_ns()) < 60_000_000_000


def test_a_database_in_memory():
    with Database("sqlite:///:memory:", config=QUICK) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY)"))
        insert(database, 1)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(content, database).result() == [1]
        with (
            database.reading(),
            pytest.raises(EnvironmentProblem, match="connections to sqlite:///:memory: are in use"),
        ):
            content(database)
    assert str(database) == "sqlite:///:memory:"


WRONG = {
    f"mysql://desk:{SECRET}@db/records": "a 'mysql' address is not supported",
    f"desk:{SECRET}@db/records": "no scheme",
    f"postgresql://desk:{SECRET}@db": "names no database",
    f"postgresql://desk:x/{SECRET}@db/records": "not escaped",
    f"postgresql://desk:{SECRET}@db:54x2/records": "'54x2'",
    "sqlite://": "names no file",
    "sqlite:///": "names no file",
    f"sqlite://desk:{SECRET}@host/file": "names no file",
    "sqlite:///a\0b": "names no file",
    "": "no scheme",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_address_that_is_none(wrong):
    for given in (wrong, SecretStr(wrong)):
        with pytest.raises(BadInput) as caught:
            Database(given)
        assert WRONG[wrong] in str(caught.value)
        assert caught.value.remedy
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", [None, 5, Path("/tmp/x")])
def test_what_is_no_text_is_no_address(wrong):
    with pytest.raises(BadInput, match=type(wrong).__name__):
        Database(wrong)


def test_paths_are_taken_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Database("sqlite:///here 100%?#.db") as database, database.writing() as connection:
        connection.execute(text("CREATE TABLE t (x integer)"))
    assert str(database) == f"sqlite:///{tmp_path}/here 100%?#.db"
    assert (tmp_path / "here 100%?#.db").is_file()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("user", "nobody_here", "refuses the password of 'nobody_here'"),
        ("password", SECRET, "refuses the password of 'desk'"),
        ("host", "no-such-host.invalid", "no-such-host.invalid:.* cannot be found"),
        ("port", None, "is not listening"),
        ("database", "nosuch", "has no database 'nosuch'"),
    ],
)
def test_a_wrong_part_is_one_clear_error(postgres, caplog, part, value, words):
    good = Database(postgres.url("postgres")).place
    parts = {"user": good.user, "password": SECRET, "host": good.host, "port": good.port, "database": good.database}
    parts[part] = free_port() if part == "port" else value
    if part == "database":
        address = postgres.url("nosuch")
    else:
        address = "postgresql://{user}:{password}@{host}:{port}/{database}".format(**parts)
    database = Database(address)
    assert SECRET not in repr(database)
    for block in (database.reading, database.writing):
        with pytest.raises(EnvironmentProblem, match=words) as caught, block():
            pass
        said = "".join(traceback.format_exception(caught.value)) + caplog.text
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
        assert SECRET not in said
        assert database.place.password.get_secret_value() not in said


def cut(postgres, database):
    """End the server's side of all connections to a database."""
    with psycopg.connect(postgres.admin(), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (database.place.database,),
        )


def test_a_connection_that_was_cut_is_opened_again(postgres):
    with Database(postgres(), "records") as database:
        with database.reading() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        cut(postgres, database)
        with database.reading() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


def test_a_connection_that_is_cut_in_a_block_loses_the_block(postgres):
    with Database(postgres(), "public") as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x integer)"))
        with pytest.raises(EnvironmentProblem, match=r"connection to .* was lost"), database.writing() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            cut(postgres, database)
            connection.execute(text("INSERT INTO t VALUES (2)"))
        assert content(database) == []


def test_a_process_that_goes_silent_in_a_block_does_not_keep_the_others_out(postgres):
    url = postgres()
    with Database(url, "public", DatabaseConfig(idle=0.2)) as silent, Database(url, "public") as other:
        with other.writing() as connection:
            connection.execute(text("CREATE TABLE t (x integer)"))
        with pytest.raises(EnvironmentProblem, match="in which nothing happened"), silent.writing() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            insert(other, 2)  # waits until the server has ended the silent one
            connection.execute(text("INSERT INTO t VALUES (3)"))
        assert content(other) == [2]


def test_what_postgresql_refuses_is_explained(postgres):
    url = postgres()
    with Database(url, "public") as database:
        with pytest.raises(EnvironmentProblem, match="is read-only"), database.reading() as connection:
            connection.execute(text("CREATE TABLE t (x integer)"))
        with pytest.raises(EnvironmentProblem, match="gave up on a question"), database.reading() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 20"))
            connection.execute(text("SELECT pg_sleep(5)"))
        with pytest.raises(EnvironmentProblem, match="refused \\(42P01"), database.reading() as connection:
            connection.execute(text("SELECT * FROM nosuch"))
        with pytest.raises(EnvironmentProblem, match="may not do this"), database.writing() as connection:
            connection.execute(text("CREATE ROLE other"))


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "text"
    path.write_text("These are words, not pages of a database. " * 100)
    with pytest.raises(DataError, match="text is damaged, or no database"), Database(f"sqlite:///{path}").reading():
        pass
    assert path.read_text().startswith("These are words")
    with pytest.raises(EnvironmentProblem, match="cannot be written"), Database(f"sqlite:///{tmp_path}").reading():
        pass
    with pytest.raises(EnvironmentProblem, match="cannot be written"), Database(f"sqlite:///{path}/below").reading():
        pass


def test_a_damaged_page_is_named(tmp_path):
    path = tmp_path / "damaged"
    with Database(f"sqlite:///{path}") as database, database.writing() as connection:
        connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY, y text)"))
        connection.execute(text("INSERT INTO t VALUES (1, :y)"), {"y": "y" * 20_000})
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 4096)
    with pytest.raises(DataError, match="damaged is damaged"), Database(f"sqlite:///{path}").reading() as connection:
        connection.execute(text("SELECT * FROM t")).all()


def test_other_things_that_sqlite_refuses(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/t")
    words = r"cannot be used \(no such table: nosuch\)"
    with pytest.raises(EnvironmentProblem, match=words), database, database.reading() as connection:
        connection.execute(text("SELECT * FROM nosuch"))


def test_many_processes_may_make_the_file_at_once(tmp_path):
    def make(_):
        with Database(f"sqlite:///{tmp_path}/deep/file") as database, database.writing() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (x integer)"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(24)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        with Database(f"sqlite:///{disk}/records") as database:
            with database.writing() as connection:
                connection.execute(text("CREATE TABLE t (x integer PRIMARY KEY, y text)"))
            written = 0
            with pytest.raises(EnvironmentProblem, match="No disk space is left for"):
                while True:
                    with database.writing() as connection:
                        row = {"x": written, "y": "y" * 5000}
                        connection.execute(text("INSERT INTO t VALUES (:x, :y)"), row)
                    written += 1
            assert content(database) == list(range(written))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_may_not_grow(tmp_path):
    """SQLite itself says that it is full."""
    database = Database(f"sqlite:///{tmp_path}/records")
    words = "No disk space is left for"
    with pytest.raises(EnvironmentProblem, match=words), database, database.writing() as connection:
        connection.execute(text("PRAGMA max_page_count = 4"))
        connection.execute(text("CREATE TABLE t (x text)"))
        connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": "x" * 50_000})


READ_ONLY = """
import os, sys
from sqlalchemy import text
from quantdesk.errors import EnvironmentProblem
from quantdesk.records import Database, Migrations
root = sys.argv[1]
with Database(f"sqlite:///{root}/fixed/there") as database, database.writing() as connection:
    connection.execute(text("CREATE TABLE t (x integer)"))
os.chmod(f"{root}/fixed/there", 0o444)
os.chmod(f"{root}/fixed", 0o555)
if os.geteuid() == 0:
    os.setuid(65534)
for name in ("there", "new", "below/new"):
    try:
        with Database(f"sqlite:///{root}/fixed/{name}") as database, database.writing() as connection:
            connection.execute(text("CREATE TABLE u (x integer)"))
    except EnvironmentProblem as error:
        print(error)
"""


def test_a_read_only_folder_is_one_clear_error():
    """As an ordinary user, in a folder of its own: other runs of pytest close the folder that they share."""
    folder = Path(tempfile.mkdtemp(prefix="quantdesk-read-only-"))
    folder.chmod(0o755)
    try:
        command = [sys.executable, "-c", READ_ONLY, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        (folder / "fixed").chmod(0o755)
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert len(told) == 3, told
    assert all("cannot be written" in line and str(folder) in line for line in told)


def test_a_lock_that_is_kept_by_somebody_else_while_the_file_is_opened(tmp_path):
    path = tmp_path / "kept"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE t (x integer PRIMARY KEY)")
    holder.execute("BEGIN EXCLUSIVE")
    with Database(f"sqlite:///{path}", config=QUICK) as database:
        with pytest.raises(EnvironmentProblem, match=r"kept .* locked"):
            content(database)
        release = threading.Timer(0.1, holder.execute, ("COMMIT",))
        release.start()
        patient = Database(f"sqlite:///{path}", config=DatabaseConfig(timeout=10))
        assert content(patient) == []
        patient.close()
        release.join()
    holder.close()


def test_the_configuration_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("QUANTDESK_DATABASE_TIMEOUT", "2.5")
    assert Database("sqlite:///:memory:").config == DatabaseConfig(timeout=2.5, idle=60)
    monkeypatch.setenv("QUANTDESK_DATABASE_TIMEOUT", "0")
    with pytest.raises(ValidationError, match="greater than 0"):
        DatabaseConfig.from_env()
