"""Make all that a backup holds beside the places where it goes. An edge module: files, accounts.

Nothing looks at it there. It is checked byte for byte while it is made; what takes its place is :mod:`.exchange`.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from quantdesk.errors import DataError
from quantdesk.hub.backup.archive import Reader
from quantdesk.hub.backup.manifest import FILE, Part
from quantdesk.hub.backup.owners import Numbers, remade
from quantdesk.hub.backup.places import STAGED, Places
from quantdesk.hub.backup.plan import LEDGER
from quantdesk.hub.backup.tally import Progress
from quantdesk.hub.backup.unpack import extract, remove, settle
from quantdesk.hub.teams import inherit
from quantdesk.records.address import Address

__all__ = ["Made", "Stage"]


@dataclass(frozen=True)
class Made:
    """What was made, and where it goes."""

    staged: Path
    final: Path


@dataclass
class Stage:
    """What is made beside.

    Attributes
    ----------
    reader
        Of the backup.
    places
        Where everything goes.
    tell
        Called while it works.
    notes
        What is left to do afterwards, sentences.
    folder
        What becomes the state directory, or comes into it.
    outside
        What goes to places outside of the state directory.
    """

    reader: Reader
    places: Places
    tell: Progress
    notes: list[str] = field(default_factory=list)
    folder: Path = field(default_factory=Path)
    outside: list[Made] = field(default_factory=list)
    _temporary: list[Path] = field(default_factory=list)
    _count: int = 0

    def make(self) -> None:
        """Make everything.

        Raises
        ------
        DataError
            The backup is damaged, or something in it is in the way.
        OSError
            As the disk says.
        """
        self._begin()
        manifest, files = self.places.manifest, self.places.plan.files
        hub = manifest.part("hub")
        no_owner: Numbers = lambda entry: (0, 0) if os.geteuid() == 0 else None  # noqa: E731
        if hub is not None:  # first, since its accounts say whose the others are
            self._extract(hub, self._staged(files.root), no_owner)
        owners = remade(manifest, files, self._staged(files.root) / files.accounts.name)
        for part in manifest.parts:
            final = self.places.final(part)
            if part is hub or isinstance(final, Address):
                continue
            if self.places.plan.root(part.name) is not None:
                self._extract(part, self._staged(final), owners)
            else:
                self._extract_file(part, self._staged(final), owners)
        self._relocate()
        self._open_to_teams()
        self._close(owners)
        os.sync()

    def beside(self, final: Path) -> Path:
        """An empty folder on the disk of a place, which :meth:`clear` removes."""
        if final == self.places.state and self.places.within:
            final = final / "dump"
        made = Path(tempfile.mkdtemp(prefix=f".{final.name}{STAGED}", dir=final.parent))
        self._temporary.append(made)
        return made

    def dump(self, name: str) -> Path:
        """The dump in a part, as a file."""
        self.tell("Databases", self._count, 0)
        part = next(one for one in self.places.manifest.parts if one.name == name)
        folder = self.beside(self.places.state)
        with self.reader.part(part) as members:
            extract(members, folder, lambda entry: None)
        return folder / "dump.sql"

    def clear(self) -> None:
        """Remove what was made beside and has not taken its place."""
        for made in self._temporary:
            remove(made)

    def _begin(self) -> None:
        if self.places.within:
            self.folder = Path(tempfile.mkdtemp(prefix=STAGED, dir=self.places.state))
            self._temporary.append(self.folder)
        else:
            self.folder = self.beside(self.places.state)

    def _close(self, owners: Numbers) -> None:
        """Give the folder itself the owner, mode and time that it had; where it is a mount's, it stays as it is."""
        rest = self.places.manifest.part("rest")
        if self.places.within:
            return
        if rest is not None and rest.entries:
            settle(self.folder, rest.entries[0], owners(rest.entries[0]))
        else:
            self.folder.chmod(0o755 if os.geteuid() == 0 else 0o700)

    def _staged(self, final: Path) -> Path:
        """Where a folder or file is made that goes to `final`."""
        state = self.places.state
        if final == state:
            return self.folder
        if final.is_relative_to(state):
            staged = self.folder / final.relative_to(state)
        else:
            known = next((one for one in self.outside if one.final == final), None)
            if known is not None:
                return known.staged
            final.parent.mkdir(parents=True, exist_ok=True)
            staged = self.beside(final) / final.name
            self.outside.append(Made(staged, final))
        staged.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        inside = staged.is_relative_to(self.folder)
        if inside and not staged.parent.resolve().is_relative_to(self.folder.resolve()):
            raise DataError(f"A link in the backup stands where {final} is to be.", "Use another backup.")
        return staged

    def _extract(self, part: Part, target: Path, owners: Numbers) -> None:
        if target.is_symlink():
            raise DataError(f"A link in the backup stands in the place of {part.name}.", "Use another backup.")
        self._told(part)
        with self.reader.part(part) as members:
            extract(members, target, owners, root_later=target == self.folder, told=lambda path: self._told(part))

    def _extract_file(self, part: Part, target: Path, owners: Numbers) -> None:
        """A part that is one file."""
        files = [one for one in part.entries if one.kind == FILE]
        if len(files) != 1 or len(part.entries) != 2:
            raise DataError(f"The part {part.name} is to be one file, and is not.", "Use another backup.")
        folder = self.beside(target)
        with self.reader.part(part) as members:
            extract(members, folder, owners)
        (folder / files[0].path).rename(target)
        remove(folder)

    def _told(self, part: Part) -> None:
        if self._count % 50 == 0:
            self.tell(part.title, self._count, sum(len(one.entries) for one in self.places.manifest.parts))
        self._count += 1

    def _relocate(self) -> None:
        """What names the old place by its path."""
        if not self.places.has_moved:
            return
        manifest, plan = self.places.manifest, self.places.plan
        (self.folder / "up.json").unlink(missing_ok=True)
        self.notes.append(
            f"The backup is of {manifest.state}: `quantdesk up` tells the feature registry of the new place."
        )
        place = plan.databases[LEDGER]
        if isinstance(place, Path) and (staged := self._staged(place)).is_file():
            before, now = f"{manifest.reports}/", f"{plan.reports}/"
            with closing(sqlite3.connect(staged)) as ledger, ledger:
                if ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                    ledger.execute(
                        "UPDATE runs SET folder = ? || substr(folder, ?) WHERE substr(folder, 1, ?) = ?",
                        (now, len(before) + 1, len(before), before),
                    )

    def _open_to_teams(self) -> None:
        """Folders of teams hand their rights on to what is made in them, which no archive keeps."""
        shared = self.places.plan.root("shared")
        if os.geteuid() != 0 or shared is None or self.places.manifest.part("shared") is None:
            return
        for folder, names, _ in os.walk(self._staged(shared.path)):
            for name in names:
                path = Path(folder, name)
                if not path.is_symlink():
                    inherit(path)
