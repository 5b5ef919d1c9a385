"""Splits out of prices that a vendor adjusted for them: stocks are quoted in whole cents. Pure.

A vendor who divides old prices by 7 leaves numbers that are no whole cents; times 7 they are. Going back from the last
row, the multiple that turns closes into cents changes where a split was. Open, high and low, in which a vendor may
keep prints of a fraction of a cent, only settle the day: a session right after the change whose close fits by accident
(one in ``ratio``) belongs before it if any of them does not fit.

What this cannot tell: a split whose ratio is not in :data:`RATIOS` (Alphabet's distributions of 2014 and 2015 were
1998:1000 and 10027455:10000000). There the trail ends, and nothing is said about earlier days.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.market.actions.action import Action
from quantdesk.market.series import Series
from quantdesk.market.sessions import open_times

Floats = NDArray[np.float64]

__all__ = ["RATIOS", "Trail", "split_trail"]

RATIOS: tuple[float, ...] = (*range(2, 21), 25, 30, 40, 50, 1.5, 1.25, 4 / 3, 1.2, 1.1, 1.05)
"""Shares after a split for one before it, tried in this order. Reverse splits leave whole cents and no trail."""

_CENTS = 100.0
_FLOAT32 = 1.5e-7
"""Relative error of a price that went through 32 bits, and through a rounding to 6 decimals."""
_TELLING = 0.1
"""Cents: with a larger error, everything looks whole."""
_RUN = 15
"""So many sessions before a split are looked at."""
_SHARE = 0.95
"""That share of them must fit its ratio."""
_MOSTLY = 0.8
"""A closing price in fractions of a cent does not end the trail while this share of the sessions before it fits."""


@dataclass(frozen=True)
class Trail:
    """What whole cents tell.

    Attributes
    ----------
    actions
        The splits, by ex-date, labelled ``reconstructed``.
    since
        The first session whose price as traded follows from them; None where even the last closes are no whole cents.
    """

    actions: tuple[Action, ...]
    since: dt.date | None


def split_trail(series: Series, frame: pd.DataFrame) -> Trail:
    """Go back from the last row and look for the multiples that turn prices into whole cents.

    Parameters
    ----------
    series
        Whose prices they are; quoted in cents at its exchange.
    frame
        Columns ``session`` and some of open, high, low and close, adjusted for later splits; ascending.
    """
    close = frame["close"].to_numpy(dtype=np.float64)
    names = [name for name in ("open", "high", "low") if name in frame]
    others = frame[names].to_numpy(dtype=np.float64)
    days = pd.DatetimeIndex(frame["session"])
    factor, start = 1.0, len(close)
    found: list[tuple[int, float]] = []
    while True:
        start = _first_that_fits(close[:start], factor)
        if start in (0, len(close)):
            break
        ratio = next((one for one in RATIOS if _fits_before(close[:start], factor * one)), None)
        if ratio is None:
            break
        for row in range(start, min(start + _RUN, len(close))):
            before = _whole(others[row], factor * ratio) & ~_whole(others[row], factor)
            if not before.any():
                break
            start = row + 1
        found.append((start, ratio))
        factor *= ratio
    splits = pd.DatetimeIndex([days[place] for place, _ in found], dtype="datetime64[ns]")
    opened = open_times(series.calendar, splits)
    actions = [
        Action(
            symbol=series.symbol,
            kind="split",
            ex_date=days[place].date(),
            known_at=opened[number].to_pydatetime(),
            value=float(ratio),
            currency="",
            source=series.id,
            label="reconstructed",
            note="worked out from prices in whole cents",
        )
        for number, (place, ratio) in enumerate(found)
    ]
    return Trail(tuple(reversed(actions)), days[start].date() if start < len(days) else None)


def _whole(prices: Floats, factor: float) -> NDArray[np.bool_]:
    """Whether prices times `factor` are whole cents. NaN fits; a price of too few digits to tell does not."""
    cents = prices * (factor * _CENTS)
    slack = cents * _FLOAT32 + 1e-6
    return np.asarray(np.isnan(cents) | ((np.abs(cents - np.round(cents)) <= slack) & (slack < _TELLING)))


def _fits_before(close: Floats, factor: float) -> bool:
    """Whether the last sessions fit `factor`."""
    last = _whole(close[-_RUN:], factor)
    return len(last) == _RUN and bool(last.mean() >= _SHARE)


def _first_that_fits(close: Floats, factor: float) -> int:
    """Where the stretch of sessions that fit `factor` begins, which ends at the last row; its length when none does."""
    fits = _whole(close, factor)
    place = len(fits)
    while place > 0 and (fits[place - 1] or fits[max(place - _RUN, 0) : place].mean() >= _MOSTLY):
        place -= 1
    return place
