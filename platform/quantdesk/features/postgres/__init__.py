"""A feature store for a team, in PostgreSQL. An edge package: the network.

What is where::

    address      ``postgresql://...`` taken apart, the password held apart       (pure)
    binary       PostgreSQL's binary formats as numpy arrays                     (pure)
    connection   connections kept open, and one clear error for what goes wrong
    schema       the tables
    loading      a build's files into the tables, in one transaction
    joining      the point-in-time join in SQL, and the brute force beside it
    backend      what the feature store asks

The answers are those of the files that were loaded, to the bit, and so is the proof. psycopg is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.features.postgres.address import Address, parse
    from quantdesk.features.postgres.backend import PostgresBackend, PostgresSnapshot
    from quantdesk.features.postgres.loading import Loaded, load

_HOMES = {
    "Address": "address",
    "Loaded": "loading",
    "PostgresBackend": "backend",
    "PostgresSnapshot": "backend",
    "load": "loading",
    "parse": "address",
}

__all__ = ["Address", "Loaded", "PostgresBackend", "PostgresSnapshot", "load", "parse"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
