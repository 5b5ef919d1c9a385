"""A calm market and a rich account, from which each test changes what it is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.guardrails import Guardrails, Recent, Situation, bundled, day_rules, parse
from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.order import Order
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.rulebook import bundled as rulebook

DAY = dt.date(2026, 3, 2)
NOON = nanoseconds(dt.datetime(2026, 3, 2, 17, tzinfo=dt.UTC))
USD = 1_000_000


@dataclass(frozen=True)
class Calm:
    """What the tests build with. Money in dollars where it is said, in micro-dollars elsewhere."""

    at: int = NOON
    day: dt.date = DAY
    usd: int = USD

    def account(self, cash: float = 10_000_000, *, day: dt.date | None = DAY, **positions: int) -> Portfolio:
        """Dollars, and shares that cost and are worth $100 each; the day begins with them."""
        account = Portfolio(round(cash * USD))
        for symbol, shares in positions.items():
            account.transfer(symbol, shares, 100 * USD)
        if day is not None:
            account.start_day(day)
        return account

    def quotes(self, bid: float = 99.99, ask: float = 100.01, size: int = 500, *, at: int = NOON) -> Quotes:
        """Two venues; dollars; 0 for no quote."""
        row = (round(bid * USD), size if bid else 0, round(ask * USD), size if ask else 0)
        return Quotes.of("AAPL", at, {"XNYS": row, "XNAS": row})

    def status(self, status: Status = Status.TRADING, symbol: str = "AAPL", **more: Any) -> HaltStatus:
        told = {"halt_type": "", "message": "", "source": "nasdaq", "age_s": 1.0, **more}
        return HaltStatus(symbol=symbol, status=status, **told)

    def situation(self, **changes: Any) -> Situation:
        """Everything is known and well, but for the changes."""
        known: dict[str, Any] = {
            "at": NOON,
            "use": "live",
            "portfolio": self.account(),
            "quotes": self.quotes(),
            "halt": self.status(),
            "market_halt": self.status(symbol="SPX"),
            "bands": (95 * USD, 105 * USD),
            "phase": "continuous",
            "short_sale_restricted": False,
            "previous_close": 100 * USD,
            "average_daily_volume": 50_000_000,
            "recent": Recent(),
            "rules": day_rules(rulebook(), DAY),
            "resting": (),
            "groups": frozenset(),
        }
        return Situation(**{**known, **changes})

    def order(self, action: str = "buy", shares: int = 100, **changes: Any) -> Order:
        if "limit_price" in changes and "order_type" not in changes:
            changes["order_type"] = "limit"
        return Order("AAPL", action, shares, **{"user_id": "alice", **changes})

    def guardrails(self, own: str = "") -> Guardrails:
        """The bundled policy with TOML of one's own on top."""
        return Guardrails(parse('name = "test"\n' + own, "own.toml", bundled()))

    def check(self, order: Order, own: str = "", **changes: Any) -> Decision:
        return self.guardrails(own).check(order, self.situation(**changes))

    def found(self, code: str, order: Order, own: str = "", **changes: Any) -> list[GuardrailViolation]:
        """What one check says."""
        return [one for one in self.check(order, own, **changes).violations if one.code == code]


@pytest.fixture(scope="session")
def calm() -> Calm:
    return Calm()


@pytest.fixture(scope="session")
def codes() -> Callable[[Decision], list[str]]:
    return lambda decision: [one.code for one in decision.violations]
