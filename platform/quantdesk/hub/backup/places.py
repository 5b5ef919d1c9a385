"""Where each part of a backup goes, as the settings of this process say. An edge module: it looks at files.

A restore works under names that nothing else looks at; they are told apart here as well.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import BadInput, DataError
from quantdesk.hub.backup.manifest import Manifest, Part
from quantdesk.hub.backup.note import NOTE, note_of
from quantdesk.hub.backup.plan import SCHEMAS, Plan
from quantdesk.records.address import Address

__all__ = ["ASIDE", "SETTINGS", "STAGED", "SWAP", "Places", "is_state"]

SETTINGS = "restored-settings.toml"
STAGED, ASIDE, SWAP = ".restore-", ".before-restore-", ".swap-"
"""What is made, what was there before, and what is just changing places."""


@dataclass(frozen=True)
class Places:
    """Where the parts of one backup go.

    Attributes
    ----------
    manifest
        Of the backup.
    plan
        What the settings name.
    """

    manifest: Manifest
    plan: Plan

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.plan.files.state

    @property
    def within(self) -> bool:
        """Whether the state directory stays, and what is in it changes: it cannot be renamed."""
        return os.path.ismount(self.state) or (self.state.is_dir() and not os.access(self.state.parent, os.W_OK))

    @property
    def has_moved(self) -> bool:
        """Whether the backup names another place than the settings."""
        return (self.manifest.state, self.manifest.reports) != (str(self.state), str(self.plan.reports))

    @property
    def note(self) -> Path:
        """Where it is noted that the last steps are being taken."""
        return note_of(self.state, within=self.within)

    def final(self, part: Part) -> Path | Address:
        """Where a part goes.

        Raises
        ------
        BadInput
            The settings name several databases where the backup has one.
        DataError
            Nothing here uses such a part.
        """
        root = self.plan.root(part.name)
        if root is not None:
            return root.path
        if part.name == "settings":
            return self.state / SETTINGS
        names = [one.name for one in self.manifest.databases if one.part == part.name]
        places = [self.plan.databases.get(name) for name in names]
        found = next((place for place in places if isinstance(place, Path | Address)), None)
        wanted = Address if part.name.startswith("database-") else Path
        if found is None or not isinstance(found, wanted):
            raise DataError(f"The backup has a part {part.name!r} that nothing here uses.", "Use another backup.")
        if any(str(place) != str(found) for place in places):
            raise BadInput(
                f"The databases {', '.join(names)} were in one database, and the settings name several.",
                "Restore with the settings of then.",
            )
        return found

    def replaced(self) -> list[Path]:
        """Everything that is replaced on the disk: the state directory, and what lies outside of it."""
        finals = [self.final(part) for part in self.manifest.parts]
        outside = [one for one in finals if isinstance(one, Path) and not one.is_relative_to(self.state)]
        return [self.state, *dict.fromkeys(outside)]

    def servers(self) -> dict[str, Address]:
        """By part, where its dump goes."""
        found = {part.name: self.final(part) for part in self.manifest.parts}
        return {name: place for name, place in found.items() if isinstance(place, Address)}

    def schemas(self, part: str) -> tuple[str, ...]:
        """Those in the dump of a part.

        Raises
        ------
        DataError
            It names one that is none of ours.
        """
        allowed = {schema for schemas in SCHEMAS.values() for schema in schemas}
        named = {schema for one in self.manifest.databases if one.part == part for schema in one.schemas}
        if not named <= allowed:
            raise DataError(f"The backup names the schema {min(named - allowed)!r}.", "Use another backup.")
        return tuple(sorted(named))


def is_state(path: Path) -> bool:
    """Whether something in the state directory is part of the state."""
    return path.name not in ("lost+found", NOTE) and not path.name.startswith((STAGED, ASIDE))
