"""The processes of a run, found by a mark in their environment, and ended. An edge module.

A kernel starts in a session of its own, and a cell can start more, so neither a process group nor a parent finds
them all. The mark is inherited by everything that a run starts, and survives the death of every parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil

__all__ = ["GONE", "MARK", "end_all", "marked"]

GONE = (psutil.Error, OSError, IndexError)
"""What psutil raises for a process that ends while it is looked at; the last where its file is empty already."""

MARK = "QUANTDESK_RUN"
"""The variable that holds the id of the run."""


def marked(run_id: str) -> list[psutil.Process]:
    """Every living process of this account that belongs to the run, the caller itself excepted."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE):
            mine = process.pid != os.getpid() and process.uids().real == os.getuid()
            if mine and process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == run_id:
                found.append(process)
    return found


def end_all(run_id: str, *, seconds: float = 5.0) -> int:
    """Kill every process of the run and wait until they are gone.

    Parameters
    ----------
    run_id
        The mark.
    seconds
        How long to go on looking: a cell that forks without end may win, and is left then.

    Returns
    -------
    int
        How many were killed.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while living := marked(run_id):
        for process in living:
            with contextlib.suppress(*GONE):
                process.send_signal(signal.SIGKILL)
                killed.add(process.pid)
        psutil.wait_procs(living, timeout=0.5)
        if time.monotonic() > deadline:
            break
    return len(killed)
