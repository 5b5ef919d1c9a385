"""Make a backup, while the hub may go on. An edge module: files, databases, the clock.

The order is what makes a backup of something that is in use consistent. Folders of runs come before the ledger that
names them (:mod:`.runs`), homes before the table of accounts, and market data and features are read while their writers
wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from quantdesk import __version__
from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.hub.backup.archive import About, Reader, Writer
from quantdesk.hub.backup.dumps import take_files, take_servers
from quantdesk.hub.backup.manifest import FORMAT, Database, Manifest
from quantdesk.hub.backup.names import Names
from quantdesk.hub.backup.plan import LEDGER, Plan, Root
from quantdesk.hub.backup.plan import plan as plan_of
from quantdesk.hub.backup.runs import take_runs
from quantdesk.hub.backup.tally import Progress, Tally
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.records import atomic_write, exclusive

__all__ = ["SUFFIX", "Made", "Progress", "backup"]

SUFFIX = ".backup.tar"
ORDER = (
    "Folders of runs, then the ledger, then what had come meanwhile: every run that the ledger names is here, but for "
    "those that are said to be lost. Homes before accounts. Market data and features while their writers waited. Each "
    "database is one state of it."
)


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
    names, now = Names(files), datetime.now(UTC).isoformat(timespec="seconds")
    with atomic_write(path, mode=0o600) as temporary, _explained(path), temporary.open("r+b") as stream:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.copies.", dir=path.parent) as copies:
            tally = Tally(plan, names, Path(copies), progress or (lambda what, done, total: None))
            tally.left_out += [] if homes else ["Homes and team folders, as was asked."]
            _write(tally, Writer(stream, About(FORMAT, __version__, now)), now, settings)
        stream.flush()
        size = stream.tell()
        with Reader(temporary) as written:
            manifest = written.manifest
    return Made(path, size, manifest, time.monotonic() - began)


def _write(tally: Tally, writer: Writer, now: str, settings: Path | None) -> None:
    """Write the archive, from the first part to the manifest."""
    plan = tally.plan
    for root in sorted(plan.roots, key=lambda one: one.part == "hub"):  # the table of accounts after all others
        if root.path.is_dir():
            _root(tally, writer, root)
    take_files(tally, writer)
    take_servers(tally, writer)
    if settings is not None:
        tally.single(writer, "settings", "Settings file", settings, "quantdesk.toml")
    tally.left_out.append("Caches of homes, logs, the proxy: `quantdesk up` makes again what it needs of them.")
    writer.finish(
        Manifest(
            quantdesk=__version__,
            made=now,
            state=str(plan.files.state),
            reports=str(plan.reports),
            isolated=plan.isolated,
            accounts=tally.names.all,
            databases=tuple(sorted(tally.databases, key=lambda one: one.name)),
            runs=tally.runs,
            lost=tally.lost,
            left_out=tuple(tally.left_out),
            order=ORDER,
        )
    )


def _root(tally: Tally, writer: Writer, root: Root) -> None:
    """Write the part of a folder, and note the databases in it."""
    tally.begin(root.title)
    with contextlib.ExitStack() as stack:
        if root.lock is not None:
            stack.enter_context(exclusive(root.lock))
        part = stack.enter_context(writer.part(root.part, root.title, open_links=root.open_links))
        if root.part == LEDGER:
            take_runs(tally, part, root)
        else:
            tally.take(part, root)
    for name, place in tally.plan.databases.items():
        if isinstance(place, Path) and name != LEDGER and place.is_file():
            held = tally.plan.holder(place)
            if held is not None and held[0] == root.part:
                tally.databases.append(Database(name, "sqlite", *held))


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
