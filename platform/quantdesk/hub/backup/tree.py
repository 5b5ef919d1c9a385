"""From a folder into a part of an archive. An edge module: files, owners.

Nothing is followed: folders are entered by handles, and a link is kept as what it says. What is no file, folder or link
is left out. A file is opened before it is described, so that one that is removed meanwhile is whole, or not there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.backup.archive import PartWriter
from quantdesk.hub.backup.databases import copy_sqlite, is_sqlite, others_of
from quantdesk.hub.backup.manifest import FILE, FOLDER, LINK, LONGEST_PATH, Entry, stays

__all__ = ["Owners", "Taken", "add_file", "described", "take"]

DEEPEST = 200
"""Folders within folders; what is deeper is left out, and said."""


@dataclass
class Taken:
    """What came of taking a folder.

    Attributes
    ----------
    left_out
        What is not in the archive, and why: sentences.
    """

    left_out: list[str] = field(default_factory=list)


class Owners(Protocol):
    """Names of the hub's accounts, for numbers of the machine of the backup; empty for all others."""

    def user(self, uid: int) -> str:
        """The account of a number."""

    def group(self, gid: int) -> str:
        """The account whose group has a number."""


def described(owners: Owners, path: str, kind: str, facts: os.stat_result) -> Entry:
    """An entry with its owners' names; bits that give rights away are dropped."""
    bits = stat.S_IMODE(facts.st_mode) & (0o3777 if kind == FOLDER else 0o777)
    user, group = owners.user(facts.st_uid), owners.group(facts.st_gid)
    return Entry(path, kind, bits, user, group, modified=facts.st_mtime_ns)


@dataclass(frozen=True)
class _Walk:
    """What one call of `take` needs everywhere."""

    root: Path
    writer: PartWriter
    owners: Owners
    leave: Callable[[str], bool]
    copies: Path | None
    open_links: bool
    taken: Taken
    unit: Callable[[str], bool]
    known: set[str]
    told: Callable[[str], None]

    def add(self, entry: Entry) -> None:
        self.known.add(entry.path)
        self.writer.add(entry)

    def without(self, path: str, why: str) -> None:
        self.taken.left_out.append(f"{_shown(self.root / path)} {why}.")


def take(
    root: Path,
    writer: PartWriter,
    owners: Owners,
    *,
    leave: Callable[[str], bool] = lambda path: False,
    copies: Path | None = None,
    open_links: bool = False,
    unit: Callable[[str], bool] = lambda path: False,
    told: Callable[[str], None] = lambda path: None,
) -> Taken:
    """Put all that is in a folder into a part, but for what is in the part already.

    Parameters
    ----------
    root
        The folder.
    writer
        Of the part.
    owners
        Names for numbers.
    leave
        Which paths to leave out, with all that is below.
    copies
        A folder for copies of SQLite databases, which are then one state of each; None copies their bytes as they are.
    open_links
        Whether links that lead out are kept. They are never followed.
    unit
        Which folders count only as a whole: one that is removed while it is read is not in the archive at all.
    told
        Called with each path.

    Raises
    ------
    EnvironmentProblem
        Something cannot be read: a backup that lacks it would be none.
    DataError
        A database is damaged.
    """
    known = {entry.path for entry in writer.entries}
    walk = _Walk(root, writer, owners, leave, copies, open_links, Taken(), unit, known, told)
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EnvironmentProblem(f"{root} cannot be read ({error.strerror}).", "Look at its permissions.") from error
    try:
        if "" not in known:
            walk.add(described(owners, "", FOLDER, os.fstat(handle)))
        _folder(walk, "", handle, 0)
    finally:
        os.close(handle)
    return walk.taken


def _folder(walk: _Walk, above: str, handle: int, depth: int) -> None:
    names = sorted(os.listdir(handle))
    known = set(names)
    for name in names:
        path = f"{above}/{name}" if above else name
        if walk.leave(path) or (walk.copies is not None and _beside_a_database(name, known, handle)):
            continue
        walk.told(path)
        if len(os.fsencode(path)) > LONGEST_PATH:
            walk.without(path, "has a path that is too long")
            continue
        try:
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                if walk.unit(path):
                    _whole(walk, path, name, handle)
                else:
                    _enter(walk, path, name, handle, depth)
            elif path in walk.known:
                continue
            elif stat.S_ISREG(facts.st_mode):
                _file(walk, path, name, handle)
            elif stat.S_ISLNK(facts.st_mode):
                _link(walk, path, name, handle, facts)
            elif not stat.S_ISSOCK(facts.st_mode):  # a socket is nothing once its process has ended
                walk.without(path, "is no file, folder or link")
        except FileNotFoundError:
            continue  # it was removed meanwhile
        except PermissionError as error:
            raise EnvironmentProblem(
                f"{_shown(walk.root / path)} cannot be read ({error.strerror}).",
                "Make it readable for this account, or run the backup as root.",
            ) from error


def _enter(walk: _Walk, path: str, name: str, above: int, depth: int) -> None:
    if depth >= DEEPEST:
        walk.without(path, f"is more than {DEEPEST} folders deep")
        return
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        if path not in walk.known:
            walk.add(described(walk.owners, path, FOLDER, os.fstat(handle)))
        _folder(walk, path, handle, depth + 1)
    finally:
        os.close(handle)


def _whole(walk: _Walk, path: str, name: str, above: int) -> None:
    """Take a small folder all at once: everything in it is opened before anything is written.

    Raises
    ------
    FileNotFoundError
        It was removed meanwhile; nothing of it is written then.
    """
    if path in walk.known:
        return
    found: list[tuple[Entry, BinaryIO | None]] = []
    with contextlib.ExitStack() as stack:
        handles = [(path, _descend(name, above, stack))]
        while handles:
            at, handle = handles.pop()
            found.append((described(walk.owners, at, FOLDER, os.fstat(handle)), None))
            for inner in sorted(os.listdir(handle)):  # noqa: PTH208  (a handle has no path)
                facts = os.stat(inner, dir_fd=handle, follow_symlinks=False)
                below = f"{at}/{inner}"
                if stat.S_ISDIR(facts.st_mode):
                    handles.append((below, _descend(inner, handle, stack)))
                elif stat.S_ISREG(facts.st_mode):
                    opened = os.open(inner, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
                    stream = stack.enter_context(os.fdopen(opened, "rb"))
                    found.append((described(walk.owners, below, FILE, os.fstat(opened)), stream))
                else:
                    walk.without(below, "is no file or folder")
        os.stat(name, dir_fd=above, follow_symlinks=False)  # still there under its name
        for entry, content in found:
            walk.known.add(entry.path)
            if content is None:
                walk.writer.add(entry)
            else:
                add_file(walk.writer, entry, content)


def _descend(name: str, above: int, stack: contextlib.ExitStack) -> int:
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    stack.callback(os.close, handle)
    return handle


def _link(walk: _Walk, path: str, name: str, above: int, facts: os.stat_result) -> None:
    target = os.readlink(name, dir_fd=above)
    if not walk.open_links and not stays(path, target):
        walk.without(path, f"is a link that leads out, to {_shown(target)}")
        return
    entry = described(walk.owners, path, LINK, facts)
    walk.add(Entry(path, LINK, 0o777, entry.owner, entry.group, modified=entry.modified, target=target))


def _file(walk: _Walk, path: str, name: str, above: int) -> None:
    if walk.copies is not None and is_sqlite(name, above):
        copy = walk.copies / "copy.sqlite"
        copy.unlink(missing_ok=True)
        facts = os.stat(name, dir_fd=above, follow_symlinks=False)
        copy_sqlite(walk.root / path, copy, folder=above)
        try:
            with copy.open("rb") as stream:
                add_file(walk.writer, described(walk.owners, path, FILE, facts), stream)
        finally:
            copy.unlink()
        return
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return
        disk = os.fstatvfs(stream.fileno())
        if facts.st_size > disk.f_blocks * disk.f_frsize:
            walk.without(path, "is longer than its whole disk: a hole")
            return
        if not add_file(walk.writer, described(walk.owners, path, FILE, facts), stream):
            walk.without(path, "was cut short while it was read, and its end is zeros")


def _shown(path: Path | str) -> str:
    """A name that somebody chose, for a terminal: without what would be a command to it."""
    text = str(path)
    short = text if len(text) <= 200 else f"{text[:120]}…{text[-79:]}"
    return "".join(one if one.isprintable() else "?" for one in short)


def add_file(writer: PartWriter, entry: Entry, stream: BinaryIO) -> bool:
    """Put an open file into a part, as large as it is now; see :meth:`.PartWriter.file`."""
    size = os.fstat(stream.fileno()).st_size
    return writer.file(Entry(entry.path, FILE, entry.mode, entry.owner, entry.group, size, entry.modified), stream)


def _beside_a_database(name: str, known: set[str], handle: int) -> bool:
    """Whether it is what SQLite keeps beside a database while that is in use: it is in the copy already."""
    base = next((name.removesuffix(end) for end in others_of("") if name.endswith(end)), "")
    return base in known and is_sqlite(base, handle)
