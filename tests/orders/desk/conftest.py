"""A desk on markets that stand still, and a ledger that outlives it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk import Desk, DeskConfig, Facts, known
from quantdesk.orders.halts import KnownHalts
from quantdesk.orders.ledger import Ledger
from quantdesk.orders.venues import SimulatedMarket

TEN = dt.datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/New_York"))
BOOKS = {
    "AAPL": {
        "Nasdaq": ("99.99", 300, "100.00", 200),
        "IEX": ("99.99", 100, "100.00", 100),
        "NYSE Arca": ("99.98", 500, "100.01", 500),
    },
    "MSFT": {"Nasdaq": ("49.99", 400, "50.00", 400), "NYSE": ("49.98", 300, "50.01", 300)},
}
CASH = 1_000_000 * MICRO
FACTS = known(
    {
        "AAPL": Facts(previous_close=100 * MICRO, average_daily_volume=1_000_000, daily_volatility=0.02),
        "MSFT": Facts(previous_close=50 * MICRO, average_daily_volume=1_000_000, daily_volatility=0.02),
    }
)


class Room:
    """A market, halts and a ledger; desks come and go."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.halts = KnownHalts()
        self.market = SimulatedMarket.static(BOOKS, TEN, halts=self.halts)
        self.config = DeskConfig(cash=CASH)
        self._open: list[Ledger] = []

    def ledger(self) -> Ledger:
        self._open.append(Ledger.open(self.url))
        return self._open[-1]

    def desk(self, **more: Any) -> Desk:
        given = {"gateway": self.market, "halts": self.halts, "facts": FACTS, "config": self.config, **more}
        ledger = given.pop("ledger", None) or self.ledger()
        return Desk(given.pop("gateway"), ledger, given.pop("halts"), **given)

    def move(self, **books: dict[str, tuple[str, int, str, int]]) -> None:
        """Other books from now on: a new market that stands still, a second later."""
        at = self.market.now() + 1_000_000_000
        self.market = SimulatedMarket.static({**BOOKS, **books}, at, halts=self.halts)

    def close(self) -> None:
        for ledger in self._open:
            ledger.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Callable[[], Room]]:
    """Makes rooms with ledgers of their own."""
    made: list[Room] = []

    def make() -> Room:
        made.append(Room(f"sqlite:///{tmp_path / f'{len(made)}.sqlite'}"))
        return made[-1]

    yield make
    for one in made:
        one.close()
