"""Run a command that ends when the hub does, however the hub ends. An edge module, and a script of its own.

``python -I -S tether.py PARENT UID GID COMMAND...`` takes on an account (``-`` keeps the present one), asks the kernel
for SIGTERM at the parent's death, and becomes the command. The request must come after the change of account, which
clears it; it survives the change of program. So this script runs in between, and imports nothing of quantdesk, to cost
nothing. On a system without ``prctl`` the command simply starts.

Servers of users outlive a hub that was killed, for the launcher starts that again: `outlive` ends them when launcher
and hub are both gone, and a hub that does not end with its launcher.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time

__all__ = ["LAUNCHER", "outlive", "tether", "tethered"]

PR_SET_PDEATHSIG = 1
LAUNCHER = "QUANTDESK_HUB_LAUNCHER"
"""In the environment of hub and servers: the number of the launcher's process."""
ORDERLY_S = 45.0
"""A hub whose launcher was killed ends its servers itself, and what they have left; it has that long."""
STUBBORN_S = 20.0
"""So long after SIGTERM follows SIGKILL: a hub whose database is away hangs in its own end (JupyterHub 6.1.1)."""


def tether(parent: int, uid: str = "-", gid: str = "-") -> None:
    """Have this process run under an account, and end with SIGTERM when `parent`, which must be its parent, ends."""
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the request was made
            os._exit(128 + signal.SIGTERM)


def tethered(command: list[str], account: tuple[int, int] | None = None) -> list[str]:
    """The command line that runs `command` tethered to this very process.

    Parameters
    ----------
    command
        Program and arguments.
    account
        Number and group of the account to run under; None is the present one.
    """
    who = [str(part) for part in account] if account else ["-", "-"]
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *who, *command]


def outlive(launcher: int) -> None:
    """Have this process end some time after another one has ended, whoever its parent is: SIGTERM, then SIGKILL."""
    if not hasattr(os, "pidfd_open"):
        return
    try:
        handle = os.pidfd_open(launcher)
    except ProcessLookupError:
        handle = -1

    def wait() -> None:
        if handle >= 0:
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            waiting.poll()
            os.close(handle)
        time.sleep(ORDERLY_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STUBBORN_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="launcher", daemon=True).start()


if __name__ == "__main__":
    tether(int(sys.argv[1]), sys.argv[2], sys.argv[3])
    os.execvp(sys.argv[4], sys.argv[4:])  # noqa: S606  (there is no shell to go through)
