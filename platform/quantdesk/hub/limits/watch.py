"""The memory of a whole server, and who is ended when it is too much. An edge module: /proc, signals.

A process that listens for :data:`PLEA` is asked first: a kernel then raises ``MemoryError`` in the cell that it runs,
and says so to its user. It has :data:`GRACE_S` to become smaller; after that, and without a listener, it is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from quantdesk.hub.limits.share import Machine, Process, offender
from quantdesk.reports.kernels.plea import PLEA
from quantdesk.reports.memory import GROWTH, proportional, resident
from quantdesk.reports.processes import GONE

__all__ = ["GRACE_S", "Act", "Watchdog", "machine", "owned"]

GRACE_S = 5.0


@dataclass(frozen=True)
class Act:
    """What was done to a process: its number, name and bytes, and whether it was killed or only asked."""

    pid: int
    name: str
    bytes: int
    used: int
    killed: bool

    def told(self, limit: int) -> str:
        """One sentence for its user."""
        what = "was ended" if self.killed else "was asked to stop what it computes"
        return (
            f"The server used {self.used / 2**30:.3g} GiB of memory and may use {limit / 2**30:.3g} GiB: its largest "
            f"process ({self.name}, {self.bytes / 2**30:.3g} GiB) {what}. The others go on."
        )


class Watchdog:
    """Watches one server.

    Parameters
    ----------
    limit
        Bytes that all its processes may use together.
    server
        Number of the server's own process.
    find
        Numbers of the server's processes, itself among them.
    clock
        Seconds that only grow.
    """

    def __init__(
        self, limit: int, server: int, find: Callable[[], Iterable[int]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._server, self._find, self._clock = server, find, clock
        self._fine_at = 0
        self._asked: dict[tuple[int, float], float] = {}

    def step(self) -> Act | None:
        """Look once; what was done, if anything.

        What costs little, the sum of resident sizes, is asked each time; the proportional size, in which shared pages
        count once, only where that sum is beyond the limit and has grown.
        """
        numbers = list(self._find())
        at_most = sum(map(resident, numbers))
        if at_most <= max(self.limit, int(self._fine_at * GROWTH)):
            return None
        sizes = {number: proportional(number) for number in numbers}
        used = sum(sizes.values())
        if used <= self.limit:
            self._fine_at = at_most
            self._asked.clear()
            return None
        guilty = offender([Process(number, size, number == self._server) for number, size in sizes.items()])
        return self._deal_with(guilty, used) if guilty is not None else None

    def _deal_with(self, guilty: Process, used: int) -> Act | None:
        try:
            process = psutil.Process(guilty.pid)
            key, name = (process.pid, process.create_time()), process.name()
            now = self._clock()
            if key in self._asked and now < self._asked[key] + GRACE_S:
                return None
            killed = key in self._asked or not listens(guilty.pid)
            self._asked[key] = now
            process.send_signal(signal.SIGKILL if killed else PLEA)  # psutil: not to another one of the same number
        except GONE:
            return None  # it has ended by itself
        return Act(guilty.pid, name, guilty.bytes, used, killed)


def owned(uid: int) -> list[int]:
    """Numbers of the processes of an account, found at little cost."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    found.append(int(entry.name))
    return found


def listens(pid: int) -> bool:
    """Whether a process has a handler of :data:`PLEA`; to whom has none the signal would be the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (PLEA - 1) & 1)
    return False


def machine() -> Machine:
    """The cores that this process may run on, the memory of the machine, and the GPUs that have a device file."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    gpus = sorted(int(found[1]) for one in Path("/dev").iterdir() if (found := re.fullmatch(r"nvidia(\d+)", one.name)))
    return Machine(tuple(cores), int(psutil.virtual_memory().total), tuple(gpus))
