"""The four days of March 2020 on which the whole market stopped: minutes through the published seconds. Pure.

The days, the level and the four corners of each day are those of the daily bars; when the S&P 500 reached the level is
published. The index goes from its open to the level and gets there at that second for the first time,
trading stops for as long as the rulebook says, and from a value at the reopening, which is drawn, it goes through the
rest of the day.
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import moment, nanoseconds
from quantdesk.orders.halts import breakers
from quantdesk.scenarios.intraday.bridge import CANDIDATES, Corners, between, is_bar, range_deviation, through, walks
from quantdesk.scenarios.intraday.course import Course, DayOfIndex, bridged
from quantdesk.scenarios.intraday.grid import STEPS, Grid, at, minutes, volume_shape

__all__ = ["HALTED", "METHOD", "course"]

Floats = NDArray[np.float64]

HALTED: dict[dt.date, dt.time] = {
    dt.date(2020, 3, 9): dt.time(9, 34, 13),
    dt.date(2020, 3, 12): dt.time(9, 35, 44),
    dt.date(2020, 3, 16): dt.time(9, 30, 1),
    dt.date(2020, 3, 18): dt.time(12, 56, 17),
}
"""When the S&P 500 reached the first level, in New York. The minutes are published; the seconds are from memory."""
METHOD = (
    "two Brownian bridges through its daily open, high, low and close: to the first level of the breakers at the "
    "published time of the halt (NYSE Rule 7.12; minutes published, seconds from memory), and on from a value at the "
    "reopening that is drawn"
)


def course(day: dt.date, known: DayOfIndex | None, rng: np.random.Generator) -> Course | None:
    """The index through a session.

    None where New York was shut. A day without a halt, or whose daily low does not reach the level, is bridged.
    """
    whole = minutes(day)
    if whole is None:
        return None
    corners = None if known is None else known.corners
    if day not in HALTED or known is None or corners is None or not is_bar(corners):
        return bridged(whole, known, rng)
    level = breakers.levels(known.previous, day).level_1
    if corners[2] > level:
        return bridged(whole, known, rng)
    fell = at(day, HALTED[day])
    (halt,) = breakers.replay([(moment(fell), level)], known.previous)
    assert halt.resumes is not None  # noqa: S101 (a first level before 15:25 stops trading for a while)
    resumes = nanoseconds(halt.resumes)
    grid = minutes(day, (fell, resumes))
    assert grid is not None  # noqa: S101 (the day has minutes)
    points = _points(grid, corners, level, (grid.bar_of(fell), grid.bar_of(resumes)), rng)
    shut = (grid.begins >= fell) & (grid.ends <= resumes)
    volume = np.where(shut, 0.0, volume_shape(grid))
    return Course(grid, points, shut, volume / volume.sum(), METHOD)


def _points(grid: Grid, corners: Corners, level: float, bars: tuple[int, int], rng: np.random.Generator) -> Floats:
    opens, high, low, close = corners
    stop, go = bars[0] * STEPS, bars[1] * STEPS
    weights, deviation = grid.weights, range_deviation(high, low)
    before, halted, after = weights[:stop].sum(), weights[stop:go].sum(), weights[go:].sum()
    again = float(np.clip(level * math.exp(deviation * math.sqrt(halted) * rng.standard_normal()), low, high))
    # The reflection principle: the less likely it is that a part reaches the high, the larger its number.
    first, second = (high - opens) * (high - level) / before, (high - again) * (high - close) / after
    morning = high if first <= second else opens
    points = np.empty(len(weights) + 1)
    points[: stop + 1] = _falls(opens, morning, level, weights[:stop], deviation, rng)
    natural = between(math.log(close / again), deviation * math.sqrt(after), weights[go:] / after, rng)
    evening = min(high, again * math.exp(natural.max())) if first <= second else high
    evening = max(evening, again, close)
    points[go:] = through((again, evening, low, close), _drawn(again, close, weights[go:], deviation, rng))
    points[stop : go + 1] = np.linspace(points[stop], again, go - stop + 1)
    return points


def _falls(
    opens: float, high: float, level: float, weights: Floats, deviation: float, rng: np.random.Generator
) -> Floats:
    """From the open to the level, which is reached at the last point and not before."""
    if opens <= level:  # it opened below: the halt is called with the first print
        return np.full(len(weights) + 1, opens)
    points = through((opens, high, level, level), _drawn(opens, level, weights, deviation, rng))
    left = np.linspace(1.0, 0.0, len(points))
    return np.maximum(points, level + 0.02 * (opens - level) * left)


def _drawn(start: float, end: float, weights: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    total = float(weights.sum())
    clock = np.concatenate([[0.0], np.cumsum(weights)]) / total
    scaled = deviation * math.sqrt(total) * walks(weights / total, rng, CANDIDATES)
    return np.asarray(math.log(end / start) * clock + scaled, dtype=np.float64)
