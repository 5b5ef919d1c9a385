"""Servers start a few at a time: who comes later waits for his turn, and is told how many are before him. Pure.

A server that starts keeps a core busy for seconds. When a desk arrives in the morning, fifty starts at the same moment
would all take minutes, and some would be given up; refused, people would have to try again. In a queue each start takes
its seconds, and the first to come is the first to work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """A queue of starts.

    Parameters
    ----------
    at_once
        How many may start at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)  # it lets in the one who has waited longest
        self._waiting: dict[str, None] = {}  # in the order of their coming

    def before(self, who: str) -> int | None:
        """How many wait before somebody; None who does not wait."""
        return list(self._waiting).index(who) if who in self._waiting else None

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Wait until it is somebody's turn; the next one's comes at the end of the block."""
        self._waiting[who] = None
        try:
            await self._places.acquire()
        finally:
            del self._waiting[who]
        try:
            yield
        finally:
            self._places.release()
