"""From a part of an archive into a folder. An edge module: files, owners.

A folder is made where nobody else may enter, and nothing that is there already is written to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from quantdesk.errors import DataError
from quantdesk.hub.backup.archive import PartReader
from quantdesk.hub.backup.manifest import FOLDER, LINK, Entry

__all__ = ["extract", "remove", "settle"]


def extract(
    reader: PartReader,
    target: Path,
    owner_of: Callable[[Entry], tuple[int, int] | None],
    *,
    root_later: bool = False,
    told: Callable[[str], None] = lambda path: None,
) -> None:
    """Make the folder that a part holds.

    Parameters
    ----------
    reader
        Of the part, whose manifest was looked at: each path is below a folder that comes before it.
    target
        Where; it may be there and empty, and nobody else may enter its parents.
    owner_of
        Numbers for an entry; None leaves the owner alone.
    root_later
        Leave the root as it is: more comes into it, and it is given away by :func:`settle` then.
    told
        Called with each path.

    Raises
    ------
    DataError
        The archive is damaged, or something is in the way.
    OSError
        As the disk says.
    """
    folders: list[tuple[Path, Entry]] = []
    for entry in reader:
        path = target / entry.path
        told(entry.path)
        try:
            if entry.kind == FOLDER:
                path.mkdir(mode=0o700, exist_ok=not entry.path)
                folders.append((path, entry))
            elif entry.kind == LINK:
                path.symlink_to(entry.target)
                _give(path, owner_of(entry))
                os.utime(path, ns=(entry.modified, entry.modified), follow_symlinks=False)
            else:
                _write(reader, entry, path, owner_of(entry))
        except FileExistsError as error:
            raise DataError(f"{entry.path} is in the backup twice.", "Use another backup.") from error
    for path, entry in reversed(folders):  # the innermost first: a folder may be closed even to us
        if entry.path or not root_later:
            settle(path, entry, owner_of(entry))


def settle(path: Path, entry: Entry, owner: tuple[int, int] | None) -> None:
    """Give a folder its owner, mode and time."""
    _give(path, owner)
    path.chmod(entry.mode)
    os.utime(path, ns=(entry.modified, entry.modified))


def _write(reader: PartReader, entry: Entry, path: Path, owner: tuple[int, int] | None) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as stream:
        reader.copy(entry, stream)
        stream.flush()
        if owner is not None:
            os.fchown(handle, *owner)
        os.fchmod(handle, entry.mode)
        os.utime(handle, ns=(entry.modified, entry.modified))


def _give(path: Path, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def remove(path: Path) -> None:
    """Remove a folder or a file, also one in which folders are closed to their owner."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)
