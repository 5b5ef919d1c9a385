"""The desk's memory: a fold over the entries of the ledger. Pure.

The desk never changes it by hand. It writes an entry, and takes the stored entry in here: the state that it works with
is by construction the one that a restart makes of the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.guardrails import Kill, Kills, Recent
from quantdesk.orders.guardrails.situation import Resting
from quantdesk.orders.ledger import EntryKind, Stored, apply, child_of, execution_of, order_of
from quantdesk.orders.order import Action, Child, Order
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.result import OrderStatus

__all__ = ["REPLACED", "REPLACE_KEY", "STOP_KEY", "ChildState", "DeskState", "OrderState", "Stop"]

STOP_KEY, REPLACE_KEY = "stop:", "replace:"
"""How the idempotency keys of orders begin that the desk sends by itself; callers may not use them."""


REPLACED = "replaced"
"""Why an order ends in whose place another one is sent; any other end of it ends that too."""


@dataclass(slots=True)
class ChildState:
    """A part of an order and what is known of it.

    Attributes
    ----------
    child
        As it was sent.
    filled, notional, fees
        Shares traded, micro-dollars paid for them, micro-dollars of fees.
    kind
        The last report, None before the first one: then nobody knows whether it arrived.
    is_open
        Whether more can come.
    """

    child: Child
    filled: int = 0
    notional: int = 0
    fees: int = 0
    kind: Kind | None = None
    is_open: bool = True

    @property
    def leaves(self) -> int:
        """Shares that can still be traded."""
        return self.child.shares - self.filled if self.is_open else 0


@dataclass(slots=True)
class OrderState:
    """An order and everything that happened to it.

    Attributes
    ----------
    order_id, order, received_at
        Which, and when it came (nanoseconds).
    decision
        What guardrails said last, as in the ledger; None before.
    receipts
        What the router decided, as in the ledger, round by round.
    children
        Its parts by client id, in the order of their sending.
    executions
        Ids of all reports that were taken in or refused: none of them is looked at again.
    triggered
        Whether the stop price was reached; True for orders without one.
    cancel_requested
        Whether somebody asked for its end.
    status, reason
        How it ended, and why; None while it has not.
    last_fill_at
        Nanoseconds.
    """

    order_id: str
    order: Order
    received_at: int
    decision: Mapping[str, Any] | None = None
    receipts: list[Mapping[str, Any]] = field(default_factory=list)
    children: dict[str, ChildState] = field(default_factory=dict)
    executions: set[str] = field(default_factory=set)
    triggered: bool = True
    cancel_requested: bool = False
    status: OrderStatus | None = None
    reason: str = ""
    last_fill_at: int = 0

    @property
    def filled(self) -> int:
        """Shares traded."""
        return sum(child.filled for child in self.children.values())

    @property
    def leaves(self) -> int:
        """Shares that are neither traded nor open at a venue."""
        return self.order.shares - self.filled - sum(child.leaves for child in self.children.values())

    @property
    def open_children(self) -> list[ChildState]:
        """Parts of which more can come."""
        return [child for child in self.children.values() if child.is_open]

    @property
    def unknown(self) -> list[ChildState]:
        """Parts that were sent and never heard of."""
        return [child for child in self.children.values() if child.kind is None]


@dataclass(slots=True)
class Stop:
    """A protective stop: it stands for shares that were filled, until they are sold again or its price is reached.

    Attributes
    ----------
    stop_id
        ``{order id}-S{number}``.
    order_id
        Whose fill it protects.
    symbol, action, shares, price
        What it does when the market reaches `price` (micro-dollars).
    triggered
        Whether its price was reached: then an order of the desk trades its shares, and the stop goes with its end.
    """

    stop_id: str
    order_id: str
    symbol: str
    action: str
    shares: int
    price: int
    triggered: bool = False

    @property
    def side(self) -> int:
        """1 when it buys, -1 when it sells."""
        return 1 if self.action == Action.BUY else -1


class DeskState:
    """Orders, stops and the account.

    Parameters
    ----------
    mode
        Whose fills count: those of other gateways are in the ledger too, and in another account.
    """

    def __init__(self, mode: ExecutionMode, cash: int) -> None:
        self.mode = mode
        self.portfolio = Portfolio(cash)
        self.orders: dict[str, OrderState] = {}
        self.stops: dict[str, Stop] = {}
        self.stops_placed: dict[str, int] = {}
        self.replacing: dict[str, Mapping[str, Any]] = {}
        self.kills = Kills()
        self.recent = Recent()
        self.limit_changes: list[Mapping[str, Any]] = []
        self.short_sale_restrictions: dict[str, dt.date] = {}
        self.borrowed: set[tuple[str, str]] = set()

    def unfinished(self) -> list[OrderState]:
        """Orders to which more can happen, in the order of their coming."""
        return [state for state in self.orders.values() if state.status is None]

    def standing(self, symbol: str | None = None) -> Iterator[Stop]:
        """Protective stops that can still go off."""
        for stop in self.stops.values():
            if not stop.triggered and symbol in (None, stop.symbol):
                yield stop

    def resting(self, symbol: str) -> tuple[Resting, ...]:
        """The desk's own orders that rest in a symbol."""
        return tuple(
            Resting(order.order_id, child.child.side, child.child.limit, child.child.peg)
            for order in self.unfinished()
            if order.order.symbol == symbol
            for child in order.open_children
        )

    def take(self, entries: Iterable[Stored]) -> None:
        """Take in entries, each once and in the order of the ledger."""
        for stored in entries:
            self._take(stored)

    def _take(self, stored: Stored) -> None:
        if stored.mode not in (None, self.mode):
            return
        apply(self.portfolio, stored, self.mode)
        order = self.orders.get(stored.order_id)
        payload = stored.payload
        if stored.kind is EntryKind.EXECUTION and order is not None:  # most of all entries are
            _take_execution(order, execution_of(stored))
            return
        if stored.kind is EntryKind.CANCEL_REQUESTED and payload["why"] != REPLACED:
            self.replacing.pop(stored.order_id, None)
        match stored.kind:
            case EntryKind.ORDER:
                self._received(stored)
            case EntryKind.STOP_PLACED:
                stop = Stop(stored.client_id, stored.order_id, **payload)
                self.stops[stop.stop_id] = stop
                self.stops_placed[stop.order_id] = self.stops_placed.get(stop.order_id, 0) + 1
            case EntryKind.STOP_TRIGGERED if stored.client_id in self.stops:
                self.stops[stored.client_id].triggered = True
            case EntryKind.STOP_CANCELLED:
                self.stops.pop(stored.client_id, None)
            case EntryKind.REPLACED:
                self.replacing[stored.order_id] = payload
            case EntryKind.KILL:
                self.kills = self.kills.thrown(Kill(**payload, by=stored.user_id or "", at=stored.at))
            case EntryKind.UNKILL:
                self.kills = self.kills.lifted(payload["scope"], payload["name"])
            case EntryKind.LIMIT_CHANGE:
                self.limit_changes.append(payload)
            case EntryKind.CHARGE if "day" in payload:
                self.borrowed.add((payload["day"], payload["symbol"]))
            case EntryKind.NOTE if payload.get("what") == "short_sale_restriction":
                self.short_sale_restrictions[payload["symbol"]] = dt.date.fromisoformat(payload["through"])
            case _ if order is not None:
                key = order.order.idempotency_key or ""
                if stored.kind is EntryKind.DECISION and order.decision is None and payload["allowed"]:
                    self.recent.note(order.order, stored.at)
                elif stored.kind is EntryKind.RESULT and key.startswith(STOP_KEY):
                    self.stops.pop(key.removeprefix(STOP_KEY), None)
                _take_order(order, stored)
            case _:
                pass

    def _received(self, stored: Stored) -> None:
        order = order_of(stored)
        self.orders[stored.order_id] = OrderState(stored.order_id, order, stored.at, triggered=not order.stop)
        key = order.idempotency_key or ""
        if key.startswith(REPLACE_KEY):
            self.replacing.pop(key.removeprefix(REPLACE_KEY), None)

    def forget(self, order_id: str) -> None:
        """Let go of a finished order; its entries stay in the ledger."""
        self.orders.pop(order_id, None)


def _take_order(order: OrderState, stored: Stored) -> None:
    """What happens to one order."""
    match stored.kind:
        case EntryKind.DECISION:
            order.decision = stored.payload
        case EntryKind.RECEIPT:
            order.receipts.append(stored.payload)
        case EntryKind.STOP_TRIGGERED:
            order.triggered = True
        case EntryKind.CANCEL_REQUESTED:
            order.cancel_requested = True
        case EntryKind.SENT:
            child = child_of(stored)
            order.children[child.client_id] = ChildState(child)
        case EntryKind.NOTE if stored.payload.get("what") == "refused_report":
            order.executions.add(stored.payload["execution_id"])
        case EntryKind.RESULT:
            order.status = OrderStatus(stored.payload["status"])
            order.reason = str(stored.payload["reason"])
        case _:
            pass


def _take_execution(order: OrderState, execution: Execution) -> None:
    child = order.children[execution.client_id]
    order.executions.add(execution.execution_id)
    child.kind = execution.kind
    if execution.kind is Kind.FILL:
        child.filled += execution.shares
        child.notional += execution.shares * execution.price
        child.fees += execution.fee
        order.last_fill_at = max(order.last_fill_at, execution.at)
        child.is_open = child.is_open and child.filled < child.child.shares
    elif execution.kind.is_final:
        child.is_open = False
