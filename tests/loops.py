"""An event loop in a thread of its own: Playwright keeps one running in the thread of the tests, where no other can."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from anyio.from_thread import start_blocking_portal

T = TypeVar("T")


class Loop:
    """One loop for several calls, as a worker has."""

    def __init__(self) -> None:
        self._context = start_blocking_portal()
        self._portal = self._context.__enter__()

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Awaitable[T]) -> T:
        """What `work` gives in the end."""

        async def awaited() -> T:
            return await work

        return self._portal.call(awaited)

    def close(self) -> None:
        """End it."""
        self._context.__exit__(None, None, None)
