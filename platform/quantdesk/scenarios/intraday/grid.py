"""The bars that a session is cut into: minutes, finer where a model needs it, cut wherever trading stops. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours

__all__ = ["MINUTE", "SECOND", "STEPS", "Grid", "at", "minutes", "volume_shape"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
STEPS = 4
"""Steps within a bar at which a path is drawn; the extremes of a bar are those of its five points."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The bars of one session.

    Attributes
    ----------
    day
        In New York.
    begins, ends
        Of each bar, shape ``(b,)``: nanoseconds since 1970 (UTC); each begins where the one before it ends.
    """

    day: dt.date
    begins: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def weights(self) -> Floats:
        """The part of the session's variance that falls into each step, shape ``(b * STEPS,)``; their sum is 1.

        Volatility is high at the open and at the close and low at noon (Wood, McInish and Ord, 1985).
        """
        shares = (0.7 + 3.6 * (self._middles - 0.5) ** 2) * (self.ends - self.begins)
        steps = np.repeat(shares / STEPS, STEPS)
        return np.asarray(steps / steps.sum(), dtype=np.float64)

    @property
    def _middles(self) -> Floats:
        """Of the bars, as parts of the session."""
        middles = (self.begins + self.ends) / 2 - self.begins[0]
        return np.asarray(middles / (self.ends[-1] - self.begins[0]), dtype=np.float64)

    def bar_of(self, moment: int) -> int:
        """The bar that a moment falls into; the end of a bar belongs to the next one."""
        return int(np.searchsorted(self.ends, moment, side="right"))


def volume_shape(grid: Grid) -> Floats:
    """What part of a usual day's volume each bar has, shape ``(b,)``, of sum 1: a U (Jain and Joh, 1988)."""
    shares = (0.6 + 4.8 * (grid._middles - 0.5) ** 2) * (grid.ends - grid.begins)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def at(day: dt.date, clock: dt.time) -> int:
    """A time of day in New York, in nanoseconds since 1970 (UTC)."""
    return nanoseconds(dt.datetime.combine(day, clock, NEW_YORK))


def minutes(day: dt.date, cuts: Iterable[int] = ()) -> Grid | None:
    """The minutes of a session, early closes honoured, with further cuts between them; None where there is none.

    Parameters
    ----------
    day
        In New York.
    cuts
        Moments at which a bar ends and the next begins, nanoseconds; those outside of the session are left out.
    """
    hours = regular_hours(day)
    if hours is None:
        return None
    opens, closes = nanoseconds(hours.opens), nanoseconds(hours.closes)
    marks = np.union1d(np.arange(opens, closes + 1, MINUTE), np.array([*cuts], dtype=np.int64))
    marks = marks[(marks >= opens) & (marks <= closes)]
    return Grid(day, marks[:-1], marks[1:])
