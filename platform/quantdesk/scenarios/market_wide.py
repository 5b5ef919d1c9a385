"""Levels of the whole market that an index reaches in its own bars, under the rules of the day. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import moment, nanoseconds
from quantdesk.orders.halts.breakers import MarketHalt, Watch
from quantdesk.orders.halts.hours import regular_hours
from quantdesk.orders.rulebook import Rulebook

__all__ = ["IndexBars", "reached"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NO_LEVEL = 0.97
"""No rule of any era stops the market above this part of the close before."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexBars:
    """One session of the index that the market goes by.

    Attributes
    ----------
    symbol, day, previous_close
        Which, when, and the close before.
    begins, ends
        Of the bars, shape ``(b,)``.
    low, close
        Shape ``(b,)``; NaN where there is none. Where there is no low, the close stands in: what closes at a level has
        reached it.
    """

    symbol: str
    day: dt.date
    previous_close: float
    begins: Ints
    ends: Ints
    low: Floats
    close: Floats


def reached(bars: IndexBars, book: Rulebook, *, daily: bool) -> tuple[list[MarketHalt], str]:
    """The levels that were reached, and what could not be judged: a sentence, or nothing.

    A level is reached at the end of the bar whose low is at or below it. From a daily bar the moment is not known: it
    is given as the opening, and only the level of what is returned means something. Bars that lie within a halt are
    passed over; of one that reaches out of it, the close counts.
    """
    values = np.where(np.isnan(bars.low), bars.close, bars.low)
    deep = np.flatnonzero(values <= bars.previous_close * _NO_LEVEL)
    if not len(deep):
        return [], ""
    watch = Watch(repr(bars.previous_close), index=bars.symbol, book=book)
    until = 0
    hours = regular_hours(bars.day)
    assert hours is not None  # noqa: S101 (there are bars)
    for place in deep.tolist():
        end = int(bars.ends[place])
        if end <= until and not daily:
            continue
        value = bars.close[place] if bars.begins[place] < until else values[place]
        if np.isnan(value):
            continue
        try:
            found = watch.value(hours.opens if daily else moment(end), float(value))
        except BadInput as error:
            return [], f"The market-wide breakers of {bars.day} were not judged: {error.problem}"
        for halt in found:
            until = nanoseconds(halt.resumes or hours.closes)
        if watch.is_over:
            break
    return list(watch.halts), ""
