"""What may be written, and what it means beside what is there: the rules of every ledger. Pure.

A ledger keeps entries in a database (:mod:`.writing`) or in memory (:mod:`.memory`). Both ask here, so that they refuse
the same in the same words. Whoever asks lets nobody else write meanwhile: what is looked up is still true when the
entry is written.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.orders.executions import Execution, ExecutionMode
from quantdesk.orders.ledger.entries import Entry, EntryKind, Stored
from quantdesk.orders.ledger.payloads import child_of, execution_of, order_of
from quantdesk.orders.order import Child, Order
from quantdesk.orders.result import OrderStatus

__all__ = ["Admission", "KnownChild", "Received", "no_orders_among", "readable", "same_order"]

_SAME = ("client_id", "kind", "shares", "price")
"""What two reports of one id must agree on. Times and fees are told more exactly later by some brokers."""
_OF_ORDERS = frozenset({EntryKind.ORDER, EntryKind.SENT, EntryKind.EXECUTION, EntryKind.RESULT})
"""Kinds of which each entry is about an order."""


@dataclass(frozen=True, slots=True)
class Received:
    """An order in the ledger.

    Attributes
    ----------
    order_id
        ``O`` and its number, of eight digits or more.
    is_new
        Whether it was written now; else the same request was received before.
    stored
        Its entry, where it was written now.
    """

    order_id: str
    is_new: bool
    stored: Stored | None = field(default=None, compare=False, repr=False)


class KnownChild(NamedTuple):
    """What a ledger must know of a child that was sent."""

    order_id: str
    symbol: str
    action: str


class Admission(ABC):
    """Decides about entries, one after another."""

    @abstractmethod
    def child(self, client_id: str) -> KnownChild | None:
        """The child of an id; None where it was never sent."""

    @abstractmethod
    def mode_of(self, order_id: str) -> ExecutionMode | None:
        """The execution mode of an order; None where there is no such order."""

    @abstractmethod
    def told(self, mode: ExecutionMode | None, execution_id: str | None) -> Stored | None:
        """The report of an id; None where it was never written."""

    @abstractmethod
    def recent_orders(self) -> list[str]:
        """The ids of the last orders, for a message about one that is not there."""

    def admit(self, entry: Entry) -> Entry | None:
        """The entry as it is to be written; None for a report that is known already.

        Raises
        ------
        BadInput, UnknownName, DataError
            It contradicts what is recorded; see :meth:`.Ledger.append`.
        """
        match entry.kind:
            case EntryKind.SENT:
                entry = self._sent(entry)
            case EntryKind.EXECUTION:
                entry = self._executed(entry)
            case EntryKind.RESULT:
                _known_status(entry)
            case EntryKind.TRANSFER | EntryKind.CHARGE if entry.mode is None and not entry.order_id:
                raise BadInput(f"A {entry.kind} without an account.", "Give the entry an execution mode.")
            case _:
                pass
        if entry.order_id and entry.kind is not EntryKind.ORDER:
            mode = self._mode(entry)
            entry = (
                entry if entry.mode is mode else entry.completed(entry.order_id, entry.client_id, entry.payload, mode)
            )
        elif entry.kind in _OF_ORDERS and not entry.order_id:
            raise BadInput(f"An entry of kind {entry.kind} without an order.", "Give its order_id.")
        if entry.kind is EntryKind.EXECUTION and self._is_told(entry):
            return None
        return entry

    def _mode(self, entry: Entry) -> ExecutionMode:
        """The execution mode of the entry's order."""
        found = self.mode_of(entry.order_id)
        if found is None:
            raise UnknownName("order", entry.order_id, self.recent_orders())
        if entry.mode not in (None, found):
            raise BadInput(
                f"An entry of {entry.mode} about {entry.order_id}, which is an order of {found}.", "Leave the mode out."
            )
        return found

    def _sent(self, entry: Entry) -> Entry:
        given = entry.payload.get("client_id")
        if not given or not isinstance(given, str) or entry.client_id not in ("", given):
            raise BadInput(
                f"An entry of a child {entry.client_id!r} whose payload is of {given!r}.", "Give one client id."
            )
        if self.child(given) is not None:
            raise BadInput(f"The child {given!r} was sent already.", "Each child has a client id of its own.")
        return entry if entry.client_id else dataclasses.replace(entry, client_id=given)

    def _executed(self, entry: Entry) -> Entry:
        """The entry with the order of its child, and with the symbol and side that a report does not hold."""
        given = entry.payload.get("client_id")
        if not given or not isinstance(given, str) or entry.client_id not in ("", given):
            raise BadInput(f"A report about {entry.client_id!r} whose payload is of {given!r}.", "Give one client id.")
        child = self.child(given)
        if child is None:
            raise BadInput(f"A report about the child {given!r}, which was never sent.", "Write its SENT entry before.")
        if entry.order_id not in ("", child.order_id):
            raise BadInput(
                f"The child {given!r} is of {child.order_id}, not of {entry.order_id}.", "Leave the order out."
            )
        payload = {**entry.payload, "symbol": child.symbol, "action": child.action}
        mode = self.mode_of(child.order_id) if entry.mode is None else entry.mode
        return entry.completed(child.order_id, given, payload, mode)

    def _is_told(self, entry: Entry) -> bool:
        """Whether the report is in the ledger; one of the same id that says something else is an error."""
        which = entry.payload.get("execution_id")
        before = self.told(entry.mode, which)
        if before is None:
            return False
        differs = [name for name in _SAME if before.payload.get(name) != entry.payload.get(name)]
        if differs:
            told = ", ".join(
                f"{name} {entry.payload.get(name)!r}, not {before.payload.get(name)!r}" for name in differs
            )
            raise DataError(
                f"The report {which!r} of {entry.mode} is in the ledger (entry {before.seq}), and now says {told}.",
                "A correction needs an execution id of its own.",
            )
        return True


def no_orders_among(entries: tuple[Entry, ...]) -> None:
    """Refuse orders that come some other way than :meth:`.Ledger.receive`.

    Raises
    ------
    BadInput
        There is one.
    """
    if any(entry.kind is EntryKind.ORDER for entry in entries):
        raise BadInput("An order among the entries to append.", "Orders are written by Ledger.receive.")


def readable(stored: Stored) -> Child | Execution | None:
    """Let nothing be written that could not be read: the account follows from children and reports.

    Returns
    -------
    Child, Execution or None
        What was read.

    Raises
    ------
    BadInput
        It could not be read.
    """
    try:
        if stored.kind is EntryKind.SENT:
            return child_of(stored)
        if stored.kind is EntryKind.EXECUTION:
            return execution_of(stored)
    except DataError as error:
        raise BadInput(error.problem, error.remedy) from error
    return None


def same_order(known: Stored, order: Order) -> None:
    """Refuse a request whose key stands for another one.

    Orders are compared, not their texts: a field that is new since, and left at its default, is no difference.

    Raises
    ------
    BadInput
        Says what differs.
    """
    before = order_of(known)
    if before != order:
        was, now = before.to_dict(), order.to_dict()
        told = ", ".join(f"{name} {now[name]!r}, not {was[name]!r}" for name in now if now[name] != was[name])
        raise BadInput(
            f"The idempotency key {order.idempotency_key!r} stands for {known.order_id}, another order: {told}.",
            "Give each order a key of its own, and repeat a request as it was.",
        )


def _known_status(entry: Entry) -> None:
    given = entry.payload.get("status")
    try:
        OrderStatus(str(given))
    except ValueError:
        raise BadInput(f"There is no status {given!r} of an order.", f"Give {', '.join(OrderStatus)}.") from None
