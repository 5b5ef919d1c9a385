"""The point-in-time join inside of PostgreSQL, and the brute force that checks it. An edge module: it asks the server.

Each asking row looks once into the index on (part, event, created, written order), from its own time backwards::

    SELECT ... FROM unnest(<rows that ask>) a
    CROSS JOIN LATERAL (
        SELECT * FROM quantdesk.<view> WHERE _part = a.part
          AND event_timestamp <= a.time AND created_timestamp <= least(a.time, <known by>)
        ORDER BY event_timestamp DESC, created_timestamp DESC, _seq DESC LIMIT 1
    ) f

The rows go in as two arrays and the answers come back as one array per column, so that neither side makes an object of
a value; nothing is written at the server, which may be a read-only standby.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from quantdesk.features.asof import NOT_A_TIME, Integers
from quantdesk.features.backend import Asking
from quantdesk.features.postgres.binary import Int4s, Moments, from_moments, to_moments, unpack
from quantdesk.features.postgres.schema import SCHEMA, quoted
from quantdesk.features.proof import Recount

__all__ = ["Answers", "Part", "arrays", "join", "named", "recount"]

Cursor = psycopg.RawCursor[tuple[Any, ...]]

_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Part:
    """The rows of one view about one key; see :mod:`quantdesk.features.postgres.schema`."""

    number: int
    file: str
    table: str
    rows: int
    content: str
    ahead: bool
    written: str


@dataclass
class Answers:
    """What answers each asking row. Arrays of shape ``(m,)``.

    Attributes
    ----------
    part, seq
        Which feature row: its part and its place in it; -1 for none.
    event, created
        Its times, nanoseconds since 1970 (UTC); :data:`~quantdesk.features.asof.NOT_A_TIME` for none.
    belongs
        Whether its own key is the asking row's, compared by the server on the keys, which the join does not look at.
    values
        Per column float64, NaN for none.
    """

    part: Integers
    seq: Integers
    event: Integers
    created: Integers
    belongs: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def none(cls, size: int, columns: Sequence[str]) -> Answers:
        """No answer to any of `size` rows."""
        empty, never = np.full(size, -1, dtype=np.int64), np.full(size, NOT_A_TIME)
        nothing = {name: np.full(size, np.nan) for name in columns}
        return cls(empty, empty.copy(), never, never.copy(), np.ones(size, dtype=bool), nothing)

    def put(self, rows: Integers, other: Answers) -> None:
        """Write the answers of some rows."""
        for name in ("part", "seq", "event", "created", "belongs"):
            getattr(self, name)[rows] = getattr(other, name)
        for name, values in other.values.items():
            self.values[name][rows] = values

    def take(self, rows: Integers) -> Answers:
        """The answers of some rows."""
        return Answers(
            self.part[rows],
            self.seq[rows],
            self.event[rows],
            self.created[rows],
            self.belongs[rows],
            {name: values[rows] for name, values in self.values.items()},
        )

    def drop(self, rows: NDArray[np.bool_]) -> None:
        """Take the answers of some rows away."""
        where = np.flatnonzero(rows)
        self.put(where, Answers.none(len(where), list(self.values)))


def join(
    cursor: Cursor, parts: Sequence[Part | None], columns: Sequence[str], asking: Asking, *, own: str | None
) -> Answers:
    """Find the latest event that was known, and of its versions the latest known, for each asking row.

    Parameters
    ----------
    cursor
        On one state of the database.
    parts
        Shape of ``asking.keys``: where the rows of each key are; None where there are none.
    columns
        The columns wanted, all of them numbers.
    asking
        The rows that ask.
    own
        The column that says whose a feature row is. None for a view without a key: all parts are the same then, and
        rows that ask at the same time ask once.
    """
    if own is None:
        moments, which = np.unique(asking.time, return_inverse=True)
        once = Asking(asking.keys[:1], np.zeros(len(moments), dtype=np.int64), moments, asking.known_by)
        return _join(cursor, parts[:1], columns, once, own=None).take(which)
    return _join(cursor, parts, columns, asking, own=own)


def _join(
    cursor: Cursor, parts: Sequence[Part | None], columns: Sequence[str], asking: Asking, *, own: str | None
) -> Answers:
    found = Answers.none(len(asking.time), columns)
    for table in sorted({part.table for part in parts if part is not None}):
        mine = np.array([part is not None and part.table == table for part in parts])
        statement = _statement(table, columns, own=own)
        rows = np.flatnonzero(mine[asking.code])
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[begin : begin + _ROWS_AT_ONCE]
            _ask(cursor, statement, parts, asking, some, found)
    return found


def _statement(table: str, columns: Sequence[str], *, own: str | None) -> sql.Composed:
    values = [
        sql.SQL("array_agg(coalesce(f.{}::float8, 'NaN'))").format(quoted(name)) for name in dict.fromkeys(columns)
    ]
    return sql.SQL(
        "SELECT array_agg(a.row::int4), array_agg(f._seq), array_agg(f.event_timestamp),"
        " array_agg(f.created_timestamp), array_agg({belongs}) {values}"
        " FROM unnest($1::int4[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY a(code, time, known, row)"
        " JOIN unnest($4::int4[], $5::int4[], $6::text[]) k(code, part, key) ON k.code = a.code"
        " CROSS JOIN LATERAL (SELECT * FROM {table} f WHERE f._part = k.part"
        " AND f.event_timestamp <= a.time AND f.created_timestamp <= a.known"
        " ORDER BY f.event_timestamp DESC, f.created_timestamp DESC, f._seq DESC LIMIT 1) f"
    ).format(
        belongs=sql.SQL("true") if own is None else sql.SQL("f.{} IS NOT DISTINCT FROM k.key").format(quoted(own)),
        values=sql.SQL("").join([sql.SQL(", ") + value for value in values]),
        table=quoted(SCHEMA, table),
    )


def _ask(
    cursor: Cursor,
    statement: sql.Composed,
    parts: Sequence[Part | None],
    asking: Asking,
    rows: Integers,
    found: Answers,
) -> None:
    code, time = asking.code[rows], asking.time[rows]
    known = time if asking.known_by is None else np.minimum(time, np.int64(asking.known_by))
    # Where no row was known before its event, an event after the cut-off cannot answer: do not look at it first.
    ahead = np.array([part is not None and part.ahead for part in parts])
    until = np.where(ahead[code], time, known)
    asked = np.unique(code)
    numbers = np.array([part.number if part is not None else -1 for part in parts], dtype=np.int64)
    given = (
        Int4s(code),
        Moments(to_moments(until)),
        Moments(to_moments(known)),
        Int4s(asked),
        Int4s(numbers[asked]),
        [asking.keys[place] for place in asked.tolist()],
    )
    row, seq, event, created, belongs, *values = arrays(
        cursor, statement, given, ["i4", "i4", "i8", "i8", "b1", *["f8"] * len(found.values)]
    )
    where = rows[row - 1]
    answers = Answers(
        numbers[asking.code[where]],
        seq.astype(np.int64),
        from_moments(event),
        from_moments(created),
        belongs,
        dict(zip(found.values, values, strict=True)),
    )
    found.put(where, answers)


def arrays(cursor: Cursor, statement: sql.Composed, given: tuple[Any, ...], kinds: Sequence[str]) -> list[Any]:
    """The one row of a statement, each column an array."""
    cursor.execute(statement, given, binary=True)
    result = cursor.pgresult
    return [unpack(result.get_value(0, place), kind) for place, kind in enumerate(kinds)] if result else []


def recount(
    cursor: Cursor,
    parts: Sequence[Part | None],
    columns: Sequence[str],
    asking: Asking,
    rows: Integers,
    *,
    ttl: int | None,
    own: str | None,
) -> Recount:
    """Answer some rows by looking at every feature row of their keys. Only the reading of arrays is the join's, too.

    The keys' rows are fetched by what their own key column says; the rest is arithmetic here.
    """
    histories: dict[int, Mapping[str, Integers]] = {}
    best = np.full(len(rows), -1, dtype=np.int64)
    event, created = np.full(len(rows), NOT_A_TIME), np.full(len(rows), NOT_A_TIME)
    for number, row in enumerate(rows.tolist()):
        code, now = int(asking.code[row]) if own else 0, int(asking.time[row])
        part = parts[code]
        if part is None:
            continue
        if code not in histories:
            histories[code] = _history(cursor, part, own, asking.keys[code])
        history = histories[code]
        limit = now if asking.known_by is None else min(now, asking.known_by)
        mine = np.flatnonzero((history["event"] <= now) & (history["created"] <= limit))
        if not mine.size:
            continue
        for column in ("event", "created", "seq"):
            mine = mine[history[column][mine] == history[column][mine].max()]
        if ttl is None or now - int(history["event"][mine[0]]) <= ttl:
            event[number], created[number] = history["event"][mine[0]], history["created"][mine[0]]
            best[number] = history["seq"][mine[0]]
    numbers = np.array([-1 if part is None else part.number for part in parts], dtype=np.int64)
    owner = numbers[asking.code[rows] if own else np.zeros(len(rows), dtype=np.int64)]
    values = _values(cursor, parts, columns, owner, event, best)
    return Recount(event, created, named(owner, best), values)


def named(part: Integers, seq: Integers) -> Integers:
    """One number for a feature row: its part, and its place in the order of writing; -1 for none."""
    return np.where(seq >= 0, part * np.int64(1 << 32) + seq, -1)


def _history(cursor: Cursor, part: Part, own: str | None, key: str) -> Mapping[str, Integers]:
    mine = sql.SQL("") if own is None else sql.SQL(" AND f.{} = $2").format(quoted(own))
    statement = sql.SQL(
        "SELECT array_agg(_seq), array_agg(event_timestamp), array_agg(created_timestamp)"
        " FROM {} f WHERE f._part = $1{}"
    ).format(quoted(SCHEMA, part.table), mine)
    given = (part.number,) if own is None else (part.number, key)
    seq, event, created = arrays(cursor, statement, given, ["i4", "i8", "i8"])
    return {"seq": seq.astype(np.int64), "event": from_moments(event), "created": from_moments(created)}


def _values(
    cursor: Cursor, parts: Sequence[Part | None], columns: Sequence[str], part: Integers, event: Integers, seq: Integers
) -> dict[str, NDArray[np.float64]]:
    """The columns of some feature rows, named by part, event and place."""
    found = {name: np.full(len(part), np.nan) for name in columns}
    for table in sorted({one.table for one in parts if one is not None}):
        mine = [one.number for one in parts if one is not None and one.table == table]
        rows = np.flatnonzero((seq >= 0) & np.isin(part, mine))
        if not rows.size or not found:
            continue
        statement = sql.SQL(
            "SELECT a.row, {columns} FROM unnest($1::int4[], $2::timestamptz[], $3::int4[])"
            " WITH ORDINALITY a(part, event, seq, row) JOIN {table} f"
            " ON f._part = a.part AND f.event_timestamp = a.event AND f._seq = a.seq"
        ).format(
            columns=sql.SQL(", ").join([sql.SQL("f.{}::float8").format(quoted(name)) for name in found]),
            table=quoted(SCHEMA, table),
        )
        cursor.execute(statement, (Int4s(part[rows]), Moments(to_moments(event[rows])), Int4s(seq[rows])))
        for row, *values in cursor.fetchall():
            for name, value in zip(found, values, strict=True):
                found[name][rows[row - 1]] = np.nan if value is None else value
    return found
