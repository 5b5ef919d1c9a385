"""Prices before an ex-date on the scale of those after it. Pure numpy.

Let ``c`` be the close of the first session on or after the ex-date that has one, ``p`` the last close before it, ``s``
the shares after a split for one before it, and ``d`` the dividend per share held before. Everything before the ex-date
is multiplied by

- ``c / (c * s + d)`` (``"reinvested"``): the dividend buys shares at ``c``. The return across the ex-date is
  ``(c * s + d) / p - 1`` exactly, which is what a holder had; the total return of CRSP is defined so.
- ``(p - d) / (p * s)`` (``"subtracted"``): as many vendors do. The return is ``c * s / (p - d) - 1``.
- ``1 / s`` (``"ignored"``): splits only; the return is that of the price.

An action takes effect with the first price on or after its ex-date: until then there is nothing to adjust to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import DataError, UnknownName
from quantdesk.market.actions.action import Action

__all__ = ["DIVIDENDS", "Dividends", "Factors", "factors", "undo_splits"]

Floats = NDArray[np.float64]
Dividends = Literal["reinvested", "subtracted", "ignored"]
DIVIDENDS: tuple[str, ...] = get_args(Dividends)


@dataclass(frozen=True)
class Factors:
    """What to multiply with; shape ``(n,)`` each, 1.0 from the last ex-date on.

    Attributes
    ----------
    price
        For open, high, low and close.
    shares
        For volumes: the splits alone.
    applied
        The actions that took effect, by ex-date.
    """

    price: Floats
    shares: Floats
    applied: tuple[Action, ...]


def factors(
    session: pd.DatetimeIndex, close: Floats, actions: Sequence[Action], dividends: Dividends = "reinvested"
) -> Factors:
    """Factors for prices as traded.

    Parameters
    ----------
    session
        Local dates, ascending and unique; shape ``(n,)``.
    close
        As traded; NaN where there is none.
    actions
        One per event: see :func:`quantdesk.market.actions.action.known_by`. Order does not matter.
    dividends
        What a dividend does: see above.

    Raises
    ------
    UnknownName
        Another word for `dividends`.
    DataError
        A dividend that is to be subtracted is as large as the price before it.
    """
    if dividends not in DIVIDENDS:
        raise UnknownName("way to treat dividends", str(dividends)[:80], DIVIDENDS)
    priced = np.flatnonzero(~np.isnan(close))
    days = session[priced]
    together: dict[int, list[Action]] = {}
    for action in actions:
        place = int(days.searchsorted(pd.Timestamp(action.ex_date), side="left"))
        if 0 < place < len(days):
            together.setdefault(place, []).append(action)
    price, shares = np.ones(len(close)), np.ones(len(close))
    for place in sorted(together, reverse=True):
        split = float(np.prod([one.value for one in together[place] if one.kind == "split"]))
        paid = 0.0 if dividends == "ignored" else sum(one.value for one in together[place] if one.kind == "dividend")
        before, after = float(close[priced[place - 1]]), float(close[priced[place]])
        if dividends == "subtracted" and paid >= before:
            dividend = next(one for one in together[place] if one.kind == "dividend")
            raise DataError(
                f"The dividend of {dividend.symbol} on {dividend.ex_date} is {paid:g}, and the close before it"
                f" {before:g}: it cannot be subtracted.",
                'Correct the amount, or take dividends="reinvested".',
            )
        subtracted = (before - paid) / (before * split)
        factor = subtracted if dividends == "subtracted" else after / (after * split + paid)
        price[: priced[place]] *= factor
        shares[: priced[place]] *= split
    applied = tuple(one for place in sorted(together) for one in together[place])
    return Factors(price, shares, applied if dividends != "ignored" else tuple(a for a in applied if a.kind == "split"))


def undo_splits(session: pd.DatetimeIndex, splits: Sequence[Action]) -> Floats:
    """What turns prices that a vendor divided by all of `splits` into prices as traded; shape ``(n,)``."""
    multiple = np.ones(len(session))
    for action in splits:
        multiple[session < pd.Timestamp(action.ex_date)] *= action.value
    return multiple
