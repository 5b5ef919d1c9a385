"""Backup and restore of all that an installation keeps, in one file.

::

    plan       which folders and databases there are, as the settings say     (edge: the environment)
    manifest   what a backup says of itself, and what it may say               (pure)
    archive/   the file: written, and read with nothing believed               (edge: files)
    tree       from a folder into the archive, following no link               (edge: files)
    unpack     from the archive into a folder                                  (edge: files)
    databases/ copies of SQLite and PostgreSQL that others are writing         (edge: databases)

    make       :func:`backup`, beside a hub that runs                          (edge)
    tally      what was taken, what not, and how far it is                     (edge: files)
    names      the hub's accounts by the numbers of this machine               (edge: accounts)
    runs       runs and their ledger, while both change                        (edge: SQL)
    dumps      databases on servers, and in files elsewhere                    (edge: databases)

    put_back   :func:`restore`, whole or not at all; :func:`verify`            (edge)
    note       that a restore is between its last steps                        (edge: files)
    places     where each part goes, as the settings say                       (edge: files)
    admit      whether it can be done, seen before anything is written         (edge: files, locks)
    stage      everything made beside, and checked                             (edge: files)
    exchange   what was made takes its place                                   (edge: files, databases)
    owners     the hub's accounts, made again                                  (edge: useradd)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.hub.backup.make import Made, backup
    from quantdesk.hub.backup.manifest import Manifest
    from quantdesk.hub.backup.put_back import Restored, restore, verify

_PLACES = {
    "Made": "make",
    "Manifest": "manifest",
    "Restored": "put_back",
    "backup": "make",
    "restore": "put_back",
    "verify": "put_back",
}

__all__ = ["Made", "Manifest", "Restored", "backup", "restore", "verify"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{place}"), name)
