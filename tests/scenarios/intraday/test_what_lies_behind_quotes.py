"""What lies behind the displayed quotes follows the depth of its minute, not that of its session."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.orders.amounts import SECOND
from quantdesk.orders.executions import Kind
from quantdesk.orders.order import Action, Child
from quantdesk.scenarios import Path
from quantdesk.scenarios.market import Effects, PathMarket

SYMBOLS = ("AAPL", "JPM", "XOM")


@pytest.fixture(scope="module")
def stage(store: Any) -> Any:
    """The flash crash."""
    from quantdesk.scenarios import ScenarioEngine

    return ScenarioEngine(store).stage("flash_crash")


def cost(market: PathMarket, symbol: str, at: int, shares: int) -> float:
    """Basis points below the best bid at which a sale is filled in the mean, at the first venue."""
    exchange = market.market(0)
    exchange.advance(at)
    bid = exchange.quotes(symbol).nbbo.bid
    found = exchange.send(Child("a", market.venues[0], symbol, Action.SELL, shares))
    fills = [one for one in found if one.kind is Kind.FILL]
    assert sum(one.shares for one in fills) == shares
    return 1e4 * float(sum((bid - one.price) * one.shares for one in fills) / shares / bid)


def new_york(clock: str) -> int:
    return int(pd.Timestamp(f"2010-05-06T{clock}", tz="America/New_York").value) + SECOND


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_same_sale_costs_more_in_the_flash_crash(stage: Any, symbol: str) -> None:
    early, late = (cost(stage.market, symbol, new_york(clock), 20_000) for clock in ("14:00", "14:45:30"))
    assert late > 3 * early > 0


def test_the_strain_is_the_root_of_the_depth_that_is_lacking(stage: Any) -> None:
    """Times what volatility does, which rises in the crash as well."""
    flow = stage.market.begun("AAPL", new_york("14:45:30"))
    plain = PathMarket(stage.path, stage.config.market).begun("AAPL", new_york("14:45:30"))
    share = stage.market.conditions.depth / PathMarket(stage.path, stage.config.market).conditions.depth
    step, bar = flow.step(new_york("14:45:30")), int(np.searchsorted(stage.path.ends, new_york("14:45:30")))
    expected = plain.strain[step] / np.sqrt(share[bar, 0]) * np.sqrt(share[0, 0])
    assert flow.strain[step] == pytest.approx(expected)
    assert flow.strain[step] > plain.strain[step] > 0


def test_the_thinner_the_books_the_dearer_the_sale(stage: Any) -> None:
    """Other bars of the same day are as dear as they were."""
    at = new_york("11:00")
    bar = int(np.searchsorted(stage.path.ends, at))
    paid, elsewhere = [], []
    for share in (1.0, 0.5, 0.2, 0.05, 0.01):
        depth = np.ones(len(stage.path.ends))
        depth[bar] = share
        market = PathMarket(stage.path, stage.config.market, Effects(depth=depth))
        paid.append(cost(market, "AAPL", at, 20_000))
        elsewhere.append(cost(market, "AAPL", at - 600 * SECOND, 20_000))
    assert paid == sorted(set(paid))
    assert len(set(elsewhere)) == 1


def test_a_calm_session_is_one_of_the_law_alone(stage: Any) -> None:
    """Nothing moves: stress is that of calm times in each bar, and the flow the one that it was without strain."""
    path: Path = stage.path
    first = np.nanmean(path.close[:5], axis=0)
    flat = dataclasses.replace(
        path, close=np.where(np.isnan(path.close), np.nan, first), **dict.fromkeys(("open", "high", "low"))
    )
    market = PathMarket(flat, stage.config.market)
    flows = [market.begun(symbol, new_york("14:45:30")) for symbol in SYMBOLS]
    stress = market.conditions.impact
    assert [flow.strain is None for flow in flows] == [
        bool((stress[:, market.symbols.index(symbol)] == stress[0, market.symbols.index(symbol)]).all())
        for symbol in SYMBOLS
    ]
    assert any(flow.strain is None for flow in flows)
