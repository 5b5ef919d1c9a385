"""An online store in one SQLite file. An edge module: it reads and writes that file.

The file that readers see is never written to. A writer takes a lock, works on a copy and renames it over the file, so
a reader finds the old rows or the new ones, waits for nobody and needs no right to write; and a writer that is killed
leaves the old file. Because the file never changes, SQLite is told so, and takes no locks to read it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.features.online.backend import Answer, Mark, State, Writer
from quantdesk.features.online.rows import Found, Rows, Schema
from quantdesk.records import atomic_write, exclusive

__all__ = ["SqliteBackend"]

_T = TypeVar("_T")
_TABLES = """
CREATE TABLE IF NOT EXISTS online_rows (
    view TEXT NOT NULL, key BLOB NOT NULL, era INTEGER NOT NULL, event INTEGER NOT NULL, created INTEGER NOT NULL,
    packed BLOB, PRIMARY KEY (view, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS online_schemas (tag BLOB PRIMARY KEY, columns TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS online_views (
    view TEXT PRIMARY KEY, era INTEGER NOT NULL, definitions TEXT NOT NULL, until INTEGER, build TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS online_marks (
    view TEXT NOT NULL, partition TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (view, partition)) WITHOUT ROWID;
"""
# A row that was voided comes back for a writer that looked at its source after that.
_PUT = """
INSERT INTO online_rows (view, key, era, event, created, packed)
VALUES (?, ?, coalesce(?, (SELECT era FROM online_views WHERE view = ?), 0), ?, ?, ?)
ON CONFLICT (view, key) DO UPDATE
SET era = excluded.era, event = excluded.event, created = excluded.created, packed = excluded.packed
WHERE (excluded.era, excluded.event, excluded.created) >= (online_rows.era, online_rows.event, online_rows.created)
   OR (online_rows.packed IS NULL AND excluded.era >= online_rows.era AND ? > online_rows.created)
"""
_VOID = """
UPDATE online_rows SET packed = NULL, era = ?, created = max(created, ?)
WHERE view = ? AND key = ? AND packed IS NOT NULL AND event <= ? AND era <= ?
"""
_BEGIN = """
INSERT INTO online_views (view, era, definitions, build) VALUES (?, ?, ?, '')
ON CONFLICT (view) DO UPDATE SET era = excluded.era, definitions = excluded.definitions, build = ''
"""
_FINISH = """
UPDATE online_views SET until = ?, build = ? WHERE view = ? AND era = ? AND coalesce(until, ?) <= ?
"""
_LEGACY = {"entity_key", "feature_name", "value", "event_ts"}


class SqliteBackend:
    """See :class:`~quantdesk.features.online.backend.Backend`.

    Parameters
    ----------
    path
        The file. It need not exist: then nothing is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._open: _Opened | None = None

    def __repr__(self) -> str:
        return f"SqliteBackend({str(self.path)!r})"

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Answer:
        """Rows of several views in one go."""
        return self._reading(lambda opened: Answer([opened.rows(*one) for one in asked], opened.schemas, opened.states))

    def states(self) -> Mapping[str, State]:
        """Of every view that was ever begun."""
        return self._reading(lambda opened: opened.states)

    def marks(self, view: str) -> Mapping[str, Mark]:
        """By partition."""
        found = self._reading(
            lambda opened: opened.all("SELECT partition, mark FROM online_marks WHERE view = ?", view)
        )
        return {str(partition): Mark.from_json(mark) for partition, mark in found}

    def keys(self, view: str) -> Sequence[bytes]:
        """The keys of a view that answer."""
        select = "SELECT key FROM online_rows WHERE view = ? AND packed IS NOT NULL"
        return [key for (key,) in self._reading(lambda opened: opened.all(select, view))]

    @contextlib.contextmanager
    def session(self) -> Iterator[Writer]:
        """Write. One process at a time; readers are not disturbed."""
        with exclusive(self.path.with_name(f".{self.path.name}.lock")):
            for left in self.path.parent.glob(f".{self.path.name}.*.tmp"):
                left.unlink(missing_ok=True)  # of a writer that was killed: the lock is ours
            writer = _Session(self.path)
            try:
                yield writer
                writer.publish()
            except sqlite3.OperationalError as error:
                raise EnvironmentProblem(
                    f"The online store {self.path} cannot be written ({error}).",
                    "Make room for it, or set QUANTDESK_STATE to a larger disk.",
                ) from error
            except sqlite3.DatabaseError as error:
                raise DataError(f"The online store {self.path} is damaged ({error}).", _AGAIN) from error
            finally:
                writer.abandon()

    def close(self) -> None:
        """Let go of the file."""
        with self._mutex:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _reading(self, question: Callable[[_Opened], _T]) -> _T:
        with self._mutex:
            try:
                there = self.path.stat()
            except FileNotFoundError:
                return question(_NOTHING)
            seen = (os.getpid(), there.st_ino, there.st_mtime_ns)
            try:
                if self._open is None or self._open.seen != seen:
                    if self._open is not None and self._open.seen[0] == seen[0]:
                        self._open.close()
                    self._open = _Opened.of(self.path, seen)
                return question(self._open)
            except sqlite3.Error as error:
                raise DataError(f"The online store {self.path} cannot be read ({error}).", _AGAIN) from error


_AGAIN = "Delete it and run `quantdesk features build`, which fills it again."


@dataclass(frozen=True)
class _Opened:
    """The file as it was at one moment."""

    connection: sqlite3.Connection
    seen: tuple[int, int, int]
    schemas: Mapping[bytes, Schema]
    states: Mapping[str, State]

    @classmethod
    def of(cls, path: Path, seen: tuple[int, int, int]) -> _Opened:
        where = f"file:{quote(str(path))}?mode=ro&immutable=1"
        connection = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
        try:
            opened = cls(connection, seen, {}, {})
            # Else it was made by an older version, or by others.
            if opened.all("SELECT 1 FROM sqlite_master WHERE name = ?", "online_rows"):
                schemas = {
                    tag: Schema.from_json(text) for tag, text in opened.all("SELECT tag, columns FROM online_schemas")
                }
                opened = cls(connection, seen, schemas, _states(connection))
        except BaseException:
            connection.close()
            raise
        # Whoever drops a store without closing it leaves no connection to the garbage collector.
        weakref.finalize(opened, connection.close)
        return opened

    def close(self) -> None:
        self.connection.close()

    def all(self, select: str, *values: Any) -> list[Any]:
        return self.connection.execute(select, values).fetchall()

    def rows(self, view: str, keys: Sequence[bytes]) -> Sequence[Found | None]:
        if not self.schemas:
            return [None] * len(keys)
        found: dict[bytes, Found] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            lines = self.connection.execute(_select(len(some)), (view, *some)).fetchall()
            found.update({key: (event, created, packed) for key, event, created, packed in lines})
        return [found.get(key) for key in keys]


@lru_cache(maxsize=64)
def _select(keys: int) -> str:
    return (
        "SELECT key, event, created, packed FROM online_rows "  # noqa: S608 - only question marks are put in
        f"WHERE view = ? AND key IN ({','.join('?' * keys)}) AND packed IS NOT NULL"
    )


_AT_ONCE = 500


class _Nothing(_Opened):
    """A file that is not there."""

    def all(self, select: str, *values: Any) -> list[Any]:  # noqa: ARG002
        return []


_NOTHING = _Nothing(sqlite3.connect(":memory:", check_same_thread=False), (0, 0, 0), {}, {})


def _states(connection: sqlite3.Connection) -> dict[str, State]:
    found = connection.execute("SELECT view, era, definitions, until, build FROM online_views")
    return {view: State(*rest) for view, *rest in found}


class _Session:
    """Writes into a copy. See :class:`~quantdesk.features.online.backend.Writer`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        temporary = self._stack.enter_context(atomic_write(self._path))
        if self._path.is_file():
            shutil.copyfile(self._path, temporary)
        self._connection = sqlite3.connect(temporary, check_same_thread=False, isolation_level=None)
        # The copy is thrown away when this process dies: it needs no journal on the disk.
        self._connection.execute("PRAGMA journal_mode=MEMORY")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("BEGIN")
        (before,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for statement in _TABLES.split(";"):
            self._connection.execute(statement)
        self._drop_legacy()
        (after,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._changes = self._connection.total_changes if before == after else -1

    def _drop_legacy(self) -> None:
        """Tables in which Feast's own store kept one row per feature; nothing reads them any more."""
        tables = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            quoted = '"' + name.replace('"', '""') + '"'
            if {row[1] for row in self._connection.execute(f"PRAGMA table_info({quoted})")} >= _LEGACY:
                self._connection.execute(f"DROP TABLE {quoted}")

    def publish(self) -> None:
        """Rename the copy over the file, unless nothing was written."""
        with self._mutex:
            self._publish()

    def _publish(self) -> None:
        dirty = self._connection.total_changes != self._changes
        self._connection.execute("COMMIT")
        self._connection.close()
        if dirty:
            self._stack.close()

    def abandon(self) -> None:
        """Drop the copy, if it was not published."""
        self._connection.close()
        with contextlib.suppress(_Abandoned):
            # The temporary file is removed when its block ends badly.
            self._stack.__exit__(_Abandoned, _Abandoned(), None)

    def checkpoint(self) -> None:
        """Let readers see what was written so far."""
        with self._mutex:
            if self._connection.total_changes != self._changes:
                self._publish()
                self._start()

    def begin(self, view: str, definitions: str, *, afresh: bool = False) -> int:
        """The era in which to write by these definitions."""
        with self._mutex:
            state = _states(self._connection).get(view)
            if state is not None and state.definitions == definitions and not afresh:
                return state.era
            era = state.era + 1 if state is not None else 1
            self._connection.execute(_BEGIN, (view, era, definitions))
            self._connection.execute("DELETE FROM online_marks WHERE view = ?", (view,))
            return era

    def put(
        self,
        view: str,
        schema: Schema,
        rows: Rows,
        *,
        as_of: int,
        era: int | None = None,
        marks: Mapping[str, Mark] | None = None,
    ) -> int:
        """Write rows, but none over a later one; then the marks."""
        rows = rows.latest()
        event, created = rows.event.tolist(), rows.created.tolist()
        lines = [
            (view, key, era, view, *times, as_of)
            for key, *times in zip(rows.keys, event, created, rows.packed, strict=True)
        ]
        with self._mutex:
            self._connection.execute(
                "INSERT OR IGNORE INTO online_schemas (tag, columns) VALUES (?, ?)", (schema.tag, schema.to_json())
            )
            done = self._connection.executemany(_PUT, lines)
            written = max(0, done.rowcount) if lines else 0
            self._connection.executemany(
                "INSERT OR REPLACE INTO online_marks (view, partition, mark) VALUES (?, ?, ?)",
                [(view, name, mark.to_json()) for name, mark in (marks or {}).items()],
            )
            return written

    def void(self, view: str, keys: Sequence[bytes], *, as_of: int, era: int, newest: int) -> int:
        """Void keys whose event is not after `newest`."""
        with self._mutex:
            done = self._connection.executemany(_VOID, [(era, as_of, view, key, newest, era) for key in keys])
            return max(0, done.rowcount) if keys else 0

    def unmark(self, view: str, partitions: Sequence[str]) -> None:
        """Forget marks."""
        with self._mutex:
            delete = "DELETE FROM online_marks WHERE view = ? AND partition = ?"
            self._connection.executemany(delete, [(view, name) for name in partitions])

    def finish(self, view: str, *, era: int, until: int, build: str) -> None:
        """Note that the view is filled."""
        with self._mutex:
            self._connection.execute(_FINISH, (until, build, view, era, until, until))

    def drop(self, view: str) -> None:
        """Remove all that is known of a view."""
        with self._mutex:
            for table in ("online_rows", "online_marks", "online_views"):
                self._connection.execute(f"DELETE FROM {table} WHERE view = ?", (view,))  # noqa: S608 - constants


class _Abandoned(Exception):
    pass
