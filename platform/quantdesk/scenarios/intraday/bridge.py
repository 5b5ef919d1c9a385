"""Paths between what is known of a day: through its four corners, or from one close to the next. Pure.

A walk through corners is a drawn Brownian bridge. Of several that are drawn, the one is kept whose own open and close
lie most nearly where those of the bar lie between its extremes. Then it is bent, by monotone maps before, between and
after its two extremes, so that it visits open, high, low and close exactly and never leaves the bar.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.intraday.grid import STEPS

__all__ = [
    "CANDIDATES",
    "Bars",
    "Corners",
    "bars_of",
    "between",
    "is_bar",
    "range_deviation",
    "stream",
    "through",
    "volumes",
    "walks",
]

Floats = NDArray[np.float64]
Corners = tuple[float, float, float, float]
"""Open, high, low, close."""
CANDIDATES = 32
"""Bridges that are drawn for one that goes through corners."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Open, high, low and close of each bar, shape ``(b,)`` or ``(b, n)``."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def stream(seed: int, day: date, symbol: str, purpose: int = 0) -> np.random.Generator:
    """Chance for one symbol on one day: no other symbol changes it."""
    return np.random.default_rng([seed, day.toordinal(), zlib.crc32(symbol.encode()), purpose])


def range_deviation(high: float, low: float) -> float:
    """The standard deviation over a bar that its range speaks for: ``ln(H / L) / (2 sqrt(ln 2))`` (Parkinson, 1980)."""
    return math.log(high / low) / (2 * math.sqrt(math.log(2)))


def is_bar(corners: Corners) -> bool:
    """Whether open, high, low and close can be those of one bar of prices."""
    opens, high, low, close = corners
    return 0 < low <= min(opens, close) and max(opens, close) <= high < math.inf


def walks(weights: Floats, rng: np.random.Generator, number: int = 1, start: float = 0.0) -> Floats:
    """Brownian bridges from 0 to 0 of variance 1 on their clock, shape ``(number, steps + 1)``.

    Parameters
    ----------
    weights
        The part of the variance in each step, of sum ``1 - start``.
    rng
        Where chance comes from.
    number
        How many.
    start
        How far the clock has gone at the first point: at 0 the walk is at 0 there, later it already is away.
    """
    steps = rng.standard_normal((number, len(weights) + 1)) * np.sqrt(np.concatenate([[start], weights]))
    walk = np.cumsum(steps, axis=1)
    return np.asarray(walk - walk[:, -1:] * _clock(weights, start), dtype=np.float64)


def _clock(weights: Floats, start: float) -> Floats:
    return np.concatenate([[start], start + np.cumsum(weights)])


def between(total: float, deviation: float, weights: Floats, rng: np.random.Generator, start: float = 0.0) -> Floats:
    """A walk from 0, which is the close before, to `total`, of a standard deviation; shape ``(steps + 1,)``.

    The first point is the open: the night has the part `start` of the variance, and of the way.
    """
    path = total * _clock(weights, start) + deviation * walks(weights, rng, 1, start)[0]
    path[-1] = total
    return np.asarray(path, dtype=np.float64)


def through(corners: Corners, drawn: Floats, visible: NDArray[np.bool_] | None = None) -> Floats:
    """Bend the drawn walk that fits best so that it goes through the corners of a bar.

    Parameters
    ----------
    corners
        Open, high, low, close: prices, in any unit.
    drawn
        Walks of any scale, shape ``(m, n + 1)`` with n of at least 3.
    visible
        Shape ``(n + 1,)``: the points of open bars, at which the extremes must be; all when left out. Both ends are.

    Returns
    -------
    NDArray
        Shape ``(n + 1,)``: begins with the open, ends with the close, its maximum is the high and its minimum the low;
        all exactly.
    """
    opens, high, low, close = corners
    last = drawn.shape[1] - 1
    if high == low:
        return np.full(last + 1, opens)
    walk = drawn[_best(corners, drawn)]
    top, bottom = _extremes(walk, corners, visible)
    # Each part has its own map from the drawn scale to prices; two that meet agree there, as both end at an extreme.
    first, second = min(top, bottom), max(top, bottom)
    span = walk[top] - walk[bottom]
    if span > 0:
        share = np.clip((walk - walk[bottom]) / span, 0.0, 1.0)
    else:  # a walk that stands still has no shape: straight lines from corner to corner
        share = np.interp(np.arange(last + 1), [first, second], [float(first == top), float(second == top)])
    path = low + (high - low) * share
    path[: first + 1] = _bent(share[: first + 1], share[0], opens, low, high)
    path[second:] = _bent(share[second:], share[-1], close, low, high)
    path = np.clip(path, low, high)
    path[[top, bottom]] = high, low
    path[[0, last]] = opens, close
    return np.asarray(path, dtype=np.float64)


def _best(corners: Corners, drawn: Floats) -> int:
    opens, high, low, close = corners
    bottom = drawn.min(axis=1)
    span = drawn.max(axis=1) - bottom
    span = np.where(span > 0, span, np.inf)
    wanted = (opens - low) / (high - low), (close - low) / (high - low)
    away = np.abs((drawn[:, 0] - bottom) / span - wanted[0]) + np.abs((drawn[:, -1] - bottom) / span - wanted[1])
    return int(np.argmin(np.where(np.isfinite(span), away, np.inf)))


def _extremes(walk: Floats, corners: Corners, visible: NDArray[np.bool_] | None) -> tuple[int, int]:
    """Where the walk is at its highest and lowest; an end only where the open or the close is that extreme."""
    opens, high, low, close = corners
    shown = walk if visible is None else np.where(visible, walk, np.nan)
    top = _place(shown, opens == high, close == high, avoid=-1)
    bottom = _place(-shown, opens == low, close == low, avoid=top)
    return top, bottom


def _place(walk: Floats, may_begin: bool, may_end: bool, *, avoid: int) -> int:
    kept = np.where(np.isnan(walk), -np.inf, walk)
    kept[0] = np.inf if may_begin else -np.inf
    kept[-1] = np.inf if may_end and not may_begin else -np.inf
    if avoid >= 0:
        kept[avoid] = -np.inf
    return int(np.argmax(kept))


def _bent(share: Floats, at: float, value: float, low: float, high: float) -> Floats:
    """Parts of the range as prices, by a map in two straight pieces that takes `at` to `value`."""
    below = low + (value - low) * (share / at if at > 0 else np.ones_like(share))
    above = high - (high - value) * ((1 - share) / (1 - at) if at < 1 else np.ones_like(share))
    return np.where(share <= at, below, above)


def bars_of(points: Floats) -> Bars:
    """Bars from a path of ``b * STEPS + 1`` points along its first axis: each opens where the one before closed."""
    opens, closes = points[:-1:STEPS], points[STEPS::STEPS]
    inner = points[:-1].reshape(len(opens), STEPS, *points.shape[1:])
    high = np.maximum(inner.max(axis=1), closes)
    low = np.minimum(inner.min(axis=1), closes)
    return Bars(opens, high, low, closes)


def volumes(total: float, shares: Floats, moves: Floats, rng: np.random.Generator) -> Floats:
    """A day's volume on its bars: whole shares, but for a fraction that the day has, which the last bar gets.

    Parameters
    ----------
    total
        Of the day; the bars add up to it exactly.
    shares
        The part that each bar has on a usual day, shape ``(b,)``; 0 where nothing trades.
    moves
        The range of each bar, in any unit: where prices move more, more is traded.
    rng
        Where chance comes from.
    """
    noise = np.exp(0.25 * rng.standard_normal(len(shares)))
    mean = float(moves[shares > 0].mean()) if (shares > 0).any() else 0.0
    busy = 0.5 + 0.5 * moves / mean if mean > 0 else np.ones_like(shares)
    raw = shares * noise * busy
    whole = math.floor(total)
    marks = np.floor(whole * (np.cumsum(raw) / raw.sum()))
    marks[np.flatnonzero(raw)[-1] :] = whole
    parts = np.diff(marks, prepend=0.0)
    parts[np.flatnonzero(raw)[-1]] += total - whole
    return np.asarray(parts, dtype=np.float64)
