"""The desk of this process, opened at its first order. An edge module: it opens what the settings name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantdesk.orders.desk import Desk
    from quantdesk.orders.order import Order
    from quantdesk.orders.result import OrderResult

__all__ = ["EmbeddedDesk"]


class EmbeddedDesk:
    """What ``QUANTDESK_DESK_*`` describes, see :class:`quantdesk.orders.desk.embedded.EmbeddedConfig`.

    A simulated one trades every stock of the market store whose bars have the day: that of ``QUANTDESK_DESK_ON``, or
    the last one of the store.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._desk: Desk | None = None

    def __repr__(self) -> str:
        return "EmbeddedDesk()"

    @property
    def desk(self) -> Desk:
        """The desk.

        Raises
        ------
        DataError
            The market store is empty.
        """
        with self._lock:
            if self._desk is None:
                from quantdesk.orders.desk.embedded import open_desk

                self._desk = open_desk()
            return self._desk

    def execute(self, order: Order) -> OrderResult:
        """Execute an order."""
        return self.desk.execute(order)
