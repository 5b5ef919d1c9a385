"""From an order, books and terms to the split: what one decision hands to the compiled loop. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.order import Order, OrderType, TimeInForce, Urgency
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.children import children_of
from quantdesk.orders.routing.config import Conditions, RoutingConfig
from quantdesk.orders.routing.receipt import Inputs, Receipt

__all__ = ["AUCTIONS", "decide", "numbers_of", "replay", "style_of"]

_URGENCIES = {urgency: number for number, urgency in enumerate(Urgency)}
AUCTIONS = (TimeInForce.OPENING, TimeInForce.CLOSING)
"""Orders for an auction are not split: they go to the listing exchange."""
_LARGEST = 2**63 - 1


def style_of(order: Order) -> int:
    """How the loop treats an order.

    Raises
    ------
    BadInput
        A stop order: it is not routed before its price has traded.
    """
    kind = order.order_type
    if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
        raise BadInput(
            f"A {kind} order is not routed before its stop price has traded.",
            "Send a market or limit order once it has.",
        )
    at_once = order.time_in_force is TimeInForce.IOC
    if kind is OrderType.MIDPOINT_PEG:
        return at.PEG_IOC if at_once else at.PEG
    return at.MARKET if at_once or kind is OrderType.MARKET else at.RESTING


def numbers_of(
    order: Order, now: int, protection: bool, seed: int, conditions: Conditions, config: RoutingConfig
) -> tuple[int, ...]:
    """An order as the loop reads it, by ``O_...`` of :mod:`quantdesk.orders.routing.layout`.

    Raises
    ------
    BadInput
        A stop order.
    """
    return (
        order.side, order.shares, order.limit, style_of(order), _URGENCIES[order.urgency], now, protection,
        seed & _LARGEST, conditions.daily_volume or config.assumed_volume,
    )  # fmt: skip


def decide(inputs: Inputs) -> at.Found:
    """The split of one order.

    Raises
    ------
    BadInput
        A stop order.
    """
    order, quotes, day, conditions = inputs.order, inputs.quotes, inputs.day, inputs.conditions
    count = len(quotes.venues)
    found = at.Found(
        np.zeros((count, at.ROW_SIZE), np.int64), np.zeros((count, at.MARK_SIZE)),
        np.zeros(at.WHOLE_SIZE, np.int64), np.zeros(at.MONEY_SIZE),
    )  # fmt: skip
    numbers = numbers_of(order, quotes.at, inputs.protection, inputs.seed, conditions, day.config)
    if order.time_in_force in AUCTIONS:
        found.whole[at.W_STATUS] = at.AUCTION if conditions.listing in day.terms else at.NO_LISTING
        return found
    volatility = conditions.daily_volatility
    if volatility is None:
        volatility = day.config.assumed_volatility
    bid, bid_size = np.ascontiguousarray(quotes.bid), np.ascontiguousarray(quotes.bid_size)
    ask, ask_size = np.ascontiguousarray(quotes.ask), np.ascontiguousarray(quotes.ask_size)
    if order.is_buy:
        book = at.Book(ask, ask_size, bid, bid_size, quotes.quoted_at)
    else:
        book = at.Book(bid, bid_size, ask, ask_size, quotes.quoted_at)
    columns = np.array(numbers, np.int64)
    columns.flags.writeable = False  # as the rows of a batch: the loop is compiled once for both
    _loop()(columns, float(volatility), book, day.rules(quotes.venues), found)
    return found


def replay(given: Mapping[str, Any]) -> Receipt:
    """Make the decision of a receipt again, from its own inputs.

    Parameters
    ----------
    given
        What :meth:`~quantdesk.orders.routing.Receipt.to_dict` gave.

    Returns
    -------
    Receipt
        Equal to the one given, unless the router has changed since; no time is measured.

    Raises
    ------
    DataError
        The receipt was changed: see :meth:`~quantdesk.orders.routing.Receipt.from_dict`.
    """
    kept = Receipt.from_dict(given)
    inputs = kept.inputs
    found = decide(inputs)
    children = children_of(inputs.order, kept.order_id, inputs.quotes.venues, found, inputs.conditions.listing)
    return Receipt(kept.order_id, children, inputs, found, 0)


@cache
def _loop() -> Callable[..., None]:
    """The compiled loop. The compiler is loaded by the first order, not by an import."""
    from quantdesk.orders.routing.kernel import split_one

    loop: Callable[..., None] = split_one
    return loop
