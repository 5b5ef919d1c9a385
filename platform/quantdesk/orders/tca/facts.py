"""What is known of orders and their fills, in the form that the measures take. Pure.

Prices and fees are whole micro-dollars, times whole nanoseconds since 1970 (UTC), as everywhere between the parts; 0
stands for a price that is not there. Where the facts come from (the ledger, a result, a file of a broker) is no
matter of the measures: :mod:`quantdesk.orders.tca.sources` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantdesk.errors import BadInput
from quantdesk.orders.order import OrderType, TimeInForce, Urgency

__all__ = ["Fill", "OrderFacts", "Quote", "Routed", "checked"]


@dataclass(frozen=True, slots=True)
class Quote:
    """The national best bid and offer at a moment.

    Attributes
    ----------
    at
        When it was looked at, not when it was last changed.
    bid, ask
        Micro-dollars a share, 0 where nobody quotes.
    """

    at: int
    bid: int = 0
    ask: int = 0

    @property
    def usable(self) -> bool:
        """Whether it has a middle: two sides, not crossed. A locked market (bid equal to offer) has one."""
        return 0 < self.bid <= self.ask

    @property
    def twice_mid(self) -> int:
        """Twice the middle, in micro-dollars: a whole number, where the middle may end on a half."""
        return self.bid + self.ask


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """A parent order as it was decided, received and ended.

    Attributes
    ----------
    order_id, symbol
        Which.
    side
        1 for a purchase, -1 for a sale, short or not.
    shares
        Ordered.
    decision
        The quote when the trade was decided on: the start of implementation shortfall. Without a desk's own record it
        is the arrival.
    arrival
        The quote when the order was received: `arrival.at` starts the clock of execution.
    end
        The quote when the order was open no longer, which prices the shares that were not traded; None while it is
        open.
    order_type, limit
        The words of :class:`~quantdesk.orders.order.OrderType`; micro-dollars, 0 for none.
    time_in_force, urgency
        The words of the order.
    short
        Whether it is a short sale.
    mode
        Where its fills come from (:class:`~quantdesk.orders.executions.ExecutionMode`), empty where that is not known.
    """

    order_id: str
    symbol: str
    side: int
    shares: int
    decision: Quote
    arrival: Quote
    end: Quote | None = None
    order_type: str = OrderType.MARKET
    limit: int = 0
    time_in_force: str = TimeInForce.DAY
    urgency: str = Urgency.NORMAL
    short: bool = False
    mode: str = ""

    def __post_init__(self) -> None:
        if self.side not in (1, -1):
            raise BadInput(f"The side of {self.order_id} is {self.side!r}.", "Give 1 to buy, -1 to sell.")
        if self.shares <= 0:
            raise BadInput(f"The order {self.order_id} is of {self.shares!r} shares.", "Give a number above 0.")
        if self.decision.at > self.arrival.at:
            raise BadInput(f"The order {self.order_id} arrived at {self.arrival.at}, before it was decided on.",
                           f"Give an arrival at or after {self.decision.at}.")  # fmt: skip
        if self.end is not None and self.end.at < self.arrival.at:
            raise BadInput(f"The order {self.order_id} ended at {self.end.at}, before it arrived.",
                           f"Give an end at or after {self.arrival.at}.")  # fmt: skip
        for one in (self.decision, self.arrival, self.end):
            if one is not None and min(one.bid, one.ask) < 0:
                raise BadInput(f"A quote of {self.order_id} is negative: {one}.", "Give 0 where nobody quotes.")


@dataclass(frozen=True, slots=True)
class Fill:
    """Some shares of an order that were traded at one price.

    Attributes
    ----------
    order_id, symbol, side
        Those of the parent order.
    shares, price
        How many, at how many micro-dollars a share.
    fee
        Micro-dollars for all its shares; below 0 is a rebate.
    liquidity
        ``add`` (maker), ``remove`` (taker), or empty where that is not known.
    venue
        Where.
    at
        When, at the venue.
    """

    order_id: str
    symbol: str
    side: int
    shares: int
    price: int
    fee: int
    liquidity: str
    venue: str
    at: int

    def __post_init__(self) -> None:
        if self.shares <= 0 or self.price <= 0:
            raise BadInput(f"A fill of {self.order_id} is of {self.shares!r} shares at {self.price!r}.",
                           "Give shares and micro-dollars above 0.")  # fmt: skip
        if self.liquidity not in ("add", "remove", ""):
            raise BadInput(f"A fill of {self.order_id} has the liquidity {self.liquidity!r}.", "Give add or remove.")


@dataclass(frozen=True, slots=True)
class Routed:
    """A part of an order that was sent to a venue: what the fill rate of the venue is measured against.

    Attributes
    ----------
    order_id, venue
        Of which order, to where.
    shares
        How many were sent. Shares that are sent a second time count a second time.
    """

    order_id: str
    venue: str
    shares: int


def checked(orders: Iterable[OrderFacts], fills: Iterable[Fill]) -> Mapping[str, tuple[OrderFacts, Sequence[Fill]]]:
    """Orders by id, in the order given, each with its fills in time.

    Raises
    ------
    BadInput
        An order twice; a fill of no order, of another symbol or side, before the arrival, or beyond the shares
        ordered.
    """
    found: dict[str, tuple[OrderFacts, list[Fill]]] = {}
    for order in orders:
        if order.order_id in found:
            raise BadInput(f"The order {order.order_id} is there twice.", "Give each order once.")
        found[order.order_id] = (order, [])
    for fill in fills:
        if fill.order_id not in found:
            raise BadInput(f"A fill is of the order {fill.order_id!r}, which is not there.", "Give its order as well.")
        order, own = found[fill.order_id]
        if (fill.symbol, fill.side) != (order.symbol, order.side):
            raise BadInput(f"A fill of {order.order_id} is of {fill.symbol}, side {fill.side}.",
                           f"The order is of {order.symbol}, side {order.side}.")  # fmt: skip
        if fill.at < order.arrival.at:
            raise BadInput(f"A fill of {order.order_id} is of {fill.at}, before the order arrived.",
                           f"Give times at or after {order.arrival.at}, by the same clock.")  # fmt: skip
        own.append(fill)
    for order, own in found.values():
        own.sort(key=lambda fill: fill.at)
        filled = sum(fill.shares for fill in own)
        if filled > order.shares:
            raise BadInput(f"{filled} shares of {order.order_id} are filled.", f"{order.shares} were ordered.")
    return found
