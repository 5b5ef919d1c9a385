"""What is under way: each run in a thread, its claim kept alive, its end noted. An edge module: database, threads.

A database that is away stops no run: heartbeats are tried again, and an end waits until it can be noted.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch.config import WorkerConfig
from quantdesk.reports.dispatch.work import Execute, Outcome, Work, wait_before_retry
from quantdesk.reports.ledger import Claim, Recorded, RunLedger, State
from quantdesk.reports.ledger.queue import ClaimLost
from quantdesk.reports.progress import Step

__all__ = ["Active", "Carriers", "Ended"]

_log = logging.getLogger(__name__)
LONGEST_WAIT_S = 15.0
"""Between two attempts to reach a database that is away."""

Ended = Callable[[Recorded, Outcome], None]
"""Told of the end of a run before the ledger notes it, so that a worker that dies in between tells it again: it must
bear that."""


@dataclass
class Active:
    """A run that is under way here."""

    claim: Claim
    cancel: threading.Event = field(default_factory=threading.Event)
    renewed: float = field(default_factory=time.monotonic)
    step: Step | None = None
    told: Step | None = None
    is_lost: bool = False
    is_put_back: bool = False
    is_noted: bool = False


class Carriers:
    """Carries runs out and notes their ends.

    Parameters
    ----------
    ledger
        Where claims are kept alive and ends are noted.
    execute
        What carries a run out.
    config
        Of the worker.
    freed
        Called, in some thread, when one has ended.
    ended
        See :data:`Ended`.
    """

    def __init__(
        self, ledger: RunLedger, execute: Execute, config: WorkerConfig, freed: Callable[[], None], ended: Ended | None
    ) -> None:
        self._ledger, self._execute, self._config = ledger, execute, config
        self._freed, self._ended = freed, ended
        self._rng = random.Random()  # noqa: S311 (a jitter)
        self._lock = threading.Lock()
        self._active: dict[str, Active] = {}
        self._leave = threading.Event()

    def __len__(self) -> int:
        """How many are under way."""
        with self._lock:
            return len(self._active)

    def begin(self, claim: Claim) -> None:
        """Carry out a run that was claimed, in a thread of its own."""
        active = Active(claim)
        with self._lock:
            self._active[claim.run.id] = active
        threading.Thread(target=self._carry, args=(active,), name=f"run-{claim.run.id}", daemon=True).start()

    def beat(self) -> None:
        """Put the ends of claims off, say how far runs are, hear of cancellations. To be called about once a second.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached. The runs go on.
        """
        for active in self._all():
            step, now = active.step, time.monotonic()
            is_news = step is not None and step is not active.told
            if active.is_lost or not (is_news or now - active.renewed >= self._config.renew_s):
                continue
            progress = _progress(step) if step is not None and is_news else None
            try:
                claim, is_cancelling = self._ledger.queue.renew(active.claim, self._config.claim_s, progress)
            except ClaimLost as error:
                if not active.is_noted:  # whoever notes the end finds out by itself whether it may
                    self._lose(active, error)
                continue
            active.claim, active.renewed, active.told = claim, now, step
            if is_cancelling:
                active.cancel.set()

    def put_back(self) -> None:
        """Break off what is under way and put it back, for another worker."""
        for active in self._all():
            active.is_put_back = True
            active.cancel.set()

    def leave(self) -> None:
        """Stop to wait for a database that is away: the ends that are not noted will be found by the next worker."""
        self._leave.set()

    def give_back_rest(self) -> None:
        """Give back the claims of what does not end. To be called at the very end."""
        for active in self._all():
            active.is_lost = True
            try:
                self._ledger.queue.give_back(active.claim)
            except EnvironmentProblem as error:  # its claim runs out by itself
                _log.warning("run %s: %s", active.claim.run.id, error)

    def _all(self) -> list[Active]:
        with self._lock:
            return list(self._active.values())

    @staticmethod
    def _lose(active: Active, error: ClaimLost) -> None:
        _log.warning("run %s: %s", active.claim.run.id, error)
        active.is_lost = True
        active.cancel.set()

    # ------------------------------------------------------------------------------------------------- in its thread

    def _carry(self, active: Active) -> None:
        run = active.claim.run
        _log.info("run %s: attempt %d begins", run.id, run.attempt)
        try:
            previous = self._insist(active, lambda: self._ledger.queue.attempts(run.id)) or ()
            if not active.is_lost:
                self._settle(active, self._outcome(active, Work(run, previous, self._listener(active), active.cancel)))
        except Exception:  # noqa: BLE001 (the run stays claimed, and comes back when the claim is over)
            _log.exception("run %s", run.id)
        finally:
            with self._lock:
                self._active.pop(run.id, None)
            self._freed()

    @staticmethod
    def _listener(active: Active) -> Callable[[Step], None]:
        def tell(step: Step) -> None:
            active.step = step

        return tell

    def _outcome(self, active: Active, work: Work) -> Outcome:
        try:
            return self._execute(work)
        except Exception as error:  # noqa: BLE001 (whatever it is, the run has an end, and the worker goes on)
            _log.exception("run %s", active.claim.run.id)
            return Outcome(
                State.FAILED, f"The platform failed at it ({type(error).__name__}: {error}).", retry_after_s=60.0
            )

    def _settle(self, active: Active, outcome: Outcome) -> None:
        """Note an end: for good, for another attempt, or as one that was put back."""
        queue, run = self._ledger.queue, active.claim.run
        if active.is_put_back and outcome.state is State.CANCELLED and not run.is_cancelling:
            self._insist(active, lambda: queue.give_back(active.claim))
            _log.info("run %s: put back", run.id)
            return
        wait = None if active.cancel.is_set() else wait_before_retry(run, outcome, self._rng)
        if wait is not None:
            again = self._insist(active, lambda: self._ledger.schedules.now() + timedelta(seconds=wait))
            if again is not None:
                self._insist(active, lambda: queue.retry(active.claim, outcome.state, outcome.problem, again))
                _log.warning("run %s: %s, tried again in %.0f s: %s", run.id, outcome.state, wait, outcome.problem)
            return
        if self._ended is not None and not active.is_lost:
            self._insist(active, lambda: self._tell(run, outcome))
        more: dict[str, Any] = {**outcome.more, "problem": outcome.problem, "folder": outcome.folder}
        active.is_noted = True
        noted = self._insist(
            active, lambda: queue.finish(active.claim, outcome.state, outcome.record, metrics=outcome.metrics, **more)
        )
        if noted is not None:
            _log.info("run %s: %s", run.id, noted.state)

    def _tell(self, run: Recorded, outcome: Outcome) -> None:
        assert self._ended is not None  # noqa: S101
        try:
            self._ended(run, outcome)
        except EnvironmentProblem:
            raise
        except Exception:  # noqa: BLE001 (what people are told must not cost the run its end)
            _log.exception("run %s: its end could not be told", run.id)

    def _insist(self, active: Active, ask: Callable[[], Any]) -> Any:
        """Ask the database, again and again while it is away. None where the claim is lost, or the worker leaves."""
        wait = 0.5
        while not active.is_lost:
            try:
                return ask()
            except ClaimLost as error:
                self._lose(active, error)
            except EnvironmentProblem as error:
                _log.warning("run %s: %s", active.claim.run.id, error)
                if self._leave.wait(wait):
                    active.is_lost = True
                wait = min(wait * 2, LONGEST_WAIT_S)
        return None


def _progress(step: Step) -> dict[str, Any]:
    return {
        "what": step.what,
        "done": step.done,
        "total": step.total,
        "elapsed_s": round(step.elapsed_s, 1),
        "estimate_s": None if step.remaining_s is None else round(step.remaining_s, 1),
    }
