"""Whom the end of a run is told, and the rounds of sending. An edge module: it asks the database and starts a thread.

Messages are queued before the ledger notes the end of a run, under names that are made of the run: where a worker dies
in between, the next one queues them again, and that changes nothing.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from quantdesk.errors import BadInput, EnvironmentProblem, QuantdeskError
from quantdesk.reports.declaration import Declaration
from quantdesk.reports.deliver import (
    Channel,
    DeliveryConfig,
    Message,
    alerts_of,
    enqueue,
    of_alerts,
    of_run,
    pump,
    rules_of,
    standing_of,
)
from quantdesk.reports.dispatch.work import Outcome
from quantdesk.reports.ledger import Filter, Recorded, RunLedger, State
from quantdesk.reports.ledger.entry import FINAL
from quantdesk.reports.notebooks import find_report
from quantdesk.reports.result import Problem, Provenance, Run, Status

__all__ = ["BY_HAND", "Teller"]

_log = logging.getLogger(__name__)
BY_HAND = frozenset({"manual", "command"})
"""Triggers of runs whose asker is there to see how they end: nobody is written to."""
ROUND_S = 5.0
JUDGED = 50
"""Earlier runs of a schedule from which it is known what was wrong before."""


class Teller:
    """Queues messages at the end of runs, and sends them.

    Parameters
    ----------
    ledger
        Where messages wait.
    config
        How they leave.
    """

    def __init__(self, ledger: RunLedger, config: DeliveryConfig) -> None:
        self._ledger, self._config = ledger, config
        self._channels: dict[str, Channel] | None = None

    def ended(self, run: Recorded, outcome: Outcome) -> None:
        """Queue what the end of a run is to tell; see :data:`~quantdesk.reports.dispatch.active.Ended`.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached.
        """
        if run.trigger in BY_HAND or outcome.state is State.CANCELLED:
            return
        messages = self._messages(_as_run(run, outcome), run)
        if messages:
            enqueue(self._ledger.deliveries, messages, self._ledger.schedules.now())

    def send(self) -> int:
        """Send what is due; how many messages were tried.

        Raises
        ------
        EnvironmentProblem
            The database cannot be reached.
        BadInput
            A setting of delivery is wrong.
        """
        if self._channels is None:
            self._channels = self._config.channels()
        return pump(self._ledger.deliveries, self._channels, self._ledger.schedules.now()).tried

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. What goes wrong is logged, and tried again."""
        while not stop.is_set():
            try:
                while self.send() and not stop.is_set():
                    pass
            except QuantdeskError as error:
                _log.warning("no message can be sent: %s", error)
            except Exception:  # noqa: BLE001 (whatever it is, the next round may work)
                _log.exception("no message can be sent")
            stop.wait(ROUND_S)

    def _messages(self, ended: Run, run: Recorded) -> list[Message]:
        declared = _declaration(run.report)
        link = self._config.link(run.id)
        recipients = []
        for text in declared.recipients:
            try:
                recipients.append(self._config.route(text))
            except BadInput as error:
                _log.error("report %s: %s", run.report, error)
        if not recipients:
            return []
        rules = rules_of(declared)
        alerts, _ = alerts_of(rules, ended, standing_of(rules, self._before(run)))
        messages = [of_run(ended, to, link=link) for to in recipients if ended.status is Status.COMPLETED]
        return messages + [of_alerts(alerts, ended, to, link=link) for to in recipients if alerts]

    def _before(self, run: Recorded) -> list[Run]:
        """The runs of the same schedule that have ended."""
        if run.schedule_id is None:
            return []
        known = self._ledger.search.runs(Filter(schedule_id=run.schedule_id, states=FINAL), limit=JUDGED).runs
        others = (one for one in known if one.id != run.id)
        return [_as_run(one, Outcome(one.state, one.problem, one.record, one.folder)) for one in others]


def _declaration(report: str) -> Declaration:
    try:
        return find_report(report).declaration
    except EnvironmentProblem:
        return Declaration()
    except QuantdeskError as error:
        _log.error("report %s: %s", report, error)
        return Declaration()


def _as_run(run: Recorded, outcome: Outcome) -> Run:
    """The record of a run; of one that has none, what the ledger knows of it."""
    if outcome.record:
        try:
            return replace(Run.from_dict(outcome.record, Path(outcome.folder)), id=run.id)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _log.warning("run %s: its record cannot be read (%s)", run.id, error)
    begun = run.started or run.queued
    return Run(
        id=run.id,
        report=run.report,
        title=run.title,
        status=Status(outcome.state.value),
        parameters=run.parameters,
        given=tuple(run.parameters),
        seed=None,
        notebook="",
        notebook_sha256="",
        started=begun,
        ended=run.ended or max(begun, datetime.now(UTC)),
        problem=Problem(outcome.problem) if outcome.problem else None,
        labels=(),
        provenance=Provenance(),
        folder=Path(outcome.folder),
        attempt=run.attempt,
    )
