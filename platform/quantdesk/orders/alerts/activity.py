"""From the entries of a ledger to what conditions ask: what is open, what is unknown, what just happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from quantdesk.orders.executions import Kind
from quantdesk.orders.ledger.entries import EntryKind, Stored
from quantdesk.orders.result import OrderStatus

__all__ = ["Activity", "Ended", "Event", "Fresh", "Heard", "OpenOrder", "Thrown"]

_UNSENT = ":unsent"
"""How the desk names the report that a child never arrived."""


class Event(NamedTuple):
    """Something that happened to a symbol; `is_bad` says whether it is of the kind that is counted."""

    at: int
    symbol: str
    is_bad: bool = True


class Heard(NamedTuple):
    """The first report about a child, and when the child was sent."""

    at: int
    symbol: str
    sent_at: int


class Ended(NamedTuple):
    """An order that came at a moment and ended at another one."""

    at: int
    symbol: str
    received_at: int
    shares: int
    filled: int


class Thrown(NamedTuple):
    """A kill switch."""

    at: int
    scope: str
    name: str
    by: str
    why: str


@dataclass(slots=True)
class OpenOrder:
    """An order that has not ended."""

    symbol: str
    at: int
    shares: int
    filled: int = 0
    is_sent: bool = False


@dataclass(slots=True)
class Fresh:
    """What happened since the observation before.

    Attributes
    ----------
    received
        Orders.
    decided
        Answers of guardrails; bad: blocked.
    reported
        First reports about children; bad: the venue refused.
    unreached
        Children that provably never arrived.
    heard
        First reports, with their times.
    triggered
        Stops that went off.
    ended
        Orders that ended, without those that guardrails blocked.
    thrown
        Kill switches.
    """

    received: list[Event] = field(default_factory=list)
    decided: list[Event] = field(default_factory=list)
    reported: list[Event] = field(default_factory=list)
    unreached: list[Heard] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    triggered: list[Event] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    thrown: list[Thrown] = field(default_factory=list)


class Activity:
    """A fold over the entries of one account.

    Attributes
    ----------
    fresh
        What the entries of the last :meth:`take` say.
    orders
        Open orders by id.
    unheard
        Children by client id that were sent and of which no report came: symbol, and when they were sent.
    kills
        The kill switches that are thrown.
    differences
        How many the last reconciliation found, and when that was.
    """

    def __init__(self) -> None:
        self.fresh = Fresh()
        self.orders: dict[str, OpenOrder] = {}
        self.unheard: dict[str, tuple[str, int]] = {}
        self.kills: dict[tuple[str, str], Thrown] = {}
        self.differences = (0, 0)
        self._stops: dict[str, str] = {}

    def take(self, entries: Iterable[Stored]) -> None:
        """Take in new entries, in their order."""
        self.fresh = Fresh()
        for stored in entries:
            self._take(stored)

    def _take(self, stored: Stored) -> None:
        payload, at, fresh = stored.payload, stored.at, self.fresh
        match stored.kind:
            case EntryKind.ORDER:
                self.orders[stored.order_id] = OpenOrder(payload["symbol"], at, payload["shares"])
                fresh.received.append(Event(at, payload["symbol"]))
            case EntryKind.DECISION:
                fresh.decided.append(Event(at, self._symbol(stored), not payload["allowed"]))
            case EntryKind.SENT:
                self.unheard[stored.client_id] = (payload["symbol"], at)
                if stored.order_id in self.orders:
                    self.orders[stored.order_id].is_sent = True
            case EntryKind.EXECUTION:
                self._reported(stored)
            case EntryKind.RESULT if OrderStatus(payload["status"]).is_final:
                self._ended(stored)
            case EntryKind.STOP_PLACED:
                self._stops[stored.client_id] = payload["symbol"]
            case EntryKind.STOP_TRIGGERED:
                fresh.triggered.append(Event(at, self._stops.pop(stored.client_id, "") or self._symbol(stored)))
            case EntryKind.STOP_CANCELLED:
                self._stops.pop(stored.client_id, None)
            case EntryKind.KILL:
                thrown = Thrown(at, payload["scope"], payload["name"], stored.user_id or "", payload["why"])
                self.kills[thrown.scope, thrown.name] = thrown
                fresh.thrown.append(thrown)
            case EntryKind.UNKILL:
                self.kills.pop((payload["scope"], payload["name"]), None)
            case EntryKind.RECONCILED:
                self.differences = (len(payload["differences"]), at)
            case _:
                pass

    def _reported(self, stored: Stored) -> None:
        payload = stored.payload
        if payload["kind"] == Kind.FILL and stored.order_id in self.orders:
            self.orders[stored.order_id].filled += payload["shares"]
        waiting = self.unheard.pop(stored.client_id, None)
        if waiting is None:
            return
        # What a venue did is known when it is written down, and a venue may say that it was later than our clock.
        first = Heard(max(stored.at, payload["at"]), *waiting)
        if payload["execution_id"].endswith(_UNSENT):
            self.fresh.unreached.append(first)
            return
        self.fresh.heard.append(first)
        self.fresh.reported.append(Event(stored.at, first.symbol, payload["kind"] == Kind.REJECTED))

    def _ended(self, stored: Stored) -> None:
        order = self.orders.pop(stored.order_id, None)
        if order is None or (stored.payload["status"] == OrderStatus.REJECTED and not order.is_sent):
            return
        self.fresh.ended.append(Ended(stored.at, order.symbol, order.at, order.shares, order.filled))

    def _symbol(self, stored: Stored) -> str:
        order = self.orders.get(stored.order_id)
        return "" if order is None else order.symbol
