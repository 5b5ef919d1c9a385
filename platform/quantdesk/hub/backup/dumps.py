"""Databases that lie in none of the folders: on servers, and in files elsewhere. An edge module: databases.

Each server's database becomes one part, whatever number of ours are in it, so that they are one state.
"""

from __future__ import annotations

from pathlib import Path

from quantdesk.hub.backup.archive import Writer
from quantdesk.hub.backup.databases import Snapshot, copy_sqlite, snapshot
from quantdesk.hub.backup.manifest import Database
from quantdesk.hub.backup.plan import SCHEMAS, Plan
from quantdesk.hub.backup.tally import Tally
from quantdesk.records.address import Address

__all__ = ["dump", "take_files", "take_servers"]


def dump(tally: Tally, state: Snapshot, place: Address) -> None:
    """Dump all schemas of ours that one server's database has, as they are in a snapshot."""
    groups = _groups(tally.plan)
    found = next(one for one in groups if _same(one, place))
    number = list(groups).index(found) + 1
    schemas = state.schemas(schema for name in groups[found] for schema in SCHEMAS[name])
    if not schemas:
        return
    tally.begin("Databases")
    state.dump(schemas, tally.copies / f"database-{number}.sql")
    for name in groups[found]:
        own = tuple(one for one in SCHEMAS[name] if one in schemas)
        if own:
            tally.databases.append(Database(name, "postgresql", f"database-{number}", "dump.sql", own))


def take_servers(tally: Tally, writer: Writer) -> None:
    """Write a part for each server's database, with the dump that the ledger may have asked for already."""
    for number, place in enumerate(_groups(tally.plan), 1):
        dumped = tally.copies / f"database-{number}.sql"
        if not dumped.exists():
            with snapshot(place) as state:
                dump(tally, state, place)
        if dumped.exists():
            tally.single(writer, f"database-{number}", "PostgreSQL", dumped, "dump.sql")
    shown = tally.plan.databases.get("online")
    if isinstance(shown, str):
        tally.databases.append(Database("online", "redis"))
        tally.left_out.append(f"The online store in {shown}: `quantdesk features materialize` fills it again.")


def take_files(tally: Tally, writer: Writer) -> None:
    """Write a part for each database whose file lies in none of the folders; the ledger may be copied already."""
    for name, place in tally.plan.databases.items():
        if not isinstance(place, Path) or any(one.name == name for one in tally.databases) or not place.is_file():
            continue
        copy = tally.copy_of(name)
        if not copy.exists():
            copy_sqlite(place, copy)
        tally.single(writer, f"file-{name}", "Database", copy, place.name, place)
        tally.databases.append(Database(name, "sqlite", f"file-{name}", place.name))
        copy.unlink()


def _groups(plan: Plan) -> dict[Address, list[str]]:
    """The names of the databases on each server."""
    groups: dict[Address, list[str]] = {}
    for name, place in plan.databases.items():
        if isinstance(place, Address):
            known = next((one for one in groups if _same(one, place)), place)
            groups.setdefault(known, []).append(name)
    return groups


def _same(one: Address, other: Address) -> bool:
    return (one.host, one.port, one.database) == (other.host, other.port, other.database)
