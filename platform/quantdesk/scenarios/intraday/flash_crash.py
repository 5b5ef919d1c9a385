"""6 May 2010 by the minute, and by five seconds from 14:40 to 14:50. Pure.

The E-mini is that of :mod:`~quantdesk.scenarios.intraday.flash_agents`. The index follows it, late: by seconds on a
usual day, by about a minute when the books of the shares themselves were empty. So its low comes a minute after the
E-mini's, and that is the low of its daily bar, exactly; open, high, close and volume are hit as on any day.

Nothing in the market for shares was halted: no market-wide level was reached, and there were no pauses of single stocks
yet. What trades did was broken afterwards: :func:`busted`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.intraday.bridge import CANDIDATES, is_bar, range_deviation, through, walks
from quantdesk.scenarios.intraday.course import Course, DayOfIndex, bridged
from quantdesk.scenarios.intraday.flash_agents import BEGINS, PAUSED, Tape, simulate
from quantdesk.scenarios.intraday.grid import SECOND, STEPS, Grid, at, minutes, volume_shape
from quantdesk.scenarios.path import Path

__all__ = ["BROKEN", "DAY", "Depth", "Seller", "Trade", "busted", "course", "depth", "fallen", "references", "seller"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY = dt.date(2010, 5, 6)
BROKEN = 0.60
"""Trades from 14:40 to 15:00 so far away from the price at 14:40 were broken."""
METHOD = (
    "a model of agents in the E-mini, guided through the points of the report of the CFTC and the SEC, which the index "
    "follows late; bridges before 14:30 and after 15:10; daily open, high, low, close and volume are hit"
)
STOCKS = (
    "its fall in the crash is drawn around the median low of large stocks, 9.4 % below the close before (published): "
    "it says nothing of this stock's own"
)
DEPTH = (
    "the E-mini's: 44 % of the morning's at 14:30 (from memory), then by the model of agents, below 1 % at its lowest "
    "(published); it stands for all shares"
)
_SECONDS = 2400
_MEDIAN_LOW, _SPREAD = 0.094, 0.22
_BASIS = 2.5
"""Index points by which the E-mini stood below the index (from memory)."""
_WILD = 1.5
"""How much wilder single stocks were than in the history, but for the crash itself: an assumption."""
_LAGS = ((0, 8.0), (870, 8.0), (900, 55.0), (1000, 55.0), (1200, 15.0), (2400, 8.0))
"""Seconds after 14:30, and by how many seconds the index is late then."""


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """How deep the books were.

    Attributes
    ----------
    share
        Of the morning's, mean over each bar of a path, shape ``(T,)``.
    grade, method
        ``reconstructed``, and how.
    """

    share: Floats
    grade: str
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class Seller:
    """What the participation-rate seller did, by the minute from 14:30 on; shape ``(40,)``.

    Attributes
    ----------
    begins
        Of the minutes, nanoseconds since 1970 (UTC).
    sold, volume
        E-mini contracts: its own, and of all.
    grade, method
        ``reconstructed``, and how.
    """

    begins: Ints
    sold: Floats
    volume: Floats
    grade: str
    method: str


class Trade(Protocol):
    """A trade that may be broken."""

    @property
    def symbol(self) -> str:
        """Of what."""
        ...

    @property
    def at(self) -> int:
        """When: nanoseconds since 1970 (UTC)."""
        ...

    @property
    def price(self) -> float:
        """Dollars."""
        ...


def busted(trades: Sequence[Trade], reference: Mapping[str, float]) -> tuple[bool, ...]:
    """Which trades were broken: 60 % or more away from the price at 14:40, between 14:40 and 15:00 on that day.

    Parameters
    ----------
    trades
        In any order.
    reference
        Dollars by symbol, see :func:`references`; a trade in a symbol without one stands.
    """
    since, until = at(DAY, dt.time(14, 40)), at(DAY, dt.time(15))
    return tuple(
        since <= trade.at <= until
        and trade.symbol in reference
        and abs(trade.price / reference[trade.symbol] - 1) >= BROKEN
        for trade in trades
    )


def references(path: Path) -> dict[str, float]:
    """The prices at 14:40 on that day, by symbol, of what is traded; none where the path does not have that bar."""
    place = int(np.searchsorted(path.ends, at(DAY, dt.time(14, 40)), side="right")) - 1
    if place < 0 or path.sessions[place].date() != DAY:
        return {}
    prices = {symbol: float(path.close[place, path.column(symbol)]) for symbol in path.traded}
    return {symbol: price for symbol, price in prices.items() if not math.isnan(price)}


def depth(path: Path, *, seed: int) -> Depth:
    """The share of the morning's depth in each bar of a path; 1 on other days."""
    begins = at(DAY, BEGINS)
    opens = at(DAY, dt.time(9, 30))
    tape = simulate(seed)
    share = np.ones(len(path.ends))
    for place in np.flatnonzero(path.sessions == np.datetime64(DAY)).tolist():
        first, last = (int(moment - begins) // SECOND for moment in (path.begins[place], path.ends[place]))
        if first < 0:
            share[place] = 1 - (1 - tape.depth[0]) * (path.ends[place] - opens) / (begins - opens)
        else:
            share[place] = tape.depth[min(first, _SECONDS - 1) : max(last, first + 1)].mean()
    return Depth(share, "reconstructed", DEPTH)


def seller(*, seed: int) -> Seller:
    """What the seller sold, minute by minute."""
    tape = simulate(seed)
    begins = at(DAY, BEGINS) + 60 * SECOND * np.arange(_SECONDS // 60)
    sold, volume = (np.asarray(table.reshape(-1, 60).sum(axis=1)) for table in (tape.sold, tape.volume))
    method = "9 % of the volume of the minute before, which the model of agents makes, from 14:32 on"
    return Seller(begins, sold, volume, "reconstructed", method)


def course(day: DayOfIndex | None, rng: np.random.Generator, seed: int) -> Course:
    """The index through that session; a plain bridge where its daily corners are not those of a crash."""
    plain = minutes(DAY)
    assert plain is not None  # noqa: S101 (the day had a session)
    if day is None or day.corners is None or not is_bar(day.corners):
        return bridged(plain, day, rng)
    pause = [at(DAY, BEGINS) + SECOND * second for second in PAUSED]
    fine = np.arange(at(DAY, dt.time(14, 40)), at(DAY, dt.time(14, 50)) + 1, 5 * SECOND).tolist()
    grid = minutes(DAY, [*(mark for mark in fine if not pause[0] < mark < pause[1]), *pause])
    assert grid is not None  # noqa: S101
    tape = simulate(seed)
    seconds = (_moments(grid) - at(DAY, BEGINS)) / SECOND
    late = _late(tape)
    opens, high, low, close = day.corners
    if not low < late.min() * 1.05 or not high > late[0] > close * 0.98:
        return bridged(plain, day, rng)
    points = np.interp(seconds, np.arange(_SECONDS) + 1, late)
    crash = (seconds >= 0) & (seconds <= _SECONDS)
    points = _down_to(points, crash, low)
    first, last = np.flatnonzero(crash)[[0, -1]].tolist()
    weights, deviation = grid.weights, range_deviation(high, low) / 2
    morning = walks(weights[:first] / weights[:first].sum(), rng, CANDIDATES)
    clock = np.linspace(0, 1, first + 1)
    points[: first + 1] = through(
        (opens, high, points[first] * 0.999, points[first]),
        math.log(points[first] / opens) * clock + deviation * morning,
    )
    share = weights[last:].sum()
    evening = deviation * math.sqrt(share) * walks(weights[last:] / share, rng)[0]
    way = points[last] * np.exp(np.linspace(0, math.log(close / points[last]), len(evening)) + evening)
    points[last:] = np.clip(way, low * 1.001, high * 0.999)
    points[-1] = close
    shut = np.zeros(len(grid), dtype=bool)
    return Course(grid, points, shut, _volume(grid, tape), METHOD, _plunge(points, crash), _WILD)


def _moments(grid: Grid) -> Floats:
    """Of the points of a path, shape ``(b * STEPS + 1,)``."""
    parts = np.arange(STEPS) / STEPS
    inner = grid.begins[:, None] + parts * (grid.ends - grid.begins)[:, None]
    return np.concatenate([inner.ravel(), [grid.ends[-1]]])


def _late(tape: Tape) -> Floats:
    """The index, which follows the E-mini."""
    lags = np.interp(np.arange(_SECONDS), [second for second, _ in _LAGS], [lag for _, lag in _LAGS])
    late = np.empty(_SECONDS)
    level = tape.price[0]
    for second in range(_SECONDS):
        level += (tape.price[second] - level) / lags[second]
        late[second] = level
    return late + _BASIS


def _down_to(points: Floats, crash: NDArray[np.bool_], low: float) -> Floats:
    """Stretch what lies below the level of 14:32, so that the lowest point of the crash is the low of the day."""
    inside = points[crash]
    top = float(inside[0])
    found = np.where(inside < top, top - (top - inside) * (top - low) / (top - inside.min()), inside)
    found[int(np.argmin(inside))] = low
    bent = points.copy()
    bent[crash] = np.maximum(found, low)
    return bent


def _volume(grid: Grid, tape: Tape) -> Floats:
    """As on a usual day, but that it goes with the E-mini's from 14:30 to 15:10."""
    usual = volume_shape(grid)
    begins = at(DAY, BEGINS)
    total = np.concatenate([[0.0], np.cumsum(tape.volume)])
    first, last = (np.clip((moment - begins) / SECOND, 0, _SECONDS) for moment in (grid.begins, grid.ends))
    ticks = np.arange(_SECONDS + 1)
    inside = np.interp(last, ticks, total) - np.interp(first, ticks, total)
    crash = inside > 0
    # Two minutes before the seller began, volume was still what the shape of a day has.
    unit = usual[crash][:2].sum() / inside[crash][:2].sum() if crash.any() else 0.0
    found = np.where(crash, inside * unit, usual)
    found[found == 0] = usual[found == 0] * 1e-3  # the pause of the E-mini: shares went on trading, little
    return np.asarray(found / found.sum(), dtype=np.float64)


def _plunge(points: Floats, crash: NDArray[np.bool_]) -> Floats:
    """How far the index is below the straight way over the crash, as logarithms: 0 or less."""
    inside = np.log(points[crash])
    found = np.zeros(len(points))
    found[crash] = np.minimum(inside - np.linspace(inside[0], inside[-1], len(inside)), 0.0)
    return found


def fallen(way: Floats, plunge: Floats, beta: float, rng: np.random.Generator) -> Floats:
    """A stock's way with its own fall in the crash, so that its low is one that is drawn around the published median.

    Parameters
    ----------
    way
        Logarithms over the close before; `beta` times the plunge is in it.
    plunge
        See :class:`~quantdesk.scenarios.intraday.course.Course`.
    beta
        Of the stock.
    rng
        Where chance comes from.
    """
    wanted = math.log(1 - min(_MEDIAN_LOW * math.exp(_SPREAD * rng.standard_normal()), 0.5))
    down, up = -beta, 4.0  # from none of the crash to much of it; the low falls with the factor: halve the interval
    for _ in range(40):
        middle = (down + up) / 2
        down, up = (middle, up) if (way + middle * plunge).min() > wanted else (down, middle)
    return np.asarray(way + up * plunge, dtype=np.float64)
