"""Runs and their ledger, while both change: what the copy of the ledger names is in the archive. An edge module: SQL.

Runs are published before the ledger names them. So their folders are read, then the ledger is copied, then what has
come meanwhile is read; where a run was removed in between, the copy is made again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from psycopg import sql

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.backup.archive import PartWriter
from quantdesk.hub.backup.databases import copy_sqlite, snapshot
from quantdesk.hub.backup.dumps import dump
from quantdesk.hub.backup.manifest import Database
from quantdesk.hub.backup.plan import LEDGER, SCHEMAS, Root
from quantdesk.hub.backup.tally import Tally
from quantdesk.records.address import Address

__all__ = ["take_runs"]

_ROUNDS = 5
_NAMED = "SELECT id, folder FROM runs WHERE folder <> '' AND removed IS NULL AND cached_from IS NULL"


def take_runs(tally: Tally, part: PartWriter, root: Root) -> None:
    """Take the folder of the reports, and the ledger with it.

    Raises
    ------
    EnvironmentProblem
        Runs are removed faster than they are read.
    """
    place = tally.plan.databases[LEDGER]
    before: set[str] | None = None
    for _ in range(_ROUNDS):
        tally.take(part, root, _is_run)
        with _ledger(tally, place) as (named, keep):
            tally.take(part, root, _is_run)
            here = {entry.path for entry in part.entries}
            missing = {run for run, folder in named.items() if _within(tally.plan.reports, folder) not in here}
            if not missing or missing == before:
                tally.runs, tally.lost = len(named), tuple(sorted(missing))
                keep()
                break
            before = missing
    else:
        raise EnvironmentProblem(
            "Runs are removed faster than they can be backed up.", "Wait for the upkeep to end, and try again."
        )
    copy = tally.copy_of(LEDGER)
    if isinstance(place, Path) and copy.is_file() and place.is_relative_to(root.path):
        path = str(place.relative_to(root.path))
        tally.add(part, path, copy, place)
        tally.databases.append(Database(LEDGER, "sqlite", root.part, path))
    if tally.lost:
        tally.left_out.append(
            f"{len(tally.lost)} runs that the ledger names: their folders are not on this disk (an object store is "
            "not copied)."
        )


@contextlib.contextmanager
def _ledger(tally: Tally, place: Path | Address | str) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """One state of the ledger: the runs that it names, and what keeps it for the archive."""
    if isinstance(place, Path) and place.is_file():
        copy = tally.copy_of(LEDGER)
        copy.unlink(missing_ok=True)
        copy_sqlite(place, copy)
        with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as there:
            exists = there.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
            rows = there.execute(_NAMED).fetchall() if exists else []
        yield dict(rows), lambda: None
    elif isinstance(place, Address):
        with snapshot(place) as state:
            schemas = state.schemas(SCHEMAS[LEDGER])
            query = sql.SQL(_NAMED.replace(" runs ", " {} ")).format(sql.Identifier(SCHEMAS[LEDGER][0], "runs"))
            rows = state.rows(query) if schemas else []
            yield dict(rows), lambda: dump(tally, state, place)
    else:
        yield {}, lambda: None


def _within(reports: Path, folder: str) -> str:
    path = Path(folder)
    return str(path.relative_to(reports)) if path.is_relative_to(reports) else folder


def _is_run(path: str) -> bool:
    return path.startswith("runs/") and path.count("/") == 1
