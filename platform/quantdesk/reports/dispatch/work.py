"""A run to carry out, how it ended, and whether it is tried again. Pure."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantdesk.reports.ledger.entry import Attempt, Recorded, State
from quantdesk.reports.progress import Step
from quantdesk.reports.result import Run

__all__ = ["FAILURES", "Execute", "Outcome", "Work", "outcome_of", "wait_before_retry"]

FAILURES = frozenset({State.FAILED, State.TIMED_OUT, State.KERNEL_DIED, State.OUT_OF_MEMORY, State.LOST})
"""Ends after which another attempt makes sense."""
JITTER = 0.25
"""The largest share by which a wait is lengthened, so that what failed together does not come back together."""


@dataclass(frozen=True)
class Work:
    """A run to carry out.

    Attributes
    ----------
    run
        As it was claimed.
    previous
        Its attempts that have ended, the first one first.
    tell
        Told how far it is, as often as wanted.
    cancel
        Set when it shall end.
    """

    run: Recorded
    previous: tuple[Attempt, ...]
    tell: Callable[[Step], None]
    cancel: threading.Event


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes
    ----------
    state
        A final one.
    problem
        Why it is not complete, in a sentence; empty when it is.
    record
        Its ``run.json``; empty where there is none.
    folder
        Where its files are; empty where there are none.
    metrics
        What it recorded: name to value and unit.
    more
        Other columns of :meth:`.Queue.finish`: ``cache_key``, ``cached_from``.
    retry_after_s
        Seconds to wait before another attempt; None where none makes sense, whatever the order allows.
    """

    state: State
    problem: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    metrics: Mapping[str, tuple[float | str | None, str]] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


Execute = Callable[[Work], Outcome]
"""Carries out one run, in the thread that calls it, to its end. It may raise; that is a failure of the run."""


def outcome_of(run: Run, retry_after_s: float | None = None) -> Outcome:
    """The outcome of a published run."""
    return Outcome(
        state=State(run.status.value),
        problem=run.problem.message if run.problem is not None else "",
        record=run.to_dict(),
        folder=str(run.folder),
        metrics={one.name: (one.value, one.unit) for one in run.metrics},
        retry_after_s=retry_after_s,
    )


def wait_before_retry(run: Recorded, outcome: Outcome, rng: random.Random) -> float | None:
    """Seconds until the next attempt; None when this was the last.

    An attempt whose worker died counts as one of those that the order allows.

    Parameters
    ----------
    run
        As it was claimed.
    outcome
        How the attempt ended.
    rng
        For the jitter.
    """
    if outcome.state not in FAILURES or outcome.retry_after_s is None or run.attempt >= run.attempts:
        return None
    return outcome.retry_after_s * (1 + JITTER * rng.random())
