"""The tables of a feature store in PostgreSQL. An edge module: SQL that makes and describes them.

All of them are in the schema ``quantdesk``::

    load        each load of a build: when, by whom, its manifest, what users declared; the largest number is current
    part        the rows of one view about one symbol (or about the market): which table, how many, their hash
    load_part   which parts belong to which load
    <view>_<x>  the rows of a view; x says which columns, so that other definitions get a table of their own

A part is never changed. A load writes the parts that differ and refers to the others; the load before stays for
questions that have begun, and what nobody refers to is deleted. A question finds its parts once and asks only them, so
it never mixes two loads, and no reader waits for a writer.

The hash of a part is worked out from the rows as they came from the build. The server finds the same with::

    SELECT encode(sha256(string_agg(sha256(record_send(ROW(<columns but _part>))), '' ORDER BY _seq)), 'hex')
    FROM quantdesk.<table> WHERE _part = <part>
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from quantdesk.errors import BadInput, DataError

__all__ = ["SCHEMA", "TIMES", "create", "create_table", "current_load", "quoted", "table_name"]

SCHEMA = "quantdesk"
LAYOUT = 1
"""How the tables are laid out. Another number cannot be read."""
TIMES = ("event_timestamp", "created_timestamp")
_NAME_BYTES = 63
_CHUNK_YEARS = 10

Cursor = psycopg.Cursor[tuple[Any, ...]]

_TABLES = """
CREATE SCHEMA IF NOT EXISTS quantdesk;
CREATE TABLE IF NOT EXISTS quantdesk.load (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL DEFAULT session_user,
    layout int NOT NULL,
    build text NOT NULL,
    manifest text NOT NULL,
    declared text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS quantdesk.part (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    file text COLLATE "C" NOT NULL,
    source text NOT NULL,
    "table" text NOT NULL,
    rows bigint NOT NULL,
    content text NOT NULL,
    ahead boolean NOT NULL,
    written xid NOT NULL DEFAULT pg_current_xact_id()::xid
);
CREATE TABLE IF NOT EXISTS quantdesk.load_part (
    load bigint NOT NULL REFERENCES quantdesk.load ON DELETE CASCADE,
    part int NOT NULL REFERENCES quantdesk.part,
    PRIMARY KEY (load, part)
);
CREATE INDEX IF NOT EXISTS load_part_part ON quantdesk.load_part (part);
COMMENT ON COLUMN quantdesk.part.source IS 'SHA-256 of the file of the build that the rows come from';
COMMENT ON COLUMN quantdesk.part.content IS 'SHA-256 of the SHA-256 of each row, as record_send writes it';
COMMENT ON COLUMN quantdesk.part.ahead IS 'whether a row was known before its event';
COMMENT ON COLUMN quantdesk.part.written IS 'the transaction that wrote the rows: xmin of each of them';
"""


def quoted(*names: str) -> sql.Composable:
    """A name of a table in the schema, or of a column, whatever it contains.

    Raises
    ------
    BadInput
        PostgreSQL cannot keep it: it is empty, holds a zero byte, or is longer than 63 bytes in UTF-8.
    """
    for name in names:
        size = len(name.encode())
        if not name or "\0" in name or size > _NAME_BYTES:
            raise BadInput(
                f"The name {name[:80]!r} has {size} bytes.", f"PostgreSQL takes names of 1 to {_NAME_BYTES} bytes."
            )
    return sql.Identifier(*names)


def table_name(view: str, columns: Mapping[str, str]) -> str:
    """The table of a view with these columns and types: other columns, another table."""
    digest = hashlib.sha256(repr((view, list(columns.items()))).encode()).hexdigest()[:10]
    return f"{re.sub('[^a-z0-9_]', '_', view.lower())[:40]}_{digest}"


def create(cursor: Cursor) -> None:
    """Make the schema and the tables of the store, where they are not there yet.

    Raises
    ------
    DataError
        They are there in another layout.
    """
    cursor.execute(_TABLES)
    cursor.execute("SELECT layout FROM quantdesk.load WHERE layout <> %s LIMIT 1", (LAYOUT,))
    if row := cursor.fetchone():
        raise DataError(_OTHER.format(row[0], LAYOUT), _ANEW)


_OTHER = "The store in the database has layout {}; this version of quantdesk reads layout {}."
_ANEW = "Use the version that wrote it, or drop the schema quantdesk and load it again."


def current_load(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[int, str, str, str] | None:
    """The number, build, manifest and declarations of the current load; None where there is none.

    Raises
    ------
    DataError
        It is of another layout.
    """
    cursor.execute("SELECT id, build, manifest, declared, layout FROM quantdesk.load ORDER BY id DESC LIMIT 1")
    row = cursor.fetchone()
    if row is None:
        return None
    if row[4] != LAYOUT:
        raise DataError(_OTHER.format(row[4], LAYOUT), _ANEW)
    return row[0], row[1], row[2], row[3]


def create_table(cursor: Cursor, name: str, columns: Mapping[str, str]) -> None:
    """Make the table of a view, readable by whoever may read the list of parts.

    Parameters
    ----------
    cursor
        Of the transaction of the load.
    name
        See :func:`table_name`.
    columns
        Per column its SQL type; the two times and, last, the text columns are among them.
    """
    table = quoted(SCHEMA, name)
    described = [sql.SQL("{} {}").format(quoted(column), sql.SQL(kind)) for column, kind in columns.items()]
    body = sql.SQL(", ").join([sql.SQL("_part int NOT NULL"), sql.SQL("_seq int NOT NULL"), *described])
    cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(table, body))
    _hypertable(cursor, name)
    index = sql.SQL("CREATE INDEX ON {} (_part, event_timestamp, created_timestamp, _seq)").format(table)
    cursor.execute(index)
    readers = """
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'public' ELSE quote_ident(r.rolname) END
        FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'quantdesk.part'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
    """
    for (reader,) in cursor.execute(readers).fetchall():
        cursor.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table, sql.SQL(reader)))


def _hypertable(cursor: Cursor, name: str) -> None:
    """Hand the table to TimescaleDB, where the database has that extension: one chunk per ten years of events."""
    cursor.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'timescaledb'"
    )
    row = cursor.fetchone()
    if row is not None:
        cursor.execute(
            sql.SQL(
                "SELECT {}(%s::regclass, 'event_timestamp', chunk_time_interval => make_interval(years => %s),"
                " create_default_indexes => false)"
            ).format(sql.Identifier(row[0], "create_hypertable")),
            (f'{SCHEMA}."{name}"', _CHUNK_YEARS),
        )


def record(columns: Sequence[str]) -> sql.Composable:
    """The columns of a row whose hash is kept, as one record."""
    names = sql.SQL(", ").join(sql.SQL("f.") + quoted(column) for column in ("_seq", *columns))
    return sql.SQL("ROW({})").format(names)
