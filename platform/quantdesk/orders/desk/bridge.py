"""A backtest that trades through a desk: guardrails, halts, routing and venues in its inner loop. An edge module.

>>> result = run(weights, prices, execute=DeskExecution(desk, market))     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from quantdesk.backtest.execution import Book, Fill, TargetOrder
from quantdesk.orders.desk.desk import Desk
from quantdesk.orders.executions import Gateway
from quantdesk.orders.order import Action, Order
from quantdesk.orders.result import OrderResult

__all__ = ["DeskExecution"]

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
