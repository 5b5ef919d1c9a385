"""Everything that happened to orders, for ever: an append-only ledger in SQLite or PostgreSQL.

::

    entries       what an entry is, its one form as text, the chain of hashes     (pure)
    protocol      what a desk asks of a ledger                                    (pure)
    admission     what may be written beside what is there                        (pure)
    memory        :class:`MemoryLedger`, for simulations                          (pure)
    payloads      orders, children and executions as payloads, and back           (pure)
    accounts      from entries to the account: the running one and the rebuilt    (pure)
    config        where it is                                                     (edge: the environment)
    tables        the tables                                                      (edge: SQL)
    writing       entries into the tables, within one transaction                 (edge: SQL)
    verification  whether all is as it was written                                (edge: SQL)
    store         :class:`Ledger`                                                 (edge: a database)
    versions      revisions of the tables, both ways                              (edge: SQL)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from quantdesk.orders.ledger.accounts import apply, rebuild
from quantdesk.orders.ledger.admission import Received
from quantdesk.orders.ledger.entries import Entry, EntryKind, Stored, child_payload
from quantdesk.orders.ledger.payloads import child_of, execution_of, order_of
from quantdesk.orders.ledger.protocol import OrderLedger

if TYPE_CHECKING:
    from quantdesk.orders.ledger.config import LedgerConfig
    from quantdesk.orders.ledger.memory import MemoryLedger
    from quantdesk.orders.ledger.store import Ledger

_HOMES = {"Ledger": "store", "LedgerConfig": "config", "MemoryLedger": "memory"}

__all__ = [
    "Entry",
    "EntryKind",
    "Ledger",
    "LedgerConfig",
    "MemoryLedger",
    "OrderLedger",
    "Received",
    "Stored",
    "apply",
    "child_of",
    "child_payload",
    "execution_of",
    "order_of",
    "rebuild",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
