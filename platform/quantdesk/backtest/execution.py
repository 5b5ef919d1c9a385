"""How orders become fills: the one place where a backtest meets a desk.

The engine decides *what* it wants (`TargetOrder`); an `Execute` callable decides what it *gets*
(`Fill`). The default, `ImmediateFill`, gets everything at once at the reference price plus costs.
Guardrails and routing stand downstream of this package; they come in as another callable of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quantdesk.backtest.costs import Costs

__all__ = ["Book", "Execute", "Fill", "ImmediateFill", "TargetOrder"]


@dataclass(frozen=True, slots=True)
class TargetOrder:
    """A wish to trade.

    Parameters
    ----------
    timestamp
        The session at which it is sent, UTC. It was decided at an earlier one.
    symbol
        What to trade.
    shares
        How many: positive buys, negative sells. Fractions are allowed; an `Execute` may round them.
    reference_price
        The price of that session at which the order was sized.
    """

    timestamp: datetime
    symbol: str
    shares: float
    reference_price: float


@dataclass(frozen=True, slots=True)
class Fill:
    """What an order got.

    Parameters
    ----------
    symbol
        As in the order.
    shares
        Signed as in the order and not more than it asked for; fewer is a partial fill. Leave a fill out for none.
    price
        The price per share that was paid or received, spread included.
    fee
        Commission and fees in the account's currency, at least 0.
    """

    symbol: str
    shares: float
    price: float
    fee: float = 0.0


@dataclass(frozen=True, slots=True)
class Book:
    """The account as it stands before a session's orders.

    Parameters
    ----------
    timestamp
        The session, UTC.
    cash
        In the account's currency.
    positions
        Shares by symbol; symbols that are not held are left out.
    prices
        What each symbol is valued at: this session's reference price, or the last known one where there is none.
    value
        Cash plus positions at those prices.
    """

    timestamp: datetime
    cash: float
    positions: Mapping[str, float]
    prices: Mapping[str, float]
    value: float


class Execute(Protocol):
    """Turns the orders of one session into fills. Must be deterministic for a result that can be repeated."""

    def __call__(self, orders: Sequence[TargetOrder], book: Book) -> Sequence[Fill]:
        """Fills for `orders`, which come sorted: the largest sale first, the largest purchase last."""
        ...


@dataclass(frozen=True, slots=True)
class ImmediateFill:
    """Everything fills at once at the reference price plus costs; a purchase is cut to the cash that is left.

    Parameters
    ----------
    costs
        What each fill pays.
    """

    costs: Costs = field(default_factory=Costs)

    def __call__(self, orders: Sequence[TargetOrder], book: Book) -> list[Fill]:
        """Fills in the order of `orders`, so that sales release their cash before purchases need it."""
        cash, fills = book.cash, []
        for order in orders:
            price = self.costs.price(order.reference_price, order.shares)
            shares = order.shares
            if shares > 0:
                shares = min(shares, self.costs.affordable(cash, price))
            if shares == 0:
                continue
            fee = self.costs.fee(shares, price)
            cash -= shares * price + fee
            fills.append(Fill(order.symbol, shares, price, fee))
        return fills
