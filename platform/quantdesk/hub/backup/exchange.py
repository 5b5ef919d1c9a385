"""Let what a restore has made take its place. An edge module: files, databases.

The databases of servers change in one transaction each, and the new state directory takes the place of the old in one
rename, which the old one survives under another name. Between two of these steps a note keeps a hub from starting.

A state directory that is a mounted volume cannot be renamed. There what is in it changes places one by one, under the
protection of that note.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from quantdesk.hub.backup.databases import load_dump, others_of, take_back
from quantdesk.hub.backup.places import ASIDE, SWAP, Places, is_state
from quantdesk.hub.backup.plan import LEDGER, SCHEMAS
from quantdesk.hub.backup.stage import Stage
from quantdesk.records.address import Address

__all__ = ["Exchange"]

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of renameat2(2)


@dataclass(frozen=True)
class Exchange:
    """The last steps of one restore.

    Attributes
    ----------
    places
        Where everything goes.
    moment
        When it began, for the names of what was there.
    """

    places: Places
    moment: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))

    @property
    def old(self) -> Path:
        """Where the old state is kept."""
        state = self.places.state
        return state / f"{ASIDE}{self.moment}" if self.places.within else state.with_name(f"{state.name}{self._suffix}")

    @property
    def _suffix(self) -> str:
        return f"{ASIDE}{self.moment}"

    @property
    def _schema_suffix(self) -> str:
        return f"_before_{self.moment.lower()}"

    def take_places(self, stage: Stage, source: Path) -> list[str]:
        """Let everything take its place.

        Parameters
        ----------
        stage
            What was made.
        source
            The backup, for the note.

        Returns
        -------
        list of str
            Where what was there is kept.

        Raises
        ------
        OSError
            As the disk says. Where no file had changed yet, the databases are taken back.
        """
        servers = self.places.servers()
        note = self.places.note
        if servers or stage.outside or self.places.within:  # more than one step
            note.write_text(json.dumps({"backup": str(source), "at": self.moment}))
        loaded: list[tuple[Address, tuple[str, ...], tuple[str, ...]]] = []
        aside: list[str] = []
        changed = False
        try:
            for name, address in servers.items():
                schemas = self.places.schemas(name)
                loaded.append((address, schemas, self._load(stage, name, address, schemas)))
            for made in stage.outside:
                aside += self._one(made.staged, made.final)
                changed = True
            if self.places.within:
                changed = True
                aside += self._inside(stage.folder)
            else:
                aside += self._one(stage.folder, self.places.state)
        except BaseException:
            if not changed:  # only servers have changed, which can be undone
                for address, schemas, old in loaded:
                    take_back(address, schemas, old, self._schema_suffix)
                note.unlink(missing_ok=True)
            raise
        note.unlink(missing_ok=True)
        return aside + [f"schema {name} of {address}" for address, _, old in loaded for name in old]

    def _load(self, stage: Stage, part: str, address: Address, schemas: tuple[str, ...]) -> tuple[str, ...]:
        """Read a dump into its server; the new names of schemas that were there."""
        dumped, before = stage.dump(part), None
        if self.places.has_moved and SCHEMAS[LEDGER][0] in schemas:
            old, now = f"{self.places.manifest.reports}/", f"{self.places.plan.reports}/"
            before = sql.SQL("UPDATE {} SET folder = {} || substr(folder, {}) WHERE starts_with(folder, {})").format(
                sql.Identifier(SCHEMAS[LEDGER][0], "runs"), now, len(old) + 1, old
            )
        with dumped.open("rb") as dump:
            return load_dump(address, schemas, dump, self._schema_suffix, before)

    def _one(self, staged: Path, final: Path) -> list[str]:
        """Put `staged` in the place of `final` in one step; the names of what was there."""
        if not os.path.lexists(final):
            staged.rename(final)
            return []
        if final.is_dir() and staged.is_dir() and not any(final.iterdir()):
            staged.rename(final)  # an empty folder is replaced in one step
            return []
        old = final.with_name(f"{final.name}{self._suffix}")
        for name in others_of(final.name):  # a log of the old database would be taken for one of the new
            beside = final.with_name(name)
            if beside.exists() and final.is_file():
                beside.rename(old.with_name(f"{old.name}{name.removeprefix(final.name)}"))
        # Under a name that no restore clears away: once exchanged, it holds what was there.
        swap = final.with_name(f".{final.name}{SWAP}{self.moment}")
        staged.rename(swap)
        if _exchanged(swap, final):
            try:
                swap.rename(old)
            except OSError:  # it is done, and the old is kept all the same
                return [str(swap)]
        else:
            final.rename(old)
            swap.rename(final)
        return [str(old)]

    def _inside(self, folder: Path) -> list[str]:
        """Let what is in the state directory and what was made change places, name by name."""
        old = self.old
        for there in list(self.places.state.iterdir()):
            if is_state(there):
                old.mkdir(mode=0o700, exist_ok=True)
                there.rename(old / there.name)
        for made in list(folder.iterdir()):
            made.rename(self.places.state / made.name)
        return [str(old)] if old.is_dir() else []


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where this system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        done = library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    except AttributeError:
        return False
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(other))
