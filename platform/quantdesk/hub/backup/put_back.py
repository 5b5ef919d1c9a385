"""Put a backup back, whole or not at all. An edge module: files, accounts, databases.

Everything is made beside, under a name that nothing looks at, and checked byte for byte. Then the databases of servers
change in one transaction each, and the new state directory takes the place of the old in one rename, which the old one
survives under another name. A restore that is killed before has changed nothing; where it is killed between two of
these last steps, a note beside the state directory keeps a hub from starting until the restore was made again.

A state directory that is a mounted volume cannot be renamed. There everything is made in a folder within, and at the
end what is in it changes places one by one, under the protection of that note.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.backup.archive import Reader
from quantdesk.hub.backup.databases import load_dump, others_of, sessions, tables_of, take_back
from quantdesk.hub.backup.make import Progress
from quantdesk.hub.backup.manifest import FILE, Entry, Manifest, Part
from quantdesk.hub.backup.owners import Numbers, remade
from quantdesk.hub.backup.plan import LEDGER, SCHEMAS, Plan
from quantdesk.hub.backup.plan import plan as plan_of
from quantdesk.hub.backup.tree import extract, settle
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.sweep import marked, of_mark
from quantdesk.hub.teams import inherit
from quantdesk.records import LockHeld, exclusive
from quantdesk.records.address import Address

__all__ = ["Restored", "restore", "unfinished", "verify"]

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of renameat2(2)
_SPARE = 50_000_000
SETTINGS = "restored-settings.toml"
_STAGED, _ASIDE, _NOTE, _SWAP = ".restore-", ".before-restore-", ".restoring", ".swap-"


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


def unfinished(files: HubFiles) -> str | None:
    """The backup whose restore was interrupted between two of its last steps, or None."""
    for note in (_note(files.state, within=False), _note(files.state, within=True)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                return str(json.loads(note.read_text())["backup"])
            except (ValueError, KeyError, TypeError):
                return "an unknown file"
    return None


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
        work = _Work(reader, plan, progress or (lambda what, done, total: None), source)
        work.check(replace=replace)
        with work.alone():
            try:
                work.stage()
                aside = work.swap()
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                what = f"No disk space is left beside {files.state}." if full else f"The restore failed ({error})."
                remedy = "Free some; nothing was changed." if full else "Nothing was changed: look at that disk."
                if unfinished(files) is not None:
                    remedy = "Look at that disk, and restore again with --replace: until then no hub starts here."
                raise EnvironmentProblem(what, remedy) from error
            finally:
                work.clear()
        return Restored(reader.manifest, files.state, tuple(aside), tuple(work.notes), time.monotonic() - began)


@dataclass
class _Place:
    """Where a folder or a file is made, and where it goes."""

    staged: Path
    final: Path


@dataclass
class _Work:
    """One restore."""

    reader: Reader
    plan: Plan
    tell: Progress
    source: Path
    notes: list[str] = field(default_factory=list)
    _stage: Path = field(default_factory=Path)
    _outside: list[_Place] = field(default_factory=list)
    _made: list[Path] = field(default_factory=list)
    _moment: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))
    _count: int = 0

    @property
    def manifest(self) -> Manifest:
        return self.reader.manifest

    @property
    def state(self) -> Path:
        return self.plan.files.state

    @property
    def within(self) -> bool:
        """Whether the state directory stays, and what is in it changes: it cannot be renamed."""
        return os.path.ismount(self.state) or (self.state.is_dir() and not os.access(self.state.parent, os.W_OK))

    # -------------------------------------------------------------------------------- looking first

    def check(self, *, replace: bool) -> None:
        """See whether it can be done at all, before anything is written."""
        self._check_databases()
        for part in self.manifest.parts:
            self._final(part)
        for place in self._places()[1:]:
            if os.path.ismount(place):
                raise EnvironmentProblem(
                    f"{place} is a mounted volume, which cannot be replaced.",
                    "Let the setting name a folder on that volume.",
                )
        if not self.state.parent.is_dir():
            raise EnvironmentProblem(f"{self.state.parent} is no folder.", "Make it, or set QUANTDESK_STATE.")
        for name, address in self._servers().items():
            if sessions(address):
                raise EnvironmentProblem(
                    f"Something is connected to {address} as {address.user}.",
                    "Stop the hub, its services and workers on every machine, then restore.",
                )
            full = tables_of(address, self._schemas(name))
            if full and not replace:
                raise BadInput(
                    f"{address} has tables already, in {', '.join(full)}.", "--replace puts them aside; or empty it."
                )
        if not replace:
            for final in self._places():
                if os.path.lexists(final) and not (final.is_dir() and not any(map(_counts, final.iterdir()))):
                    raise BadInput(f"{final} is not empty.", "--replace puts what is there aside.")
        need = sum(part.size for part in self.manifest.parts) + _SPARE
        free = shutil.disk_usage(self.state if self.within else self.state.parent).free
        if need > free:
            raise EnvironmentProblem(
                f"{need / 1e9:.1f} GB are needed beside {self.state}, and {free / 1e9:.1f} GB are free.", "Free some."
            )

    def _check_databases(self) -> None:
        for one in self.manifest.databases:
            place = self.plan.databases.get(one.name)
            if one.kind == "redis":
                self.notes.append("The online store was in Redis: `quantdesk features materialize` fills it again.")
                continue
            is_server = isinstance(place, Address)
            if (one.kind == "postgresql") != is_server:
                is_now = "PostgreSQL" if is_server else "a file"
                was = "PostgreSQL" if one.kind == "postgresql" else "a file"
                raise BadInput(
                    f"The database “{one.name}” was {was} when the backup was made, and the settings name {is_now}.",
                    "Restore with the settings of then: QUANTDESK_DATABASE and those beside it.",
                )
            if isinstance(place, Path) and not one.part.startswith("file-"):
                root = self.plan.root(one.part)
                if root is None or root.path / one.path != place:
                    raise BadInput(
                        f"The database “{one.name}” was {one.path} in {one.part}, and the settings name {place}.",
                        "Restore with the settings of then.",
                    )

    def _final(self, part: Part) -> Path | Address:
        """Where a part goes."""
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

    def _places(self) -> list[Path]:
        """Everything that is replaced on the disk: the state directory, and what lies outside of it."""
        finals = [self._final(part) for part in self.manifest.parts]
        outside = [one for one in finals if isinstance(one, Path) and not one.is_relative_to(self.state)]
        return [self.state, *dict.fromkeys(outside)]

    def _servers(self) -> dict[str, Address]:
        """By part, where its dump goes."""
        found = {part.name: self._final(part) for part in self.manifest.parts}
        return {name: place for name, place in found.items() if isinstance(place, Address)}

    def _schemas(self, part: str) -> tuple[str, ...]:
        allowed = {schema for schemas in SCHEMAS.values() for schema in schemas}
        named = {schema for one in self.manifest.databases if one.part == part for schema in one.schemas}
        if not named <= allowed:
            raise DataError(f"The backup names the schema {min(named - allowed)!r}.", "Use another backup.")
        return tuple(sorted(named))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other restore, and no hub that runs on the state directory."""
        with contextlib.ExitStack() as stack:
            handle = os.open(self.state.parent, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockHeld(f"Another restore beside {self.state} is running.", "Wait for it to end.") from error
            if self.plan.files.lock.exists():
                try:
                    stack.enter_context(exclusive(self.plan.files.lock, timeout=0.5))
                except LockHeld as error:
                    raise self._runs() from error
            if of_mark(marked(self.state)):
                raise self._runs()
            for place in (self.state, *self._places()):
                for left in place.parent.glob(f".{place.name}.restore-*"):  # of a restore that was killed
                    _remove(left)
                for left in place.parent.glob(f".{place.name}{_SWAP}*"):  # the old or the new: people may want it
                    left.rename(place.with_name(f"{place.name}.left-by-restore-{left.name.rpartition('-')[2]}"))
            for left in self.state.glob(f"{_STAGED}*"):
                _remove(left)
            yield

    def _runs(self) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"The hub of {self.state} is running, or something that it started is.", "Stop it, then restore."
        )

    # -------------------------------------------------------------------------------- making

    def stage(self) -> None:
        """Make everything beside."""
        if self.within:
            self._stage = Path(tempfile.mkdtemp(prefix=_STAGED, dir=self.state))
            self._made.append(self._stage)
        else:
            self._stage = self._beside(self.state)
        hub = self.manifest.part("hub")
        files = self.plan.files
        no_owner: Numbers = lambda entry: (0, 0) if os.geteuid() == 0 else None  # noqa: E731
        if hub is not None:  # first, since its accounts say whose the others are
            self._extract(hub, self._staged(files.root), no_owner)
        owners = remade(self.manifest, files, self._staged(files.root) / files.accounts.name)
        last: Entry | None = None
        for part in self.manifest.parts:
            final = self._final(part)
            if part is hub or isinstance(final, Address):
                continue
            if part.name == "rest":
                last = part.entries[0] if part.entries else None
            if self.plan.root(part.name) is not None:
                self._extract(part, self._staged(final), owners)
            else:
                self._extract_file(part, self._staged(final), owners)
        self._relocate()
        self._open_to_teams()
        if self.within:
            pass  # the folder itself is somebody else's: the mount's
        elif last is not None:
            settle(self._stage, last, owners(last))
        else:
            self._stage.chmod(0o755 if os.geteuid() == 0 else 0o700)
        os.sync()

    def _beside(self, final: Path) -> Path:
        if final == self.state and self.within:
            final = self.state / "dump"
        made = Path(tempfile.mkdtemp(prefix=f".{final.name}.restore-", dir=final.parent))
        self._made.append(made)
        return made

    def _staged(self, final: Path) -> Path:
        """Where a folder or file is made that goes to `final`."""
        if final == self.state:
            return self._stage
        if final.is_relative_to(self.state):
            staged = self._stage / final.relative_to(self.state)
        else:
            known = next((one for one in self._outside if one.final == final), None)
            if known is not None:
                return known.staged
            final.parent.mkdir(parents=True, exist_ok=True)
            staged = self._beside(final) / final.name
            self._outside.append(_Place(staged, final))
        staged.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        inside = staged.is_relative_to(self._stage)
        if inside and not staged.parent.resolve().is_relative_to(self._stage.resolve()):
            raise DataError(f"A link in the backup stands where {final} is to be.", "Use another backup.")
        return staged

    def _extract(self, part: Part, target: Path, owners: Numbers) -> None:
        if target.is_symlink():
            raise DataError(f"A link in the backup stands in the place of {part.name}.", "Use another backup.")
        self._told(part)
        with self.reader.part(part) as members:
            extract(members, target, owners, root_later=target == self._stage, told=lambda path: self._told(part))

    def _extract_file(self, part: Part, target: Path, owners: Numbers) -> None:
        """A part that is one file."""
        files = [one for one in part.entries if one.kind == FILE]
        if len(files) != 1 or len(part.entries) != 2:
            raise DataError(f"The part {part.name} is to be one file, and is not.", "Use another backup.")
        folder = self._beside(target)
        with self.reader.part(part) as members:
            extract(members, folder, owners)
        (folder / files[0].path).rename(target)
        _remove(folder)

    def _told(self, part: Part) -> None:
        if self._count % 50 == 0:
            self.tell(part.title, self._count, sum(len(one.entries) for one in self.manifest.parts))
        self._count += 1

    def _relocate(self) -> None:
        """What names the old place by its path."""
        if not self._has_moved():
            return
        (self._stage / "up.json").unlink(missing_ok=True)
        self.notes.append(
            f"The backup is of {self.manifest.state}: `quantdesk up` tells the feature registry of the new place."
        )
        place = self.plan.databases[LEDGER]
        if isinstance(place, Path) and (staged := self._staged(place)).is_file():
            before, now = f"{self.manifest.reports}/", f"{self.plan.reports}/"
            with closing(sqlite3.connect(staged)) as ledger, ledger:
                if ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                    ledger.execute(
                        "UPDATE runs SET folder = ? || substr(folder, ?) WHERE substr(folder, 1, ?) = ?",
                        (now, len(before) + 1, len(before), before),
                    )

    def _open_to_teams(self) -> None:
        """Folders of teams hand their rights on to what is made in them, which no archive keeps."""
        shared = self.plan.root("shared")
        if os.geteuid() != 0 or shared is None or self.manifest.part("shared") is None:
            return
        for folder, names, _ in os.walk(self._staged(shared.path)):
            for name in names:
                path = Path(folder, name)
                if not path.is_symlink():
                    inherit(path)

    def _has_moved(self) -> bool:
        return (self.manifest.state, self.manifest.reports) != (str(self.state), str(self.plan.reports))

    # -------------------------------------------------------------------------------- changing

    def swap(self) -> list[str]:
        """Let what was made take its place; where the old is kept."""
        servers = self._servers()
        several = bool(servers or self._outside or self.within)
        note = _note(self.state, within=self.within)
        if several:
            note.write_text(json.dumps({"backup": str(self.source), "at": self._moment}))
        loaded: list[tuple[Address, tuple[str, ...], tuple[str, ...]]] = []
        aside: list[str] = []
        changed = False
        try:
            for name, address in servers.items():
                schemas = self._schemas(name)
                loaded.append((address, schemas, self._load(name, address, schemas)))
            for place in self._outside:
                aside += self._take_place(place.staged, place.final)
                changed = True
            if self.within:
                changed = True
                aside += self._take_inside()
            else:
                aside += self._take_place(self._stage, self.state)
        except BaseException:
            if not changed:  # only servers have changed, which can be undone
                for address, schemas, old in loaded:
                    take_back(address, schemas, old, self._aside_schema)
                note.unlink(missing_ok=True)
            raise
        note.unlink(missing_ok=True)
        aside += [f"schema {name} of {address}" for address, _, old in loaded for name in old]
        self._carry(aside)
        return aside

    @property
    def _aside_schema(self) -> str:
        return f"_before_{self._moment.lower()}"

    def _load(self, part: str, address: Address, schemas: tuple[str, ...]) -> tuple[str, ...]:
        self.tell("Databases", self._count, 0)
        found = next(one for one in self.manifest.parts if one.name == part)
        folder = self._beside(self.state)
        with self.reader.part(found) as members:
            extract(members, folder, lambda entry: None)
        before = None
        if self._has_moved() and SCHEMAS[LEDGER][0] in schemas:
            old, now = f"{self.manifest.reports}/", f"{self.plan.reports}/"
            before = sql.SQL("UPDATE {} SET folder = {} || substr(folder, {}) WHERE starts_with(folder, {})").format(
                sql.Identifier(SCHEMAS[LEDGER][0], "runs"), now, len(old) + 1, old
            )
        with (folder / "dump.sql").open("rb") as dump:
            return load_dump(address, schemas, dump, self._aside_schema, before)

    def _take_place(self, staged: Path, final: Path) -> list[str]:
        """Put `staged` in the place of `final` in one step; the names of what was there."""
        if not os.path.lexists(final):
            staged.rename(final)
            return []
        if final.is_dir() and staged.is_dir() and not any(final.iterdir()):
            staged.rename(final)  # an empty folder is replaced in one step
            return []
        old = final.with_name(f"{final.name}.before-restore-{self._moment}")
        for name in others_of(final.name):  # a log of the old database would be taken for one of the new
            beside = final.with_name(name)
            if beside.exists() and final.is_file():
                beside.rename(old.with_name(f"{old.name}{name.removeprefix(final.name)}"))
        # Under a name that no restore clears away: once exchanged, it holds what was there.
        swap = final.with_name(f".{final.name}{_SWAP}{self._moment}")
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

    def _take_inside(self) -> list[str]:
        """Let what is in the state directory and what was made change places, name by name."""
        old = self._old
        for there in list(self.state.iterdir()):
            if _counts(there):
                old.mkdir(mode=0o700, exist_ok=True)
                there.rename(old / there.name)
        for made in list(self._stage.iterdir()):
            made.rename(self.state / made.name)
        return [str(old)] if old.is_dir() else []

    @property
    def _old(self) -> Path:
        """Where the old state is kept."""
        if self.within:
            return self.state / f"{_ASIDE}{self._moment}"
        return self.state.with_name(f"{self.state.name}.before-restore-{self._moment}")

    def _carry(self, aside: list[str]) -> None:
        """Take over from the old state what the backup does not have: the proxy, and homes where it is without them."""
        old = self._old
        if str(old) not in aside:
            return
        for name in ("proxy", "homes", "shared"):
            if (old / name).is_dir() and not os.path.lexists(self.state / name):
                (old / name).rename(self.state / name)
                if name != "proxy":
                    self.notes.append(f"The backup is without {name}: those that were here stay.")

    def clear(self) -> None:
        """Remove what was made beside and has not taken its place."""
        for made in self._made:
            _remove(made)


def _note(state: Path, *, within: bool) -> Path:
    return state / _NOTE if within else state.with_name(f".{state.name}{_NOTE}")


def _counts(path: Path) -> bool:
    """Whether something in the state directory is part of the state."""
    return path.name not in ("lost+found", _NOTE) and not path.name.startswith((_STAGED, _ASIDE))


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


def _remove(path: Path) -> None:
    """Remove a folder or a file, also one in which folders are closed to their owner."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)
