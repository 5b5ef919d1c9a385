"""What is asked of a zygote: everything that makes a process the one that it would be if it were started anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["KERNEL", "WORKER", "Order"]

KERNEL = "kernel"
"""An IPython kernel."""
WORKER = "worker"
"""A worker of reports, which brings a kernel of its own."""


@dataclass(frozen=True)
class Order:
    """One process to be.

    Parameters
    ----------
    arguments
        ``sys.argv`` without its first item, which the kind of process knows.
    environment
        All of it.
    command
        What ``ps`` is to show: program and arguments.
    folder
        Working directory.
    umask
        As of a new process of the requester.
    limits
        Soft resource limits by the names of the module `resource`, ``RLIM_INFINITY`` as -1.
    processors
        Numbers of the processors that it may run on; empty: as the zygote.
    ignored
        Numbers of the signals that the requester ignores, which a new process would ignore, too.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    command: tuple[str, ...]
    folder: str
    umask: int = 0o022
    limits: Mapping[str, int] = field(default_factory=dict)
    processors: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Order:
        """From what `to_dict` made."""
        lists = {name: tuple(told[name]) for name in ("arguments", "command", "processors", "ignored")}
        return cls(**{**told, **lists})
