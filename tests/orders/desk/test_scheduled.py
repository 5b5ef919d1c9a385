"""A large order worked over time: its slices add up, halts and limits hold, and a crash in the middle goes on."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput
from quantdesk.orders import Order
from quantdesk.orders.desk import EmbeddedConfig, simulated_desk, work
from quantdesk.orders.routing.schedules import Slice, Window, twap

DAY = dt.date(2024, 3, 1)


def bars() -> dict[str, pd.DataFrame]:
    days = pd.date_range("2024-02-01", DAY, freq="B", tz="America/New_York")
    close = 100 + np.arange(len(days)) * 0.1
    frame = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close}, index=days)
    return {"AAPL": frame.assign(volume=5_000_000.0)}


def test_slices_are_sent_when_they_are_due_and_add_up() -> None:
    slices = twap(4_000, Window.of(DAY, dt.time(10), dt.time(11)), 8)
    with simulated_desk(bars(), DAY, EmbeddedConfig(seed=3, cash=10_000_000)) as desk:
        market: Any = desk.world.gateway
        results = work(desk, Order("AAPL", "buy", 4_000, idempotency_key="big"), slices, market.advance)
        assert sum(one.filled_shares for one in results) == 4_000
        assert desk.portfolio.positions == {"AAPL": 4_000}
        received = [one.at for one in desk.ledger.entries(kinds=["order"])]
        assert received == [one.at for one in slices]


def test_after_a_crash_it_goes_on_and_sends_nothing_twice(tmp_path: Any) -> None:
    slices = twap(4_000, Window.of(DAY, dt.time(10), dt.time(11)), 8)
    order = Order("AAPL", "buy", 4_000, idempotency_key="big", user_id="ann")
    config = EmbeddedConfig(seed=3, cash=10_000_000, ledger=f"sqlite:///{tmp_path / 'ledger.sqlite'}")

    class Crash(BaseException):
        pass

    def until(market: Any, last: int) -> Any:
        def wait(at: int) -> None:
            if at > last:
                raise Crash
            market.advance(at)

        return wait

    with simulated_desk(bars(), DAY, config) as desk, pytest.raises(Crash):
        work(desk, order, slices, until(desk.world.gateway, slices[4].at))
    with simulated_desk(bars(), DAY, config) as desk:
        market: Any = desk.world.gateway
        market.advance(slices[4].at)
        before = desk.portfolio.positions["AAPL"]
        assert 0 < before < 4_000
        results = work(desk, order, slices, market.advance)
        assert len(results) == 8
        assert sum(one.filled_shares for one in results) == desk.portfolio.positions["AAPL"] == 4_000
        assert len(desk.ledger.orders()) == 8


def test_a_limit_that_is_not_reached_is_carried_to_the_last_slice() -> None:
    slices = twap(900, Window.of(DAY, dt.time(10), dt.time(11)), 3)
    with simulated_desk(bars(), DAY, EmbeddedConfig(seed=3, cash=10_000_000)) as desk:
        market: Any = desk.world.gateway
        order = Order("AAPL", "buy", 900, order_type="limit", limit_price="80.00", idempotency_key="low")
        results = work(desk, order, slices, market.advance)
        assert [one.shares for one in results] == [300, 600, 900]
        assert [str(one.status) for one in results] == ["cancelled", "cancelled", "open"]
        assert len(market.open_children()) == len(results[-1].children)


@pytest.mark.parametrize(
    ("slices", "key", "said"),
    [
        ([Slice(1, 50), Slice(2, 40)], "k", "90 shares"),
        ([Slice(2, 50), Slice(1, 50)], "k", "out of order"),
        ([Slice(1, 100)], None, "no idempotency key"),
    ],
)
def test_what_does_not_fit_is_refused(slices: list[Slice], key: str | None, said: str) -> None:
    with simulated_desk(bars(), DAY) as desk, pytest.raises(BadInput, match=said):
        work(desk, Order("AAPL", "buy", 100, idempotency_key=key), slices, lambda at: None)
