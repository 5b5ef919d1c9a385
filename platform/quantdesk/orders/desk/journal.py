"""The ledger and the memory made of it, changed together. An edge module: it writes to the ledger."""

from __future__ import annotations

from quantdesk.errors import UnknownName
from quantdesk.orders.desk.state import DeskState, OrderState
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger import Entry, OrderLedger, Received
from quantdesk.orders.order import Order

__all__ = ["Journal"]


class Journal:
    """What a desk writes down, and what it remembers by it.

    Parameters
    ----------
    ledger
        Where entries go.
    mode
        Whose orders are remembered.
    cash
        Micro-dollars with which the account begins.
    """

    def __init__(self, ledger: OrderLedger, mode: ExecutionMode, cash: int) -> None:
        self.ledger = ledger
        self.mode = mode
        self.state = DeskState(mode, cash)
        self.seen = 0
        self._is_doubtful = False
        self.catch_up()

    def receive(self, order: Order, at: int) -> Received:
        """Write an order down, once, and remember it."""
        self._is_doubtful = True
        received = self.ledger.receive(order, at, self.mode)
        if received.stored is not None and received.stored.seq == self.seen + 1:
            self._is_doubtful = False
            self.state.take([received.stored])
            self.seen += 1
        else:
            self.catch_up()
        return received

    def write(self, *entries: Entry) -> None:
        """Append entries, all or none, and remember those that were new."""
        if entries:
            self._is_doubtful = True
            stored = self.ledger.append(*entries)
            self._is_doubtful = False
            self.state.take(stored)
            self.seen = max([self.seen, *(one.seq for one in stored)])

    def catch_up(self) -> None:
        """Remember what is in the ledger and not yet in the memory."""
        for stored in self.ledger.entries(after=self.seen):
            self.state.take([stored])
            self.seen = stored.seq
        self._is_doubtful = False

    def look(self) -> None:
        """Catch up after a writing that failed: it may be in the ledger all the same, if only its answer was lost."""
        if self._is_doubtful:
            self.catch_up()

    def find(self, order_id: str) -> OrderState:
        """The state of an order: the running one, or for a finished one what its entries say.

        Raises
        ------
        UnknownName
            There is no such order.
        """
        if order_id in self.state.orders:
            return self.state.orders[order_id]
        told = DeskState(self.mode, 0)
        told.take(self.ledger.entries(order_id=order_id))
        if order_id not in told.orders:
            raise UnknownName("order", order_id, self.state.orders)
        return told.orders[order_id]
