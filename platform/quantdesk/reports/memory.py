"""How much memory a run uses: its kernel and all that its cells started. An edge module: it reads /proc.

What counts is the proportional set size: pages that several processes share count in part for each, so that a forked
kernel does not pay for what its parent had loaded. It is slow to ask for, so the sum of resident sizes, an upper
bound that costs nothing, is asked first.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from quantdesk.reports import processes

__all__ = ["GROWTH", "Meter", "proportional", "resident"]

PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK_S = 1.0
"""Seconds after which processes that were started since are looked for; until there is one, every sample looks."""
GROWTH = 1.02
"""The resident sum has to grow by this before the proportional size is asked for again."""


class Meter:
    """Measures one run.

    Parameters
    ----------
    run_id
        The mark of its processes.
    find
        Process ids of the run.
    """

    def __init__(self, run_id: str, *, find: Callable[[str], list[int]] | None = None) -> None:
        self._run = run_id
        self._find = find or _marked
        self._known: list[int] = []
        self._looked = -LOOK_S
        self._asked_at = 0
        self.peak: int | None = None

    def sample(self, limit: int | None = None) -> int:
        """Bytes in use now, as far as they matter.

        Parameters
        ----------
        limit
            Above this many bytes the answer is exact; below, and below the peak so far, an upper bound is enough.

        Returns
        -------
        int
            Proportional set size, or the smaller of what is known to be no less.
        """
        if (now := time.monotonic()) - self._looked >= LOOK_S or not self._known:
            self._known, self._looked = self._find(self._run), now
        at_most = sum(map(resident, self._known))
        beyond = limit is not None and at_most > limit
        if not beyond and at_most <= self._asked_at * GROWTH:
            return at_most
        exact = sum(map(proportional, self._known))
        self._asked_at = max(self._asked_at, at_most)
        self.peak = max(self.peak or 0, exact) or None
        return exact


def _marked(run_id: str) -> list[int]:
    return [process.pid for process in processes.marked(run_id)]


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, what it shares included; 0 when it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE
    return 0  # it has ended


def proportional(pid: int) -> int:
    """Bytes of a process that are in memory, its part of what it shares included; 0 when it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return resident(pid)  # a system that does not tell, or the process has ended
