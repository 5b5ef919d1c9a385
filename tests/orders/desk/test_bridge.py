"""A backtest through the desk: its book is the desk's account, and what the desk refuses stays undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.backtest import Costs, run
from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk import Desk, DeskConfig, DeskExecution, still_market
from quantdesk.orders.halts import KnownHalts
from quantdesk.orders.ledger import Ledger, rebuild
from quantdesk.orders.routing import RoutingConfig

SESSIONS = pd.DatetimeIndex(pd.bdate_range("2024-03-04", periods=30).tz_localize("UTC") + pd.Timedelta(hours=20))


def walk(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    paths = np.array([80.0, 120.0]) * np.exp(np.cumsum(rng.normal(0, 0.01, (len(SESSIONS), 2)), axis=0))
    return pd.DataFrame(paths.round(2), SESSIONS, ["AAA", "BBB"])


def turns(prices: pd.DataFrame) -> pd.DataFrame:
    """From one stock into the other and back, every five sessions."""
    rows = prices.index[::5]
    wide = [0.2 if n % 2 else 0.05 for n in range(len(rows))]
    return pd.DataFrame({"AAA": wide, "BBB": wide[::-1]}, rows)


def desk_of(prices: pd.DataFrame, halts: KnownHalts) -> Any:
    market = still_market(halts=halts)
    first = market(prices.index[0].to_pydatetime(), prices.iloc[0].to_dict())
    config = DeskConfig(cash=1_000_000 * MICRO, routing=RoutingConfig(earliest_terms=True))
    desk = Desk(first, Ledger.open("sqlite:///:memory:"), halts, config=config)
    return desk, DeskExecution(desk, market)


def test_the_book_of_the_backtest_is_the_account_of_the_desk() -> None:
    prices = walk(1)
    desk, execution = desk_of(prices, KnownHalts())
    with desk:
        result = run(prices, turns(prices), execute=execution)
        assert {str(one.status) for one in execution.results} == {"filled"}
        assert all(one.execution_mode == "simulated" for one in execution.results)
        held = {symbol: float(shares) for symbol, shares in result.positions.iloc[-1].items() if shares}
        assert held == {symbol: float(shares) for symbol, shares in desk.portfolio.positions.items()}
        worth = sum(shares * prices.iloc[-1][symbol] for symbol, shares in held.items())
        cash = float(result.equity.iloc[-1]) - worth
        assert cash == pytest.approx(desk.portfolio.cash / MICRO, abs=0.01)
        assert rebuild(desk.ledger.entries(), 1_000_000 * MICRO, desk.mode) == desk.portfolio
        # Spread and fees are in the order of what a plain backtest charges for them; fractions of shares are left out.
        plain = run(prices, turns(prices), Costs(0.0, 2.0, 0.003))
        assert float(result.equity.iloc[-1]) == pytest.approx(float(plain.equity.iloc[-1]), rel=2e-3)


def test_what_is_halted_or_blocked_stays_undone() -> None:
    prices = walk(2)
    halts = KnownHalts()
    halts.halt("BBB", 0, 2**62, code="T1")
    desk, execution = desk_of(prices, halts)
    with desk:
        result = run(prices, turns(prices), execute=execution)
        assert (result.positions["BBB"] == 0).all()
        refused = [one for one in execution.results if one.symbol == "BBB"]
        assert refused
        assert all("SYMBOL_HALTED" in {said.code for said in one.violations} for one in refused)
        assert result.positions["AAA"].iloc[-1] > 0


def test_a_market_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="-1"):
        still_market(half_spread_bps=-1)
    with pytest.raises(BadInput, match="0 venues"):
        still_market(venues=())
