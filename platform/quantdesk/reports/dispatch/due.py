"""Due times into the queue; runs that waited, and runs whose worker died. An edge module: it asks the database.

One worker at a time does it, by a lease. Two that believe to hold it, after a long sleep of one, do no harm: a run is
there once for its schedule and due time, and a schedule is never handled backwards.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from quantdesk.errors import BadInput, EnvironmentProblem, QuantdeskError
from quantdesk.records.lease import Lease, LeaseLost
from quantdesk.reports.dispatch.config import WorkerConfig
from quantdesk.reports.dispatch.declared import keep_declared
from quantdesk.reports.dispatch.dependencies import Gate, begin_of_day, decide
from quantdesk.reports.dispatch.orders import order_for
from quantdesk.reports.lab.job import TRIGGER
from quantdesk.reports.ledger import Filter, Recorded, RunLedger, Schedule
from quantdesk.reports.notebooks import Report, find_report, list_reports
from quantdesk.reports.schedule import CatchUp, Trigger, missed, parse

__all__ = ["LEASE", "Scheduler"]

_log = logging.getLogger(__name__)
LEASE = "reports-scheduler"
DECLARED_EVERY_S = 60.0
RECHECK = timedelta(hours=1)
"""When a schedule that could not be read, or has no next time, is looked at again."""


@dataclass(frozen=True)
class _Plan:
    """When a schedule has to be looked at next."""

    version: int
    handled: datetime | None
    trigger: Trigger | None
    next_look: datetime


class Scheduler:
    """Turns due times into queued runs.

    Parameters
    ----------
    ledger
        Where schedules and runs are.
    holder
        The worker's name.
    config
        Of the worker.
    """

    def __init__(self, ledger: RunLedger, holder: str, config: WorkerConfig) -> None:
        self._ledger, self._holder, self._config = ledger, holder, config
        self._plans: dict[str, _Plan] = {}
        self._lease: Lease | None = None
        self._renew_at = self._declared_at = self._taken_over_at = self._distrust_until = float("-inf")

    def step(self) -> int:
        """Look once; how many runs were queued. Does nothing while another worker holds the lease.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached; call :meth:`was_out` before the next step.
        """
        if not self._holds():
            return 0
        if time.monotonic() >= self._declared_at:
            self._keep_declared()
            self._declared_at = time.monotonic() + DECLARED_EVERY_S
        queued = self._queue_due()
        self._open_gates()
        if time.monotonic() >= max(self._taken_over_at, self._distrust_until):
            self._take_over()
            self._taken_over_at = time.monotonic() + self._config.claim_s / 4
        return queued

    def was_out(self) -> None:
        """Note that the database was away: nobody could renew a claim, so for a while no claim that is over tells."""
        self._distrust_until = time.monotonic() + self._config.claim_s

    def end(self) -> None:
        """Let another worker do it at once."""
        if self._lease is not None:
            self._ledger.leases.give_back(self._lease)
            self._lease = None

    def _holds(self) -> bool:
        leases, seconds = self._ledger.leases, self._config.claim_s
        if self._lease is not None and time.monotonic() < self._renew_at:
            return True
        try:
            if self._lease is not None:
                self._lease = leases.renew(self._lease, seconds)
        except LeaseLost:
            self._lease = None
        if self._lease is None:
            self._lease = leases.take(LEASE, self._holder, seconds)
            self._plans.clear()
        self._renew_at = time.monotonic() + seconds / 3
        return self._lease is not None

    # ------------------------------------------------------------------------------------------------------ schedules

    def _queue_due(self) -> int:
        now = self._ledger.schedules.now()
        queued = 0
        for schedule in self._ledger.schedules.list(enabled=True):
            plan = self._plans.get(schedule.id)
            known = plan is not None and (plan.version, plan.handled) == (schedule.version, schedule.handled)
            if plan is not None and known and now < plan.next_look:
                continue
            try:
                queued += self._handle(schedule, plan.trigger if plan is not None and known else None, now)
            except EnvironmentProblem:
                raise
            except QuantdeskError as error:
                # One schedule that nobody can read is no reason to miss the others.
                _log.error("schedule %s (%s): %s", schedule.id, schedule.trigger, error)
                self._plans[schedule.id] = _Plan(schedule.version, schedule.handled, None, now + RECHECK)
        return queued

    def _handle(self, schedule: Schedule, trigger: Trigger | None, now: datetime) -> int:
        trigger = trigger or parse(schedule.trigger, schedule.timezone)
        since = schedule.handled or now
        decision = missed(
            trigger,
            since,
            now,
            CatchUp(schedule.catch_up),
            grace=self._config.grace,
            limit=self._config.catch_up_limit,
        )
        queued = 0
        if decision.handled is not None:
            report = _report_of(schedule)
            for due in decision.run:
                queued += self._queue(schedule, report, due, now)
            if decision.first_skipped is not None and decision.last_skipped is not None:
                self._tell_skipped(schedule, decision.first_skipped, decision.last_skipped)
            self._ledger.schedules.handled(schedule.id, decision.handled)
            since = decision.handled
        self._plans[schedule.id] = _Plan(schedule.version, since, trigger, now + RECHECK)
        following = trigger.next_after(max(now, since))
        if following is not None:
            self._plans[schedule.id] = _Plan(schedule.version, since, trigger, following)
        return queued

    def _queue(self, schedule: Schedule, report: Report | None, due: datetime, now: datetime) -> bool:
        while True:
            run, is_new = self._ledger.queue.add(order_for(schedule, report, due, now))
            if (run.schedule_id, run.due) == (schedule.id, due):
                break
            # Six random digits were those of another run: asked again, with others.
        if is_new:
            _log.info("schedule %s, due %s: run %s", schedule.id, due.isoformat(), run.id)
        return is_new

    def _tell_skipped(self, schedule: Schedule, first: datetime, last: datetime) -> None:
        span = {"first": first.isoformat(), "last": last.isoformat(), "policy": schedule.catch_up}
        _log.warning(
            "schedule %s: not run, by its policy %s: due from %s to %s", schedule.id, schedule.catch_up, first, last
        )
        self._ledger.remarks.trace("scheduler", "skipped", schedule.id, span)

    def _keep_declared(self) -> None:
        broken: dict[str, QuantdeskError] = {}
        try:
            reports = list_reports(broken=broken.__setitem__)
        except QuantdeskError as error:
            _log.error("the notebooks cannot be listed: %s", error)
            return
        for name, problem in broken.items():
            _log.error("the notebook %s cannot be read: %s", name, problem)
        try:
            keep_declared(self._ledger.schedules, reports, broken)
        except BadInput as error:  # somebody changed one at this moment; the next round sees it
            _log.info("declared schedules: %s", error)

    # ----------------------------------------------------------------------------------------------------------- runs

    def _open_gates(self) -> None:
        waiting = self._ledger.queue.waiting()
        if not waiting:
            return
        now = self._ledger.schedules.now()
        for run in waiting:
            verdict = decide(run, {report: self._runs_of(report, begin_of_day(run)) for report in run.after}, now)
            if verdict.gate is Gate.OPEN:
                self._ledger.queue.release(run.id)
            elif verdict.gate is Gate.NEVER:
                _log.warning("run %s: %s", run.id, verdict.reason)
                self._ledger.queue.cancel(run.id, verdict.reason)

    def _runs_of(self, report: str, since: datetime) -> list[Recorded]:
        found: list[Recorded] = []
        cursor = None
        while True:
            # No run is asked for before it is due.
            page = self._ledger.search.runs(Filter(report=report, since=since), limit=1000, cursor=cursor)
            found += page.runs
            cursor = page.cursor
            if cursor is None:
                return found

    def _take_over(self) -> None:
        for run in self._ledger.queue.take_over(self._holder):
            _log.warning("run %s: %s It is %s now.", run.id, run.problem, run.state)


def _report_of(schedule: Schedule) -> Report | None:
    if schedule.source == TRIGGER:
        return None  # a notebook of a user's own, which is none of the team's reports
    try:
        return find_report(schedule.report)
    except QuantdeskError as error:
        _log.error("schedule %s: %s", schedule.id, error)
        return None
