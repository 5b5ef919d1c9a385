"""An online store in PostgreSQL. An edge module: it talks to that server.

The tables lie in a schema of their own, ``quantdesk_online``. Rows are sent as arrays and written by one statement,
whose condition the server checks for each row while it holds it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from quantdesk.errors import EnvironmentProblem
from quantdesk.features.online.address import Address
from quantdesk.features.online.backend import Answer, Mark, State, Writer
from quantdesk.features.online.rows import TAG, Found, Rows, Schema

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresBackend"]

_T = TypeVar("_T")
_SCHEMA = "quantdesk_online"
_LOCK = 7134871  # any number: it keeps two processes from making the tables at once
_TABLES = """
CREATE SCHEMA IF NOT EXISTS quantdesk_online;
CREATE TABLE IF NOT EXISTS quantdesk_online.rows (
    view text NOT NULL, key bytea NOT NULL, era bigint NOT NULL, event bigint NOT NULL, created bigint NOT NULL,
    packed bytea, PRIMARY KEY (view, key));
CREATE TABLE IF NOT EXISTS quantdesk_online.schemas (tag bytea PRIMARY KEY, columns text NOT NULL);
CREATE TABLE IF NOT EXISTS quantdesk_online.views (
    view text PRIMARY KEY, era bigint NOT NULL, definitions text NOT NULL, until bigint, build text NOT NULL);
CREATE TABLE IF NOT EXISTS quantdesk_online.marks (
    view text NOT NULL, partition text NOT NULL, mark text NOT NULL, PRIMARY KEY (view, partition));
"""
_READ = """
SELECT asked.place, rows.event, rows.created, rows.packed
FROM unnest(%s::text[], %s::bytea[], %s::int[]) AS asked (view, key, place)
JOIN quantdesk_online.rows AS rows ON rows.view = asked.view AND rows.key = asked.key
WHERE rows.packed IS NOT NULL
"""
_STATES = "SELECT view, era, definitions, until, build FROM quantdesk_online.views"
_PUT = """
INSERT INTO quantdesk_online.rows AS stored (view, key, era, event, created, packed)
SELECT %(view)s, key,
       coalesce(%(era)s::bigint, (SELECT era FROM quantdesk_online.views WHERE view = %(view)s), 0),
       event, created, packed
FROM unnest(%(keys)s::bytea[], %(event)s::bigint[], %(created)s::bigint[], %(packed)s::bytea[])
    AS given (key, event, created, packed)
ON CONFLICT (view, key) DO UPDATE
SET era = excluded.era, event = excluded.event, created = excluded.created, packed = excluded.packed
WHERE (excluded.era, excluded.event, excluded.created) >= (stored.era, stored.event, stored.created)
   OR (stored.packed IS NULL AND excluded.era >= stored.era AND %(as_of)s > stored.created)
"""
_VOID = """
UPDATE quantdesk_online.rows SET packed = NULL, era = %(era)s, created = greatest(created, %(as_of)s)
WHERE view = %(view)s AND key = ANY(%(keys)s::bytea[]) AND packed IS NOT NULL AND event <= %(newest)s
  AND era <= %(era)s
"""
_BEGIN = """
INSERT INTO quantdesk_online.views AS stored (view, era, definitions, build) VALUES (%(view)s, 1, %(definitions)s, '')
ON CONFLICT (view) DO UPDATE
SET era = stored.era + 1, definitions = excluded.definitions, build = ''
WHERE stored.definitions <> excluded.definitions OR %(afresh)s
"""
_FINISH = """
UPDATE quantdesk_online.views SET until = %(until)s, build = %(build)s
WHERE view = %(view)s AND era = %(era)s AND coalesce(until, %(until)s) <= %(until)s
"""
_MARK = """
INSERT INTO quantdesk_online.marks (view, partition, mark)
SELECT %(view)s, partition, mark FROM unnest(%(names)s::text[], %(marks)s::text[]) AS given (partition, mark)
WHERE %(era)s::bigint IS NULL OR %(era)s = (SELECT era FROM quantdesk_online.views WHERE view = %(view)s)
ON CONFLICT (view, partition) DO UPDATE SET mark = excluded.mark
"""


class PostgresBackend:
    """See :class:`~quantdesk.features.online.backend.Backend` and :class:`~quantdesk.features.online.backend.Writer`.

    Parameters
    ----------
    address
        Where the server is.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._mutex = threading.Lock()
        self._idle: list[tuple[int, psycopg.Connection]] = []
        self._schemas: dict[bytes, Schema] = {}
        self._ready = False

    def __repr__(self) -> str:
        return f"PostgresBackend({self.address.shown!r})"

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Answer:
        """Rows of several views in one go."""
        views = [view for view, keys in asked for _ in keys]
        every = [key for _, keys in asked for key in keys]

        def question(connection: psycopg.Connection) -> tuple[list[Any], list[Any]]:
            with connection.pipeline():
                rows = connection.execute(_READ, (views, every, list(range(len(every)))), binary=True)
                states = connection.execute(_STATES)
                return rows.fetchall(), states.fetchall()

        found, states = self._ask(question)
        flat: list[Found | None] = [None] * len(every)
        for place, event, created, packed in found:
            flat[place] = (event, created, packed)
        self._learn({row[2][:TAG] for row in flat if row is not None})
        rows, start = [], 0
        for _, keys in asked:
            rows.append(flat[start : start + len(keys)])
            start += len(keys)
        return Answer(rows, self._schemas, {view: State(*rest) for view, *rest in states})

    def states(self) -> Mapping[str, State]:
        """Of every view that was ever begun."""
        return {view: State(*rest) for view, *rest in self._all(_STATES, {})}

    def marks(self, view: str) -> Mapping[str, Mark]:
        """By partition."""
        found = self._all("SELECT partition, mark FROM quantdesk_online.marks WHERE view = %(view)s", {"view": view})
        return {partition: Mark.from_json(mark) for partition, mark in found}

    def keys(self, view: str) -> Sequence[bytes]:
        """The keys of a view that answer."""
        select = "SELECT key FROM quantdesk_online.rows WHERE view = %(view)s AND packed IS NOT NULL"
        return [key for (key,) in self._all(select, {"view": view})]

    @contextlib.contextmanager
    def session(self) -> Iterator[Writer]:
        """Write; each write is a transaction."""
        yield self

    def close(self) -> None:
        """Let go of the connections."""
        with self._mutex:
            for pid, connection in self._idle:
                if pid == os.getpid():
                    connection.close()
            self._idle = []

    def checkpoint(self) -> None:
        """Nothing is held back."""

    def begin(self, view: str, definitions: str, *, afresh: bool = False) -> int:
        """The era in which to write by these definitions."""

        def change(connection: psycopg.Connection) -> int:
            given = {"view": view, "definitions": definitions, "afresh": afresh}
            with connection.transaction():
                if connection.execute(_BEGIN, given).rowcount:
                    connection.execute("DELETE FROM quantdesk_online.marks WHERE view = %(view)s", given)
                found = connection.execute("SELECT era FROM quantdesk_online.views WHERE view = %(view)s", given)
                return int(found.fetchall()[0][0])

        return self._ask(change)

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
        lines = {
            "view": view,
            "era": era,
            "as_of": as_of,
            "keys": list(rows.keys),
            "event": rows.event.tolist(),
            "created": rows.created.tolist(),
            "packed": list(rows.packed),
        }
        done = marks or {}
        told = {"view": view, "era": era, "names": list(done), "marks": [mark.to_json() for mark in done.values()]}

        def change(connection: psycopg.Connection) -> int:
            with connection.transaction():
                connection.execute(
                    "INSERT INTO quantdesk_online.schemas VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    (schema.tag, schema.to_json()),
                )
                written = connection.execute(_PUT, lines, binary=True).rowcount if len(rows) else 0
                if done:
                    connection.execute(_MARK, told)
                return written

        return self._ask(change)

    def void(self, view: str, keys: Sequence[bytes], *, as_of: int, era: int, newest: int) -> int:
        """Void keys whose event is not after `newest`."""
        given = {"view": view, "keys": sorted(keys), "as_of": as_of, "era": era, "newest": newest}
        return self._change(_VOID, given)

    def unmark(self, view: str, partitions: Sequence[str]) -> None:
        """Forget marks."""
        delete = "DELETE FROM quantdesk_online.marks WHERE view = %(view)s AND partition = ANY(%(names)s)"
        self._change(delete, {"view": view, "names": list(partitions)})

    def finish(self, view: str, *, era: int, until: int, build: str) -> None:
        """Note that the view is filled."""
        self._change(_FINISH, {"view": view, "era": era, "until": until, "build": build})

    def drop(self, view: str) -> None:
        """Remove all that is known of a view."""
        for table in ("rows", "marks", "views"):
            self._change(f"DELETE FROM quantdesk_online.{table} WHERE view = %(view)s", {"view": view})  # noqa: S608

    def _all(self, select: str, given: Mapping[str, Any]) -> list[Any]:
        return self._ask(lambda connection: connection.execute(select.encode(), given).fetchall())

    def _change(self, statement: str, given: Mapping[str, Any]) -> int:
        return self._ask(lambda connection: connection.execute(statement.encode(), given).rowcount)

    def _learn(self, tags: set[bytes]) -> None:
        missing = sorted(tags - self._schemas.keys())
        if missing:
            select = "SELECT tag, columns FROM quantdesk_online.schemas WHERE tag = ANY(%(tags)s)"
            self._schemas.update({tag: Schema.from_json(text) for tag, text in self._all(select, {"tags": missing})})

    def _ask(self, question: Callable[[psycopg.Connection], _T]) -> _T:
        """Ask on a connection of our own; once more on a new one where the server has dropped it.

        Every write may be repeated: once it is done, it is not older than what is there.
        """
        import psycopg

        try:
            connection, fresh = self._connection()
            try:
                answer = question(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                connection.close()
                if fresh:
                    raise
                self.close()
                connection, _ = self._connection()
                try:
                    answer = question(connection)
                except psycopg.Error:
                    connection.close()
                    raise
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise EnvironmentProblem(
                f"The online store at {self.address.shown} does not answer ({self.address.clean(error)}).",
                "Check that PostgreSQL runs there and that QUANTDESK_ONLINE_URL names its host, port, database, user "
                "and password.",
            ) from None
        with self._mutex:
            self._idle.append((os.getpid(), connection))
        return answer

    def _connection(self) -> tuple[psycopg.Connection, bool]:
        """A connection that nobody uses now, and whether it is new. One of before a fork is left to the parent."""
        import psycopg

        with self._mutex:
            while self._idle:
                pid, connection = self._idle.pop()
                if pid == os.getpid() and not connection.closed:
                    return connection, False
        connection = psycopg.connect(self.address.url, autocommit=True, connect_timeout=10)
        if not self._ready:
            try:
                self._make_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._ready = True
        return connection, True

    @staticmethod
    def _make_tables(connection: psycopg.Connection) -> None:
        there = connection.execute(f"SELECT to_regclass('{_SCHEMA}.marks') IS NOT NULL").fetchone()
        if there != (True,):
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(_TABLES.encode())
