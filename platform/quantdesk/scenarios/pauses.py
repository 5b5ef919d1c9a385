"""Pauses of single stocks that emerge from bars: limit up / limit down, and what was there before it. Pure.

Bars show less than the tape, so this is a reading of them:

- A bar trades at its open when it begins and at its close when it ends, each time within the bands.
- A bar that closes at or beyond a band has stood at it for its last 15 seconds (for all of it where it is shorter). The
  limit state is then as old as the rule allows, and the pause begins with the end of the bar.
- The primary reopens as soon as it may, at the path's value, where that lies within the reopening collar. Else the
  pause goes on and the collar widens.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.orders.halts.luld import Change, Events, Monitor, Stock, Trading, machine
from quantdesk.orders.rulebook import Rulebook

__all__ = ["Band", "Pause", "StockBars", "pauses"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Band = tuple[int, int, int, int]
"""Lower and upper price in micro-dollars, since and until in nanoseconds."""
_LIMIT = 15 * SECOND
_UNITS = 10_000
_ROUNDING = 1e-9
_BANDED = (Trading.NORMAL, Trading.LIMIT, Trading.STRADDLE)


@dataclass(frozen=True, slots=True)
class Pause:
    """A stock stopped.

    Attributes
    ----------
    begins, ends
        Nanoseconds since 1970 (UTC).
    code
        ``LUDP``, or ``T5`` before limit up / limit down.
    cause
        In words.
    numbers
        By name.
    """

    begins: int
    ends: int
    code: str
    cause: str
    numbers: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class StockBars:
    """A stretch of one stock's session without a halt of the market; no NaN.

    Attributes
    ----------
    symbol, day, previous_close, tier
        Which, when, and what its bands depend on.
    begins, ends
        Of the bars, shape ``(b,)``.
    open, close
        Dollars, shape ``(b,)``.
    closes
        The end of the session.
    """

    symbol: str
    day: dt.date
    previous_close: float
    tier: int
    begins: Ints
    ends: Ints
    open: Floats
    close: Floats
    closes: int


def pauses(bars: StockBars, book: Rulebook) -> tuple[list[Pause], list[Band]]:
    """The pauses of a stock in a stretch of its session under the rules of the day, and its bands by time."""
    if not len(bars.begins):
        return [], []
    if book.luld(bars.day) is not None:
        return _limit_up_limit_down(bars, book)
    return _single_stock(bars, book), []


def _limit_up_limit_down(bars: StockBars, book: Rulebook) -> tuple[list[Pause], list[Band]]:
    stock = Stock(bars.symbol, round(bars.previous_close, 4), bars.tier, bars.day)
    changes = Monitor(stock, book).feed(_trades(bars))
    bands = _bands(changes, bars)
    # Where all bars open and close within the bands, no limit state lasts, and this is all. Else they go in one by one.
    if bands and _within(bars.ends, bars.close, bands) and _within(bars.begins[1:], bars.open[1:], bands):
        return [], bands
    return _one_by_one(Monitor(stock, book), bars, book)


def _within(moments: Ints, prices: Floats, bands: list[Band]) -> bool:
    """Whether prices lie within the bands that held just before."""
    since = np.array([band[2] for band in bands], dtype=np.int64)
    limits = np.array([band[:2] for band in bands])[np.searchsorted(since, moments, side="left") - 1] / 1e6
    return bool(((limits[:, 0] < prices) & (prices < limits[:, 1])).all())


def _trades(bars: StockBars) -> Events:
    """An opening, and for each bar two trades and a look at the clock between them."""
    number = len(bars.begins)
    looks = np.maximum(bars.begins, bars.ends - _LIMIT)
    times = np.stack([bars.begins, looks, bars.ends], axis=1).ravel()
    prices = np.rint(np.stack([bars.open, bars.open, bars.close], axis=1).ravel() * _UNITS).astype(np.int64)
    kinds = np.tile([machine.TRADE, machine.CLOCK, machine.TRADE], number)
    times, prices = np.concatenate([times[:1], times]), np.concatenate([prices[:1], prices])
    kinds = np.concatenate([[machine.OPEN], kinds])
    none = np.zeros(len(kinds), dtype=np.int64)
    return Events(kinds, times, prices, np.ones_like(none), none, none)


def _bands(changes: tuple[Change, ...], bars: StockBars) -> list[Band]:
    """The bands by time; each holds until the next, the last one to the end of the bars."""
    marks = [(nanoseconds(change.at), change) for change in changes]
    found: list[Band] = []
    for place, (since, change) in enumerate(marks):
        until = marks[place + 1][0] if place + 1 < len(marks) else int(bars.ends[-1]) + 1
        if change.after not in _BANDED or since >= until:
            continue
        lower, upper = round(change.lower * 1e6), round(change.upper * 1e6)
        if found and found[-1][:2] == (lower, upper) and found[-1][3] == since:
            found[-1] = (lower, upper, found[-1][2], until)
        elif lower < upper:
            found.append((lower, upper, since, until))
    return found


def _one_by_one(monitor: Monitor, bars: StockBars, book: Rulebook) -> tuple[list[Pause], list[Band]]:
    rule = book.luld(bars.day)
    assert rule is not None  # noqa: S101 (the caller looked)
    length, last_part = rule.pause_s * SECOND, rule.no_reopening_s * SECOND
    changes: list[Change] = [*monitor.opens(int(bars.begins[0]), float(bars.open[0]))]
    found: list[Pause] = []
    until = 0
    for begins, ends, opens, close in zip(
        bars.begins.tolist(), bars.ends.tolist(), bars.open.tolist(), bars.close.tolist(), strict=True
    ):
        while until and until < ends:
            price = opens if until <= begins else opens + (close - opens) * (until - begins) / (ends - begins)
            low, high = monitor.collar
            if low <= price <= high:
                changes += monitor.reopens(max(until, begins), price)
                until = 0
                break
            changes += monitor.clock(until + 1)
            until = bars.closes if monitor.trading is Trading.CLOSE_ONLY else until + length
            found[-1] = _longer(found[-1], until)
        if until:
            continue
        lower, upper = monitor.bands
        if begins >= monitor.last:
            changes += monitor.trade(begins, min(max(opens, lower), upper), 100)
            lower, upper = monitor.bands
        at = max(begins, ends - _LIMIT, monitor.last)
        if close <= lower:
            changes += monitor.quote(at, None, lower, 0, 100)
        elif close >= upper:
            changes += monitor.quote(at, upper, None, 100, 0)
        else:
            changes += monitor.quote(at, close, close, 100, 100)
        changes += monitor.trade(ends, min(max(close, lower), upper), 100)
        if monitor.trading.is_halted:
            stop = next(change for change in reversed(changes) if change.code)
            begun = nanoseconds(stop.at)
            until = bars.closes if bars.closes - begun <= last_part else begun + length
            numbers = (
                ("reference", stop.reference), ("lower", stop.lower), ("upper", stop.upper), ("price", close),
            )  # fmt: skip
            found.append(Pause(begun, until, stop.code, stop.why, numbers))
    return found, _bands(tuple(changes), bars)


def _longer(pause: Pause, until: int) -> Pause:
    cause = pause.cause if pause.cause.endswith("reopen") else f"{pause.cause}; outside of its collar it did not reopen"
    return Pause(pause.begins, until, pause.code, cause, pause.numbers)


def _single_stock(bars: StockBars, book: Rulebook) -> list[Pause]:
    """The breakers of 2010 to 2013: a move of a tenth within five minutes."""
    rule = book.single_stock_pause(bars.day)
    if rule is None:
        return []
    move, window, length = float(rule.move), rule.within_s * SECOND, rule.pause_s * SECOND
    if bars.close.max() < (1 + move) * min(bars.open.min(), bars.close.min()):
        return []
    times = np.stack([bars.begins, bars.ends], axis=1).ravel()
    prices = np.stack([bars.open, bars.close], axis=1).ravel()
    found: list[Pause] = []
    since = int(bars.begins[0])  # prices from before a pause do not count
    for place in range(len(bars.begins)):
        end = int(bars.ends[place])
        if bars.begins[place] < since:
            continue
        seen = prices[(times >= max(end - window, since)) & (np.arange(len(times)) <= 2 * place + 1)]
        price = float(bars.close[place])
        for reference in (float(seen.max()), float(seen.min())):
            if abs(price - reference) >= (move - _ROUNDING) * reference and end < bars.closes:
                said = f"it moved by {100 * (price / reference - 1):+.1f} % within five minutes"
                stop = min(end + length, bars.closes)
                numbers = (("reference", reference), ("price", price), ("move", price / reference - 1))
                found.append(Pause(end, stop, "T5", said, numbers))
                since = stop
                break
    return found
