"""What a desk asks of a ledger, wherever it is kept. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger.admission import Received
from quantdesk.orders.ledger.entries import Entry, EntryKind, Stored
from quantdesk.orders.order import Order

__all__ = ["OrderLedger"]


class OrderLedger(Protocol):
    """Orders, and everything that happened to them; entries are added, never changed.

    :class:`.Ledger` keeps them in a database, :class:`.MemoryLedger` in this process. Both give the same entries, the
    same hashes and the same refusals for the same calls; what each method does is said at :class:`.Ledger`.
    """

    def receive(self, order: Order, at: int, mode: ExecutionMode) -> Received:
        """Write an order down, once."""
        ...

    def append(self, *entries: Entry) -> tuple[Stored, ...]:
        """Write entries, all of them or none."""
        ...

    def entries(
        self, after: int = 0, order_id: str | None = None, kinds: Collection[EntryKind] | None = None
    ) -> Iterator[Stored]:
        """Entries in their order."""
        ...

    def order(self, order_id: str) -> Order:
        """An order as it was received."""
        ...

    def orders(self, open_only: bool = False) -> dict[str, Order]:
        """Orders by id, in the order of their coming."""
        ...

    def find(self, user_id: str | None, idempotency_key: str) -> str | None:
        """The id of the order of a user and key."""
        ...

    def head(self) -> tuple[int, str]:
        """The number and the hash of the last entry."""
        ...

    def verify(self) -> tuple[int, str]:
        """Check every entry."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
