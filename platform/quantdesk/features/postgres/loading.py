"""From a build's files into PostgreSQL, in one transaction. An edge module: files and the database.

Readers see the store as it was until the transaction ends, and as it is from then on; a load that is killed leaves
nothing behind. Only what changed is sent: a part whose file hash, or whose rows, are those of the load before is
referred to, not written again.
"""

from __future__ import annotations

import contextlib
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
from psycopg.errors import LockNotAvailable

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.features.declared import DeclaredView, Repository, to_json
from quantdesk.features.manifest import Manifest
from quantdesk.features.postgres import own_views, schema
from quantdesk.features.postgres.address import Address, parse
from quantdesk.features.postgres.binary import content, encode, header, trailer
from quantdesk.features.postgres.connection import connect, explain
from quantdesk.features.postgres.schema import SCHEMA, TIMES, quoted
from quantdesk.features.retrieval import Source, partition, read
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


def load(
    build: Path,
    manifest: Manifest,
    url: str | Address,
    *,
    declared: Repository | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Bring a build into the database, unless it is there.

    Parameters
    ----------
    build
        Its folder.
    manifest
        What it holds.
    url
        The database; its user must own the schema ``quantdesk`` or be allowed to create it.
    declared
        The user's own views, whose rows go along.
    progress
        Called with (what, done, total), one step per part.

    Raises
    ------
    DataError
        A file is missing, or is not what the manifest says.
    BadInput
        A row that PostgreSQL cannot keep; the message names the part.
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
            return _Loading(build, manifest, declared or Repository({}, {}), cursor).run(tell)
    finally:
        connection.close()


@dataclass(frozen=True)
class _Held:
    """A part that is in the database: its number, the hashes of file and rows, its table."""

    number: int
    source: str
    content: str
    table: str


class _Loading:
    """One load, inside of its transaction."""

    def __init__(self, build: Path, manifest: Manifest, declared: Repository, cursor: Cursor) -> None:
        self.build = build
        self.manifest = manifest
        self.declared = declared
        self.cursor = cursor
        self._tables: set[str] = set()

    def run(self, tell: Progress) -> Loaded:
        """Write what differs, refer to the rest, sweep."""
        parts = _parts(self.manifest)
        sources = {name: own_views.source(view) for name, view in self.declared.views.items()}
        key = self._key(sources)
        before = schema.current_load(self.cursor)
        if before is not None and before[1] == key:
            tell("PostgreSQL", len(parts), len(parts))
            return Loaded(self.manifest.key, False, 0, len(self._held(before[0])), 0)
        held = self._held(before[0]) if before else {}
        (number,) = self._one(
            "INSERT INTO quantdesk.load (layout, build, manifest, declared) VALUES (%s, %s, %s, %s) RETURNING id",
            (schema.LAYOUT, key, self.manifest.to_json(), to_json(self.declared) if sources else ""),
        )
        rows, refer = 0, []
        for place, part in enumerate(parts):
            tell(f"PostgreSQL {part.name}", place, len(parts))
            there = held.get((part.view, part.key))
            if there is None or there.source != part.source:
                there, sent = self._write(part, self._read(part), there)
                rows += sent
            refer.append(there.number)
        for view in self.declared.views.values():
            sent, own = self._write_own(view, sources[view.name], held)
            rows, refer = rows + sent, refer + own
        self.cursor.execute(
            "INSERT INTO quantdesk.load_part (load, part) SELECT %s, unnest(%s::int[])", (number, refer)
        )
        self._sweep()
        for table in sorted(self._tables):
            self.cursor.execute(sql.SQL("ANALYZE {}").format(quoted(SCHEMA, table)))
        tell("PostgreSQL", len(parts), len(parts))
        written = len(set(refer) - {one.number for one in held.values()})
        return Loaded(self.manifest.key, True, written, len(refer) - written, rows)

    def _key(self, sources: Mapping[str, str]) -> str:
        """What equal loads have in common: the build, and the user's own views with their rows."""
        if not sources:
            return self.manifest.key
        return hashlib.sha256(repr([self.manifest.key, sorted(sources.items())]).encode()).hexdigest()

    def _write_own(
        self, view: DeclaredView, source: str, held: Mapping[tuple[str, str | None], _Held]
    ) -> tuple[int, list[int]]:
        """How many rows of a user's own view were sent, and its parts."""
        mine = [one for (name, _), one in held.items() if name == view.name]
        if mine and all(one.source == source for one in mine):
            return 0, [one.number for one in mine]
        rows, parts = 0, []
        for key, table in own_views.tables(view):
            name = f"{view.name}/{partition('key', key)}" if key is not None else view.name
            part = _Part(view.name, key, {name: source})
            there, sent = self._write(part, _ordered(table), held.get((view.name, key)))
            rows += sent
            parts.append(there.number)
        return rows, parts

    def _held(self, number: int) -> dict[tuple[str, str | None], _Held]:
        """The parts of a load."""
        rows = self.cursor.execute(
            'SELECT p.view, p.key, p.id, p.source, p.content, p."table" FROM quantdesk.part p'
            " JOIN quantdesk.load_part l ON l.part = p.id WHERE l.load = %s",
            (number,),
        ).fetchall()
        return {(view, key): _Held(*rest) for view, key, *rest in rows}

    def _write(self, part: _Part, table: pa.Table, there: _Held | None) -> tuple[_Held, int]:
        """The part, and how many rows were sent: none where the rows are those that are there."""
        columns = {name: _kind(name, field.type) for name, field in zip(table.column_names, table.schema, strict=True)}
        name = schema.table_name(part.view, columns)
        given = [_sequence(table.num_rows), *table.columns]
        try:
            digest = content(given)
        except BadInput as error:
            raise BadInput(f"{part.name}: {error.problem}", error.remedy) from None
        if there is not None and (there.content, there.table) == (digest, name):
            self.cursor.execute("UPDATE quantdesk.part SET source = %s WHERE id = %s", (part.source, there.number))
            return there, 0
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
        return _Held(number, part.source, digest, name), table.num_rows

    def _read(self, part: _Part) -> pa.Table:
        """The rows of a part, in the order of writing."""
        tables = []
        for name, digest in part.files.items():
            path = self.build / name
            if not path.is_file() or sha256_of(path) != digest:
                raise DataError(f"The feature file {path} is not as it was built.", "Build the features again.")
            whole = pa.parquet.read_schema(path).names
            tables.append(read(Source(path, (), TIMES[0]), whole))
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
        for time in TIMES:
            if time not in table.column_names or table.column(time).null_count:
                raise DataError(f"{part.name} has rows without {time}.", "Build the features again.")
        return _ordered(table)

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
        for name in sorted({name for _, name in gone} & used):
            numbers = [part for part, of in gone if of == name]
            statement = sql.SQL("DELETE FROM {} WHERE _part = ANY(%s)").format(quoted(SCHEMA, name))
            self.cursor.execute(statement, (numbers,))
            self._tables.add(name)
        self._drop(used)

    def _drop(self, used: set[str]) -> None:
        """Drop tables that no part is in. One that somebody reads right now is left to a later load."""
        every = self.cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = '_part'"
            " WHERE c.relnamespace = 'quantdesk'::regnamespace AND c.relkind = 'r'"
        ).fetchall()
        for name in sorted({name for (name,) in every} - used):
            with contextlib.suppress(LockNotAvailable), self.cursor.connection.transaction():
                self.cursor.execute("SET LOCAL lock_timeout = '100ms'")
                self.cursor.execute(sql.SQL("DROP TABLE {}").format(quoted(SCHEMA, name)))

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


def _ordered(table: pa.Table) -> pa.Table:
    """Numbers before texts: the server finds a column faster that way."""
    kinds = {field.name: _is_text(field.type) for field in table.schema}
    return table.select(sorted(table.column_names, key=kinds.__getitem__))


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
