"""A run, from the order for it to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["FINAL", "Attempt", "Claim", "Left", "Order", "Recorded", "State"]


class State(StrEnum):
    """How far a run is. What is after ``running`` is final, and named as :class:`quantdesk.reports.Status` does."""

    WAITING = "waiting"
    """For reports that must be complete before it."""
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KERNEL_DIED = "kernel_died"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNREADABLE = "unreadable"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self not in (State.WAITING, State.QUEUED, State.RUNNING)


FINAL = tuple(state for state in State if state.is_final)


@dataclass(frozen=True)
class Order:
    """A run that somebody, or a schedule, asks for.

    Attributes
    ----------
    id
        The name of the run and of its folder (:func:`quantdesk.reports.runs.new_id`); fixed before it begins, so that
        a folder that is there tells that it was done.
    report, title
        What to run.
    parameters
        Checked values that were given; the others keep their defaults.
    requested_by
        The user; for a schedule, who made it.
    owner
        The owner of the report.
    is_private
        Whether others may not see it.
    trigger
        ``manual``, ``schedule``, ``lab``, ``api`` or ``command``; ``direct`` for a run that was made without the ledger
        and found in its folder.
    schedule_id, due
        Of a schedule, and the time it was due (UTC). There is one run of the two, ever.
    after
        Names of runs that must be completed before; the run waits until :meth:`.Queue.release`.
    attempts
        How often it may be tried, 1 or more.
    concurrency
        How many runs of the report may be under way at once; None for no limit.
    not_before
        The earliest start (UTC).
    details
        What else the executor needs, as JSON: the path of a notebook, limits, a job of JupyterLab.
    """

    id: str
    report: str
    title: str
    parameters: Mapping[str, Any]
    requested_by: str
    owner: str = ""
    is_private: bool = False
    trigger: str = "manual"
    schedule_id: str | None = None
    due: datetime | None = None
    after: tuple[str, ...] = ()
    attempts: int = 1
    concurrency: int | None = None
    not_before: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """A run as the ledger has it.

    Attributes
    ----------
    id, report, title, parameters, requested_by, owner, is_private, trigger, schedule_id, due, after, attempts,
    concurrency, details
        See :class:`Order`.
    state
        How far it is.
    attempt
        The number of the present or last attempt; 0 before the first.
    queued, started, ended
        UTC; the start is that of the last attempt.
    holder
        The worker that has it, while it runs.
    is_cancelling
        Whether a cancellation was asked for.
    progress
        ``what``, ``done``, ``total``, ``elapsed_s``, ``estimate_s`` of a run that is under way.
    problem
        Why it is not complete, in a sentence; empty otherwise.
    folder
        Where its files are; empty before its end.
    record
        Its ``run.json``, of one that has ended; empty before.
    metrics
        What it recorded: name to value (None where it was not a number that JSON has) and unit.
    cache_key, cached_from
        What it was made from, hashed; and the run whose files it shares because of that.
    removed
        When its report's retention removed its files (UTC); None while they are kept. The row stays.
    """

    id: str
    report: str
    title: str
    parameters: Mapping[str, Any]
    requested_by: str
    owner: str
    is_private: bool
    trigger: str
    schedule_id: str | None
    due: datetime | None
    after: tuple[str, ...]
    attempts: int
    concurrency: int | None
    details: Mapping[str, Any]
    state: State
    attempt: int
    queued: datetime
    started: datetime | None
    ended: datetime | None
    holder: str
    is_cancelling: bool
    progress: Mapping[str, Any]
    problem: str
    folder: str
    record: Mapping[str, Any]
    metrics: Mapping[str, tuple[float | str | None, str]]
    cache_key: str | None
    cached_from: str | None
    removed: datetime | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds of the last attempt; None before its end."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


@dataclass(frozen=True)
class Left:
    """A run that has ended and has files.

    Attributes
    ----------
    id, state, folder, cached_from
        See :class:`Recorded`.
    began
        When it was asked for (UTC): by that time runs are old or new.
    is_held
        Whether somebody spoke of it or signed it, or a message about it is still to be sent.
    """

    id: str
    state: State
    folder: str
    cached_from: str | None
    began: datetime
    is_held: bool


@dataclass(frozen=True)
class Claim:
    """The right of one worker to carry out one run, until it ends or is not renewed in time.

    Attributes
    ----------
    run
        The run, as it was when it was claimed.
    holder
        The worker.
    fence
        Larger than that of every earlier claim of the run: who was succeeded can change nothing.
    deadline
        When it is over, by the worker's own steady clock (:func:`time.monotonic`, seconds).
    """

    run: Recorded
    holder: str
    fence: int
    deadline: float


@dataclass(frozen=True)
class Attempt:
    """One attempt of a run, as it ended.

    Attributes
    ----------
    run_id, number
        Of which run, from 1.
    holder
        The worker.
    started, ended
        UTC.
    state
        How it ended.
    problem
        Why it was not complete; empty when it was.
    """

    run_id: str
    number: int
    holder: str
    started: datetime
    ended: datetime
    state: State
    problem: str
