"""One call at a time in a process that can be ended: what a place of processes is made of. An edge module."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Worker"]

_SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """A process of this machine that makes one call after another. It is started anew and not forked.

    Parameters
    ----------
    function
        What is called.

    Attributes
    ----------
    place
        Of the item that it works on; None where it has nothing to do.
    begun
        When it began, in seconds of the monotonic clock.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.line, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, function), daemon=True, name="quantdesk-worker")
        self._process.start()
        theirs.close()
        self.place: int | None = None
        self.begun = 0.0

    def call(self, place: int, item: Any) -> None:
        """Begin a call."""
        self.place, self.begun = place, time.monotonic()
        with contextlib.suppress(OSError):  # it died while it had nothing to do: its line says so when it is asked
            self.line.send(item)

    def answer(self) -> tuple[bool, Any]:
        """Whether the call went well, and its result or its error.

        Raises
        ------
        EOFError
            The process died.
        """
        try:
            is_well, found = self.line.recv()
        except ConnectionResetError as error:
            raise EOFError from error
        self.place = None
        return is_well, found

    def end(self) -> None:
        """End the process, whatever it does."""
        self.line.close()
        self._process.kill()
        self._process.join()
        self._process.close()


def _work(line: Connection, function: Callable[[Any], Any]) -> None:
    """Make calls until the line is closed. Ctrl-C is for the one who started this, who then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            item = line.recv()
        except EOFError:
            return
        try:
            told: tuple[bool, Any] = (True, function(item))
        except Exception as error:  # noqa: BLE001 (it is raised again where the result was asked for)
            told = (False, error)
        try:
            line.send(told)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            line.send((False, TypeError(f"What came of a call cannot travel between processes: {error}")))
