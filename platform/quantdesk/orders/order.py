"""What somebody wants to trade, and what a router makes of it: :class:`Order` and :class:`Child`. Pure.

>>> order = Order("aapl", "buy", 100, order_type="limit", limit_price="189.50")
>>> order.symbol, order.limit, order.is_buy
('AAPL', 189500000, True)
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import dollars, micros
from quantdesk.orders.symbols import canonical

__all__ = ["Action", "Child", "Order", "OrderType", "TimeInForce", "Urgency"]

MAX_SHARES = 1_000_000_000
"""More than any company has shares that trade: beyond it, a number of shares is a slip."""


class Action(StrEnum):
    """The side of an order, as FIX names it (tag 54)."""

    BUY = "buy"
    SELL = "sell"
    SELL_SHORT = "sell_short"


class OrderType(StrEnum):
    """How the price of an order is bound."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    """A market order once the stop price trades."""
    STOP_LIMIT = "stop_limit"
    MIDPOINT_PEG = "midpoint_peg"
    """Rests at the middle of the national best quotes, undisplayed; a limit price bounds it."""


class TimeInForce(StrEnum):
    """How long an order lives (FIX tag 59)."""

    DAY = "day"
    IOC = "ioc"
    """What does not fill at once is cancelled."""
    OPENING = "opening"
    CLOSING = "closing"


class Urgency(StrEnum):
    """How much the price may suffer for the speed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def _one_of(kind: type[StrEnum], value: Any, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise BadInput(f"There is no {what} {value!r}.", f"Give {', '.join(kind)}.") from None


@dataclass(frozen=True, slots=True)
class Order:
    """A parent order. What is wrong with it in itself is refused here; what a desk's policy forbids, by guardrails.

    Parameters
    ----------
    symbol
        Any form; kept in the one form of :mod:`quantdesk.orders.symbols`.
    action
        ``buy``, ``sell`` or ``sell_short``.
    shares
        A whole number above 0.
    order_type
        See :class:`OrderType`. ``ioc`` stands for a market or limit order of that time in force.
    limit_price
        Dollars; needed for limit and stop-limit orders, allowed for a midpoint peg, refused for others.
    stop_price
        Dollars; needed for stop and stop-limit orders, refused for others.
    time_in_force
        See :class:`TimeInForce`.
    stop_loss_price
        Dollars: after each fill a protective stop of the shares filled is placed there. It must lie on the losing side
        of a limit price: below for a purchase, above for a sale.
    urgency
        See :class:`Urgency`.
    user_id
        Who sends it, or None.
    idempotency_key
        Two orders of one user and key are one order.

    Attributes
    ----------
    limit, stop, stop_loss
        The prices in micro-dollars, 0 where there is none.

    Raises
    ------
    BadInput
        Names the value and what would be right.
    """

    symbol: str
    action: Action
    shares: int
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    stop_loss_price: Decimal | None = None
    urgency: Urgency = Urgency.NORMAL
    user_id: str | None = None
    idempotency_key: str | None = None
    limit: int = field(init=False, repr=False, compare=False)
    stop: int = field(init=False, repr=False, compare=False)
    stop_loss: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "symbol", canonical(self.symbol))
        put(self, "action", _one_of(Action, self.action, "action"))
        if self.order_type == "ioc":
            put(self, "order_type", OrderType.MARKET if self.limit_price is None else OrderType.LIMIT)
            put(self, "time_in_force", TimeInForce.IOC)
        put(self, "order_type", _one_of(OrderType, self.order_type, "order type"))
        put(self, "time_in_force", _one_of(TimeInForce, self.time_in_force, "time in force"))
        put(self, "urgency", _one_of(Urgency, self.urgency, "urgency"))
        put(self, "shares", _whole(self.shares))
        for name, given, what in (
            ("limit", self.limit_price, "limit price"),
            ("stop", self.stop_price, "stop price"),
            ("stop_loss", self.stop_loss_price, "stop-loss price"),
        ):
            amount = 0 if given is None else micros(given, what)
            put(self, name, amount)
            put(self, {"limit": "limit_price", "stop": "stop_price", "stop_loss": "stop_loss_price"}[name],
                None if given is None else dollars(amount))  # fmt: skip
        self._prices_fit()
        for name in ("user_id", "idempotency_key"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not 0 < len(text) <= 128 or not text.isprintable()):
                raise BadInput(f"The {name} {text!r} cannot be kept.", "Give 1 to 128 printable characters.")

    def _prices_fit(self) -> None:
        kind = self.order_type
        wants_limit = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        if wants_limit and not self.limit:
            raise BadInput(f"A {kind} order has no limit price.", "Give limit_price, in dollars.")
        if self.limit and not wants_limit and kind is not OrderType.MIDPOINT_PEG:
            raise BadInput(f"A {kind} order has the limit price {self.limit_price}.", "Leave it out, or send a limit.")
        wants_stop = kind in (OrderType.STOP, OrderType.STOP_LIMIT)
        if wants_stop != bool(self.stop):
            problem = "has no stop price" if wants_stop else f"has the stop price {self.stop_price}"
            raise BadInput(f"A {kind} order {problem}.", "A stop price belongs to stop and stop_limit orders alone.")
        if self.stop_loss and self.limit and (self.stop_loss >= self.limit) == self.is_buy:
            side = "below" if self.is_buy else "above"
            raise BadInput(
                f"The stop loss {self.stop_loss_price} of a {self.action} at {self.limit_price} would go off at once.",
                f"Give a price {side} the limit price.",
            )

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.action == Action.BUY

    @property
    def side(self) -> int:
        """1 for a purchase, -1 for a sale."""
        return 1 if self.action == Action.BUY else -1

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` takes back: text and whole numbers, dollars as text."""
        return {
            "symbol": self.symbol,
            "action": str(self.action),
            "shares": self.shares,
            "order_type": str(self.order_type),
            "limit_price": None if self.limit_price is None else str(self.limit_price),
            "stop_price": None if self.stop_price is None else str(self.stop_price),
            "time_in_force": str(self.time_in_force),
            "stop_loss_price": None if self.stop_loss_price is None else str(self.stop_loss_price),
            "urgency": str(self.urgency),
            "user_id": self.user_id,
            "idempotency_key": self.idempotency_key,
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Order:
        """An order from what :meth:`to_dict` gave.

        Raises
        ------
        BadInput
            A field that an order does not have, one that is missing, or a wrong value.
        """
        unknown = set(given) - set(_FIELDS)
        if unknown:
            raise BadInput(f"An order has no {', '.join(sorted(unknown))}.", f"It has {', '.join(_FIELDS)}.")
        missing = [name for name in ("symbol", "action", "shares") if name not in given]
        if missing:
            raise BadInput(f"The order has no {', '.join(missing)}.", "Give symbol, action and shares.")
        return cls(**given)


_FIELDS = (
    "symbol", "action", "shares", "order_type", "limit_price", "stop_price", "time_in_force", "stop_loss_price",
    "urgency", "user_id", "idempotency_key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Child:
    """A part of an order, for one venue.

    Attributes
    ----------
    client_id
        Unique for ever, and known before it is sent: ``{order id}-{number}``. A venue is asked by it after a crash.
    venue
        Where.
    symbol, action, shares
        What.
    limit
        Micro-dollars; 0 for a market order.
    peg
        Whether it rests at the midpoint, `limit` bounding it.
    time_in_force
        How long it lives.
    iso
        An intermarket sweep order: the better protected quotes elsewhere are swept by its siblings.
    """

    client_id: str
    venue: str
    symbol: str
    action: Action
    shares: int
    limit: int = 0
    peg: bool = False
    time_in_force: TimeInForce = TimeInForce.IOC
    iso: bool = False

    @property
    def side(self) -> int:
        """1 for a purchase, -1 for a sale."""
        return 1 if self.action == Action.BUY else -1


def _whole(shares: Any) -> int:
    try:
        whole = operator.index(shares)
    except TypeError:
        whole = 0
        if isinstance(shares, float) and shares.is_integer():
            whole = int(shares)
    if isinstance(shares, bool) or not 0 < whole <= MAX_SHARES:
        raise BadInput(f"An order of {shares!r} shares.", f"Give a whole number from 1 to {MAX_SHARES:,}.")
    return whole
