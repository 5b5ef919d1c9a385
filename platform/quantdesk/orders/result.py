"""What came of an order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails.decision import GuardrailViolation

__all__ = ["ChildResult", "OrderResult", "OrderStatus"]


class OrderStatus(StrEnum):
    """How an order stands."""

    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    """Some shares are filled, and the rest is open no longer."""
    OPEN = "open"
    """It rests at a venue, or waits for its stop price or its auction; some shares may be filled."""
    CANCELLED = "cancelled"
    """Open no longer, and nothing was filled."""
    REJECTED = "rejected"
    """Guardrails blocked it, or every venue refused it."""
    PENDING_UNKNOWN = "pending_unknown"
    """It was sent, and nobody knows whether it arrived. It is never sent again; reconciliation finds out."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more can come."""
        return self not in (OrderStatus.OPEN, OrderStatus.PENDING_UNKNOWN)


@dataclass(frozen=True, slots=True)
class ChildResult:
    """What came of one part.

    Attributes
    ----------
    client_id, venue
        Which, where.
    shares, filled_shares
        Sent, and traded.
    average_price
        Dollars a share; None where nothing was traded.
    commission
        Dollars, rebates taken off.
    status
        ``accepted``, ``fill``, ``cancelled``, ``rejected``, or ``unknown``.
    """

    client_id: str
    venue: str
    shares: int
    filled_shares: int
    average_price: Decimal | None
    commission: Decimal
    status: str

    def to_dict(self) -> dict[str, Any]:
        """Numbers and text; money as text."""
        return {
            "client_id": self.client_id,
            "venue": self.venue,
            "shares": self.shares,
            "filled_shares": self.filled_shares,
            "average_price": None if self.average_price is None else str(self.average_price),
            "commission": str(self.commission),
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class OrderResult:
    """What came of an order.

    Attributes
    ----------
    order_id, symbol, action, order_type
        Which.
    status
        See :class:`OrderStatus`.
    shares, filled_shares
        Ordered, and traded.
    average_price
        Dollars a share over all fills, to the millionth; None where nothing was traded.
    commission
        Dollars, rebates taken off.
    venues
        Where shares were traded, the most first; where nothing was, to where it was sent.
    venue_scores
        The router's score of each venue that it considered, from 0 to 1.
    arrival_midpoint, arrival_bid, arrival_ask
        Dollars, as of the decision.
    slippage_bps, slippage_nbbo_bps
        Against the midpoint at arrival, and against the far side of the national best quotes; above 0 is a cost. None
        where nothing was traded or there was no quote.
    execution_time_ms
        From receipt to the last fill, by the clock of the gateway.
    routing_time_us
        Time taken by the routing decision, by the clock of the machine. It is measured, so that it differs from run to
        run; it is left out of comparisons.
    reasoning
        Sentences: why there, why so, what was rejected.
    execution_mode
        Where the fills come from.
    children, violations
        The parts, and what guardrails said.
    stop_loss_ids
        Protective stops that stand for it.
    label
        What the quotes are made from, and what must be said of it: ``real, adjusted with hindsight`` ...; empty where
        they are a market's own.
    was_known
        Whether this answers a repeated request with what was done at the first one.
    """

    order_id: str
    symbol: str
    action: str
    order_type: str
    status: OrderStatus
    shares: int
    filled_shares: int
    average_price: Decimal | None
    commission: Decimal
    venues: tuple[str, ...]
    venue_scores: dict[str, float]
    arrival_midpoint: Decimal | None
    arrival_bid: Decimal | None
    arrival_ask: Decimal | None
    slippage_bps: float | None
    slippage_nbbo_bps: float | None
    execution_time_ms: float
    routing_time_us: float
    reasoning: str
    execution_mode: ExecutionMode
    children: tuple[ChildResult, ...] = ()
    violations: tuple[GuardrailViolation, ...] = ()
    stop_loss_ids: tuple[str, ...] = ()
    label: str = ""
    was_known: bool = False

    def to_dict(self, *, measured: bool = True) -> dict[str, Any]:
        """Numbers and text, money as text.

        Parameters
        ----------
        measured
            Without it the times that the machine took are left out: what is left is the same for the same seed.
        """
        money = ("average_price", "commission", "arrival_midpoint", "arrival_bid", "arrival_ask")
        found: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if name in money:
                value = None if value is None else str(value)
            elif name in ("children", "violations"):
                value = [one.to_dict() for one in value]
            elif isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, StrEnum):
                value = str(value)
            found[name] = value
        if not measured:
            del found["routing_time_us"]
        return found
