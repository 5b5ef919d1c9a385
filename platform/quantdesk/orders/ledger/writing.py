"""Entries into the tables, within one transaction. An edge module: SQL.

Nobody else writes meanwhile, so that what is looked up here is still true when it is written. The constraints of the
tables say the same once more, to whoever writes without this.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection, bindparam, insert, select

from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger.admission import Admission, KnownChild, readable
from quantdesk.orders.ledger.entries import GENESIS, Entry, Stored, canonical, link
from quantdesk.orders.ledger.tables import CHILDREN, ENTRIES, EXECUTIONS, FOLLOWING, ORDERS, following, stored_of

__all__ = ["Writer", "head", "recent_orders"]

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


class Writer(Admission):
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
        BadInput, UnknownName, DataError
            It contradicts what is recorded; see :meth:`.Ledger.append`.
        """
        admitted = self.admit(entry)
        return None if admitted is None else self._insert(admitted)

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
        readable(stored)
        row = {name: getattr(stored, name) for name in ("seq", "at", "order_id", "client_id", "user_id", "hash")}
        mode = None if stored.mode is None else str(stored.mode)
        self._connection.execute(_INSERT, {**row, "kind": str(stored.kind), "mode": mode, "payload": text})
        if extra := following(stored):
            self._connection.execute(_INSERT_BESIDE[stored.kind], extra)
        self._seq, self._hash = seq, digest
        return stored

    def mode_of(self, order_id: str) -> ExecutionMode | None:
        """The execution mode of an order."""
        found = self._connection.scalar(_MODE, {"order_id": order_id})
        return None if found is None else ExecutionMode(found)

    def child(self, client_id: str) -> KnownChild | None:
        """The child of an id."""
        row = self._connection.execute(_CHILD, {"client_id": client_id}).one_or_none()
        return None if row is None else KnownChild(row.order_id, row.symbol, row.action)

    def told(self, mode: ExecutionMode | None, execution_id: str | None) -> Stored | None:
        """The report of an id."""
        found = self._connection.execute(_TOLD, {"mode": str(mode), "execution_id": execution_id}).one_or_none()
        return None if found is None else stored_of(found)

    def recent_orders(self) -> list[str]:
        """The ids of the last orders."""
        return recent_orders(self._connection)
