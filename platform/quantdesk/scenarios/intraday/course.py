"""The index through one day: what everything else is hung on. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.intraday.bridge import CANDIDATES, Corners, between, is_bar, range_deviation, through, walks
from quantdesk.scenarios.intraday.grid import STEPS, Grid, volume_shape

__all__ = ["NIGHT", "Course", "DayOfIndex", "bridged"]

Floats = NDArray[np.float64]
NIGHT = 0.2
"""The part of a day's variance that falls between two sessions, where the open is not known (French and Roll, 1986)."""


@dataclass(frozen=True, slots=True, eq=False)
class DayOfIndex:
    """What is known of the index on a day.

    Attributes
    ----------
    corners
        Open, high, low and close; None where only the close is known.
    previous, close
        The last close before, and that of the day.
    deviation
        Daily standard deviation of its logarithm in the history.
    """

    corners: Corners | None
    previous: float
    close: float
    deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The index through a session, and how the session goes.

    Attributes
    ----------
    grid
        The bars.
    points
        The index at each step, shape ``(b * STEPS + 1,)``; None where there is no index.
    shut
        Bars in which nothing trades that a strategy can trade, shape ``(b,)``.
    volume
        The part of the day's volume in each bar on average, shape ``(b,)``; 0 where it is shut.
    method
        How it came about.
    plunge
        The crash of the index, as logarithms below the way without it, shape of `points`: 0 or less. Stocks have more
        or less of it than their beta says. None on a day without one.
    wild
        How much wilder what the index does not explain is than in the history; from the index's range when None.
    """

    grid: Grid
    points: Floats | None
    shut: NDArray[np.bool_]
    volume: Floats
    method: str
    plunge: Floats | None = None
    wild: float | None = None

    @property
    def visible(self) -> NDArray[np.bool_] | None:
        """The points that an open bar shows, shape of `points`; None where all bars are open."""
        if not self.shut.any():
            return None
        steps = np.repeat(~self.shut, STEPS)
        return np.asarray(np.concatenate([steps, [False]]) | np.concatenate([[False], steps]), dtype=bool)


def bridged(grid: Grid, day: DayOfIndex | None, rng: np.random.Generator) -> Course:
    """A day without a story: a bridge through the corners of the index, or from close to close."""
    shut = np.zeros(len(grid), dtype=bool)
    volume = volume_shape(grid)
    if day is None:
        return Course(grid, None, shut, volume, "no index")
    if day.corners is not None and is_bar(day.corners):
        opens, high, low, close = day.corners
        if high == low:
            points = np.full(len(grid.weights) + 1, close)
        else:
            clock = np.concatenate([[0.0], np.cumsum(grid.weights)])
            drawn = math.log(close / opens) * clock + range_deviation(high, low) * walks(grid.weights, rng, CANDIDATES)
            points = through(day.corners, drawn)
        return Course(grid, points, shut, volume, "a Brownian bridge through its daily open, high, low and close")
    way = between(math.log(day.close / day.previous), day.deviation, grid.weights * (1 - NIGHT), rng, NIGHT)
    points = day.previous * np.exp(way)
    points[-1] = day.close
    return Course(grid, points, shut, volume, "a Brownian bridge from the close before to its close")
