"""What a backup says of itself: every file of every part, with owner, mode, size and hash. Pure.

A restore believes nothing but this, and this only once it has been looked at: a path that leads out of its part, a
folder that is a link, a link that leads out, a mode that gives rights away, sizes that do not add up. The bytes of an
archive then have to fit, one by one.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from quantdesk.errors import DataError

__all__ = ["FORMAT", "LONGEST_PATH", "Database", "Entry", "Manifest", "Part", "from_json", "stays", "to_json"]

FORMAT = 1
"""Raised when an older version could not read what is written any more."""
FILE, FOLDER, LINK = "file", "folder", "link"
_KINDS = {FILE, FOLDER, LINK}
_PART = re.compile(r"[a-z][a-z0-9-]{0,40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
LONGEST_PATH, _LONGEST_NAME, _LONGEST_LINK = 3000, 255, 4096  # bytes
_FILE_MODES, _FOLDER_MODES = 0o777, 0o3777
_DAMAGED = "It is damaged, or was made by somebody else: use another backup."


@dataclass(frozen=True)
class Entry:
    """A file, a folder or a link of a part.

    Attributes
    ----------
    path
        From the root of its part; empty for that root itself, which is a folder.
    kind
        ``"file"``, ``"folder"`` or ``"link"``.
    mode
        Permissions, never with set-user-id.
    owner, group
        The names of the hub's accounts on the machine of the backup; empty for the account that ran the hub.
    size, sha256
        Of a file.
    modified
        Nanoseconds since 1970 (UTC).
    target
        Of a link.
    """

    path: str
    kind: str
    mode: int
    owner: str = ""
    group: str = ""
    size: int = 0
    modified: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True)
class Part:
    """What belongs together and goes to one place.

    Attributes
    ----------
    name
        ``"homes"``, ``"market"`` …; of a dump ``"database-1"``.
    title
        For people.
    entries
        In the order of the archive; the root's comes first.
    open_links
        Whether links may lead anywhere, as those of users may: nothing here follows them.
    stored
        Bytes in the archive.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    open_links: bool = False
    stored: int = 0

    @property
    def files(self) -> int:
        """How many files."""
        return sum(one.kind == FILE for one in self.entries)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(one.size for one in self.entries)


@dataclass(frozen=True)
class Database:
    """Where one of the platform's databases was.

    Attributes
    ----------
    name
        ``"hub"``, ``"service"``, ``"reports"``, ``"orders"``, ``"features"``, ``"online"``.
    kind
        ``"sqlite"``, ``"postgresql"``, or ``"redis"``, which is not copied.
    part, path
        In which part it is, and, of a file, where in it.
    schemas
        Of PostgreSQL.
    """

    name: str
    kind: str
    part: str = ""
    path: str = ""
    schemas: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """All of it.

    Attributes
    ----------
    quantdesk
        The version that wrote it.
    made
        When, ISO 8601 (UTC).
    state
        The state directory that it was made of.
    reports
        The folder of the reports, which the ledger names.
    isolated
        Whether each user had an account of his own.
    accounts
        The hub's accounts, name of the account to number and home.
    databases, parts
        What is in it.
    runs
        How many runs with files the ledger of runs names; all are in it but `lost`.
    lost
        Runs that the ledger names and whose folder was gone before the backup began, or is in the object store.
    left_out
        What is not in it, and why: sentences.
    order
        In which order it was read, and what that promises.
    """

    quantdesk: str
    made: str
    state: str
    reports: str
    isolated: bool
    accounts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    databases: tuple[Database, ...] = ()
    parts: tuple[Part, ...] = ()
    runs: int = 0
    lost: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    order: str = ""
    format: int = FORMAT

    def part(self, name: str) -> Part | None:
        """The part of a name."""
        return next((one for one in self.parts if one.name == name), None)


def to_json(manifest: Manifest) -> bytes:
    """As it stands in the archive."""
    return json.dumps(asdict(manifest), ensure_ascii=True, separators=(",", ":")).encode()


def from_json(text: bytes) -> Manifest:
    """Read what stands in an archive, and look at all of it.

    Raises
    ------
    DataError
        It is no manifest, or names something that no backup holds.
    """
    try:
        raw = json.loads(text)
        parts = tuple(
            Part(**{**one, "entries": tuple(Entry(**entry) for entry in one["entries"])}) for one in raw["parts"]
        )
        databases = tuple(Database(**{**one, "schemas": tuple(one["schemas"])}) for one in raw["databases"])
        accounts = {str(name): (int(uid), int(gid)) for name, (uid, gid) in raw["accounts"].items()}
        lists = {name: tuple(map(str, raw[name])) for name in ("lost", "left_out")}
        manifest = Manifest(**{**raw, "parts": parts, "databases": databases, "accounts": accounts, **lists})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"The manifest of the backup cannot be read ({type(error).__name__}).", _DAMAGED) from error
    _look_at(manifest)
    return manifest


def _look_at(manifest: Manifest) -> None:
    names = [part.name for part in manifest.parts]
    if len(set(names)) != len(names):
        raise DataError("The backup holds a part twice.", _DAMAGED)
    for part in manifest.parts:
        if not (isinstance(part.name, str) and _PART.fullmatch(part.name)):
            raise DataError(f"{str(part.name)[:60]!r} is no part of a backup.", _DAMAGED)
        folders: set[str] = set()
        seen: set[str] = set()
        for place, entry in enumerate(part.entries):
            problem = _problem(entry, part, folders, first=place == 0)
            if problem is None and entry.path in seen:
                problem = "is there twice"
            if problem is not None:
                raise DataError(f"{str(entry.path)[:200]!r} in the part {part.name} {problem}.", _DAMAGED)
            seen.add(entry.path)
            if entry.kind == FOLDER:
                folders.add(entry.path)


def _problem(entry: Entry, part: Part, folders: set[str], *, first: bool) -> str | None:
    """What is wrong with an entry, or None."""
    texts = (entry.path, entry.kind, entry.owner, entry.group, entry.sha256, entry.target)
    numbers = (entry.mode, entry.size, entry.modified)
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        return "is described wrongly"
    if entry.kind not in _KINDS:
        return f"is a {entry.kind[:20]!r}"
    if first != (entry.path == ""):
        return "is not where a root is" if first else "is a second root"
    if first:
        return None if entry.kind == FOLDER and 0 <= entry.mode <= _FOLDER_MODES else "is no root"
    try:
        names = entry.path.encode("utf-8", "surrogateescape")
        link = entry.target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "has a name that cannot be"
    components = entry.path.split("/")
    if b"\0" in names or len(names) > LONGEST_PATH or any(len(one) > _LONGEST_NAME for one in names.split(b"/")):
        return "has a name that cannot be"
    if b"\0" in link or len(link) > _LONGEST_LINK:
        return "is a link to nothing"
    if any(one in ("", ".", "..") for one in components):
        return "leads out of it"
    if posixpath.dirname(entry.path) not in folders:
        return "is not in a folder of it"
    if not 0 <= entry.mode <= (_FOLDER_MODES if entry.kind == FOLDER else _FILE_MODES):
        return f"has the mode {entry.mode:o}"
    if not 0 <= entry.size < 1 << 62 or not -(1 << 62) < entry.modified < 1 << 62:
        return "has a size or a time that cannot be"
    if entry.kind == FILE:
        return None if _SHA256.fullmatch(entry.sha256) else "has no hash"
    if entry.size:
        return "has a size and is no file"
    if entry.kind == LINK:
        return _bad_link(entry, part)
    return None


def _bad_link(entry: Entry, part: Part) -> str | None:
    if not entry.target:
        return "is a link to nothing"
    return None if part.open_links or stays(entry.path, entry.target) else f"links out of it, to {entry.target[:200]!r}"


def stays(path: str, target: str) -> bool:
    """Whether a link stays within the part that it is in.

    Parameters
    ----------
    path
        Of the link, from the root of the part.
    target
        What it says.
    """
    if target.startswith("/"):
        return False
    # Step by step: a/../../b leads out for a moment, and through another link it could for good.
    depth = path.count("/")
    for component in target.split("/"):
        depth += -1 if component == ".." else int(component not in ("", "."))
        if depth < 0:
            return False
    return True
