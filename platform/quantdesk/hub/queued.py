"""The part of a spawner that starts servers a few at a time. An edge module: it starts processes.

JupyterHub's own limit of starts refuses who comes too many, with "try again in a minute". Here he waits, and the page
of his start says how many are before him.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Float

from quantdesk.hub.turns import Turns

__all__ = ["START_S", "WAIT_S", "Queued", "at_once"]

START_S = 90
"""Seconds that a server has from its start until it listens; then its turn is over."""
WAIT_S = 1800
"""Seconds that somebody waits for his turn at most."""
LOOK_S = 0.2


class Queued(LocalProcessSpawner):  # type: ignore[misc]
    """A spawner of local processes that takes turns."""

    start_seconds = Float(float(START_S), help="Seconds from the start of a server until it listens.").tag(config=True)
    turns: ClassVar[Turns | None] = None
    """Of all users of this hub; it is made with the first start."""
    has_turn = False
    """Whether the turn of this start has come; a later start has another spawner."""

    @classmethod
    def queue(cls) -> Turns:
        """The queue of this hub."""
        Queued.turns = Queued.turns or Turns(at_once(os.cpu_count() or 1))
        return Queued.turns

    async def start(self) -> tuple[str, int]:
        """Wait for its turn, start the server, and let the next one go when this one listens or has ended."""
        async with self.queue().turn(self.user.name):
            self.has_turn = True
            address: tuple[str, int] = await super().start()
            self.began()
            await self._until_it_listens(address)
        return address

    def began(self) -> None:
        """What a subclass does as soon as there is a process; nothing here."""

    async def _until_it_listens(self, address: tuple[str, int]) -> None:
        """Wait; whether it came is JupyterHub's to find out, and to say."""
        ends = time.monotonic() + self.start_seconds
        while time.monotonic() < ends and await self.poll() is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(*address)
                writer.close()
                return
            await asyncio.sleep(LOOK_S)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the page of the start shows: how many are before this user, then that it begins."""
        told = None
        while not self.has_turn:  # the page may be there before the start has come as far as the queue
            before = self.queue().before(self.user.name)
            if before is not None and before != told:
                yield {"progress": 5, "message": waiting(before)}
                told = before
            await asyncio.sleep(LOOK_S)
        yield {"progress": 50, "message": "Your server starts"}


def at_once(cores: int) -> int:
    """How many servers may start at the same time: a start reads as much as it computes.

    >>> at_once(2)
    4
    """
    return 2 * max(1, cores)


def waiting(before: int) -> str:
    """What somebody is told who waits.

    >>> waiting(0)
    'Many servers start at this moment: yours is the next'
    """
    ahead = {0: "yours is the next", 1: "one is before yours"}.get(before, f"{before} are before yours")
    return f"Many servers start at this moment: {ahead}"
