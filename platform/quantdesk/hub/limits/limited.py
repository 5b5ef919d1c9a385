"""Run a command on some cores, with a limit of addresses. An edge module, and a script of its own.

``python -I -S limited.py CORES BYTES GROUP COMMAND...`` binds itself to the cores (numbers with commas between), lowers
what it may address (0 leaves that as it is), waits until it was put into the control group, where one is named, and
becomes the command; whatever that starts inherits all of it. It imports nothing of quantdesk, to cost nothing.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence

__all__ = ["await_group", "limit", "limited"]

PATIENCE_S = 20.0

ADDRESSED = 1_500_000_000
"""Bytes that a process with the stack may address beyond what it uses; see :mod:`quantdesk.reports.worker`."""


def limit(cores: str, addressed: int) -> None:
    """Limit this process, and what it will start."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    if addressed:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = addressed if hard == resource.RLIM_INFINITY else min(addressed, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def await_group(path: str) -> None:
    """Wait until this process is in a control group; nothing of it may be born elsewhere."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with open("/proc/self/cgroup", encoding="utf-8") as told:
            if f"0::{path}\n" in told:
                return
        if time.monotonic() > deadline:
            sys.exit(f"This server was not put into its control group, {path}.")
        time.sleep(0.01)


def limited(command: list[str], cores: Sequence[int], memory_bytes: int, group: str = "") -> list[str]:
    """The command line that runs `command` with these limits; `memory_bytes` is what it may use, not address."""
    told = [",".join(map(str, cores)), str(memory_bytes + ADDRESSED if memory_bytes else 0), group]
    return [sys.executable, "-I", "-S", __file__, *told, *command]


if __name__ == "__main__":
    limit(sys.argv[1], int(sys.argv[2]))
    if sys.argv[3]:
        await_group(sys.argv[3])
    os.execvp(sys.argv[4], sys.argv[4:])  # noqa: S606  (there is no shell to go through)
