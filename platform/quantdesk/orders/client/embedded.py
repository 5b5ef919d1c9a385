"""The desk of this process, opened at its first order. An edge module: it opens what the settings name."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from quantdesk.errors import DataError

if TYPE_CHECKING:
    from quantdesk.market.series import Series
    from quantdesk.orders.desk import Desk
    from quantdesk.orders.order import Order
    from quantdesk.orders.result import OrderResult

__all__ = ["EmbeddedDesk", "tradable"]

_OHLC = {"open", "high", "low", "close"}


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
                self._desk = _opened()
            return self._desk

    def execute(self, order: Order) -> OrderResult:
        """Execute an order."""
        return self.desk.execute(order)


def _opened() -> Desk:
    from quantdesk.market import MarketStore
    from quantdesk.orders.desk.embedded import EmbeddedConfig, open_desk

    config = EmbeddedConfig.from_env()
    if config.gateway != "simulated":
        return open_desk((), config)
    store = MarketStore()
    day, symbols = tradable(store.series(), config.on)
    return open_desk(symbols, config.model_copy(update={"on": day}), store=store)


def tradable(series: Iterable[Series], on: dt.date | None) -> tuple[dt.date, Sequence[str]]:
    """A day, and the stocks that have bars with open, high, low and close on it.

    Parameters
    ----------
    series
        What there is.
    on
        The day; the last one of any of them when None.

    Raises
    ------
    DataError
        There are no such bars at all.
    """
    whole = [one for one in series if one.kind == "equity" and set(one.fields) >= _OHLC]
    if not whole:
        raise DataError("There are no bars with open, high, low and close.", "Run `quantdesk data load`.")
    day = on or max(one.end for one in whole)
    return day, sorted({one.symbol for one in whole if one.start <= day <= one.end})
