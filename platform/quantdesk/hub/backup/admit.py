"""Whether a restore can be done at all, seen before anything is written. An edge module: files, locks, databases."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.hub.backup.databases import sessions, tables_of
from quantdesk.hub.backup.places import STAGED, SWAP, Places, is_state
from quantdesk.hub.backup.unpack import remove
from quantdesk.hub.sweep import marked, of_mark
from quantdesk.records import LockHeld, exclusive
from quantdesk.records.address import Address

__all__ = ["admit", "alone"]

_SPARE = 50_000_000


def admit(places: Places, *, replace: bool) -> list[str]:
    """Look at databases, folders and the disk.

    Parameters
    ----------
    places
        Where everything goes.
    replace
        Whether what is there may be put aside.

    Returns
    -------
    list of str
        What is left to do afterwards, sentences.

    Raises
    ------
    BadInput
        A place is not empty, or the settings name another kind of database than the backup has.
    DataError
        The backup has what nothing here uses.
    EnvironmentProblem
        A folder cannot be replaced, somebody is connected, or the disk has not enough room.
    """
    notes = _databases(places)
    _folders(places)
    for name, address in places.servers().items():
        if sessions(address):
            raise EnvironmentProblem(
                f"Something is connected to {address} as {address.user}.",
                "Stop the hub, its services and workers on every machine, then restore.",
            )
        full = tables_of(address, places.schemas(name))
        if full and not replace:
            raise BadInput(
                f"{address} has tables already, in {', '.join(full)}.", "--replace puts them aside; or empty it."
            )
    if not replace:
        for final in places.replaced():
            if os.path.lexists(final) and not (final.is_dir() and not any(map(is_state, final.iterdir()))):
                raise BadInput(f"{final} is not empty.", "--replace puts what is there aside.")
    _room(places)
    return notes


def _databases(places: Places) -> list[str]:
    """Each database must be of the kind, and a file where it was, as the backup has it."""
    notes = []
    for one in places.manifest.databases:
        place = places.plan.databases.get(one.name)
        if one.kind == "redis":
            notes.append("The online store was in Redis: `quantdesk features materialize` fills it again.")
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
            root = places.plan.root(one.part)
            if root is None or root.path / one.path != place:
                raise BadInput(
                    f"The database “{one.name}” was {one.path} in {one.part}, and the settings name {place}.",
                    "Restore with the settings of then.",
                )
    return notes


def _folders(places: Places) -> None:
    """Each part must have a place, and that must be one that can be replaced."""
    for place in places.replaced()[1:]:
        if os.path.ismount(place):
            raise EnvironmentProblem(
                f"{place} is a mounted volume, which cannot be replaced.",
                "Let the setting name a folder on that volume.",
            )
    if not places.state.parent.is_dir():
        raise EnvironmentProblem(f"{places.state.parent} is no folder.", "Make it, or set QUANTDESK_STATE.")


def _room(places: Places) -> None:
    need = sum(part.size for part in places.manifest.parts) + _SPARE
    free = shutil.disk_usage(places.state if places.within else places.state.parent).free
    if need > free:
        raise EnvironmentProblem(
            f"{need / 1e9:.1f} GB are needed beside {places.state}, and {free / 1e9:.1f} GB are free.", "Free some."
        )


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """No other restore, and no hub that runs on the state directory; what killed restores have left is cleared.

    Raises
    ------
    EnvironmentProblem
        The hub runs.
    LockHeld
        Another restore is running.
    """
    state = places.state
    with contextlib.ExitStack() as stack:
        handle = os.open(state.parent, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"Another restore beside {state} is running.", "Wait for it to end.") from error
        if places.plan.files.lock.exists():
            try:
                stack.enter_context(exclusive(places.plan.files.lock, timeout=0.5))
            except LockHeld as error:
                raise _runs(state) from error
        if of_mark(marked(state)):
            raise _runs(state)
        for place in places.replaced():
            for left in place.parent.glob(f".{place.name}{STAGED}*"):  # of a restore that was killed
                remove(left)
            for left in place.parent.glob(f".{place.name}{SWAP}*"):  # the old or the new: people may want it
                left.rename(place.with_name(f"{place.name}.left-by-restore-{left.name.rpartition('-')[2]}"))
        for left in state.glob(f"{STAGED}*"):
            remove(left)
        yield


def _runs(state: Path) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The hub of {state} is running, or something that it started is.", "Stop it, then restore."
    )
