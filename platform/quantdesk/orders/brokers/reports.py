"""What Alpaca says of an order, as execution reports. Pure.

Shapes as in Alpaca's documentation of ``/v2/orders``, ``/v2/account/activities/FILL`` and ``/v2/positions``. Sums of
money and shares come as text. A fill does not name a fee: Alpaca books the regulatory ones by the day, beside the
fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import micros, nanoseconds
from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.order import Action, Child
from quantdesk.orders.symbols import canonical

__all__ = [
    "VENUE",
    "BrokerFill",
    "BrokerOrder",
    "BrokerPosition",
    "Unreadable",
    "is_of",
    "leaves",
    "read",
    "reports",
    "shares_by_symbol",
    "traded",
    "whole",
]

VENUE = "ALPACA"
_OPEN = {
    "new",
    "accepted",
    "pending_new",
    "accepted_for_bidding",
    "partially_filled",
    "held",
    "pending_cancel",
    "pending_replace",
    "pending_review",
    "stopped",
    "suspended",
    "calculated",
    "done_for_day",
}
_ENDED = {"canceled", "expired", "replaced"}

_Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class Unreadable(Exception):
    """What was answered is not what Alpaca documents."""


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class BrokerOrder(_Given):
    """An order at Alpaca."""

    id: Annotated[str, Field(min_length=1)]
    client_order_id: Annotated[str, Field(min_length=1)]
    symbol: str
    side: Literal["buy", "sell"]
    status: str
    qty: _Amount | None = None
    """Absent for an order of a sum of money, which this desk never sends, but others of the account may."""
    filled_qty: _Amount
    submitted_at: AwareDatetime
    updated_at: AwareDatetime | None = None
    canceled_at: AwareDatetime | None = None
    expired_at: AwareDatetime | None = None
    failed_at: AwareDatetime | None = None
    replaced_at: AwareDatetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether more can come."""
        return self.status in _OPEN


class BrokerFill(_Given):
    """A fill: an account activity of the type FILL."""

    id: Annotated[str, Field(min_length=1)]
    order_id: str
    symbol: str
    side: Literal["buy", "sell", "sell_short"]
    qty: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
    cum_qty: _Amount
    price: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
    transaction_time: AwareDatetime


class BrokerPosition(_Given):
    """A position; short ones have a quantity below 0."""

    symbol: str
    qty: Annotated[Decimal, Field(allow_inf_nan=False)]
    side: Literal["long", "short"]


_Row = TypeVar("_Row", bound=_Given)


def read(kind: type[_Row], given: Any) -> list[_Row]:
    """A list of what Alpaca answered.

    Raises
    ------
    Unreadable
        It is no list, or an element is not of that kind; the message names the field.
    """
    try:
        return TypeAdapter(list[kind]).validate_python(given)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise Unreadable(f"{place}: {first['msg']}") from None


def whole(quantity: Decimal | None, what: str) -> int:
    """A number of shares.

    Raises
    ------
    Unreadable
        It is a fraction, or none: this desk sends neither.
    """
    if quantity is None:
        raise Unreadable(f"{what} is of a sum of money, not of shares")
    if quantity != quantity.to_integral_value():
        raise Unreadable(f"{what} is of {quantity} shares")
    return int(quantity)


def is_of(order: BrokerOrder, child: Child) -> bool:
    """Whether an order at Alpaca can be what came of a child."""
    return (
        order.client_order_id == child.client_id
        and canonical(order.symbol) == child.symbol
        and (order.side == "buy") == (child.action is Action.BUY)
        and order.qty == child.shares
    )


def reports(order: BrokerOrder, fills: Iterable[BrokerFill]) -> tuple[Execution, ...]:
    """Everything that happened to an order, in order; the same each time that it is told.

    Parameters
    ----------
    order
        As it stands.
    fills
        Fills of the account; those of other orders are passed over.

    Raises
    ------
    Unreadable
        They contradict each other.
    """
    own = sorted(
        {fill.id: fill for fill in fills if fill.order_id == order.id}.values(),
        key=lambda fill: (fill.transaction_time, fill.cum_qty, fill.id),
    )
    shares = whole(order.qty, "The order")
    told: list[Execution] = []
    filled = 0
    for fill in own:
        number, price = traded(fill)
        filled += number
        told.append(_report(order, Kind.FILL, fill.transaction_time, fill.id, number, price))
    if filled > shares or any((fill.side == "buy") != (order.side == "buy") for fill in own):
        raise Unreadable(f"{filled} of {shares} shares are filled, some perhaps on the other side")
    if order.status == "rejected":
        if filled:
            raise Unreadable(f"a rejected order has {filled} shares filled")
        reason = "Alpaca rejected it after it was accepted"
        return (_report(order, Kind.REJECTED, order.failed_at or order.submitted_at, "rejected", text=reason),)
    accepted = _report(order, Kind.ACCEPTED, order.submitted_at, "accepted")
    if order.status in _ENDED:
        # The list of fills may lag behind the order. The end is told when all of them are there.
        if filled == order.filled_qty:
            at = order.canceled_at or order.expired_at or order.replaced_at or order.updated_at or order.submitted_at
            told.append(_report(order, Kind.CANCELLED, at, order.status, shares - filled))
    elif not order.is_open and order.status != "filled":
        raise Unreadable(f"the status {order.status!r:.40} is not known")
    return (accepted, *told)


def _report(
    order: BrokerOrder, kind: Kind, at: datetime, name: str, shares: int = 0, price: int = 0, text: str = ""
) -> Execution:
    execution_id = name if kind is Kind.FILL else f"{order.id}:{name}"
    return Execution(
        execution_id, order.client_order_id, kind, nanoseconds(at), VENUE, shares=shares, price=price, text=text
    )


def traded(fill: BrokerFill) -> tuple[int, int]:
    """Shares of a fill, and micro-dollars a share.

    Raises
    ------
    Unreadable
        A fraction of a share, or a price finer than a micro-dollar.
    """
    try:
        return whole(fill.qty, "A fill"), micros(fill.price, "price of a fill")
    except BadInput as error:
        raise Unreadable(error.problem) from None


def leaves(order: BrokerOrder) -> int:
    """Shares of an order that are not traded yet."""
    return whole(order.qty, "An order") - whole(order.filled_qty, "What is filled of an order")


def shares_by_symbol(rows: Sequence[BrokerPosition]) -> dict[str, int]:
    """Positions, shorts below 0."""
    found = {}
    for row in rows:
        shares = whole(row.qty, f"The position in {row.symbol}")
        found[canonical(row.symbol)] = -abs(shares) if row.side == "short" else shares
    return found
