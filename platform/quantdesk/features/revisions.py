"""The rows of a view as a table that only ever grows: what a newer load adds to an older one. Pure.

A load recomputes every row. What it finds is compared with the latest version that the table holds of each event:

- equal: nothing is written, the row keeps the time at which it was first known;
- changed, or found between events that were there already: a new version, known from the load on;
- later than every event before: a new row, known when its source says (event plus lag);
- gone: a version without values, known from the load on, with the reason ``withdrawn``.

Nothing is ever changed or taken away, so a question about the past has the answer that it had then. The latest versions
of all events together are, to the bit, what was computed last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quantdesk.features.tables import Table

__all__ = ["LOAD", "WITHDRAWN", "Grown", "grown", "reason_column", "rows_of"]

LOAD = "load"
"""The column that says which load wrote a row: its place in the manifest's list of loads."""
WITHDRAWN = "withdrawn"
"""The reason for the nulls of an event that the source no longer has."""

_STAMP = pa.timestamp("us", tz="UTC")
_EVENT, _CREATED, _SESSION = "event_timestamp", "created_timestamp", "session"

Integers = NDArray[np.int64]


def reason_column(feature: str) -> str:
    """The column that says why a feature is null."""
    return f"why_{feature}"


def rows_of(table: Table, features: Sequence[str], symbol: str | None, load: int) -> pa.Table:
    """One load's rows.

    Parameters
    ----------
    table
        What was computed.
    features
        Its features, in the order of the columns.
    symbol
        Whose rows they are; None for rows about the market as a whole, which have no such column.
    load
        The place of the load in the manifest's list.

    Returns
    -------
    pyarrow.Table
        ``symbol``, ``session``, ``event_timestamp``, ``created_timestamp``, ``load``, the features (float64, null for
        none), and per feature the reason for its nulls.
    """
    size = len(table.event)
    columns: dict[str, pa.Array] = {}
    if symbol is not None:
        columns["symbol"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, dtype=np.int32)), pa.array([symbol]))
    columns[_SESSION] = pa.array(table.session.to_numpy()).cast(pa.date32())
    columns[_EVENT] = pa.array(table.event).cast(_STAMP)
    columns[_CREATED] = pa.array(table.created).cast(_STAMP)
    columns[LOAD] = pa.array(np.full(size, load, dtype=np.int16))
    for name in features:
        columns[name] = pa.array(table.values[name], from_pandas=True)
    for name in features:
        columns[reason_column(name)] = pa.array(table.reasons[name], pa.string()).dictionary_encode()
    return pa.table(columns)


@dataclass(frozen=True)
class Grown:
    """What a load made of a table.

    Attributes
    ----------
    table
        All rows: those from before as they were, then those that the load adds.
    added, restated, withdrawn
        How many rows are new, are new versions, and say that an event is gone.
    """

    table: pa.Table
    added: int
    restated: int
    withdrawn: int

    @property
    def changed(self) -> bool:
        """Whether there is anything new."""
        return bool(self.added + self.restated + self.withdrawn)


def grown(before: pa.Table, fresh: pa.Table | None, at: int, load: int) -> Grown:
    """What stands in a table after another load.

    Parameters
    ----------
    before
        The rows so far, as :func:`rows_of` and this function made them, in the order of writing.
    fresh
        What the load computed: each event once. None where the source has nothing about the symbol any more.
    at
        When the load was, microseconds since 1970 (UTC), later than every load before.
    load
        Its place in the manifest's list.
    """
    fresh = before.slice(0, 0) if fresh is None else fresh
    old_event, new_event = _times(before, _EVENT), _times(fresh, _EVENT)
    latest = _latest(old_event, _times(before, _CREATED))
    held = old_event[latest]

    place = np.searchsorted(held, new_event)
    there = np.zeros(len(new_event), dtype=bool)
    there[place < len(held)] = held[place[place < len(held)]] == new_event[place < len(held)]
    same, theirs = np.flatnonzero(there), latest[place[there]]
    differs = np.zeros(len(new_event), dtype=bool)
    differs[same] = _differs(before.take(pa.array(theirs)), fresh.take(pa.array(same)))
    # What turns up between events that were known is news of today, as a changed value is.
    late = ~there & (new_event < held[-1]) if len(held) else np.zeros(len(new_event), dtype=bool)
    added = np.flatnonzero(~there & ~late)
    restated = np.flatnonzero(differs | late)
    # Never before the version that it replaces, else that one would win: a source may have shortened its lag.
    known = np.maximum(_times(fresh, _CREATED), at)
    known[same] = np.maximum(known[same], _times(before, _CREATED)[theirs])

    absent = latest[~np.isin(held, new_event)]
    gone = absent[~_is_withdrawn(before.take(pa.array(absent)))]

    pieces = [before]
    if added.size:
        pieces.append(_stamped(fresh.take(pa.array(added)), load))
    if restated.size:
        pieces.append(_stamped(fresh.take(pa.array(restated)), load, known[restated]))
    if gone.size:
        empty = _emptied(before.take(pa.array(gone)))
        pieces.append(_stamped(empty, load, np.maximum(_times(empty, _CREATED), at)))
    table = pa.concat_tables(pieces).unify_dictionaries().combine_chunks() if len(pieces) > 1 else before
    return Grown(table, len(added), len(restated), len(gone))


def _times(table: pa.Table, name: str) -> Integers:
    return np.asarray(table.column(name).cast(pa.int64()).to_numpy())


def _latest(event: Integers, created: Integers) -> Integers:
    """The place of the latest version of each event, by event; of equal times the one that was written last."""
    order = np.lexsort((np.arange(len(event)), created, event))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = event[order][1:] != event[order][:-1]
    return np.asarray(order[last], dtype=np.int64)


def _content(table: pa.Table) -> list[str]:
    """The columns that say something: not who, not when it was known, not which load."""
    return [name for name in table.column_names if name not in {"symbol", _EVENT, _CREATED, LOAD}]


def _differs(one: pa.Table, other: pa.Table) -> NDArray[np.bool_]:
    """Whether the rows differ, place by place, in a value or in the reason for its absence."""
    found = np.zeros(one.num_rows, dtype=bool)
    for name in _content(one):
        left, right = (_plain(table.column(name)) for table in (one, other))
        nothing = np.array(pc.is_null(left)), np.array(pc.is_null(right))
        equal = np.array(pc.fill_null(pc.equal(left, right), False))
        found |= ~(equal | (nothing[0] & nothing[1]))
    return found


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _is_withdrawn(table: pa.Table) -> NDArray[np.bool_]:
    reasons = [name for name in table.column_names if name.startswith("why_")]
    found = np.full(table.num_rows, bool(reasons))
    for name in reasons:
        found &= np.array(pc.fill_null(pc.equal(_plain(table.column(name)), WITHDRAWN), False))
    return found


def _emptied(table: pa.Table) -> pa.Table:
    """The rows without their values."""
    for name in _content(table):
        field = table.schema.field(name)
        if name == _SESSION:
            continue
        if name.startswith("why_"):
            given = pa.array([WITHDRAWN] * table.num_rows, pa.string()).dictionary_encode()
        else:
            given = pa.nulls(table.num_rows, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, given.cast(field.type))
    return table


def _stamped(table: pa.Table, load: int, known: Integers | None = None) -> pa.Table:
    """The rows as a load writes them: known from the given times on, or from their own."""
    table = _set(table, LOAD, pa.array(np.full(table.num_rows, load, dtype=np.int16)))
    return table if known is None else _set(table, _CREATED, pa.array(known).cast(_STAMP))


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
