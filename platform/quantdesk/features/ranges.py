"""The rows of a question that names dates instead of rows: one per key and session. An edge module: it reads files.

A session is an event of the data themselves, at the moment at which its first version was known. With a calendar it is
a session of that exchange instead, at its close plus a lag, for every key from the moment on at which anything was
known about it: data that come once a quarter then have a row on each session, with the value that was known, also where
that was published before the range begins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.features.asof import Integers
from quantdesk.features.keys import Coded, coded
from quantdesk.features.knowledge import known_times
from quantdesk.features.parquet import fetch, nanoseconds, parts_of
from quantdesk.features.question import Asked
from quantdesk.market.sessions import event_times, sessions_between

__all__ = ["STAMP", "Bounds", "rows_of_range"]

STAMP = "event_timestamp"
"""The column of the rows' times."""


@dataclass(frozen=True)
class Bounds:
    """A range of sessions.

    Attributes
    ----------
    start, end
        The first and the last moment, both included, by the time of the session; None where there is no bound. A time
        without a zone is in UTC.
    calendar
        The exchange whose sessions are asked for; None for the events of the data.
    lag
        How long after a close a row of the calendar asks.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    calendar: str | None = None
    lag: dt.timedelta = dt.timedelta(0)

    def holds(self, event: Integers) -> NDArray[np.bool_]:
        """Which events lie in the range."""
        inside = np.ones(len(event), dtype=bool)
        if self.start is not None:
            inside &= event >= moment(self.start)
        if self.end is not None:
            inside &= event <= moment(self.end)
        return inside


def moment(when: dt.datetime) -> int:
    """A time as nanoseconds since 1970 in UTC; Feast's rule: without a zone it is in UTC."""
    aware = when if when.tzinfo is not None else when.replace(tzinfo=dt.UTC)
    return int(pd.Timestamp(aware).as_unit("ns").value)


def rows_of_range(views: Sequence[Asked], bounds: Bounds, threads: int = 1) -> pd.DataFrame:
    """One row per key and session, by time and then by key.

    Parameters
    ----------
    views
        What is asked. Those with keys say which keys there are; where none has any, the first one gives the sessions.
    bounds
        The range.
    threads
        Over how many threads the reading may be split.

    Returns
    -------
    pandas.DataFrame
        The key columns by the names that the asking rows have, and ``event_timestamp`` in UTC.

    Raises
    ------
    BadInput
        The views have different keys.
    BadDates
        Sessions of a calendar were asked for without a first and a last moment.
    """
    keyed = [view for view in views if view.source.keys] or list(views[:1])
    names = {tuple(view.keys.values()) for view in keyed}
    if len(names) > 1:
        raise BadInput(f"The views have different keys: {sorted(names)}.", "Ask with entity rows, or view by view.")
    (columns,) = names
    keys: list[list[Coded]] = []
    events, known = [], []
    for view in keyed:
        source = view.source
        times = [source.event, *([source.created] if source.created else [])]
        table = fetch(parts_of(source), [*source.keys, *times], source.keys, threads)
        own = [coded(table.column(name)) for name in source.keys]
        event = nanoseconds(table.column(source.event), source.event)
        written = nanoseconds(table.column(source.created), source.created) if source.created else None
        code = _together([[one] for one in own], len(event))[0]
        keys.append(own)
        events.append(event)
        known.append(np.maximum(event, known_times(source.policy, code, event, written)))
    each = [[view[number] for view in keys] for number in range(len(columns))]
    event, available = np.concatenate(events), np.concatenate(known)
    code, distinct = _together(each, len(event))
    code, when = _by_calendar(code, available, bounds) if bounds.calendar else _by_event(code, event, available, bounds)
    order = np.lexsort((code, when))
    rows = pd.DataFrame({name: values[code[order]] for name, values in zip(columns, distinct, strict=True)})
    rows[STAMP] = pd.DatetimeIndex(when[order].view("datetime64[ns]")).tz_localize("UTC")
    return rows


def _by_event(code: Integers, event: Integers, available: Integers, bounds: Bounds) -> tuple[Integers, Integers]:
    """Each key and event once, at the time at which its first version was known."""
    inside = np.flatnonzero(bounds.holds(event) & (code >= 0))
    order = inside[np.lexsort((available[inside], event[inside], code[inside]))]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (code[order][1:] != code[order][:-1]) | (event[order][1:] != event[order][:-1])
    return code[order][first], available[order][first]


def _by_calendar(code: Integers, available: Integers, bounds: Bounds) -> tuple[Integers, Integers]:
    """Each key on each session from the moment on at which something was known about it."""
    if bounds.start is None or bounds.end is None or bounds.calendar is None:
        raise BadDates("Sessions of a calendar have no first or no last moment.", "Give start_date and end_date.")
    margin = dt.timedelta(days=2)  # a session's date is that of the exchange, the bounds are in UTC
    sessions = sessions_between(bounds.calendar, (bounds.start - margin).date(), (bounds.end + margin).date())
    close = event_times(bounds.calendar, sessions).as_unit("ns").to_numpy(dtype="datetime64[ns]").view(np.int64)
    asks = close[bounds.holds(close)] + int(bounds.lag // dt.timedelta(microseconds=1)) * 1000
    first = np.full(int(code.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    there = code >= 0
    np.minimum.at(first, code[there], available[there])
    pairs = first[:, None] <= asks[None, :]
    who, which = np.nonzero(pairs)
    return who.astype(np.int64), asks[which]


def _together(columns: Sequence[Sequence[Coded]], size: int) -> tuple[Integers, list[NDArray[np.object_]]]:
    """One code per row from several key columns, each in pieces; and per column the value of each code.

    A row with a null key gets -1.
    """
    if not columns:
        return np.zeros(size, dtype=np.int64), []
    whole = []
    for pieces in columns:
        index = pieces[0].distinct
        for piece in pieces[1:]:
            index = index.union(piece.distinct, sort=False)
        new = [np.append(index.get_indexer(piece.distinct), -1)[piece.code] for piece in pieces]
        whole.append((np.concatenate(new).astype(np.int64), index.to_numpy(dtype=object)))
    missing = np.logical_or.reduce([code < 0 for code, _ in whole])
    together = np.zeros(size, dtype=np.int64)
    for code, values in whole:
        together = pd.factorize(together * np.int64(len(values) + 1) + code)[0].astype(np.int64)
    together[missing] = -1
    count = int(together.max(initial=-1)) + 1
    example = np.zeros(count, dtype=np.int64)
    example[together[~missing]] = np.flatnonzero(~missing)
    return together, [values[code[example]] for code, values in whole]
