"""What a schedule asks the ledger for. It makes the name of a run, and so rolls dice."""

from __future__ import annotations

import datetime as dt

from quantdesk.reports.lab.job import ATTEMPTS, TRIGGER
from quantdesk.reports.ledger.entry import Order, Schedule
from quantdesk.reports.notebooks import Report
from quantdesk.reports.runs import new_id

__all__ = ["order_for"]


def order_for(schedule: Schedule, report: Report | None, due: dt.datetime, now: dt.datetime) -> Order:
    """The run of a schedule for one due time.

    Parameters
    ----------
    schedule
        Whose.
    report
        What it runs; None where that cannot be read now. The run is asked for all the same, and will say why it failed.
    due, now
        When it was due, and the moment (UTC).
    """
    declared = report.declaration if report is not None else None
    after = dict.fromkeys((*schedule.after, *(declared.after if declared is not None else ())))
    return Order(
        id=new_id(schedule.report, now),
        report=schedule.report,
        title=report.title if report is not None else _title(schedule),
        parameters=dict(schedule.parameters),
        requested_by=schedule.created_by,
        owner=declared.owner if declared is not None else "",
        is_private=schedule.is_private or (declared is not None and declared.visibility == "private"),
        trigger=TRIGGER if schedule.source == TRIGGER else "schedule",
        schedule_id=schedule.id,
        due=due,
        after=tuple(after),
        attempts=1 + declared.retries if declared is not None else ATTEMPTS if schedule.source == TRIGGER else 1,
        concurrency=declared.concurrency if declared is not None else None,
        details={**schedule.details, "timezone": schedule.timezone},
    )


def _title(schedule: Schedule) -> str:
    """What a job of JupyterLab is called by its user; else the report's name."""
    job = schedule.details.get(TRIGGER)
    name = job.get("name") if isinstance(job, dict) else None
    return name if isinstance(name, str) else schedule.report
