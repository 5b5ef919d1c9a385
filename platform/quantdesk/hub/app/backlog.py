"""What waits: reports of the ledger and scenarios of the service, counted when Prometheus asks. An edge module: SQL.

Each service of a team counts the same tables, so rules take the greatest of what they say, and never the sum.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from quantdesk.errors import QuantdeskError
from quantdesk.hub.app.database import JOBS
from quantdesk.hub.app.jobs import JobState
from quantdesk.records import Database
from quantdesk.reports.ledger.entry import State
from quantdesk.reports.ledger.tables import RUNS

__all__ = ["Backlog"]

_log = logging.getLogger(__name__)
_SECOND = 1_000_000_000
_RECENT, _LONG = 3600 * _SECOND, 7 * 86_400 * _SECOND


class Backlog(Collector):
    """Counts in the two databases. What cannot be counted is left out: no figure is better than an old one.

    Parameters
    ----------
    service
        The service's database.
    ledger
        That of the reports' ledger.
    """

    def __init__(self, service: Database, ledger: Database) -> None:
        self._service, self._ledger = service, ledger

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of this moment."""
        for part in (self._reports, self._scenarios):
            try:
                yield from list(part())
            except QuantdeskError as error:
                _log.warning("what waits cannot be counted: %s", error)

    def _reports(self) -> Iterator[GaugeMetricFamily]:
        going = [state for state in State if not state.is_final]
        with self._ledger.reading() as connection:
            now = self._ledger.now(connection)
            found = _counts(connection, RUNS, RUNS.c.state.in_(going))
            # By the time of asking, which has an index; a run that waited for longer than that is not among them.
            recent = and_(RUNS.c.queued > now - _LONG, RUNS.c.ended > now - _RECENT)
            ended = _counts(connection, RUNS, recent)
            ready = (RUNS.c.state == State.QUEUED, RUNS.c.not_before <= now)
            oldest = connection.scalar(select(func.min(RUNS.c.not_before)).where(*ready))
        yield _gauge("quantdesk_report_runs", "Runs of reports that have not ended.", found, going)
        finals = [state for state in State if state.is_final]
        yield _gauge("quantdesk_report_runs_ended_last_hour", "Runs that ended in the last hour.", ended, finals)
        yield GaugeMetricFamily(
            "quantdesk_report_wait_seconds",
            "For how long the oldest run that could begin has waited for a worker.",
            value=max(0, now - oldest) / _SECOND if oldest is not None else 0,
        )

    def _scenarios(self) -> Iterator[GaugeMetricFamily]:
        going = [state for state in JobState if not state.is_final]
        with self._service.reading() as connection:
            found = _counts(connection, JOBS, JOBS.c.state.in_(going))
        yield _gauge("quantdesk_scenario_jobs", "Scenarios that have not ended.", found, going)


def _counts(connection: Connection, table: Table, which: ColumnElement[bool]) -> dict[str, int]:
    asked = select(table.c.state, func.count()).where(which).group_by(table.c.state)
    return {str(state): int(count) for state, count in connection.execute(asked)}


def _gauge(name: str, about: str, found: dict[str, int], states: list[State] | list[JobState]) -> GaugeMetricFamily:
    """One figure for each state, also where it is nought: a figure that comes and goes cannot be watched."""
    made = GaugeMetricFamily(name, about, labels=["state"])
    for state in states:
        made.add_metric([state.value], found.get(state.value, 0))
    return made
