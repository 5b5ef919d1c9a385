"""Durable records: files that are whole or not there, databases, and locks between processes.

::

    files        files that are written whole or not at all, and locks between processes   (edge)
    fields       what people write in a file, read into a model; each wrong field is a sentence  (pure)
    address      ``postgresql://...`` taken apart, the password held apart                (pure)
    servers      the team's database and Redis: one setting each                         (edge)
    database     SQLite or PostgreSQL, asked in the same way                               (edge)
    engines      connections, with the settings that its promises rest on                  (edge)
    migrations   the tables of a version, up and down                                      (edge)
    lease        who may do something now, with a number that stale holders are told by    (edge)
    append_only  tables that the database itself lets nobody change                        (edge)
    refusals     one clear error for whatever a database refuses                           (edge)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from quantdesk.records.files import LockHeld, atomic_directory, atomic_write, exclusive, sha256_of, text_of

if TYPE_CHECKING:
    from quantdesk.records.append_only import protect
    from quantdesk.records.database import Database
    from quantdesk.records.engines import DatabaseConfig
    from quantdesk.records.lease import Lease, LeaseLost, Leases
    from quantdesk.records.migrations import Migrations

_HOMES = {
    "Database": "database",
    "DatabaseConfig": "engines",
    "Lease": "lease",
    "LeaseLost": "lease",
    "Leases": "lease",
    "Migrations": "migrations",
    "protect": "append_only",
}

__all__ = [
    "Database",
    "DatabaseConfig",
    "Lease",
    "LeaseLost",
    "Leases",
    "LockHeld",
    "Migrations",
    "atomic_directory",
    "atomic_write",
    "exclusive",
    "protect",
    "sha256_of",
    "text_of",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
