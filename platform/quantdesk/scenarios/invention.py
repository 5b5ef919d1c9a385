"""What an invented crisis begins with: the real past of everything in the store. An edge module: it reads the store."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from quantdesk.errors import BadDates, DataError
from quantdesk.market import MarketStore, Series
from quantdesk.market.sessions import sessions_between
from quantdesk.scenarios.market import Effects
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.scenario import AssetEntry, Scenario
from quantdesk.scenarios.shocks import Shocked

__all__ = ["before", "effects_of", "last_day", "panel_of"]

_FX = ("EURUSD", "USDJPY", "GBPUSD", "USDCHF", "AUDUSD")
_HISTORY = 1200
"""Calendar days: two years of covariance, and what features look back upon before them."""


def last_day(store: MarketStore) -> dt.date:
    """The last session in New York on which the store has values of every asset class.

    Raises
    ------
    DataError
        The store holds nothing daily.
    """
    ends: dict[str, dt.date] = {}
    for one in store.series():
        if one.frequency == "daily":
            ends[one.kind] = max(one.end, ends.get(one.kind, one.end))
    if not ends:
        raise DataError("The store holds no daily series.", "Run `quantdesk data load`.")
    day = min(ends.values())
    return sessions_between("XNYS", day - dt.timedelta(days=10), day)[-1].date()


def before(on: dt.date | None, store: MarketStore) -> Path:
    """Everything of the store that has a value around a day, with the years before it as history.

    Parameters
    ----------
    on
        The last real day: a session in New York; :func:`last_day` when None.
    store
        Where it comes from.

    Raises
    ------
    BadDates
        Nothing of the store has a value then.
    """
    day = on or last_day(store)
    first = day - dt.timedelta(days=14)
    held = [one for one in store.series() if one.preferred and one.frequency == "daily"]
    known = [one.symbol for one in held if one.start <= first and one.end >= day and _is_wanted(one)]
    if {"EURUSD", "EURJPY"} & {one.symbol for one in held if one.start <= first and one.end >= day}:
        known += [pair for pair in _FX if pair not in known]
    if not known:
        raise BadDates(f"The store has nothing on {day}.", "Give a day on which its stocks have bars.")
    declared = Scenario(
        name="before",
        title=f"The days until {day}",
        summary="What is real before a shock.",
        start=first,
        end=day,
        history_days=_HISTORY,
        assets=tuple(AssetEntry(symbol=symbol) for symbol in known),
        sources=("the store",),
    )
    return replay(declared, store)


def _is_wanted(series: Series) -> bool:
    if series.kind == "fx":
        return series.symbol in _FX
    return series.kind != "rate" or series.symbol.startswith("UST")


def panel_of(store: MarketStore) -> pd.DataFrame:
    """Closes of the index and of all stocks whose history is as long as the longest: what the method's error needs."""
    stocks = [one for one in store.series() if one.kind == "equity" and one.preferred]
    oldest = min((one.start for one in stocks), default=None)
    names = [one.symbol for one in stocks if one.start == oldest]
    return store.panel(["SPX", *names])


def effects_of(shocked: Shocked) -> Effects:
    """What a shock does to markets beside prices."""
    dark = tuple((one.symbols, one.begins, one.ends) for one in shocked.outages)
    return Effects(shocked.depth, shocked.spread, dark)
