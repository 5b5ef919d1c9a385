"""A kernel that is asked to use less memory says so in the cell that it runs. An edge module: a signal.

An extension of IPython, which `PrivateProvisioner` names where a server has a limit of memory (``MEM_LIMIT``). The hub
watches all processes of a server together and asks the largest (:mod:`quantdesk.hub.limits`); here the question becomes
a ``MemoryError`` with a sentence for the user, raised where the cell is.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

__all__ = ["PLEA", "load_ipython_extension"]

PLEA = signal.SIGUSR1


class _Ear:
    """Listens while a kernel lives; what is asked between two cells has no cell to say it in, and is not answered."""

    def __init__(self) -> None:
        self.in_cell = False

    def begin(self) -> None:
        """A cell begins."""
        self.in_cell = True

    def end(self) -> None:
        """It is over."""
        self.in_cell = False

    def asked(self, _number: int, _frame: FrameType | None) -> None:
        """Raise in the cell that runs.

        Raises
        ------
        MemoryError
            With a sentence for the user.
        """
        __tracebackhide__ = True  # IPython shows the cell, not this
        if not self.in_cell:
            return
        limit = int(os.environ.get("MEM_LIMIT") or 0)
        may = f"may use {limit / 2**30:.3g} GiB of memory in all" if limit else "has a limit of memory"
        raise MemoryError(
            f"Your server {may} and used more, so this cell was stopped; everything else goes on. Delete what you do "
            "not need any more (del), restart kernels that you do not use, or start the server with a larger profile."
        )


def load_ipython_extension(shell: Any) -> None:
    """Listen from now on. IPython calls this in the main thread of the kernel."""
    ear = _Ear()
    shell.events.register("pre_execute", ear.begin)
    shell.events.register("post_execute", ear.end)
    signal.signal(PLEA, ear.asked)
