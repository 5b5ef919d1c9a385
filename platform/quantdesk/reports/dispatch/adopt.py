"""Runs that were made without the ledger, found in their folders and noted there, once. An edge module: disk, database.

A command in a terminal, a notebook that calls :func:`quantdesk.reports.run`, the demo of ``quantdesk up``: they start
at once since they ask no database, and leave a folder that names its run. What the ledger does not know of these
folders is read and noted here; a run that is known stays as it is, so two that look at once, or one that dies, do no
harm. A round in which nothing was published costs one look at the folder's time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from quantdesk.errors import DataError, QuantdeskError
from quantdesk.reports.cache import cache_key
from quantdesk.reports.dispatch.found import found_run
from quantdesk.reports.dispatch.work import outcome_of
from quantdesk.reports.ledger import Order, RunLedger
from quantdesk.reports.notebooks import Report, find_report
from quantdesk.reports.result import Run, Status, is_id

__all__ = ["DIRECT", "Adoption"]

_log = logging.getLogger(__name__)
DIRECT = "direct"
"""The trigger of a run that was made without the ledger."""
SETTLED_S = 2.0
"""Within so many seconds two changes of a folder may have one time: it is looked at again."""


class Adoption:
    """Notes in a ledger the runs of a folder that it does not know.

    Parameters
    ----------
    ledger
        Where runs are noted.
    runs
        The folder of finished runs.
    """

    def __init__(self, ledger: RunLedger, runs: Path) -> None:
        self._ledger, self._runs = ledger, runs
        self._mark: int | None = None
        self._known: set[str] = set()
        self._refused: dict[str, int] = {}

    def step(self, is_over: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
        """Look once; the names of the runs that were noted now.

        Parameters
        ----------
        is_over
            Asked between two runs; True ends the round, and the next one goes on.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached. The next round goes on where this one stopped.
        """
        try:
            mark = self._runs.stat().st_mtime_ns
            if mark == self._mark:
                return ()
            there = {name for name in _names(self._runs) if name not in self._known}
        except FileNotFoundError:
            return ()
        except OSError as error:
            _log.warning("the runs in %s cannot be listed: %s", self._runs, error.strerror)
            return ()
        known = self._ledger.queue.known(there) if there else frozenset()
        self._known |= known
        noted: list[str] = []
        for name in sorted(there - known):
            if is_over():
                return tuple(noted)
            if self._adopted(name):
                noted.append(name)
        # What was published while the clock of the file system stood still would not be seen: not trusted before.
        self._mark = mark if abs(time.time() - mark / 1e9) > SETTLED_S else None
        return tuple(noted)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the folders that are no runs."""
        return tuple(sorted(self._refused))

    def _adopted(self, name: str) -> bool:
        folder = self._runs / name
        try:
            changed = folder.lstat().st_mtime_ns
        except OSError:
            return False  # it is gone again
        if self._refused.get(name) == changed:
            return False
        try:
            run = found_run(folder, datetime.now(UTC))
        except DataError as error:
            _log.warning("%s", error)
            self._refused[name] = changed
            return False
        self._refused.pop(name, None)
        report = _report(run)
        outcome = outcome_of(run)
        more = {} if (key := _key(run, report)) is None else {"cache_key": key}
        _, is_new = self._ledger.queue.note(
            _order(run, report), outcome.record, outcome.state, attempt=run.attempt, problem=outcome.problem,
            folder=str(folder), metrics=outcome.metrics, **more,
        )  # fmt: skip
        self._known.add(name)
        if is_new:
            _log.info("run %s was made without the ledger, and is noted: %s", name, outcome.state)
        return is_new


def _order(run: Run, report: Report | None) -> Order:
    """What was asked for, as far as the record tells. Who may see it, nobody can tell any more without its notebook:
    then it is its maker's alone.
    """
    declared = report.declaration if report is not None else None
    return Order(
        id=run.id,
        report=run.report,
        title=run.title,
        parameters={name: run.parameters[name] for name in run.given},
        requested_by=run.requested_by or run.provenance.user,
        owner=declared.owner if declared is not None else "",
        is_private=declared is None or declared.visibility == "private",
        trigger=DIRECT,
    )


def _report(run: Run) -> Report | None:
    """The report of a run: the notebook that ran, or one of that name that has the same bytes; None without."""
    for name in filter(None, (run.notebook, run.report)):
        try:
            report = find_report(name)
        except QuantdeskError:
            continue
        is_it = str(report.path) == run.notebook or report.sha256 == run.notebook_sha256
        if report.name == run.report and is_it:
            return report
    return None


def _key(run: Run, report: Report | None) -> str | None:
    """The key by which others may be served with the run; None where it is not that of the notebook of today."""
    if run.cache_key is None or report is None or run.status is not Status.COMPLETED:
        return None
    if run.notebook_sha256 != report.sha256:
        return None
    key = cache_key(report, {name: run.parameters[name] for name in run.given}, run.provenance)
    return key if key == run.cache_key else None


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if is_id(path.name)]
