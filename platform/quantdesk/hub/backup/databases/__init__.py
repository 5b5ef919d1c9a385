"""Copies of databases that others may be writing: SQLite by its online backup, PostgreSQL by pg_dump. An edge module.

::

    sqlite      one state of a file, checked page by page
    postgres    one snapshot of all schemas, as SQL without owners and grants
    replay      a dump read back in one transaction
"""

from __future__ import annotations

from quantdesk.hub.backup.databases.postgres import Snapshot, dump_postgres, sessions, snapshot, tables_of
from quantdesk.hub.backup.databases.replay import load_dump, take_back
from quantdesk.hub.backup.databases.sqlite import copy_sqlite, is_sqlite, others_of

__all__ = [
    "Snapshot",
    "copy_sqlite",
    "dump_postgres",
    "is_sqlite",
    "load_dump",
    "others_of",
    "sessions",
    "snapshot",
    "tables_of",
    "take_back",
]
