"""One backup while it is written: what has been taken, what has not, and how far it is. An edge module: files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from quantdesk.hub.backup.archive import PartWriter, Writer
from quantdesk.hub.backup.manifest import FILE, FOLDER, Database, Entry
from quantdesk.hub.backup.names import Names
from quantdesk.hub.backup.plan import Plan, Root
from quantdesk.hub.backup.tree import add_file, described, take

__all__ = ["Progress", "Tally"]

Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, of how many (0: unknown)."""


@dataclass
class Tally:
    """What becomes the manifest.

    Attributes
    ----------
    plan
        What there is to take.
    names
        Owners by number.
    copies
        A folder for copies of databases, which is removed at the end.
    tell
        Called while it works.
    databases
        Those that were taken.
    left_out
        What was not taken, and why: sentences.
    runs, lost
        How many runs the ledger names, and those of them whose folders are not there.
    """

    plan: Plan
    names: Names
    copies: Path
    tell: Progress
    databases: list[Database] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    runs: int = 0
    lost: tuple[str, ...] = ()
    _count: int = 0
    _title: str = ""

    def copy_of(self, database: str) -> Path:
        """Where the copy of a database goes that is a file."""
        return self.copies / f"{database}.sqlite"

    def begin(self, title: str) -> None:
        """Say what comes now."""
        self._title = title
        self.tell(title, self._count, 0)

    def take(self, part: PartWriter, root: Root, unit: Callable[[str], bool] = lambda path: False) -> None:
        """Put into a part what is in a folder and not in the part yet; see :func:`.tree.take`."""
        done = take(
            root.path,
            part,
            self.names,
            leave=root.leave,
            copies=self.copies if root.copies else None,
            open_links=root.open_links,
            unit=unit,
            told=self._told,
        )
        self.left_out += [one for one in done.left_out if one not in self.left_out]

    def add(self, part: PartWriter, name: str, source: Path, facts: Path | None = None) -> None:
        """Put one file into a part, with the owner, mode and time of `facts` (None: its own)."""
        with source.open("rb") as stream:
            add_file(part, described(self.names, name, FILE, (facts or source).stat()), stream)

    def single(self, writer: Writer, part: str, title: str, source: Path, name: str, facts: Path | None = None) -> None:
        """Write a part that is one file."""
        with writer.part(part, title) as members:
            members.add(Entry("", FOLDER, 0o700))
            self.add(members, name, source, facts)

    def _told(self, _path: str) -> None:
        self._count += 1
        if self._count % 50 == 0:
            self.tell(self._title, self._count, 0)
