"""A ledger in memory, for simulations in which a ledger must not cost more than what it records. Pure.

The rules are those of :class:`.Ledger` (:mod:`.admission`), and so are the entries and their hashes. What differs: it
ends with its process, one process alone can write it, and hashes are worked out when somebody asks for one.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.orders.executions import Execution, ExecutionMode
from quantdesk.orders.ledger.admission import (
    Admission,
    KnownChild,
    Received,
    no_orders_among,
    readable,
    same_order,
)
from quantdesk.orders.ledger.entries import GENESIS, Entry, EntryKind, Stored, canonical, link, plain, text_of
from quantdesk.orders.ledger.payloads import order_of, order_payload
from quantdesk.orders.order import Child, Order
from quantdesk.orders.result import OrderStatus
from quantdesk.records.lease import Lease

__all__ = ["MemoryLedger"]

_PAGE = 1000
_LONGEST_LEASE = 1e9


class MemoryLedger:
    """Orders, and everything that happened to them, kept by this process; entries are added, never changed.

    It may be shared between threads, and outlives a desk that closes it. The payloads that it hands out are those that
    it keeps: read them. One that was changed after its hash was told is found by :meth:`verify`.
    """

    def __init__(self) -> None:
        self._turn = threading.RLock()
        self._kept = _Kept()
        self._lease: Lease | None = None
        self._fence = 0

    def __repr__(self) -> str:
        return f"MemoryLedger({len(self._kept.entries)} entries)"

    def __enter__(self) -> MemoryLedger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the lease back, if there is one. What was written stays."""
        self._lease = None

    # --------------------------------------------------------------------------------------------------------- writing

    def receive(self, order: Order, at: int, mode: ExecutionMode) -> Received:
        """Write an order down, once; see :meth:`.Ledger.receive`.

        Raises
        ------
        BadInput
            The key stands for another order of this user.
        """
        with self._turn:
            known = self._kept.request(order.user_id, order.idempotency_key)
            if known is not None:
                same_order(known, order)
                return Received(known.order_id, is_new=False)
            order_id = f"O{len(self._kept.orders) + 1:08d}"
            payload = order_payload(order, mode)
            stored = self._kept.add(Entry(EntryKind.ORDER, at, order_id, "", order.user_id, payload, mode))
        return Received(order_id, is_new=True, stored=stored)

    def append(self, *entries: Entry) -> tuple[Stored, ...]:
        """Write entries, all of them or none; see :meth:`.Ledger.append`.

        Raises
        ------
        BadInput, UnknownName, DataError
            As there.
        """
        no_orders_among(entries)
        with self._turn:
            before = len(self._kept.entries)
            try:
                return tuple(stored for entry in entries if (stored := self._kept.add(entry)) is not None)
            except BaseException:
                self._kept.cut(before)
                raise

    def hold(self, holder: str, seconds: float = 60.0) -> Lease:
        """Be the one desk of this ledger, until :meth:`close`: its holder cannot die and leave it behind.

        Raises
        ------
        BadInput
            No holder, or no time above 0.
        EnvironmentProblem
            Another desk has it.
        """
        if not (holder and 0 < seconds < _LONGEST_LEASE):
            raise BadInput(f"A lease for {holder!r} over {seconds!r} s.", "Give a name, and a time above 0.")
        with self._turn:
            if self._lease is not None and self._lease.holder != holder:
                raise EnvironmentProblem(f"Another desk works on {self!r}.", "Close it.")
            self._fence += 1
            self._lease = Lease("desk", holder, self._fence, (1 << 63) - 1, math.inf)
            return self._lease

    # --------------------------------------------------------------------------------------------------------- reading

    def entries(
        self, after: int = 0, order_id: str | None = None, kinds: Collection[EntryKind] | None = None
    ) -> Iterator[Stored]:
        """Entries in their order; what is added meanwhile comes at the end. See :meth:`.Ledger.entries`."""
        wanted = None if kinds is None else {str(kind) for kind in kinds}
        place = max(after, 0) if order_id is None else 0
        while page := self._page(order_id, place):
            place += len(page)
            for stored in page:
                if stored.seq > after and (wanted is None or stored.kind in wanted):
                    yield stored

    def order(self, order_id: str) -> Order:
        """An order as it was received.

        Raises
        ------
        UnknownName
            There is none of this id.
        """
        with self._turn:
            stored = self._kept.orders.get(order_id)
            if stored is None:
                raise UnknownName("order", order_id, self._kept.recent_orders())
        return order_of(stored)

    def orders(self, open_only: bool = False) -> dict[str, Order]:
        """Orders by id, in the order of their coming; see :meth:`.Ledger.orders`."""
        with self._turn:
            found = [one for one in self._kept.orders.values() if not (open_only and self._kept.is_over(one.order_id))]
        return {stored.order_id: order_of(stored) for stored in found}

    def find(self, user_id: str | None, idempotency_key: str) -> str | None:
        """The id of the order of a user and key; None where there is none."""
        with self._turn:
            known = self._kept.request(user_id, idempotency_key)
        return None if known is None else known.order_id

    def head(self) -> tuple[int, str]:
        """The number and the hash of the last entry; see :meth:`.Ledger.head`."""
        with self._turn:
            seq = len(self._kept.entries)
            return seq, self._kept.digest(seq)

    def verify(self) -> tuple[int, str]:
        """Check every entry: its number, and its hash where one was told before.

        Raises
        ------
        DataError
            Names the first entry that is not as it was written.
        """
        with self._turn:
            digest = GENESIS
            for seq, stored in enumerate(self._kept.entries, 1):
                digest = link(digest, stored, seq, canonical(stored.payload))
                if stored.seq != seq or digest != self._kept.digest(seq):
                    raise DataError(
                        f"The ledger {self!r} is broken at entry {seq}: its hash does not follow from what it says.",
                        "Something in this process has changed a payload that was handed out to be read.",
                    )
            return self.head()

    def _page(self, order_id: str | None, place: int) -> Sequence[Stored]:
        with self._turn:
            kept = self._kept.entries if order_id is None else self._kept.by_order.get(order_id, [])
            return kept[place : place + _PAGE]


class _Kept(Admission):
    """Entries, and by what they are looked up."""

    def __init__(self) -> None:
        self.entries: list[Stored] = []
        self.by_order: dict[str, list[Stored]] = {}
        self.orders: dict[str, Stored] = {}
        self._requests: dict[tuple[str, str], Stored] = {}
        self._children: dict[str, KnownChild] = {}
        self._reports: dict[tuple[ExecutionMode | None, str], Stored] = {}
        self._digests = [GENESIS]

    def add(self, entry: Entry) -> Stored | None:
        """Write an entry; None for a report that is known already."""
        admitted = self.admit(entry)
        if admitted is None:
            return None
        stored = _LazilyHashed(
            len(self.entries) + 1,
            admitted.kind,
            admitted.at,
            admitted.order_id,
            admitted.client_id,
            admitted.user_id,
            plain(admitted.payload),
            admitted.mode,
            "",
        )
        object.__setattr__(stored, "_kept", self)
        object.__setattr__(stored, "said", readable(stored))
        self.entries.append(stored)
        self.by_order.setdefault(stored.order_id, []).append(stored)
        payload = stored.payload
        match stored.kind:
            case EntryKind.ORDER:
                self.orders[stored.order_id] = stored
                if payload["idempotency_key"] is not None:
                    self._requests[stored.user_id or "", payload["idempotency_key"]] = stored
            case EntryKind.SENT:
                self._children[stored.client_id] = KnownChild(stored.order_id, payload["symbol"], payload["action"])
            case EntryKind.EXECUTION:
                self._reports[stored.mode, payload["execution_id"]] = stored
            case _:
                pass
        return stored

    def cut(self, length: int) -> None:
        """Take back what was added since there were so many entries: it never was in the ledger."""
        while len(self.entries) > length:
            gone = self.entries.pop()
            self.by_order[gone.order_id].pop()
            if gone.kind is EntryKind.SENT:
                del self._children[gone.client_id]
            elif gone.kind is EntryKind.EXECUTION:
                del self._reports[gone.mode, gone.payload["execution_id"]]
        del self._digests[length + 1 :]

    def digest(self, seq: int) -> str:
        """The hash of an entry; those before it are worked out where they were not yet asked for."""
        while len(self._digests) <= seq:
            number = len(self._digests)
            stored = self.entries[number - 1]
            self._digests.append(link(self._digests[-1], stored, number, text_of(stored.payload)))
        return self._digests[seq]

    def is_over(self, order_id: str) -> bool:
        """Whether the last result of an order is final."""
        results = (one for one in reversed(self.by_order[order_id]) if one.kind is EntryKind.RESULT)
        last = next(results, None)
        return last is not None and OrderStatus(last.payload["status"]).is_final

    def request(self, user_id: str | None, key: str | None) -> Stored | None:
        """The ORDER entry of a user and key."""
        return None if key is None else self._requests.get((user_id or "", key))

    def child(self, client_id: str) -> KnownChild | None:
        return self._children.get(client_id)

    def mode_of(self, order_id: str) -> ExecutionMode | None:
        stored = self.orders.get(order_id)
        return None if stored is None else stored.mode

    def told(self, mode: ExecutionMode | None, execution_id: str | None) -> Stored | None:
        return self._reports.get((mode, execution_id)) if isinstance(execution_id, str) else None

    def recent_orders(self) -> list[str]:
        return list(self.orders)[:-101:-1]


_HASH: Any = vars(Stored)["hash"]  # the slot, which the class below hides behind a property


class _LazilyHashed(Stored):
    """An entry whose hash is worked out when it is asked for; in all else equal to any other."""

    __slots__ = ("_kept", "said")
    _kept: _Kept
    said: Child | Execution | None  # what it was read as when it was written: three ask for it, each time

    def _get(self) -> str:
        told: str = _HASH.__get__(self)
        if not told:
            told = self._kept.digest(self.seq)
            self._put(told)
        return told

    def _put(self, value: str) -> None:
        _HASH.__set__(self, value)

    hash = property(_get, _put)

    def __repr__(self) -> str:
        return repr(Stored(*_told(self)))

    def __eq__(self, other: object) -> bool:
        return _told(self) == _told(other) if isinstance(other, Stored) else NotImplemented

    __hash__ = Stored.__hash__

    def __reduce__(self) -> tuple[type[Stored], tuple[Any, ...]]:
        return Stored, _told(self)  # a copy, and what another process gets, stand by themselves


def _told(stored: Stored) -> tuple[Any, ...]:
    return tuple(getattr(stored, one.name) for one in dataclasses.fields(Stored))
