"""A control group of its own for each server, where the system gives the hub some. An edge module: cgroup files.

Version 2 alone. The hub may make groups where it is root in the topmost one, where systemd has delegated its group to
it (``Delegate=yes``), or in a container whose group can be written. Everything that a server starts is born in the
server's group, warm kernels too, and nothing of a user's can leave it. Only the standard library is imported.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

__all__ = ["Group", "Place", "Unavailable", "place", "prepared"]

WANTED = ("memory", "cpu", "pids")
TASKS = 4096
"""Processes and threads of one server: a kernel with the stack has some twenty. It is for who starts them endlessly."""
PERIOD_US = 100_000
HUB = "quantdesk-hub"
_ROUNDS = 50


class Unavailable(Exception):
    """There are no groups for servers; the message is a sentence that says why."""


@dataclass(frozen=True)
class Place:
    """Where the groups of servers can be made.

    Attributes
    ----------
    folder
        The group that will hold them.
    path
        What the system calls it, as in ``/proc/self/cgroup``.
    is_top
        Whether it is the topmost group of the machine, which alone may hold processes besides groups.
    """

    folder: Path
    path: str
    is_top: bool

    def group(self, hub: str, user: str) -> Group:
        """The group of a user's server; it need not be there yet. `hub` tells hubs of one machine apart."""
        name = f"quantdesk-{hub[:12]}-{quote(user, safe='')}"
        return Group(self.folder / name, f"{self.path.rstrip('/')}/{name}")


@dataclass(frozen=True)
class Group:
    """One server's group.

    Attributes
    ----------
    folder
        Its files.
    path
        What the system calls it; a process of it reads that in ``/proc/self/cgroup``.
    """

    folder: Path
    path: str

    def make(self, memory_bytes: int, cpu: float) -> None:
        """Make it, or set the limits of the one that is there.

        The watchdog, which looks at `memory_bytes`, comes first and can explain itself: from a sixteenth beyond that
        on the system slows down who asks for more, and from an eighth on it ends the largest process. Only where the
        watchdog was too slow it comes to that.

        Raises
        ------
        OSError
            The system refuses.
        """
        self.folder.mkdir(exist_ok=True)
        for name, value in (
            ("memory.high", memory_bytes + memory_bytes // 16),
            ("memory.max", memory_bytes + memory_bytes // 8),
            ("memory.oom.group", 0),
            ("cpu.max", f"{max(1000, int(cpu * PERIOD_US))} {PERIOD_US}"),
            ("cpu.weight", min(10_000, max(1, int(cpu * 100)))),
            ("pids.max", TASKS),
        ):
            (self.folder / name).write_text(str(value))
        with contextlib.suppress(FileNotFoundError):  # a system without swap may not have it
            (self.folder / "memory.swap.max").write_text("0")

    def enter(self, pid: int) -> None:
        """Put a process into it; what that starts from now on is in it, too."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def numbers(self) -> list[int]:
        """The processes in it."""
        return _numbers(self.folder)

    def killed(self) -> int:
        """How many of its processes the system has ended for want of memory."""
        try:
            lines = (self.folder / "memory.events").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def remove(self) -> bool:
        """End what is in it, and remove it; whether it is gone."""
        for _ in range(_ROUNDS):
            with contextlib.suppress(OSError):  # a kernel before 5.14 has no such file: who is in it was ended before
                (self.folder / "cgroup.kill").write_text("1")
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return True
            except OSError:  # they take a moment to end
                time.sleep(0.05)
            else:
                return True
        return False


def place(root: Path = Path("/sys/fs/cgroup"), process: Path = Path("/proc/self")) -> Place:
    """Where this process may make groups. Nothing is changed.

    Parameters
    ----------
    root
        Where the file system of version 2 is, or under ``unified``.
    process
        What the system says of this process.

    Raises
    ------
    Unavailable
        It may not.
    """
    found = next((one for one in (root, root / "unified") if (one / "cgroup.controllers").exists()), None)
    if found is None:
        raise Unavailable("This machine has no control groups of version 2.")
    own = _own_path(process)
    here = found / own.strip("/")
    is_top = not (here / "cgroup.type").exists()
    if not is_top and here.name == HUB:  # another process of the hub has moved us already
        here, own = here.parent, str(Path(own).parent)
        is_top = not (here / "cgroup.type").exists()
    missing = [one for one in WANTED if one not in _words(here / "cgroup.controllers")]
    if missing:
        raise Unavailable(f"The control group {own} has no controller {', '.join(missing)}.")
    if not all(os.access(here / name, os.W_OK) for name in (".", "cgroup.subtree_control", "cgroup.procs")):
        raise Unavailable(f"The control group {own} cannot be written.")
    if not (is_top or own == "/" or _is_delegated(here)):
        raise Unavailable(f"The control group {own} is not delegated to the hub (Delegate=yes in the unit of systemd).")
    return Place(here, own, is_top)


def prepared(found: Place) -> Place:
    """The same place, where groups can have limits from now on.

    A group has either processes or groups with limits, but for the topmost: so what runs in it, the hub, moves into a
    group of its own.

    Raises
    ------
    Unavailable
        The system refuses.
    """
    control = found.folder / "cgroup.subtree_control"
    try:
        if not found.is_top:
            inner = found.folder / HUB
            inner.mkdir(exist_ok=True)
            for _ in range(_ROUNDS):  # more may be born while they are moved
                numbers = _numbers(found.folder)
                if not numbers:
                    break
                _move(numbers, inner)
        control.write_text(" ".join(f"+{one}" for one in WANTED))
    except OSError as error:
        raise Unavailable(f"The control group {found.path} cannot be divided: {error.strerror}.") from error
    return found


def _move(numbers: Iterable[int], into: Path) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            (into / "cgroup.procs").write_text(str(number))


def _own_path(process: Path) -> str:
    """``0::/system.slice/quantdesk.service`` is the line of version 2."""
    for line in (process / "cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    raise Unavailable("This process is in no control group of version 2.")


def _is_delegated(folder: Path) -> bool:
    """Whether systemd says so, or the groups in it have our controllers already, which somebody has given them."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return set(WANTED) <= set(_words(folder / "cgroup.subtree_control"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in _words(folder / "cgroup.procs")]
