"""Run a command on some cores, with a limit of addresses. An edge module, and a script of its own.

``python -I -S limited.py CORES BYTES COMMAND...`` binds itself to the cores (numbers with commas between), lowers what
it may address (0 leaves that as it is), and becomes the command; whatever that starts inherits both. It imports nothing
of quantdesk, to cost nothing.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence

__all__ = ["limit", "limited"]

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


def limited(command: list[str], cores: Sequence[int], memory_bytes: int) -> list[str]:
    """The command line that runs `command` with these limits; `memory_bytes` is what it may use, not address."""
    told = [",".join(map(str, cores)), str(memory_bytes + ADDRESSED if memory_bytes else 0)]
    return [sys.executable, "-I", "-S", __file__, *told, *command]


if __name__ == "__main__":
    limit(sys.argv[1], int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606  (there is no shell to go through)
