"""Rules one by one, and entries of a ledger at given times."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from quantdesk.orders.alerts import AlertRules, Observation, Watch, bundled
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, MemoryLedger, Stored
from quantdesk.orders.order import Action, Child, Order

NOON = 1_700_000_000 * SECOND


class Log:
    """A ledger that is written at given seconds after noon."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self._seen = 0

    def order(self, second: float, symbol: str = "AAPL", shares: int = 100) -> str:
        return self.ledger.receive(Order(symbol, "buy", shares), _at(second), ExecutionMode.SIMULATED).order_id

    def note(self, second: float, kind: EntryKind, order_id: str = "", client: str = "", **payload: Any) -> None:
        mode = ExecutionMode.SIMULATED
        self.ledger.append(Entry(kind, _at(second), order_id, client, payload.pop("by", None), payload, mode))

    def decided(self, second: float, order_id: str, allowed: bool) -> None:
        self.note(second, EntryKind.DECISION, order_id, allowed=allowed, violations=[])

    def sent(self, second: float, order_id: str, name: str, shares: int = 100) -> None:
        child = Child(name, "XNAS", "AAPL", Action.BUY, shares)
        self.ledger.append(Entry.sent(child, _at(second), order_id))

    def told(
        self, second: float, name: str, kind: Kind = Kind.FILL, shares: int = 100, execution: str | None = None
    ) -> None:
        fill = (shares, 100 * MICRO) if kind is Kind.FILL else (0, 0)
        report = Execution(execution or f"{name}-{second}", name, kind, _at(second), "XNAS", *fill)
        self.ledger.append(Entry.executed(report, _at(second)))

    def ended(self, second: float, order_id: str, status: str = "filled") -> None:
        self.note(second, EntryKind.RESULT, order_id, status=status, reason="")

    def fresh(self) -> tuple[Stored, ...]:
        """What was written since this was last asked."""
        found = tuple(self.ledger.entries(after=self._seen))
        self._seen = self.ledger.head()[0]
        return found


def _at(second: float) -> int:
    return NOON + round(second * SECOND)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def seen() -> Callable[..., Observation]:
    """An account of $100,000, so many seconds after noon, but for what is given."""

    def make(second: float = 0, **given: Any) -> Observation:
        calm = {"equity": 100_000 * MICRO, "cash": 100_000 * MICRO, "equity_at_start": 100_000 * MICRO}
        return Observation(at=_at(second), **{**calm, **given})

    return make


@pytest.fixture
def watch_of() -> Callable[..., Watch]:
    """A watch of one bundled rule that fires and resolves at once, but for what is given."""

    def make(rule_id: str, **given: Any) -> Watch:
        rule = dataclasses.replace(bundled()[rule_id], **{"for_s": 0, "clear_s": 0, "again_s": 0, **given})
        return Watch(AlertRules("one", {rule_id: rule}))

    return make


@pytest.fixture
def told() -> Callable[[Watch, Sequence[Observation]], list[tuple[Any, ...]]]:
    """Look at each observation: of all that fired the symbol, when, since when (seconds after noon), and the value."""

    def run(watch: Watch, looks: Sequence[Observation]) -> list[tuple[Any, ...]]:
        return [
            (alert.symbol, (alert.at - NOON) / SECOND, (alert.since - NOON) / SECOND, alert.numbers.get("value"))
            for look in looks
            for alert in watch.look(look)
        ]

    return run
