"""Carry out the scenarios that were asked for. An edge module: processes, the database, the clock.

``python -m quantdesk.hub.app.runner`` is one process of the service; each scenario is computed in a process of its own,
which can be ended, and is used again while it is well: it keeps what it has read of history.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from quantdesk.compute.inherited import inherit
from quantdesk.compute.workers import Worker
from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError, UnknownName
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.jobs import Job, Jobs, JobState
from quantdesk.hub.app.replays import Replays
from quantdesk.reports.lab.clearing import clear
from quantdesk.reports.ledger import RunLedger

if TYPE_CHECKING:
    from quantdesk.scenarios import ScenarioEngine

__all__ = ["Runner", "compute", "main"]

_log = logging.getLogger(__name__)
_HOLD_S, _RENEW_S, _LOOK_S, _TIDY_S = 30.0, 5.0, 0.05, 3600.0
_engine: ScenarioEngine | None = None


def compute(asked: str) -> str:
    """Answer a request for a scenario, as JSON to JSON. Runs in a process of its own, which keeps its engine.

    Raises
    ------
    BadInput, UnknownName
        See :func:`quantdesk.scenarios.wire.answered`.
    """
    global _engine
    from quantdesk.scenarios import ScenarioEngine
    from quantdesk.scenarios.wire import answered, read

    if _engine is None:
        _engine = ScenarioEngine()
    return answered(read(asked), _engine.run).model_dump_json()


def safely(work: Callable[[str], str], asked: str) -> tuple[bool, str]:
    """Whether it went well, and the result or the problem, as JSON: not every exception can travel as one."""
    try:
        return True, work(asked)
    except Exception as error:  # noqa: BLE001  (whatever it was, it is this job's problem and nobody else's)
        return False, json.dumps(_told(error))


class Runner:
    """Takes jobs and carries them out, until it is told to stop.

    Parameters
    ----------
    jobs
        Where jobs come from.
    workers
        How many at the same time.
    limit
        Seconds after which one is ended.
    work
        What carries one out; :func:`compute` but for tests. It must be importable.
    """

    def __init__(
        self, jobs: Jobs, workers: int = 1, limit: float = 900.0, work: Callable[[str], str] = compute
    ) -> None:
        self._jobs, self._limit, self._work, self._most = jobs, limit, work, workers
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Job] = {}
        self._renewed: dict[str, float] = {}

    def run(self, stop: threading.Event) -> None:
        """Carry out jobs until `stop` is set; what is under way then is put back."""
        try:
            while not stop.is_set():
                try:
                    self.step()
                except EnvironmentProblem:
                    _log.exception("the database cannot be used; trying again")
                    stop.wait(1.0)
        finally:
            for worker in [*self._idle, *self._busy]:
                worker.end()
            if self._busy:
                self._jobs.give_back(self._name)

    def step(self) -> None:
        """Begin what can begin, take what has ended, and look after what is under way; waits a moment."""
        while len(self._busy) < self._most and (job := self._jobs.take(self._name, _HOLD_S)) is not None:
            worker = self._idle.pop() if self._idle else Worker(partial(safely, self._work))
            worker.call(0, job.asked)
            self._busy[worker], self._renewed[job.id] = job, time.monotonic()
        for line in wait([worker.line for worker in self._busy], _LOOK_S) if self._busy else ():
            self._end(next(worker for worker in self._busy if worker.line is line))
        for worker, job in list(self._busy.items()):
            self._look(worker, job)
        if not self._busy:
            time.sleep(_LOOK_S)

    def _end(self, worker: Worker) -> None:
        job = self._busy.pop(worker)
        try:
            came, (is_well, found) = worker.answer()
        except (EOFError, OSError):
            worker.end()
            told = {"status": 500, "code": "process_died", "detail": "The process that computed it died.",
                    "remedy": "It may have run out of memory: ask for less at a time."}  # fmt: skip
            self._jobs.finish(job.id, self._name, JobState.FAILED, problem=json.dumps(told))
            return
        self._idle.append(worker)
        if came and is_well:
            self._jobs.finish(job.id, self._name, JobState.COMPLETED, result=found)
        else:
            self._jobs.finish(job.id, self._name, JobState.FAILED, problem=found)

    def _look(self, worker: Worker, job: Job) -> None:
        now = time.monotonic()
        if now - worker.begun > self._limit:
            told = {"status": 504, "code": "too_long", "detail": f"It took longer than {self._limit:g} s.",
                    "remedy": "Ask for fewer strategies, or fewer minutes."}  # fmt: skip
            self._drop(worker, job, JobState.FAILED, json.dumps(told))
        elif now - self._renewed[job.id] > _RENEW_S or self._asked_to_end(job):
            self._renewed[job.id] = now
            cancelling = self._jobs.hold(job.id, self._name, _HOLD_S)
            if cancelling is None or cancelling:
                self._drop(worker, job, JobState.CANCELLED, None)

    def _asked_to_end(self, job: Job) -> bool:
        found = self._jobs.get(job.id)
        return found is None or found.is_cancelling

    def _drop(self, worker: Worker, job: Job, state: JobState, problem: str | None) -> None:
        del self._busy[worker]
        worker.end()
        self._jobs.finish(job.id, self._name, state, problem=problem)


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, BadInput):
        status = 404 if isinstance(error, UnknownName) else 422
        return {"status": status, "code": "bad_input", "detail": error.problem, "remedy": error.remedy}
    _log.error("a scenario failed", exc_info=error)  # in the process that computed it
    if isinstance(error, DataError | EnvironmentProblem):
        detail = "There is no market data, or it cannot be read." if isinstance(error, DataError) else ""
        return {"status": 503, "code": "unavailable", "detail": detail or "This machine cannot compute it.",
                "remedy": "The administrator finds the reason in the log."}  # fmt: skip
    kind = "it did not end with a result" if isinstance(error, QuantdeskError) else "nobody expected this"
    return {"status": 500, "code": "failed", "detail": f"The scenario failed: {kind}.",
            "remedy": "The administrator finds the reason in the log."}  # fmt: skip


def main() -> None:
    """The process."""
    from quantdesk.hub.app.database import opened
    from quantdesk.hub.app.logs import set_up
    from quantdesk.reports import grammar

    set_up("quantdesk-runner")
    grammar.spare()
    inherit()
    config, stop = ServiceConfig.from_env(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = opened(config)
    jobs, replays = Jobs(database), Replays(database)

    def tidy() -> None:
        while True:
            try:
                jobs.forget()
                replays.forget()
                with RunLedger.open() as ledger:  # the notebooks are this account's, so no worker can
                    clear(ledger)
            except QuantdeskError:
                _log.exception("what is old could not be deleted")
            if stop.wait(_TIDY_S):
                return

    threading.Thread(target=tidy, daemon=True, name="tidy").start()
    Runner(jobs, config.scenario_workers, config.scenario_limit).run(stop)
    database.close()


if __name__ == "__main__":
    main()
