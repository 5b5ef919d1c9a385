"""Routing where there is nothing to route: a broker takes the whole order and routes it itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantdesk.orders.order import Child, Order, OrderType
from quantdesk.orders.quotes import Quotes

__all__ = ["DirectReceipt", "direct"]


@dataclass(frozen=True, slots=True)
class DirectReceipt:
    """The decision to hand an order over as it is.

    Attributes
    ----------
    children
        The one part.
    reasoning
        Why.
    quotes
        As they were.
    """

    children: tuple[Child, ...]
    reasoning: tuple[str, ...]
    quotes: Quotes

    def to_dict(self) -> dict[str, Any]:
        """What the ledger keeps."""
        nbbo = self.quotes.nbbo
        return {
            "nbbo": {"bid": nbbo.bid, "bid_size": nbbo.bid_size, "ask": nbbo.ask, "ask_size": nbbo.ask_size},
            "venues": [],
            "reasoning": list(self.reasoning),
            "routing_time_ns": 0,
            "quotes": self.quotes.to_dict(),
        }


def direct(order: Order, quotes: Quotes, order_id: str, shares: int, venue: str) -> DirectReceipt:
    """One child of all `shares` for a broker.

    Parameters
    ----------
    order
        The parent.
    quotes
        What the broker shows.
    order_id
        The prefix of the client id.
    shares
        What is left to trade.
    venue
        The broker's name.
    """
    child = Child(
        f"{order_id}-1",
        venue,
        order.symbol,
        order.action,
        shares,
        limit=order.limit,
        peg=order.order_type is OrderType.MIDPOINT_PEG,
        time_in_force=order.time_in_force,
    )
    return DirectReceipt((child,), (f"{venue} takes the whole order and routes it itself.",), quotes)
