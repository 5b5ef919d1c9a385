"""Many calls in processes of this machine. An edge module: it starts processes.

They are started anew and not forked: a copy of a process that has threads may hang.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from typing import TypeVar

from quantdesk.compute.places import Lost
from quantdesk.compute.workers import Worker
from quantdesk.errors import BadParameter, EnvironmentProblem

__all__ = ["Processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_TRIES = 3
_LOOK_S = 0.2


class Processes:
    """Processes of this machine, started for a call of :meth:`map` or :meth:`each` and gone after it.

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

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        limit_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See :meth:`quantdesk.compute.Compute.each`: a call is made up to three times, if its process dies."""
        source = enumerate(items)
        again: deque[tuple[int, Item]] = deque()
        running: dict[Worker, tuple[int, Item]] = {}
        idle: list[Worker] = []
        deaths: Counter[int] = Counter()
        try:
            while not stop():
                while len(running) < self.workers and (task := again.popleft() if again else next(source, None)):
                    worker = idle.pop() if idle else Worker(function)
                    running[worker] = task
                    worker.call(*task)
                if not running:
                    return
                ready = wait([worker.line for worker in running], _LOOK_S)
                for worker in [one for one in running if one.line in ready]:
                    place, _ = task = running.pop(worker)
                    try:
                        is_well, found = worker.answer()
                    except EOFError:
                        worker.end()
                        deaths[place] += 1
                        if deaths[place] < _TRIES:
                            again.append(task)
                        else:
                            yield place, Lost(f"Its process died {_TRIES} times.")
                        continue
                    idle.append(worker)
                    if not is_well:
                        raise found
                    yield place, found
                for worker in [] if limit_s is None else list(running):
                    if time.monotonic() - worker.begun > (limit_s or 0):
                        place, _ = running.pop(worker)
                        worker.end()
                        yield place, Lost(f"It took longer than {limit_s:g} s, and its process was ended.")
        finally:
            for worker in [*running, *idle]:
                worker.end()
