"""The ledger. An edge module: a database."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Select, bindparam, func, select

from quantdesk.errors import EnvironmentProblem, UnknownName
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger.admission import Received, no_orders_among, same_order
from quantdesk.orders.ledger.config import LedgerConfig
from quantdesk.orders.ledger.entries import Entry, EntryKind, Stored
from quantdesk.orders.ledger.payloads import order_of, order_payload
from quantdesk.orders.ledger.tables import ENTRIES, ORDERS, RESULTS, stored_of
from quantdesk.orders.ledger.verification import verify
from quantdesk.orders.ledger.writing import Writer, head, recent_orders
from quantdesk.orders.order import Order
from quantdesk.records.database import Database
from quantdesk.records.lease import Lease, Leases
from quantdesk.records.migrations import brought_up

__all__ = ["Ledger", "LedgerConfig", "Received"]

SCHEMA = "quantdesk_ledger"
VERSIONS = "quantdesk.orders.ledger.versions"
_PAGE = 1000
_LEASE = "desk"
_REQUEST = (
    select(ENTRIES)
    .join(ORDERS, ORDERS.c.seq == ENTRIES.c.seq)
    .where(ORDERS.c.user_id == bindparam("user_id"), ORDERS.c.idempotency_key == bindparam("key"))
)
_LAST_ORDER = select(ORDERS.c.order_id).order_by(ORDERS.c.seq.desc()).limit(1)


class Ledger:
    """Orders, and everything that happened to them; entries are added, never changed.

    Made by :meth:`open`. One ledger may be used by several threads and processes: writers take turns.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._leases = Leases(database)
        self._lease: tuple[Lease, float] | None = None

    @classmethod
    def open(cls, url: str | SecretStr | None = None) -> Ledger:
        """Open a ledger; one that is not there, or is of an older version, is made or brought up to date.

        Parameters
        ----------
        url
            ``sqlite:///path``, ``sqlite:///:memory:`` or ``postgresql://...``; see :class:`LedgerConfig` when None.

        Raises
        ------
        BadInput
            It is no such address.
        EnvironmentProblem
            It cannot be reached or written.
        DataError
            It is damaged, or a newer version of quantdesk wrote it.
        """
        database = Database(LedgerConfig.from_env().address if url is None else url, SCHEMA)
        return cls(brought_up(database, VERSIONS))

    def __repr__(self) -> str:
        return f"Ledger({str(self.database)!r})"

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the lease back, if there is one, and close the connections."""
        held, self._lease = self._lease, None
        try:
            if held is not None:
                self._leases.give_back(held[0])
        finally:
            self.database.close()

    # --------------------------------------------------------------------------------------------------------- writing

    def receive(self, order: Order, at: int, mode: ExecutionMode) -> Received:
        """Write an order down, once: a repeated request of one user and key gets the order of the first one.

        Parameters
        ----------
        order
            What is wanted. Without an idempotency key it is always a new one.
        at
            Nanoseconds since 1970 (UTC).
        mode
            Where its fills will come from.

        Raises
        ------
        BadInput
            The key stands for another order of this user.
        EnvironmentProblem, DataError
            See :meth:`open`.
        """
        with self._writing() as connection:
            known = _request(connection, order.user_id, order.idempotency_key)
            if known is not None:
                same_order(known, order)
                return Received(known.order_id, is_new=False)
            order_id = _next_order(connection)
            payload = order_payload(order, mode)
            stored = Writer(connection).add(Entry(EntryKind.ORDER, at, order_id, "", order.user_id, payload, mode))
        return Received(order_id, is_new=True, stored=stored)

    def append(self, *entries: Entry) -> tuple[Stored, ...]:
        """Write entries, all of them or none.

        Returns
        -------
        tuple of Stored
            As they are in the ledger now. A report of a venue that is there already is left out.

        Raises
        ------
        BadInput
            An order is to be written without :meth:`receive`; a child was sent already; a report is about a child that
            was not; an entry has no account, or holds what cannot be kept.
        UnknownName
            There is no such order.
        DataError
            A report says something else than the one of the same id that is there.
        EnvironmentProblem
            See :meth:`open`. Where the connection broke during the commit, look before you write again.
        """
        no_orders_among(entries)
        if not entries:
            return ()
        with self._writing() as connection:
            writer = Writer(connection)
            return tuple(stored for entry in entries if (stored := writer.add(entry)) is not None)

    def hold(self, holder: str, seconds: float = 60.0) -> Lease:
        """Be the one desk of this ledger.

        From now on each write renews the lease, and is refused with :class:`quantdesk.records.LeaseLost` once another
        desk has taken it. It is given back by :meth:`close`. Who does not ask for it is not kept from writing.

        Parameters
        ----------
        holder
            Who: unique, for example host and process.
        seconds
            How long after its last write a desk that was killed keeps others waiting.

        Raises
        ------
        EnvironmentProblem
            Another desk has it.
        """
        lease = self._leases.take(_LEASE, holder, seconds)
        if lease is None:
            raise EnvironmentProblem(
                f"Another desk works on {self.database}.", f"Stop it, or wait up to {seconds:g} s after its end."
            )
        self._lease = (lease, seconds)
        return lease

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction, of the holder of the lease where there is one."""
        held = self._lease
        with self.database.writing() as connection:
            if held is not None:
                held = (self._leases.guard(connection, *held), held[1])
            yield connection
        self._lease = held

    # --------------------------------------------------------------------------------------------------------- reading

    def entries(
        self, after: int = 0, order_id: str | None = None, kinds: Collection[EntryKind] | None = None
    ) -> Iterator[Stored]:
        """Entries in their order, read page by page: what is added meanwhile comes at the end.

        Parameters
        ----------
        after
            Only those with a larger number.
        order_id
            Only those about this order.
        kinds
            Only those of these kinds.
        """
        wanted = select(ENTRIES).order_by(ENTRIES.c.seq).limit(_PAGE)
        if order_id is not None:
            wanted = wanted.where(ENTRIES.c.order_id == order_id)
        if kinds is not None:
            wanted = wanted.where(ENTRIES.c.kind.in_([str(kind) for kind in kinds]))
        while page := self._page(wanted.where(ENTRIES.c.seq > after)):
            yield from page
            after = page[-1].seq

    def order(self, order_id: str) -> Order:
        """An order as it was received.

        Raises
        ------
        UnknownName
            There is none of this id.
        """
        same = (ENTRIES.c.order_id == order_id) & (ENTRIES.c.kind == str(EntryKind.ORDER))
        with self.database.reading() as connection:
            row = connection.execute(select(ENTRIES).where(same)).one_or_none()
            if row is None:
                raise UnknownName("order", order_id, recent_orders(connection))
        return order_of(stored_of(row))

    def orders(self, open_only: bool = False) -> dict[str, Order]:
        """Orders by id, in the order of their coming.

        Parameters
        ----------
        open_only
            Only those whose last result is not final, or that have none.
        """
        wanted = select(ENTRIES).join(ORDERS, ORDERS.c.seq == ENTRIES.c.seq).order_by(ENTRIES.c.seq)
        if open_only:
            last = select(RESULTS.c.is_final).where(RESULTS.c.order_id == ORDERS.c.order_id)
            last = last.order_by(RESULTS.c.seq.desc()).limit(1)
            wanted = wanted.where(func.coalesce(last.scalar_subquery(), False).is_(False))
        return {stored.order_id: order_of(stored) for stored in self._page(wanted)}

    def find(self, user_id: str | None, idempotency_key: str) -> str | None:
        """The id of the order of a user and key; None where there is none."""
        with self.database.reading() as connection:
            known = _request(connection, user_id, idempotency_key)
        return None if known is None else known.order_id

    def head(self) -> tuple[int, str]:
        """The number and the hash of the last entry: kept elsewhere, it proves later that nothing was cut off."""
        with self.database.reading() as connection:
            return head(connection)

    def verify(self) -> tuple[int, str]:
        """Check every entry: its hash, its place in the chain, and what the other tables say of it.

        Returns
        -------
        int, str
            The number and the hash of the last entry, see :meth:`head`.

        Raises
        ------
        DataError
            Names the first entry that is not as it was written; or a table that the database no longer protects.
        """
        with self.database.reading() as connection:
            return verify(connection, str(self.database))

    def _page(self, wanted: Select[Any]) -> list[Stored]:
        with self.database.reading() as connection:
            return [stored_of(row) for row in connection.execute(wanted)]


def _request(connection: Connection, user_id: str | None, key: str | None) -> Stored | None:
    """The ORDER entry of a user and key."""
    if key is None:
        return None
    row = connection.execute(_REQUEST, {"user_id": user_id or "", "key": key}).one_or_none()
    return None if row is None else stored_of(row)


def _next_order(connection: Connection) -> str:
    last = connection.scalar(_LAST_ORDER)
    return f"O{1 + (0 if last is None else int(last.removeprefix('O'))):08d}"
