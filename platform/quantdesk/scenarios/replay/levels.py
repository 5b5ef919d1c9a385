"""Which series of a symbol is replayed, and on what level. Pure.

Returns come from adjusted closes: they are total returns. A level of the day needs closes as they were quoted; where a
series has them, adjusted closes are scaled so that the window's first one is the close that was quoted that day. Every
later close is then what a holder of one share had, dividends reinvested. Where no series has quoted closes, adjusted
ones stand for the price: returns are right and levels are not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from quantdesk.market.series import Series

__all__ = ["COLUMNS", "choose", "donors", "is_stale", "levelled", "quoted"]

COLUMNS = ["open", "high", "low", "close", "volume"]
_BARS = {"open", "high", "low", "close"}
_STALE = 1 / 3


def quoted(series: Series) -> bool:
    """Whether levels of the day are known: closes as they were quoted, and adjusted ones for the returns."""
    if series.kind not in ("equity", "etf"):
        return True
    return series.adjustment == "none" and {"close", "adj_close"} <= set(series.fields)


def choose(known: Sequence[Series], first: dt.date, last: dt.date, since: dt.date) -> Series | None:
    """The series of a symbol that a window is replayed from.

    Of those that cover the whole window: one with quoted levels before one without, of an equity or a fund one with
    open, high and low before one without, then the preferred one. Of an index, a rate or a price the preferred one.
    Where none covers the window, one that reaches into it; where none does, one that reaches into the history, which
    begins on `since`; else None. The end of the window counts too, so that no bar is lost: a window that is cut short
    may be played from another series.
    """
    whole = [one for one in known if one.start <= first and last <= one.end]
    inside = [one for one in known if one.start <= last and first <= one.end]
    before = [one for one in known if one.start <= last and since <= one.end]
    if not before:
        return None

    def rank(one: Series) -> tuple[bool, bool, bool]:
        share = one.kind in ("equity", "etf")
        return share and not quoted(one), share and not set(one.fields) >= _BARS, not one.preferred

    return min(whole or inside or before, key=rank)


def donors(known: Sequence[Series], main: Series, first: dt.date, last: dt.date) -> list[Series]:
    """Other series of an index that may lend open, high, low and volume to one that has closes alone."""
    if main.kind != "index" or set(main.fields) >= _BARS:
        return []
    return [
        one
        for one in known
        if one.id != main.id and set(one.fields) >= _BARS and one.start <= first and last <= one.end
    ]


def levelled(frame: pd.DataFrame, first: dt.date) -> pd.DataFrame:
    """Bars on one scale, the window and what lies before it alike.

    Parameters
    ----------
    frame
        Rows of a series by session; the fields as they stand there.
    first
        The window's first day; of a series that ends before it the last close is the one that was quoted.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; NaN where the series has no such field. Volume as it stands there.
    """
    made = pd.DataFrame(np.nan, index=frame.index, columns=COLUMNS)
    for name in frame.columns.intersection(COLUMNS):
        made[name] = frame[name]
    if "adj_close" not in frame.columns:
        return made
    if "close" not in frame.columns:
        made["close"] = frame["adj_close"]
        return made
    ratio = frame["adj_close"] / frame["close"]
    inside = ratio[frame.index >= pd.Timestamp(first)].dropna()
    base = ratio.dropna().iloc[-1:] if inside.empty else inside
    prices = ["open", "high", "low", "close"]
    made[prices] = made[prices].mul(ratio / base.iloc[0], axis="index")
    return made


def is_stale(frame: pd.DataFrame) -> bool:
    """Whether the opens of an index are those of stale prices: the close before, or hardly anything else.

    Half of the nights of an index move it by less than half of what half of its days do; where that is less than a
    third, the opening gap is hidden (the S&P 500 until 2016: a tenth; from 2017 on: a half).
    """
    before = frame["close"].shift()
    night, day = (frame["open"] / before - 1).abs().median(), (frame["close"] / before - 1).abs().median()
    return bool(night < _STALE * day)
