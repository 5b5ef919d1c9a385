"""An unchanged report on unchanged data is answered by the run that has been made. An edge module: it asks the machine.

The answer is a run of its own, with its own name and time; its files are those of the earlier run, which it names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from quantdesk.errors import QuantdeskError
from quantdesk.reports import provenance
from quantdesk.reports.cache import cache_key, cached
from quantdesk.reports.dispatch.work import Execute, Outcome, Work
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.ledger.entry import Recorded, State
from quantdesk.reports.notebooks import Report, find_report
from quantdesk.reports.progress import Step
from quantdesk.reports.result import Provenance, Run
from quantdesk.reports.runs import RunsConfig

__all__ = ["NO_CACHE", "FromCache"]

_log = logging.getLogger(__name__)
NO_CACHE = "no_cache"
"""A detail of an order that wants its report to run, whatever is there."""


class FromCache:
    """Serves what has been made, and has the rest carried out.

    Parameters
    ----------
    ledger
        Where finished runs are found.
    execute
        Carries a run out.
    collect
        Tells what a run that begins now is made from.
    """

    def __init__(
        self, ledger: RunLedger, execute: Execute, collect: Callable[[], Provenance] = provenance.collect
    ) -> None:
        self._ledger, self._execute, self._collect = ledger, execute, collect

    def __call__(self, work: Work) -> Outcome:
        """Carry out one run, or answer it; see :data:`.work.Execute`."""
        report = _report(work.run)
        if report is None or not report.declaration.cache:
            return self._execute(work)
        if self._may_be_served(work.run):
            work.tell(Step("looking for the same run", 0, 0, 0.0, None))
            key = cache_key(report, work.run.parameters, self._collect())
            found = cached(key, self._ledger.search, requested_by=work.run.requested_by)
            outcome = None if found is None else _answer(work.run, found)
            if outcome is not None and not work.cancel.is_set():
                return outcome
        return _keyed(report, work.run, self._execute(work))

    def _may_be_served(self, run: Recorded) -> bool:
        """Not a run that was begun before, which may have left its own end on the disk."""
        begun = run.attempt > 1 or (RunsConfig.from_env().runs / run.id).exists()
        return not begun and not run.details.get(NO_CACHE)


def _report(run: Recorded) -> Report | None:
    notebook = run.details.get("notebook")
    try:
        return find_report(notebook if isinstance(notebook, str) else run.report)
    except QuantdeskError:
        return None  # whoever carries it out says what is wrong


def _answer(run: Recorded, found: Recorded) -> Outcome | None:
    """The end of a run that is served; None where the files of the earlier one are gone."""
    folder = Path(found.folder)
    if not (folder / "run.json").is_file():
        return None
    try:
        earlier = Run.from_dict(found.record, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _log.warning("run %s: its record cannot be read (%s)", found.id, error)
        return None
    now = datetime.now(UTC)
    note = f"Nothing had changed since {earlier.started:%Y-%m-%d %H:%M} UTC: these are the files of the run {found.id}."
    # Its time is today's, so that the age of its data is judged as of today.
    served = replace(
        earlier,
        id=run.id,
        started=now,
        ended=now,
        notes=(*earlier.notes, note),
        peak_memory_bytes=None,
        attempt=run.attempt,
        requested_by=run.requested_by,
    )
    return Outcome(
        state=State.COMPLETED,
        record=served.to_dict(),
        folder=found.folder,
        metrics=found.metrics,
        more={"cached_from": found.id, **({} if found.cache_key is None else {"cache_key": found.cache_key})},
    )


def _keyed(report: Report, run: Recorded, outcome: Outcome) -> Outcome:
    """The end of a run with the key by which the next one finds it, from what its own record says of its making."""
    if outcome.state is not State.COMPLETED or not outcome.record:
        return outcome
    try:
        record = Run.from_dict(outcome.record, Path(outcome.folder))
    except (KeyError, TypeError, ValueError, AttributeError):
        return outcome
    if record.notebook_sha256 != report.sha256:
        return outcome  # the notebook was saved between the look at it and the start
    key = cache_key(report, run.parameters, record.provenance)
    return outcome if key is None else replace(outcome, more={**outcome.more, "cache_key": key})
