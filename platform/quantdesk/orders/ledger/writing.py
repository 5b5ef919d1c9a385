"""Entries into the tables, within one transaction. An edge module: SQL.

Nobody else writes meanwhile, so that what is looked up here is still true when it is written. The constraints of the
tables say the same once more, to whoever writes without this.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger.entries import GENESIS, Entry, EntryKind, Stored, canonical, link
from quantdesk.orders.ledger.payloads import child_of, execution_of
from quantdesk.orders.ledger.tables import CHILDREN, ENTRIES, EXECUTIONS, FOLLOWING, ORDERS, following, stored_of
from quantdesk.orders.result import OrderStatus

__all__ = ["Writer", "head", "recent_orders"]

_SAME = ("client_id", "kind", "shares", "price")
"""What two reports of one id must agree on. Times and fees are told more exactly later by some brokers."""

# Made once: putting a statement together takes longer than asking it.
_HEAD = select(ENTRIES.c.seq, ENTRIES.c.hash).order_by(ENTRIES.c.seq.desc()).limit(1)
_MODE = select(ORDERS.c.mode).where(ORDERS.c.order_id == bindparam("order_id"))
_CHILD = select(CHILDREN).where(CHILDREN.c.client_id == bindparam("client_id"))
_TOLD = (
    select(ENTRIES)
    .join(EXECUTIONS, EXECUTIONS.c.seq == ENTRIES.c.seq)
    .where(EXECUTIONS.c.mode == bindparam("mode"), EXECUTIONS.c.execution_id == bindparam("execution_id"))
)
_RECENT = select(ORDERS.c.order_id).order_by(ORDERS.c.seq.desc()).limit(100)
_INSERT = insert(ENTRIES)
_INSERT_BESIDE = {kind: insert(table) for kind, table in FOLLOWING.items()}


def head(connection: Connection) -> tuple[int, str]:
    """The number and the hash of the last entry; 0 and :data:`GENESIS` where there is none."""
    row = connection.execute(_HEAD).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def recent_orders(connection: Connection) -> list[str]:
    """The ids of the last orders, for a message about one that is not there."""
    return list(connection.scalars(_RECENT))


class Writer:
    """Writes entries in a transaction of :meth:`quantdesk.records.Database.writing`.

    Parameters
    ----------
    connection
        Of the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seq, self._hash = head(connection)

    def add(self, entry: Entry) -> Stored | None:
        """Write an entry; None for a report that is known already.

        Raises
        ------
        BadInput, DataError
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
            entry = dataclasses.replace(entry, mode=self._mode(entry))
        elif entry.kind in FOLLOWING and not entry.order_id:
            raise BadInput(f"An entry of kind {entry.kind} without an order.", "Give its order_id.")
        if entry.kind is EntryKind.EXECUTION and self._is_told(entry):
            return None
        return self._insert(entry)

    def _insert(self, entry: Entry) -> Stored:
        text = canonical(entry.payload)
        seq, digest = self._seq + 1, link(self._hash, entry, self._seq + 1, text)
        stored = Stored(
            seq=seq,
            kind=entry.kind,
            at=entry.at,
            order_id=entry.order_id,
            client_id=entry.client_id,
            user_id=entry.user_id,
            payload=json.loads(text),
            mode=entry.mode,
            hash=digest,
        )
        _readable(stored)
        row = {name: getattr(stored, name) for name in ("seq", "at", "order_id", "client_id", "user_id", "hash")}
        mode = None if stored.mode is None else str(stored.mode)
        self._connection.execute(_INSERT, {**row, "kind": str(stored.kind), "mode": mode, "payload": text})
        if extra := following(stored):
            self._connection.execute(_INSERT_BESIDE[stored.kind], extra)
        self._seq, self._hash = seq, digest
        return stored

    def _mode(self, entry: Entry) -> ExecutionMode:
        """The execution mode of the entry's order."""
        found = self._connection.scalar(_MODE, {"order_id": entry.order_id})
        if found is None:
            raise UnknownName("order", entry.order_id, recent_orders(self._connection))
        if entry.mode not in (None, found):
            raise BadInput(
                f"An entry of {entry.mode} about {entry.order_id}, which is an order of {found}.", "Leave the mode out."
            )
        return ExecutionMode(found)

    def _sent(self, entry: Entry) -> Entry:
        given = entry.payload.get("client_id")
        if not given or entry.client_id not in ("", given):
            raise BadInput(
                f"An entry of a child {entry.client_id!r} whose payload is of {given!r}.", "Give one client id."
            )
        if self._child(given) is not None:
            raise BadInput(f"The child {given!r} was sent already.", "Each child has a client id of its own.")
        return dataclasses.replace(entry, client_id=given)

    def _executed(self, entry: Entry) -> Entry:
        """The entry with the order of its child, and with the symbol and side that a report does not hold."""
        given = entry.payload.get("client_id")
        if not given or entry.client_id not in ("", given):
            raise BadInput(f"A report about {entry.client_id!r} whose payload is of {given!r}.", "Give one client id.")
        child = self._child(given)
        if child is None:
            raise BadInput(f"A report about the child {given!r}, which was never sent.", "Write its SENT entry before.")
        if entry.order_id not in ("", child.order_id):
            raise BadInput(
                f"The child {given!r} is of {child.order_id}, not of {entry.order_id}.", "Leave the order out."
            )
        payload = {**entry.payload, "symbol": child.symbol, "action": child.action}
        return dataclasses.replace(entry, client_id=given, order_id=child.order_id, payload=payload)

    def _child(self, client_id: str) -> Row[Any] | None:
        return self._connection.execute(_CHILD, {"client_id": client_id}).one_or_none()

    def _is_told(self, entry: Entry) -> bool:
        """Whether the report is in the ledger; one of the same id that says something else is an error."""
        which = entry.payload.get("execution_id")
        found = self._connection.execute(_TOLD, {"mode": str(entry.mode), "execution_id": which}).one_or_none()
        if found is None:
            return False
        before = stored_of(found)
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


def _known_status(entry: Entry) -> None:
    given = entry.payload.get("status")
    try:
        OrderStatus(str(given))
    except ValueError:
        raise BadInput(f"There is no status {given!r} of an order.", f"Give {', '.join(OrderStatus)}.") from None


def _readable(stored: Stored) -> None:
    """Nothing is written that could not be read: the account follows from these two."""
    try:
        if stored.kind is EntryKind.SENT:
            child_of(stored)
        elif stored.kind is EntryKind.EXECUTION:
            execution_of(stored)
    except DataError as error:
        raise BadInput(error.problem, error.remedy) from error
