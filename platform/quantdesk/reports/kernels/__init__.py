"""Warm kernels: forked from a process that has the stack imported and compiled, in place of started anew.

::

    config        settings                                                     identity      whose zygote, of what
    order         what a requester asks for                         (pure)     wire          messages with descriptors
    client        ask for a process, start a zygote        children  processes that others started, as `Popen`
    provisioner   the kernel provisioner ``quantdesk-warm`` of jupyter_client
    zygote        the process that forks                    stack     what it imports and compiles, and its checks
    become        a fork takes on what was ordered          kernel    an IPython kernel in a fork
    pair          a report's worker with its own kernel     overview  for people: `quantdesk kernels`

A zygote belongs to one account and one environment (interpreter, packages, variables that act before a program's first
line). A kernel or a worker of reports is a fork of it, or of nothing when anything is off: then it starts cold, as
ever, and the reason is written down. The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.kernels.config import KernelsConfig
    from quantdesk.reports.kernels.overview import Status, restart, status

_HOMES = {
    "KernelsConfig": ("config", "KernelsConfig"),
    "Status": ("overview", "Status"),
    "restart": ("overview", "restart"),
    "status": ("overview", "status"),
}

__all__ = ["KernelsConfig", "Status", "restart", "status"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home[0]}"), home[1])


def __dir__() -> list[str]:
    return __all__
