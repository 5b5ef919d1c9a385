"""A desk behind a wire whose idempotency keys can be given up. Pure: it holds a lock and what is under way.

A client that waited in vain does not know whether its order will still be taken: the request may lie in a buffer of the
server. Asking for it proves nothing, as it may be read a moment later. So the client gives the key up, and the fence
sees to it that one of two things is true for good: the order was taken, or it never will be.

What was given up is kept in memory. A request that has not been read when the process ends ends with its connection, so
that nothing has to outlive it. Several processes behind one address need one fence in front of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult

__all__ = ["Executor", "Fence", "InProgress", "Voided"]

_Key = tuple[str | None, str]


class Executor(Protocol):
    """What stands behind the wire: a desk."""

    def execute(self, order: Order) -> OrderResult:
        """Execute an order; of one user and key only the first."""
        ...

    def result(self, order_id: str) -> OrderResult:
        """How an order stands. Raises :class:`~quantdesk.errors.UnknownName`."""
        ...

    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """The same by its key; None where no order has it."""
        ...


class Voided(BadInput):
    """The key of this order was given up before the order came."""


class InProgress(QuantdeskError):
    """An order of this key is being executed just now."""


class Fence:
    """A desk with :meth:`void`. It may be asked from several threads.

    Parameters
    ----------
    desk
        What executes.
    """

    def __init__(self, desk: Executor) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._running: set[_Key] = set()
        self._void: set[_Key] = set()

    def execute(self, order: Order) -> OrderResult:
        """Execute an order.

        Raises
        ------
        Voided
            Its key was given up.
        InProgress
            An order of this key is being executed.
        """
        if order.idempotency_key is None:
            return self._desk.execute(order)
        with self._under_way((order.user_id, order.idempotency_key)):
            return self._desk.execute(order)

    def result(self, order_id: str) -> OrderResult:
        """How an order stands."""
        return self._desk.result(order_id)

    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """An order by its key."""
        return self._desk.find(user_id, idempotency_key)

    def void(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """The order of this key; None where there is none, and then there never will be.

        Raises
        ------
        InProgress
            An order of this key is being executed: ask again.
        """
        key = (user_id, idempotency_key)
        with self._lock:
            if key in self._running:
                raise InProgress("An order of this key is being executed.", "Ask again in a moment.")
            # Asked under the lock, so that no request of this key slips in between the answer and its consequence.
            found = self._desk.find(user_id, idempotency_key)
            if found is None:
                self._void.add(key)
            return found

    @contextmanager
    def _under_way(self, key: _Key) -> Iterator[None]:
        with self._lock:
            if key in self._void:
                raise Voided("The key of this order was given up.", "Send it under another key.")
            if key in self._running:
                raise InProgress("An order of this key is being executed.", "Ask for it by its key.")
            self._running.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(key)
