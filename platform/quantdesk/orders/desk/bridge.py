"""A backtest that trades through a desk: guardrails, halts, routing and venues in its inner loop. An edge module.

>>> result = run(prices, weights, execute=DeskExecution(desk, still_market()))     # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from quantdesk.backtest.execution import Book, Fill, TargetOrder
from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO, nanoseconds
from quantdesk.orders.desk.desk import Desk
from quantdesk.orders.executions import Gateway
from quantdesk.orders.halts import Halts
from quantdesk.orders.order import Action, Order
from quantdesk.orders.result import OrderResult
from quantdesk.orders.venues import SimulatedMarket

__all__ = ["DeskExecution", "still_market"]

_CENT = MICRO // 100

MarketOf = Callable[[datetime, Mapping[str, float]], Gateway]
"""From a session (UTC) and its prices by symbol to the market that the orders of that session meet."""


class DeskExecution:
    """The :class:`~quantdesk.backtest.execution.Execute` that trades through a desk.

    Shares are whole: the fraction of a wish is left out. What is blocked, halted or not filled stays undone, as it
    would; the reasons are in :attr:`results`.

    Parameters
    ----------
    desk
        Its account should begin with the cash of the backtest, whose book it then equals.
    market
        The market of a session.

    Attributes
    ----------
    results
        What came of every order, in their order.
    """

    def __init__(self, desk: Desk, market: MarketOf) -> None:
        self.desk = desk
        self.results: list[OrderResult] = []
        self._market = market

    def __call__(self, orders: Sequence[TargetOrder], book: Book) -> list[Fill]:
        """Send the orders of a session through the desk.

        A rebate cannot be a fee, which a backtest takes to be at least 0: it is taken off the price.
        """
        prices = {**book.prices, **{order.symbol: order.reference_price for order in orders}}
        self.desk.world.gateway = self._market(book.timestamp, prices)
        fills = []
        for wish in orders:
            for action, shares in self._parts(wish):
                result = self.desk.execute(Order(wish.symbol, action, shares))
                self.results.append(result)
                if result.filled_shares and result.average_price is not None:
                    side = 1 if action is Action.BUY else -1
                    fee, price = float(result.commission), float(result.average_price)
                    if fee < 0:
                        price, fee = price + side * fee / result.filled_shares, 0.0
                    fills.append(Fill(wish.symbol, side * result.filled_shares, price, fee))
        return fills

    def _parts(self, wish: TargetOrder) -> list[tuple[Action, int]]:
        """A wish as orders: a sale of more than is held is a sale and a short sale, which are marked differently."""
        shares = int(abs(wish.shares))
        if wish.shares > 0:
            return [(Action.BUY, shares)] if shares else []
        held = max(self.desk.portfolio.position(wish.symbol).shares, 0)
        parts = ((Action.SELL, min(shares, held)), (Action.SELL_SHORT, max(shares - held, 0)))
        return [part for part in parts if part[1]]


def still_market(
    *,
    half_spread_bps: float = 2.0,
    shares: int = 10_000,
    venues: Sequence[str] = ("NYSE", "Nasdaq", "Cboe BZX"),
    halts: Halts | None = None,
) -> MarketOf:
    """Markets that stand still around the prices of a session: a spread, and so many shares a side at each venue.

    What is displayed is invented, and what fills is labelled ``simulated``. A quote is at least a cent wide.

    Parameters
    ----------
    half_spread_bps
        From the price to the best quotes, in basis points; rounded outwards to a cent.
    shares
        At each venue and side.
    venues
        Where.
    halts
        What stops trading; the same that the desk asks.

    Raises
    ------
    BadInput
        A spread that is negative or no number, no shares, or no venues.
    """
    if not 0 <= half_spread_bps < 10_000 or shares <= 0 or not venues:
        raise BadInput(
            f"A market of {half_spread_bps!r} bps and {shares!r} shares at {len(venues)} venues.",
            "Give a half-spread of at least 0, and shares and venues.",
        )

    def market(at: datetime, prices: Mapping[str, float]) -> SimulatedMarket:
        books = {}
        for symbol, price in prices.items():
            away = price * half_spread_bps / 10_000
            bid = max(math.floor((price - away) * 100), 1) * _CENT
            ask = max(math.ceil((price + away) * 100) * _CENT, bid + _CENT)
            books[symbol] = dict.fromkeys(venues, (bid, shares, ask, shares))
        return SimulatedMarket.static(books, nanoseconds(at), halts=halts)

    return market
