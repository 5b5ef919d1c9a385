"""Find and end the processes that a hub has left behind. An edge module.

Everything that a hub starts carries its mark in the environment, and so does what a user starts from a notebook, even
with nohup. As root, what runs under a user's account is found by the account's number as well, which no process can
put off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from quantdesk.reports.processes import GONE

__all__ = ["MARK", "clear", "marked", "of_account", "of_mark"]

MARK = "QUANTDESK_HUB"
_ROUNDS = 20


def marked(state: Path, user: str = "") -> str:
    """The value of `MARK` for what belongs to the hub of a state directory, and to one user of it."""
    hub = hashlib.sha256(str(state).encode()).hexdigest()[:24]
    return f"{hub}:{user}" if user else hub


def of_mark(value: str) -> list[psutil.Process]:
    """The processes that carry a mark, or one that starts with it and a colon, but for this one and its ancestors."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE):
            mark = process.environ().get(MARK, "")
            if process.pid not in spared and (mark == value or mark.startswith(f"{value}:")):
                found.append(process)
    return found


def of_account(*uids: int) -> list[psutil.Process]:
    """The processes of accounts. Root's are never meant.

    Raises
    ------
    ValueError
        One is a number of the system's own.
    """
    if min(uids, default=100) < 100:
        raise ValueError(f"{min(uids)} is no account of the hub")
    found = []
    for process in psutil.process_iter() if uids else ():
        with contextlib.suppress(*GONE):
            if process.uids().real in uids and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def clear(find: Callable[[], list[psutil.Process]], grace: float = 3.0) -> int:
    """End every process that `find` finds: SIGTERM first, SIGKILL after `grace` seconds, until none is left.

    Returns
    -------
    int
        How many were found at first. psutil identifies each by its number and its time of start, so a number that was
        given to another process meanwhile is left alone.
    """
    first = find()
    for process in first:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _wait(first, grace)
    for _ in range(_ROUNDS):  # something that forks quickly needs several rounds
        left = find()
        if not left:
            break
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _wait(left, 1.0)
    return len(first)


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until all have ended. Whoever started one learns of its end: it is not reaped here."""
    deadline = time.monotonic() + seconds
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
