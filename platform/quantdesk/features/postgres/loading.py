"""From a build's files into PostgreSQL, in one transaction. An edge module: files and the database.

Readers see the store as it was until the transaction ends, and as it is from then on; a load that is killed leaves
nothing behind. Only what changed is sent: a part whose file hash, or whose rows, are those of the load before is
referred to, not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.features.manifest import Manifest
from quantdesk.features.postgres import schema
from quantdesk.features.postgres.address import Address, parse
from quantdesk.features.postgres.binary import content, encode, header, trailer
from quantdesk.features.postgres.connection import connect, explain
from quantdesk.features.postgres.schema import SCHEMA, TIMES, quoted
from quantdesk.features.retrieval import Source, read
from quantdesk.records import sha256_of

__all__ = ["Loaded", "load"]

Progress = Callable[[str, int, int], None]
Cursor = psycopg.Cursor[tuple[Any, ...]]

_LOCK = 7_185_934_012
"""The number of the lock that one load holds at a time."""
_KEEP = 2
"""How many loads stay: the current one, and the one before for questions that have begun."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    Attributes
    ----------
    build
        The build that is current in the database now.
    changed
        False where it was current already and nothing was done.
    written, kept
        How many parts were sent, and how many are those of the load before.
    rows
        How many rows were sent.
    """

    build: str
    changed: bool
    written: int
    kept: int
    rows: int


@dataclass(frozen=True)
class _Part:
    """The files of a build that hold the rows of one view about one key."""

    view: str
    key: str | None
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it is called in a manifest: the file, or their folder."""
        first = next(iter(self.files))
        return first if len(self.files) == 1 else first.rpartition("/")[0]

    @property
    def source(self) -> str:
        """The hash of the file, or of the hashes of the files."""
        digests = list(self.files.values())
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def load(build: Path, manifest: Manifest, url: str | Address, *, progress: Progress | None = None) -> Loaded:
    """Bring a build into the database, unless it is there.

    Parameters
    ----------
    build
        Its folder.
    manifest
        What it holds.
    url
        The database; its user must own the schema ``quantdesk`` or be allowed to create it.
    progress
        Called with (what, done, total), one step per part.

    Raises
    ------
    DataError
        A file is missing, or is not what the manifest says.
    EnvironmentProblem
        The database cannot be reached or written to, or another load is running.
    """
    tell = progress or (lambda what, done, total: None)
    address = url if isinstance(url, Address) else parse(url)
    connection = connect(address)
    try:
        with explain(address), connection.transaction():
            cursor = connection.cursor()
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            if cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone() != (True,):
                raise EnvironmentProblem(
                    f"Another load into {address} is running.", "Wait until it has ended, and load again."
                )
            schema.create(cursor)
            return _Loading(build, manifest, cursor).run(tell)
    finally:
        connection.close()


class _Loading:
    """One load, inside of its transaction."""

    def __init__(self, build: Path, manifest: Manifest, cursor: Cursor) -> None:
        self.build = build
        self.manifest = manifest
        self.cursor = cursor
        self._tables: set[str] = set()

    def run(self, tell: Progress) -> Loaded:
        """Write what differs, refer to the rest, sweep."""
        parts = _parts(self.manifest)
        before = schema.current_load(self.cursor)
        if before is not None and before[1] == self.manifest.key:
            tell("PostgreSQL", len(parts), len(parts))
            return Loaded(self.manifest.key, False, 0, len(parts), 0)
        held = self._held(before[0]) if before else {}
        (number,) = self._one(
            "INSERT INTO quantdesk.load (layout, build, manifest) VALUES (%s, %s, %s) RETURNING id",
            (schema.LAYOUT, self.manifest.key, self.manifest.to_json()),
        )
        rows, refer = 0, []
        for place, part in enumerate(parts):
            tell(f"PostgreSQL {part.name}", place, len(parts))
            there = held.get((part.view, part.key))
            if there is None or there[1] != part.source:
                there, sent = self._write(part, there)
                rows += sent
            refer.append(there[0])
        self.cursor.execute(
            "INSERT INTO quantdesk.load_part (load, part) SELECT %s, unnest(%s::int[])", (number, refer)
        )
        self._sweep()
        for table in sorted(self._tables):
            self.cursor.execute(sql.SQL("ANALYZE {}").format(quoted(SCHEMA, table)))
        tell("PostgreSQL", len(parts), len(parts))
        written = len(set(refer) - {one[0] for one in held.values()})
        return Loaded(self.manifest.key, True, written, len(parts) - written, rows)

    def _held(self, number: int) -> dict[tuple[str, str | None], tuple[int, str, str]]:
        """The parts of a load: number, hash of the file, hash of the rows."""
        rows = self.cursor.execute(
            "SELECT p.view, p.key, p.id, p.source, p.content FROM quantdesk.part p"
            " JOIN quantdesk.load_part l ON l.part = p.id WHERE l.load = %s",
            (number,),
        ).fetchall()
        return {(view, key): (part, source, rows_hash) for view, key, part, source, rows_hash in rows}

    def _write(self, part: _Part, there: tuple[int, str, str] | None) -> tuple[tuple[int, str, str], int]:
        """The part's number and hashes, and how many rows were sent: none where the rows are those that are there."""
        table = self._read(part)
        columns = {name: _kind(name, field.type) for name, field in zip(table.column_names, table.schema, strict=True)}
        name = schema.table_name(part.view, columns)
        given = [_sequence(table.num_rows), *table.columns]
        digest = content(given)
        if there is not None and there[2] == digest:
            self.cursor.execute("UPDATE quantdesk.part SET source = %s WHERE id = %s", (part.source, there[0]))
            return (there[0], part.source, digest), 0
        if name not in self._tables:
            if self._one("SELECT to_regclass(%s)", (f'{SCHEMA}."{name}"',)) == (None,):
                schema.create_table(self.cursor, name, columns)
            self._tables.add(name)
        event, created = (table.column(time).cast(pa.int64()).to_numpy() for time in TIMES)
        (number,) = self._one(
            'INSERT INTO quantdesk.part (view, key, file, source, "table", rows, content, ahead)'
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (
                part.view,
                part.key,
                part.name,
                part.source,
                name,
                table.num_rows,
                digest,
                bool((created < event).any()),
            ),
        )
        self._copy(name, ["_part", "_seq", *columns], [_constant(number, table.num_rows), *given])
        return (number, part.source, digest), table.num_rows

    def _read(self, part: _Part) -> pa.Table:
        """The rows of a part in their order, numbers before texts: the server finds a column faster that way."""
        tables = []
        for name, digest in part.files.items():
            path = self.build / name
            if not path.is_file() or sha256_of(path) != digest:
                raise DataError(f"The feature file {path} is not as it was built.", "Build the features again.")
            whole = pa.parquet.read_schema(path).names
            tables.append(read(Source(path, (), TIMES[0]), whole))
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
        texts = {field.name for field in table.schema if _is_text(field.type)}
        order = sorted(table.column_names, key=lambda name: name in texts)
        for time in TIMES:
            if time not in order or table.column(time).null_count:
                raise DataError(f"{part.name} has rows without {time}.", "Build the features again.")
        return table.select(order)

    def _copy(self, table: str, names: Sequence[str], columns: Sequence[pa.ChunkedArray]) -> None:
        listed = sql.SQL(", ").join([quoted(name) for name in names])
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(quoted(SCHEMA, table), listed)
        body = encode(columns).body.data
        with self.cursor.copy(statement) as copy:
            copy.write(header())
            for begin in range(0, len(body), _BLOCK):
                copy.write(body[begin : begin + _BLOCK])
            copy.write(trailer())

    def _sweep(self) -> None:
        """Delete what neither this load nor the one before refers to."""
        self.cursor.execute(
            "DELETE FROM quantdesk.load WHERE id NOT IN (SELECT id FROM quantdesk.load ORDER BY id DESC LIMIT %s)",
            (_KEEP,),
        )
        gone = self.cursor.execute(
            "DELETE FROM quantdesk.part p WHERE NOT EXISTS (SELECT FROM quantdesk.load_part l WHERE l.part = p.id)"
            ' RETURNING id, "table"'
        ).fetchall()
        used = {name for (name,) in self.cursor.execute('SELECT DISTINCT "table" FROM quantdesk.part').fetchall()}
        for name in sorted({name for _, name in gone}):
            if name in used:
                numbers = [part for part, of in gone if of == name]
                statement = sql.SQL("DELETE FROM {} WHERE _part = ANY(%s)").format(quoted(SCHEMA, name))
                self.cursor.execute(statement, (numbers,))
                self._tables.add(name)
            else:
                self.cursor.execute(sql.SQL("DROP TABLE {}").format(quoted(SCHEMA, name)))
                self._tables.discard(name)

    def _one(self, statement: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.cursor.execute(statement, given).fetchall()[0]


def _parts(manifest: Manifest) -> list[_Part]:
    """The files of a build by view and key: ``technical/symbol=AAPL/rows.parquet``."""
    found: dict[tuple[str, str | None], dict[str, str]] = {}
    for name in sorted(manifest.files):
        view, *middle, _ = name.split("/")
        key = unquote(middle[0].partition("=")[2]) if middle else None
        found.setdefault((view, key), {})[name] = manifest.files[name]
    return [_Part(view, key, files) for (view, key), files in found.items()]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind(name: str, kind: pa.DataType) -> str:
    """The SQL type of a column. Times and whole numbers stay what they are; a float is kept to its last bit."""
    if _is_text(kind):
        return 'text COLLATE "C"'
    for test, described in (
        (pa.types.is_timestamp, "timestamptz"),
        (pa.types.is_date32, "date"),
        (pa.types.is_floating, "float8"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_int16, "smallint"),
        (pa.types.is_int32, "int"),
        (pa.types.is_int64, "bigint"),
    ):
        if test(kind):
            return described
    raise DataError(f"The column {name!r} is of type {kind}, which PostgreSQL is not given.", "Use numbers or texts.")


def _sequence(size: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(np.arange(size, dtype=np.int32))])


def _constant(value: int, size: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(np.full(size, value, dtype=np.int32))])
