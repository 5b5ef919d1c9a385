"""PostgreSQL as a place of feature rows. An edge module: it asks the server.

:class:`PostgresBackend` is what :class:`quantdesk.features.FeatureStore` asks when it was given an address.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from pydantic import SecretStr

from quantdesk.errors import DataError
from quantdesk.features.asof import Integers, Outcome
from quantdesk.features.backend import Asking, Sessions
from quantdesk.features.declared import DeclaredView, Repository, from_json
from quantdesk.features.definitions import View
from quantdesk.features.files import CLOCK
from quantdesk.features.manifest import Manifest, parse_manifest
from quantdesk.features.overlay import why
from quantdesk.features.postgres import schema
from quantdesk.features.postgres.address import Address, parse
from quantdesk.features.postgres.binary import from_moments
from quantdesk.features.postgres.connection import Connections
from quantdesk.features.postgres.joining import Part, arrays, join, named, recount
from quantdesk.features.postgres.own_views import KEY, TeamOverlay, chain, parts_of
from quantdesk.features.postgres.schema import SCHEMA, quoted, record
from quantdesk.features.proof import Matched, Recount
from quantdesk.features.revisions import LOAD, reason_column

__all__ = ["PostgresBackend", "PostgresSnapshot"]

Cursor = psycopg.RawCursor[tuple[Any, ...]]


class PostgresBackend:
    """The loads in a database.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:5432/database``.

    Raises
    ------
    BadInput
        It is no such address. Nothing is connected to yet.
    """

    def __init__(self, url: str | SecretStr | Address) -> None:
        self.address = url if isinstance(url, Address) else parse(url)
        self.connections = Connections(self.address)
        self._lock = threading.Lock()
        self._seen: PostgresSnapshot | None = None
        self.hashed: dict[tuple[int, str], str] = {}

    def __repr__(self) -> str:
        return f"PostgresBackend({str(self.address)!r})"

    def snapshot(self) -> PostgresSnapshot:
        """The current load; its manifest is read once.

        Raises
        ------
        DataError
            Nothing has been loaded, or by another version of quantdesk.
        EnvironmentProblem
            The database cannot be reached or read.
        """
        with self.connections.reading() as cursor:
            found = schema.current_load(cursor)
            if found is None:
                raise DataError(f"There are no features in {self.address} yet.", "Run `quantdesk features build`.")
            number, build, text, declared = found
            with self._lock:
                seen = self._seen
            if seen is not None and (seen.load, seen.build) == (number, build):
                return PostgresSnapshot(self, number, seen.manifest, seen.parts, seen.declared)
            cursor.execute(
                'SELECT p.view, p.key, p.id, p.file, p."table", p.rows, p.content, p.ahead, p.written::text'
                " FROM quantdesk.part p JOIN quantdesk.load_part l ON l.part = p.id WHERE l.load = $1",
                (number,),
            )
            parts = {(row[0], row[1]): Part(*row[2:]) for row in cursor.fetchall()}
        manifest = parse_manifest(text, f"The manifest in {self.address}", str(self.address))
        own = from_json(declared, f"The declarations in {self.address}") if declared else Repository({}, {})
        manifest = dataclasses.replace(manifest, files={part.file: part.content for part in parts.values()})
        snapshot = PostgresSnapshot(self, number, manifest, parts, own)
        snapshot.build = build
        with self._lock:
            self._seen = snapshot
        return snapshot

    def close(self) -> None:
        """Close the connections. A later question opens new ones."""
        self.connections.close()


class PostgresSnapshot:
    """One load; a :class:`quantdesk.features.backend.Snapshot`.

    Parameters
    ----------
    backend
        Where it is.
    load
        Its number.
    manifest
        What it holds; ``files`` are its parts, with the hash of their rows.
    parts
        Per view and key the part that holds its rows.
    declared
        The user's own views, as they were when they were loaded.
    """

    build = ""

    def __init__(
        self,
        backend: PostgresBackend,
        load: int,
        manifest: Manifest,
        parts: Mapping[tuple[str, str | None], Part],
        declared: Repository,
    ) -> None:
        self.backend = backend
        self.declared = declared
        self.load = load
        self.parts = parts
        self._manifest = manifest
        self._untouched: dict[int, bool] = {}

    @property
    def manifest(self) -> Manifest:
        """What the load holds."""
        return self._manifest

    @property
    def origin(self) -> str:
        """The address, without the password."""
        return str(self.backend.address)

    def sessions(self, key: str) -> Sessions:
        """The sessions of a symbol: each event once, with the moment at which its first version was known."""
        part = self.parts.get((CLOCK, key))
        if part is None:
            empty = np.zeros(0, dtype=np.int64)
            return Sessions(empty, empty, empty.astype("datetime64[D]"))
        statement = sql.SQL(
            "SELECT array_agg(event_timestamp), array_agg(created_timestamp), array_agg(session - date '1970-01-01')"
            " FROM {} WHERE _part = $1"
        ).format(quoted(SCHEMA, part.table))
        with self._reading() as cursor:
            event, created, day = arrays(cursor, statement, (part.number,), ("i8", "i8", "i4"))
        event, known = from_moments(event), from_moments(np.maximum(event, created))
        order = np.lexsort((known, event))
        once = order[np.unique(event[order], return_index=True)[1]]
        return Sessions(event[once], known[once], day.astype("datetime64[D]")[once])

    def match(self, view: View, columns: Sequence[str], asking: Asking) -> Matched:
        """Answer the rows from a view, each from what was known at its time."""
        matched, part, seq = self._match(view, columns, asking, None if view.entity is None else "symbol")
        parts = {key: self.parts.get((view.name, key if view.entity else None)) for key in asking.keys}
        return dataclasses.replace(
            matched, reasons=lambda feature: self._reasons(list(parts.values()), feature, part, seq)
        )

    def with_own_views(self, columns: Mapping[str, NDArray[Any]] | None = None) -> TeamOverlay:
        """The same load with the user's views; see :class:`.own_views.TeamOverlay`."""
        return TeamOverlay(self, columns)

    def match_own(self, view: DeclaredView, columns: Sequence[str], asking: Asking) -> Matched:
        """The same for a user's own view; the rows ask under its keys as they are written here."""
        matched, *_ = self._match(view, columns, asking, KEY if view.keys else None)
        return dataclasses.replace(
            matched, reasons=lambda name: why(matched.found & np.isnan(np.asarray(matched.columns[name])))
        )

    def _match(
        self, view: View, columns: Sequence[str], asking: Asking, own: str | None
    ) -> tuple[Matched, Integers, Integers]:
        """The answers, without reasons; the part and the place of each feature row."""
        parts = [self.parts.get((view.name, key if own else None)) for key in asking.keys]
        ttl = view.ttl // pd.Timedelta(1, "ns") or None
        with self._reading() as cursor:
            answers = join(cursor, parts, columns, asking, own=own)
            self._look(cursor, parts)
        has_rows = np.array([part is not None and part.rows > 0 for part in parts])
        found = answers.seq >= 0
        outcome = np.where(has_rows[asking.code], Outcome.NOT_YET_KNOWN, Outcome.NO_HISTORY)
        outcome = np.where(found, Outcome.FOUND, outcome)
        if ttl is not None:
            expired = found & (asking.time - answers.event > ttl)
            answers.drop(expired)
            outcome = np.where(expired, Outcome.EXPIRED, outcome)

        def again(rows: Integers) -> Recount:
            with self._reading() as cursor:
                return recount(cursor, parts, columns, asking, rows, ttl=ttl, own=own)

        matched = Matched(
            view=view.name,
            columns=answers.values,
            event=answers.event,
            created=answers.created,
            belongs=answers.belongs,
            outcome=outcome.astype(np.int8),
            recount=again,
            reasons=lambda _: np.full(len(found), None, dtype=object),
            row=named(answers.part, answers.seq),
        )
        return matched, answers.part, answers.seq

    def unproven(self, view: View) -> tuple[str, ...]:
        """Why no answer of the view can be proven; empty when it can be."""
        return () if view.knowledge else (f"Nobody has declared when the rows of {view.name} are known.",)

    def digests(self, views: Sequence[View], keys: Sequence[str]) -> dict[str, str | None]:
        """The hash of the rows of every part that the views read for the keys, as they are now.

        The server works it out from the rows once per process; from then on it is believed for as long as each row of
        the part is of the transaction that wrote the part, and none is missing. None where rows are missing or more.
        """
        return self.digests_of(
            [(view.name, key) for view in views for key in (dict.fromkeys(keys) if view.entity else [None])]
        )

    def digests_of(self, asked: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
        """The same, by view and key."""
        parts = {self.parts[name] for name in asked if name in self.parts}
        with self._reading() as cursor:
            self._look(cursor, [part for part in parts if part.number not in self._untouched])
            return {part.file: self._digest(cursor, part) for part in sorted(parts, key=lambda part: part.file)}

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, by event and then by time of knowledge."""
        names = ["event_timestamp", "created_timestamp", "value", "reason", "load"]
        part = self.parts.get((view.name, key if view.entity else None))
        rows: list[tuple[Any, ...]] = []
        if part is not None:
            statement = sql.SQL(
                "SELECT event_timestamp, created_timestamp, {}::float8, {}, {} FROM {} WHERE _part = $1"
                " ORDER BY event_timestamp, created_timestamp, _seq"
            ).format(quoted(feature), quoted(reason_column(feature)), quoted(LOAD), quoted(SCHEMA, part.table))
            with self._reading() as cursor:
                rows = cursor.execute(statement, (part.number,)).fetchall()
        frame = pd.DataFrame(rows, columns=names)
        for name in names[:2]:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        return frame.astype({"value": float, "reason": object, "load": np.int16})

    def revisions_of_own(self, view: DeclaredView, key: str, feature: str) -> pd.DataFrame:
        """The same for a user's own view, with its keys besides the symbol and the time of each load."""
        names = [one.name for one in view.keys]
        place = names.index("symbol") if "symbol" in names else None
        found: list[tuple[str, list[tuple[Any, ...]]]] = []
        with self._reading() as cursor:
            for (of, own), part in self.parts.items():
                if of != view.name or (place is not None and parts_of(view, own or "")[place] != key):
                    continue
                statement = sql.SQL(
                    "SELECT event_timestamp, created_timestamp, {}, load, loaded_at FROM {} WHERE _part = $1"
                    " ORDER BY event_timestamp, created_timestamp, _seq"
                ).format(quoted(feature), quoted(SCHEMA, part.table))
                found.append((own or "", cursor.execute(statement, (part.number,)).fetchall()))
        return chain(view, found)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Cursor]:
        """A cursor on one state of the database, in which the load is still there with all of its parts."""
        with self.backend.connections.reading() as cursor:
            cursor.execute("SELECT FROM quantdesk.load WHERE id = $1", (self.load,))
            if cursor.fetchone() is None:
                raise DataError(f"The features in {self.origin} were replaced meanwhile, twice.", "Ask again.")
            yield cursor

    def _look(self, cursor: Cursor, parts: Iterable[Part | None]) -> None:
        """Note for each part whether its rows are all of the transaction that wrote it, and all there."""
        tables: dict[str, dict[int, Part]] = {}
        for part in parts:
            if part is not None:
                tables.setdefault(part.table, {})[part.number] = part
        for table, mine in tables.items():
            statement = sql.SQL("SELECT _part, xmin::text, count(*) FROM {} WHERE _part = ANY($1) GROUP BY _part, xmin")
            seen: dict[int, list[tuple[str, int]]] = {}
            for number, written, rows in cursor.execute(
                statement.format(quoted(SCHEMA, table)), (list(mine),)
            ).fetchall():
                seen.setdefault(number, []).append((written, rows))
            for number, part in mine.items():
                whole = seen.get(number, []) == ([(part.written, part.rows)] if part.rows else [])
                self._untouched[number] = self._untouched.get(number, True) and whole

    def _digest(self, cursor: Cursor, part: Part) -> str | None:
        known = self.backend.hashed.get((part.number, part.written))
        if known is not None and self._untouched[part.number]:
            return known
        columns = cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attname NOT IN ('_part', '_seq') ORDER BY attnum",
            (f'{SCHEMA}."{part.table}"',),
        ).fetchall()
        statement = sql.SQL(
            "SELECT encode(sha256(coalesce(string_agg(sha256(record_send({})), ''::bytea ORDER BY f._seq), '')),"
            " 'hex'), count(*) FROM {} f WHERE f._part = $1"
        ).format(record([name for (name,) in columns]), quoted(SCHEMA, part.table))
        cursor.execute(statement, (part.number,))
        digest, rows = cursor.fetchall()[0]
        if not rows and part.rows:
            return None
        if self._untouched[part.number]:
            self.backend.hashed[part.number, part.written] = digest
        return str(digest)

    def _reasons(
        self, parts: Sequence[Part | None], feature: str, part: Integers, seq: Integers
    ) -> NDArray[np.object_]:
        """Per asking row the code that is written beside the feature."""
        rows = named(part, seq)
        found = np.full(len(rows), None, dtype=object)
        column = quoted(reason_column(feature))
        order = np.argsort(rows, kind="stable")
        with self._reading() as cursor:
            for table in sorted({one.table for one in parts if one is not None}):
                numbers = sorted({one.number for one in parts if one is not None and one.table == table})
                statement = sql.SQL(
                    "SELECT convert_to({0}, 'UTF8'), array_agg(_part), array_agg(_seq) FROM {1}"
                    " WHERE _part = ANY($1) AND {0} IS NOT NULL GROUP BY 1"
                ).format(column, quoted(SCHEMA, table))
                for code, *places in cursor.execute(statement, (numbers,), binary=True).fetchall():
                    of, at = (np.asarray(place, dtype=np.int64) for place in places)
                    theirs = np.sort(named(of, at))
                    place = np.searchsorted(theirs, rows[order])
                    hit = place < len(theirs)
                    hit[hit] = theirs[place[hit]] == rows[order][hit]
                    found[order[hit]] = bytes(code).decode()
        return found
