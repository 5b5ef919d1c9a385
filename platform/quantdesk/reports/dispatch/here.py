"""Carries a run out on this machine. An edge module: processes and the disk.

The name of a run is fixed before it begins, and so is its folder. What an earlier attempt left there decides:

- a complete run: its worker died before it could say so. Nothing runs again.
- a failure that nobody noted, for the same reason: it is this attempt's end.
- a failure that was noted, or a run that was broken off: it moves to ``attempts/<run>/<number>``, and the run begins.

A worker that dies takes its kernels along, but that takes them a moment: the next attempt waits for it.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError
from quantdesk.reports import processes
from quantdesk.reports.dispatch.work import FAILURES, Execute, Outcome, Work, outcome_of
from quantdesk.reports.ledger.entry import State
from quantdesk.reports.result import Run, Status
from quantdesk.reports.runs import RunsConfig, is_id, read_run
from quantdesk.reports.scratch import recover

__all__ = ["carry_out", "checked", "left_by_earlier"]

_log = logging.getLogger(__name__)
ORPHAN_S = 30.0
"""Seconds that the processes of a dead worker have to end by themselves."""
RETRY_AFTER_S = 60.0
"""Wait before the next attempt of a report that cannot be asked."""


def carry_out(work: Work, begin: Execute | None = None) -> Outcome:
    """Run a report in a process of its own, to its published end.

    Parameters
    ----------
    work
        The run.
    begin
        Runs it where no earlier attempt has left its end; a notebook of the team, by this account, when None.

    Returns
    -------
    Outcome
        Nothing that goes wrong with the run is raised.
    """
    config = RunsConfig.from_env()
    run = work.run
    try:
        _end_orphans(config, checked(run.id), work)
        if work.cancel.is_set():
            return Outcome(State.CANCELLED, "It was cancelled before it began.")
        left = left_by_earlier(work, config)
        if left is not None:
            return outcome_of(left, _retry_after(left, run.attempt))
        return (begin or _run)(work)
    except EnvironmentProblem as error:  # a full disk may be empty in a minute
        return Outcome(State.FAILED, _said(error), retry_after_s=RETRY_AFTER_S)
    except QuantdeskError as error:  # no such report, no such parameter: that will not change by itself
        return Outcome(State.FAILED, _said(error))


def checked(run_id: str) -> str:
    """The name of a run, once it is known to be one: it becomes the name of a folder.

    Raises
    ------
    BadInput
        It is none.
    """
    if not is_id(run_id):
        raise BadInput(f"{run_id[:80]!r} is no name of a run.", "Take one from quantdesk.reports.runs.new_id.")
    return run_id


def left_by_earlier(work: Work, config: RunsConfig) -> Run | None:
    """What an earlier attempt left that counts as the end of this one; what does not count is set aside.

    Raises
    ------
    EnvironmentProblem
        The folder cannot be moved.
    """
    folder = config.runs / work.run.id
    if not folder.exists():
        return None
    try:
        found = read_run(folder)
    except DataError as error:
        _log.warning("%s: %s", work.run.id, error)
        found = None
    if found is not None:
        state = State(found.status.value)
        noted = any(one.state in FAILURES - {State.LOST} for one in work.previous[-1:])
        broken_off = state in (State.CANCELLED, State.LOST)
        if state is State.COMPLETED or not (noted or broken_off):
            return found
    _set_aside(folder, config.reports_root / "attempts" / work.run.id)
    return None


def _set_aside(folder: Path, attempts: Path) -> None:
    try:
        attempts.mkdir(parents=True, exist_ok=True)
        number = 1
        while (attempts / str(number)).exists():
            number += 1
        os.rename(folder, attempts / str(number))
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder} cannot be moved to {attempts} ({error.strerror or error}).", "Make both writable."
        ) from error


def _end_orphans(config: RunsConfig, run_id: str, work: Work) -> None:
    """Wait until the processes of an earlier attempt are gone, and end them if they do not go."""
    scratch = config.scratch / run_id
    deadline = time.monotonic() + ORPHAN_S
    while scratch.exists() and not work.cancel.is_set():
        recover(config)
        if time.monotonic() > deadline:
            processes.end_all(run_id)
            deadline = time.monotonic() + ORPHAN_S
        elif scratch.exists():
            work.cancel.wait(0.1)


def _run(work: Work) -> Outcome:
    # Imported here: it takes a second that a worker without work need not spend.
    from quantdesk.reports.runner import ReportFailed, run

    asked = work.run
    notebook = asked.details.get("notebook")
    try:
        done = run(
            notebook if isinstance(notebook, str) else asked.report,
            asked.parameters,
            cancel=work.cancel,
            steps=work.tell,
            identity=asked.id,
            attempt=asked.attempt,
            requested_by=asked.requested_by,
        )
    except ReportFailed as error:
        done = error.run
    return outcome_of(done, _retry_after(done, asked.attempt))


def _retry_after(done: Run, attempt: int) -> float | None:
    from quantdesk.reports.notebooks import find_report

    if done.status is Status.COMPLETED:
        return None
    try:
        declared = find_report(done.report).declaration
    except QuantdeskError:
        return RETRY_AFTER_S
    # How often is the order's to say; how long to wait, the report's.
    return float(min(declared.retry_wait_s * 2.0 ** min(attempt - 1, 20), 24 * 3600.0))


def _said(error: QuantdeskError) -> str:
    return f"{error.problem} {error.remedy}".strip()
