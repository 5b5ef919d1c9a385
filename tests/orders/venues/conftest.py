"""What tests of the simulated venues share: terms of two venues, bars of two days, orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues import Shape, SimulatedMarket

DAY = dt.date(2026, 3, 2)
CENT = 10_000


@pytest.fixture
def terms() -> list[Terms]:
    return [
        Terms("Near", -2000, 3000, 3000, 100_000, True, 0.0),
        Terms("Far", 1000, -500, 0, 300_000, True, 0.5),
    ]


@pytest.fixture
def bars() -> dict[str, pd.DataFrame]:
    index = pd.to_datetime(["2026-03-02", "2026-03-03"])
    return {
        "ABC": pd.DataFrame(
            {"open": [100.0, 101.5], "high": [103.0, 102.25], "low": [99.13, 98.0], "close": [101.0, 99.0],
             "volume": [5e6, 4e6]}, index=index,
        ),
        "XYZ": pd.DataFrame(
            {"open": [20.0, 20.2], "high": [20.9, 21.0], "low": [19.5, 20.0], "close": [20.5, 20.1],
             "volume": [3e5, 2e5]}, index=index,
        ),
    }  # fmt: skip


@pytest.fixture
def market(bars: dict[str, pd.DataFrame], terms: list[Terms]) -> SimulatedMarket:
    return SimulatedMarket.of_bars(bars, DAY, 7, venues=terms, shape=Shape(step_s=20))


@pytest.fixture
def still(terms: list[Terms]) -> SimulatedMarket:
    books = {"ABC": {"Near": ("100.00", 300, "100.02", 200), "Far": ("99.99", 100, "100.01", 100)}}
    return SimulatedMarket.static(books, dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC), venues=terms)


@pytest.fixture
def order() -> Callable[..., Child]:
    numbers = iter(range(1_000_000))

    def make(side: str, shares: int, limit: int = 0, *, venue: str = "Near", ioc: bool = True, **more: Any) -> Child:
        kind = TimeInForce.IOC if ioc else TimeInForce.DAY
        more = {"client_id": f"o-{next(numbers)}", "time_in_force": kind, **more}
        return Child(
            venue=venue, symbol=more.pop("symbol", "ABC"), action=Action(side), shares=shares, limit=limit, **more
        )

    return make


@pytest.fixture
def clock() -> Callable[[str], int]:
    def at(text: str) -> int:
        """Nanoseconds of a time of day in New York on the first day."""
        return nanoseconds(pd.Timestamp(f"{DAY} {text}", tz="America/New_York").to_pydatetime())

    return at
