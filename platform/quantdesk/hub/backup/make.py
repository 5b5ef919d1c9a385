"""Make a backup, while the hub may go on. An edge module: files, databases, the clock.

The order is what makes a backup of something that is in use consistent. Runs are published before the ledger names
them, so their folders are read, then the ledger is copied, then what has come meanwhile is read: what the copy names is
in the archive. Where a run was removed in between, the copy is made again. Homes come before the table of accounts.
Market data and features are read while their writers wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from psycopg import sql

from quantdesk import __version__
from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.hub.accounts import Accounts
from quantdesk.hub.backup.archive import About, PartWriter, Reader, Writer
from quantdesk.hub.backup.databases import Snapshot, copy_sqlite, snapshot
from quantdesk.hub.backup.manifest import FILE, FOLDER, FORMAT, Database, Entry, Manifest
from quantdesk.hub.backup.plan import LEDGER, SCHEMAS, Plan, Root
from quantdesk.hub.backup.plan import plan as plan_of
from quantdesk.hub.backup.tree import add_file, described, take
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.teams import Teams
from quantdesk.records import atomic_write, exclusive
from quantdesk.records.address import Address

__all__ = ["SUFFIX", "Made", "Progress", "backup"]

SUFFIX = ".backup.tar"
ORDER = (
    "Folders of runs, then the ledger, then what had come meanwhile: every run that the ledger names is here, but for "
    "those that are said to be lost. Homes before accounts. Market data and features while their writers waited. Each "
    "database is one state of it."
)
_ROUNDS = 5
_NOBODY = -1  # a team's group is no account
_NAMED = "SELECT id, folder FROM runs WHERE folder <> '' AND removed IS NULL AND cached_from IS NULL"

Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, of how many (0: unknown)."""


@dataclass(frozen=True)
class Made:
    """A backup.

    Attributes
    ----------
    path
        The file.
    size
        Its bytes.
    manifest
        What is in it.
    seconds
        How long it took.
    """

    path: Path
    size: int
    manifest: Manifest
    seconds: float


def backup(
    target: Path,
    *,
    homes: bool = True,
    settings: Path | None = None,
    config: HubConfig | None = None,
    files: HubFiles | None = None,
    progress: Progress | None = None,
) -> Made:
    """Write all that this installation keeps into one file.

    Parameters
    ----------
    target
        The file, which must not exist yet, or a folder in which it gets a name with the time.
    homes
        Whether users' homes and teams' folders are in it.
    settings
        The settings file, which is kept beside.
    config, files
        Of the hub; None reads the environment.
    progress
        Called while it works.

    Returns
    -------
    Made
        The file, and its manifest as it stands there.

    Raises
    ------
    BadInput
        The target is there already, or inside of what is backed up.
    DataError
        A database is damaged.
    EnvironmentProblem
        The disk is full, something cannot be read, a server does not answer, or its client programs are missing.
    """
    began = time.monotonic()
    files = files or HubFiles()
    plan = plan_of(config or HubConfig.from_env(), files, homes=homes)
    if not files.state.is_dir():
        raise BadInput(f"There is nothing to back up: {files.state} is not there.", "Set QUANTDESK_STATE.")
    path = _target(target, plan)
    work = _Work(plan, progress or (lambda what, done, total: None), homes=homes)
    with atomic_write(path, mode=0o600) as temporary, _explained(path), temporary.open("r+b") as stream:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.copies.", dir=path.parent) as copies:
            work.write(stream, Path(copies), settings)
        stream.flush()
        size = stream.tell()
        with Reader(temporary) as written:
            manifest = written.manifest
    return Made(path, size, manifest, time.monotonic() - began)


def _target(target: Path, plan: Plan) -> Path:
    target = target.expanduser().absolute()
    if target.is_dir():
        target = target / f"quantdesk-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"
    if os.path.lexists(target):
        raise BadInput(f"{target} is there already.", "Name a file that is not, or a folder.")
    if not target.parent.is_dir():
        raise BadInput(f"{target.parent} is no folder.", "Make it, or name another.")
    real = target.parent.resolve()
    for root in (plan.files.state, *(one.path for one in plan.roots)):
        if real.is_relative_to(root.resolve()):
            raise BadInput(f"{target} lies in {root}, which is what is backed up.", "Name a place outside of it.")
    _clear(target.parent)
    return target


def _clear(folder: Path) -> None:
    """Remove what backups that were killed have left: copies of databases hold secrets."""
    day = time.time() - 86_400
    for left in (*folder.glob(f".*{SUFFIX}.*.tmp"), *folder.glob(f".*{SUFFIX}.copies.*")):
        with contextlib.suppress(OSError):
            if left.lstat().st_mtime < day:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EnvironmentProblem(f"No disk space is left for {path}.", "Name a place with more room.") from error
        raise EnvironmentProblem(f"{path} cannot be written ({error}).", "Look at that disk.") from error


class _Names:
    """The hub's accounts by their numbers; the table is read again where a number is new."""

    def __init__(self, files: HubFiles) -> None:
        self._accounts, self._teams = Accounts(files), Teams(files)
        self._unknown: set[int] = set()
        self.all: dict[str, tuple[int, int]] = {}
        self._read()

    def _read(self) -> None:
        self.all = {one.name: (one.uid, one.gid) for one in self._accounts.all()}
        self.all |= {one.group: (_NOBODY, one.gid) for one in self._teams.read().values()}

    def user(self, uid: int) -> str:
        return self._name(uid, 0)

    def group(self, gid: int) -> str:
        return self._name(gid, 1)

    def _name(self, number: int, which: int) -> str:
        found = next((name for name, numbers in self.all.items() if numbers[which] == number), "")
        if found or number < 100 or number in self._unknown:
            return found
        self._read()
        self._unknown.add(number)
        return next((name for name, numbers in self.all.items() if numbers[which] == number), "")


class _Work:
    """One backup while it is written."""

    def __init__(self, plan: Plan, tell: Progress, *, homes: bool) -> None:
        self.plan, self._tell = plan, tell
        self.names = _Names(plan.files)
        self.left_out: list[str] = [] if homes else ["Homes and team folders, as was asked."]
        self.databases: list[Database] = []
        self.runs = 0
        self.lost: tuple[str, ...] = ()
        self._count = 0
        self._what = ""

    def write(self, stream: BinaryIO, copies: Path, settings: Path | None) -> None:
        """Write the archive."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        writer = Writer(stream, About(FORMAT, __version__, now))
        for root in self.plan.roots:
            if root.part != "hub" and root.path.is_dir():
                self._root(writer, root, copies)
        hub = self.plan.root("hub")
        if hub is not None and hub.path.is_dir():
            self._root(writer, hub, copies)
        self._files_elsewhere(writer, copies)
        self._servers(writer, copies)
        if settings is not None:
            self._single(writer, "settings", "Settings file", settings, "quantdesk.toml")
        self.left_out += ["Caches of homes, logs, the proxy: `quantdesk up` makes again what it needs of them."]
        writer.finish(
            Manifest(
                quantdesk=__version__,
                made=now,
                state=str(self.plan.files.state),
                reports=str(self.plan.reports),
                isolated=self.plan.isolated,
                accounts=self.names.all,
                databases=tuple(sorted(self.databases, key=lambda one: one.name)),
                runs=self.runs,
                lost=self.lost,
                left_out=tuple(self.left_out),
                order=ORDER,
            )
        )

    def _root(self, writer: Writer, root: Root, copies: Path) -> None:
        self._what = root.title
        self._tell(self._what, self._count, 0)
        with contextlib.ExitStack() as stack:
            if root.lock is not None:
                stack.enter_context(exclusive(root.lock))
            part = stack.enter_context(writer.part(root.part, root.title, open_links=root.open_links))
            if root.part == LEDGER:
                self._reports(part, root, copies)
            else:
                self._take(part, root, copies)
        for name, place in self.plan.databases.items():
            if isinstance(place, Path) and name != LEDGER and place.is_file():
                held = self.plan.holder(place)
                if held is not None and held[0] == root.part:
                    self.databases.append(Database(name, "sqlite", *held))

    def _take(self, part: PartWriter, root: Root, copies: Path, unit: Callable[[str], bool] | None = None) -> None:
        done = take(
            root.path,
            part,
            self.names,
            leave=root.leave,
            copies=copies if root.copies else None,
            open_links=root.open_links,
            unit=unit or (lambda path: False),
            told=self._told,
        )
        self.left_out += [one for one in done.left_out if one not in self.left_out]

    def _told(self, _path: str) -> None:
        self._count += 1
        if self._count % 50 == 0:
            self._tell(self._what, self._count, 0)

    # -------------------------------------------------------------------------------- runs and their ledger

    def _reports(self, part: PartWriter, root: Root, copies: Path) -> None:
        """Folders of runs, then the ledger, then what has come meanwhile, until the ledger names nothing else."""
        place = self.plan.databases[LEDGER]
        before: set[str] | None = None
        for _ in range(_ROUNDS):
            self._take(part, root, copies, _is_run)
            with self._ledger(place, copies) as (named, keep):
                self._take(part, root, copies, _is_run)
                here = {entry.path for entry in part.entries}
                missing = {run for run, folder in named.items() if self._within(folder) not in here}
                if not missing or missing == before:
                    self.runs, self.lost = len(named), tuple(sorted(missing))
                    keep()
                    break
                before = missing
        else:
            raise EnvironmentProblem(
                "Runs are removed faster than they can be backed up.", "Wait for the upkeep to end, and try again."
            )
        copy = copies / "ledger.sqlite"
        if isinstance(place, Path) and copy.is_file() and place.is_relative_to(root.path):
            path = str(place.relative_to(root.path))
            with copy.open("rb") as stream:
                add_file(part, described(self.names, path, FILE, place.stat()), stream)
            self.databases.append(Database(LEDGER, "sqlite", root.part, path))
        if self.lost:
            self.left_out.append(
                f"{len(self.lost)} runs that the ledger names: their folders are not on this disk (an object store is "
                "not copied)."
            )

    def _within(self, folder: str) -> str:
        path = Path(folder)
        return str(path.relative_to(self.plan.reports)) if path.is_relative_to(self.plan.reports) else folder

    @contextlib.contextmanager
    def _ledger(self, place: Path | Address | str, copies: Path) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
        """One state of the ledger: the runs that it names, and what keeps it for the archive."""
        if isinstance(place, Path) and place.is_file():
            copy = copies / "ledger.sqlite"
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
                yield dict(rows), lambda: self._dumped(state, place, copies)
        else:
            yield {}, lambda: None

    # -------------------------------------------------------------------------------- databases elsewhere

    def _groups(self) -> dict[Address, list[str]]:
        """The names of the databases on each server."""
        groups: dict[Address, list[str]] = {}
        for name, place in self.plan.databases.items():
            if isinstance(place, Address):
                known = next((one for one in groups if _same(one, place)), place)
                groups.setdefault(known, []).append(name)
        return groups

    def _dumped(self, state: Snapshot, place: Address, copies: Path) -> None:
        """Dump all schemas of ours that one server's database has, as they are in a snapshot."""
        groups = self._groups()
        found = next(one for one in groups if _same(one, place))
        number = list(groups).index(found) + 1
        schemas = state.schemas(schema for name in groups[found] for schema in SCHEMAS[name])
        if not schemas:
            return
        self._tell("Databases", self._count, 0)
        state.dump(schemas, copies / f"database-{number}.sql")
        for name in groups[found]:
            own = tuple(one for one in SCHEMAS[name] if one in schemas)
            if own:
                self.databases.append(Database(name, "postgresql", f"database-{number}", "dump.sql", own))

    def _servers(self, writer: Writer, copies: Path) -> None:
        for number, place in enumerate(self._groups(), 1):
            dump = copies / f"database-{number}.sql"
            if not dump.exists():
                with snapshot(place) as state:
                    self._dumped(state, place, copies)
            if dump.exists():
                self._single(writer, f"database-{number}", "PostgreSQL", dump, "dump.sql")
        shown = self.plan.databases.get("online")
        if isinstance(shown, str):
            self.databases.append(Database("online", "redis"))
            self.left_out.append(f"The online store in {shown}: `quantdesk features materialize` fills it again.")

    def _files_elsewhere(self, writer: Writer, copies: Path) -> None:
        """Databases whose files lie in none of the folders."""
        for name, place in self.plan.databases.items():
            if not isinstance(place, Path) or any(one.name == name for one in self.databases) or not place.is_file():
                continue
            copy = copies / "elsewhere.sqlite"
            if name == LEDGER:
                (copies / "ledger.sqlite").rename(copy)
            else:
                copy_sqlite(place, copy)
            self._single(writer, f"file-{name}", "Database", copy, place.name, place)
            self.databases.append(Database(name, "sqlite", f"file-{name}", place.name))
            copy.unlink()

    def _single(
        self, writer: Writer, part: str, title: str, source: Path, name: str, facts: Path | None = None
    ) -> None:
        with source.open("rb") as stream, writer.part(part, title) as members:
            members.add(Entry("", FOLDER, 0o700))
            add_file(members, described(self.names, name, FILE, (facts or source).stat()), stream)


def _is_run(path: str) -> bool:
    return path.startswith("runs/") and path.count("/") == 1


def _same(one: Address, other: Address) -> bool:
    return (one.host, one.port, one.database) == (other.host, other.port, other.database)
