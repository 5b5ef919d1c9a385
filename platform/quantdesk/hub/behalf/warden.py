"""One process of root's for each job: it starts the job, and nothing of the job outlives it. An edge module.

It adopts what the job's processes leave behind, so that it finds all of them, however they tried to get away.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import psutil

from quantdesk.hub.accounts import Account
from quantdesk.hub.tether import tethered

__all__ = ["COMMAND", "watch"]

COMMAND = (sys.executable, "-P", "-m", "quantdesk.reports.lab.errand")
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_ROUNDS_S = 10.0


def watch(account: Account, environment: Mapping[str, str], handles: list[int], runtime: Path) -> NoReturn:
    """Start a job, wait for its end or for that of its leash, end all of it, and this process.

    Parameters
    ----------
    account
        The user's.
    environment
        All of the job's.
    handles
        What it reads, what it writes, and the leash.
    runtime
        A folder to remove.
    """
    asked, told, leash = handles
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
        with subprocess.Popen(
            tethered(list(COMMAND), (account.uid, account.gid)),
            env=dict(environment),
            stdin=asked,
            stdout=told,
            stderr=subprocess.DEVNULL,
            cwd="/",
            umask=0o077,
            start_new_session=True,
        ) as job:
            os.close(asked)
            os.close(told)
            ended = os.pidfd_open(job.pid)
            select.select([ended, leash], [], [])
            end_all()
            code = 0
    finally:
        with contextlib.suppress(Exception):
            end_all()
        shutil.rmtree(runtime, ignore_errors=True)
        os._exit(code)


def end_all() -> None:
    """Kill every descendant of this process, those that it adopted among them, until there is none."""
    deadline = time.monotonic() + _ROUNDS_S
    while time.monotonic() < deadline:
        living = [one for one in psutil.Process().children(recursive=True) if _lives(one)]
        for one in living:
            with contextlib.suppress(psutil.Error):
                one.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not living:
            return
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
