"""What an invented crisis begins with: the real past of everything in the store. An edge module: it reads the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput, DataError
from quantdesk.market import MarketStore, Series
from quantdesk.market.sessions import sessions_between
from quantdesk.scenarios.instruments import Book, bind, state_of
from quantdesk.scenarios.market import Effects
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.reverse import Reverse, Search, reverse_stresses
from quantdesk.scenarios.run import Holdings
from quantdesk.scenarios.scenario import AssetEntry, Scenario
from quantdesk.scenarios.shocks import Era, Shocked, closes_of, covariance, moves, resolve_era

__all__ = ["before", "effects_of", "last_day", "panel_of", "reversed_stress"]

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


def before(on: dt.date | None, store: MarketStore, *, history_days: int = _HISTORY) -> Path:
    """Everything of the store that has a value around a day, with the years before it as history.

    Parameters
    ----------
    on
        The last real day: a session in New York; :func:`last_day` when None.
    store
        Where it comes from.
    history_days
        Calendar days of history.

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
        history_days=history_days,
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


def reversed_stress(
    path: Path, holdings: Holdings, limit: float, days: int, eras: Sequence[Era | str]
) -> dict[str, Reverse]:
    """What makes a portfolio lose a limit, by era: full revaluation at the last bar of a path.

    The factors are what the portfolio's values rest on, and the index.

    Raises
    ------
    BadInput
        The portfolio holds cash alone.
    """
    quantities = {**holdings.shares, **holdings.instruments}
    if not quantities:
        raise BadInput("The portfolio holds cash alone: no move makes it lose.", "Give shares or instruments.")
    start = state_of(path, len(path.ends) - 1)
    bound = bind(Book(quantities), start)
    needed = {symbol for one in bound.positions for symbol in one.instrument.needs}
    factors = [symbol for symbol in path.symbols if symbol in needed | {"SPX"} and symbol in start.values]
    closes = closes_of(path)[factors]
    kinds = {asset.symbol: asset.kind for asset in path.assets}
    resolved = [resolve_era(era, path.sessions[-1].date()) for era in eras]
    covs = {era.describe(): covariance(closes, era, kinds=kinds) for era in resolved}
    kept = [name for name in factors if all(name in cov.symbols for cov in covs.values())]
    covs = {era.describe(): covariance(closes[kept], era, kinds=kinds) for era in resolved}
    worth = bound.value(start)
    rates = np.array([kinds[name] == "rate" for name in kept])
    levels = np.array([start.value(name) for name in kept])

    def loss(moved: NDArray[np.float64]) -> float:
        values = np.where(rates, levels + moved, levels * np.exp(np.where(rates, 0.0, moved)))
        return worth - bound.value(start.but(dict(zip(kept, values.tolist(), strict=True))))

    history = moves(closes[kept].dropna(), kinds)
    return reverse_stresses(loss, limit, covs, history=history, search=Search(horizon_days=days))


def effects_of(shocked: Shocked) -> Effects:
    """What a shock does to markets beside prices."""
    dark = tuple((one.symbols, one.begins, one.ends) for one in shocked.outages)
    return Effects(shocked.depth, shocked.spread, dark)
