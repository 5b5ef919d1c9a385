"""A wait that a thread or a signal can end. An edge module: a pipe.

Writing one byte is all that a signal handler may safely do: an event of :mod:`threading` has a lock, and the handler
may have interrupted its holder.
"""

from __future__ import annotations

import contextlib
import os
import select

__all__ = ["Wake"]


class Wake:
    """Waits, until :meth:`ring` or a time."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """End the present wait, or the next one. Safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait; whether it was rung."""
        readable, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if not readable:
            return False
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        return True

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self._write)
