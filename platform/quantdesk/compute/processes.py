"""Many calls in processes of this machine. An edge module: it starts processes.

They are started anew and not forked: a copy of a process that has threads may hang.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from quantdesk.errors import BadParameter, EnvironmentProblem

__all__ = ["Processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes:
    """Processes of this machine, started for a call of :meth:`map` and gone after it.

    Parameters
    ----------
    workers
        How many; 1 or more.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise BadParameter(f"{workers} processes cannot compute.", "Give 1 or more.")
        self.workers = workers

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`quantdesk.compute.Compute.map`.

        Raises
        ------
        EnvironmentProblem
            A process died: it was killed, or ran out of memory.
        """
        source = iter(items)
        pool = ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"))
        waiting: deque[Future[Result]] = deque()
        try:
            waiting.extend(pool.submit(function, item) for item in islice(source, 2 * self.workers))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        except BrokenProcessPool as error:
            raise EnvironmentProblem(
                "A process that was computing died.", "It may have run out of memory: use fewer processes."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
