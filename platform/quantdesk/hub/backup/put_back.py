"""Put a backup back, whole or not at all. An edge module: files, accounts, databases.

Everything is made beside, under a name that nothing looks at, and checked byte for byte; then it takes its place. A
restore that is killed before has changed nothing; where it is killed between two of the last steps, a note beside the
state directory keeps a hub from starting until the restore was made again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.backup.admit import admit, alone
from quantdesk.hub.backup.archive import Reader
from quantdesk.hub.backup.exchange import Exchange
from quantdesk.hub.backup.manifest import FILE, Manifest
from quantdesk.hub.backup.note import unfinished
from quantdesk.hub.backup.places import Places
from quantdesk.hub.backup.plan import plan as plan_of
from quantdesk.hub.backup.stage import Stage
from quantdesk.hub.backup.tally import Progress
from quantdesk.hub.config import HubConfig, HubFiles

__all__ = ["Restored", "restore", "verify"]


@dataclass(frozen=True)
class Restored:
    """What was put back.

    Attributes
    ----------
    manifest
        Of the backup.
    state
        The state directory.
    aside
        Where what was there before is kept.
    notes
        What is left to do, sentences.
    seconds
        How long it took.
    """

    manifest: Manifest
    state: Path
    aside: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def verify(source: Path, *, progress: Progress | None = None) -> Manifest:
    """Read a backup and compare every byte with the hashes in it; nothing is written.

    Raises
    ------
    BadInput
        It is no backup.
    DataError
        It is damaged, or was made by a newer version.
    """
    tell = progress or (lambda what, done, total: None)
    with Reader(source) as reader:
        for number, part in enumerate(reader.manifest.parts):
            tell(part.title, number, len(reader.manifest.parts))
            with reader.part(part) as members:
                for entry in members:
                    if entry.kind == FILE:
                        members.copy(entry)
        return reader.manifest


def restore(
    source: Path,
    *,
    replace: bool = False,
    config: HubConfig | None = None,
    files: HubFiles | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Put back all that a backup holds, to where the settings of this process say.

    Parameters
    ----------
    source
        The file.
    replace
        Put what is there aside. Without it, all the places must be empty.
    config, files
        Of the hub; None reads the environment.
    progress
        Called while it works.

    Raises
    ------
    BadInput
        It is no backup, a place is not empty, or the settings name another kind of database than the backup has.
    DataError
        The backup is damaged, or was made by a newer version.
    EnvironmentProblem
        The hub runs, the disk has not enough room, or a server does not answer.
    """
    began = time.monotonic()
    files = files or HubFiles()
    plan = plan_of(config or HubConfig.from_env(), files)
    with Reader(source) as reader:
        places = Places(reader.manifest, plan)
        exchange = Exchange(places)
        notes = admit(places, replace=replace)
        stage = Stage(reader, places, progress or (lambda what, done, total: None))
        with alone(places), _explained(files):
            try:
                stage.make()
                aside = exchange.take_places(stage, source)
                carried = _carry(places.state, exchange.old) if str(exchange.old) in aside else []
            finally:
                stage.clear()
        notes += [*stage.notes, *carried]
        return Restored(reader.manifest, files.state, tuple(aside), tuple(notes), time.monotonic() - began)


def _carry(state: Path, old: Path) -> list[str]:
    """Take over from the old state what the backup does not have: the proxy, and homes where it is without them."""
    notes = []
    for name in ("proxy", "homes", "shared"):
        if (old / name).is_dir() and not os.path.lexists(state / name):
            (old / name).rename(state / name)
            if name != "proxy":
                notes.append(f"The backup is without {name}: those that were here stay.")
    return notes


@contextlib.contextmanager
def _explained(files: HubFiles) -> Iterator[None]:
    """Say of what the disk refuses whether something has changed."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = f"No disk space is left beside {files.state}." if full else f"The restore failed ({error})."
        remedy = "Free some; nothing was changed." if full else "Nothing was changed: look at that disk."
        if unfinished(files) is not None:
            remedy = "Look at that disk, and restore again with --replace: until then no hub starts here."
        raise EnvironmentProblem(what, remedy) from error
