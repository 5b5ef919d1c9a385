"""What an invented crisis begins with: the real past of everything in the store. An edge module: it reads the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput, DataError
from quantdesk.market import MarketStore, Series
from quantdesk.market.sessions import sessions_between
from quantdesk.scenarios.instruments import Book, BoundBook, bind, state_of
from quantdesk.scenarios.market import Effects
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.reverse import Loss, Reverse, Search, reverse_stress
from quantdesk.scenarios.run import Holdings
from quantdesk.scenarios.scenario import AssetEntry, Scenario
from quantdesk.scenarios.shocks import Era, Shocked, closes_of, covariance, moves, resolve_era

__all__ = ["before", "effects_of", "last_day", "panel_of", "reversed_stress"]

_FX = ("EURUSD", "USDJPY", "GBPUSD", "USDCHF", "AUDUSD")
_WINDOW = 14
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


def before(on: dt.date | None, store: MarketStore, *, history_days: int = _HISTORY, window_days: int = _WINDOW) -> Path:
    """Everything of the store that has a value around a day, with the years before it as history.

    Parameters
    ----------
    on
        The last real day: a session in New York; :func:`last_day` when None.
    store
        Where it comes from.
    history_days
        Calendar days of history.
    window_days
        Calendar days until then that are bars of the path itself.

    Raises
    ------
    BadDates
        Nothing of the store has a value then.
    """
    day = on or last_day(store)
    first = day - dt.timedelta(days=window_days)
    held = [one for one in store.series() if one.preferred and one.frequency == "daily"]
    alive = [one for one in held if one.start <= first and one.end >= day]
    # The series of the longest history: covariances and eras lie in it.
    known = {one.symbol: one.id if one.kind == "equity" else "" for one in alive if _is_wanted(one)}
    if "EURUSD" in known:
        known |= {pair: "" for pair in _FX if pair not in known}
    if not known:
        raise BadDates(f"The store has nothing on {day}.", "Give a day on which its stocks have bars.")
    declared = Scenario(
        name="before",
        title=f"The days until {day}",
        summary="What is real before a shock.",
        start=first,
        end=day,
        history_days=history_days,
        assets=tuple(AssetEntry(symbol=symbol, series=series) for symbol, series in known.items()),
        sources=("the store",),
    )
    return replay(declared, store)


def _is_wanted(series: Series) -> bool:
    if series.kind == "fx":
        return series.symbol in _FX
    return series.kind != "rate" or series.symbol.startswith("UST")


def panel_of(path: Path, store: MarketStore) -> pd.DataFrame:
    """All values of the store of what a path holds, and of corporate yields: what eras of long ago are measured on.

    Parameters
    ----------
    path
        Its symbols; those that the store derives and does not hold are left out.
    store
        Where they come from.

    Returns
    -------
    DataFrame
        See :meth:`quantdesk.market.MarketStore.panel`.
    """
    held = {one.symbol for one in store.series() if one.preferred}
    return store.panel([name for name in (*path.symbols, "AAA", "BAA") if name in held])


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
    needed = {symbol for one in bound.positions for symbol in one.instrument.needs} | {"SPX"}
    curve = [asset.symbol for asset in path.assets if asset.kind == "rate"] if "UST" in needed else []
    factors = [symbol for symbol in path.symbols if symbol in {*needed, *curve} and symbol in start.values]
    closes, kinds = closes_of(path)[factors], {asset.symbol: asset.kind for asset in path.assets}
    found = {}
    for era in (resolve_era(one, path.sessions[-1].date()) for one in eras):
        cov = covariance(closes, era, kinds=kinds)
        history = moves(closes[list(cov.symbols)].dropna(), kinds)
        loss = _loss(bound, cov.symbols, [kinds[name] == "rate" for name in cov.symbols])
        answer = reverse_stress(loss, limit, cov, history=history, search=Search(horizon_days=days))
        absent = tuple(name for name in factors if name not in cov.symbols)
        found[era.describe()] = dataclasses.replace(answer, absent=absent)
    return found


def _loss(bound: BoundBook, symbols: Sequence[str], rates: Sequence[bool]) -> Loss:
    """What a book loses when factors move: prices by log returns, rates by points."""
    start, worth = bound.start, bound.value(bound.start)
    levels, are_rates = np.array([start.value(symbol) for symbol in symbols]), np.array(rates)

    def loss(moved: NDArray[np.float64]) -> float:
        values = np.where(are_rates, levels + moved, levels * np.exp(np.where(are_rates, 0.0, moved)))
        return worth - bound.value(start.but(dict(zip(symbols, values.tolist(), strict=True))))

    return loss


def effects_of(shocked: Shocked) -> Effects:
    """What a shock does to markets beside prices."""
    dark = tuple((one.symbols, one.begins, one.ends) for one in shocked.outages)
    return Effects(shocked.depth, shocked.spread, dark)
