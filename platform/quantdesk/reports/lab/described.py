"""A run and a schedule in the form that JupyterLab's extension reads, filtered and sorted as it asks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quantdesk.errors import BadParameter
from quantdesk.reports.lab.job import LabJob, job_id
from quantdesk.reports.ledger.entry import Recorded, Schedule, State

__all__ = ["STATUSES", "Page", "Wanted", "definition", "job", "page", "status_of"]

STATUSES = ("CREATED", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "STOPPING", "STOPPED")
"""What JupyterLab knows."""
_STATUS = {
    State.WAITING: "QUEUED",
    State.QUEUED: "QUEUED",
    State.RUNNING: "IN_PROGRESS",
    State.COMPLETED: "COMPLETED",
    State.CANCELLED: "STOPPED",
}
_SORTABLE = ("name", "input_filename", "create_time", "update_time", "start_time", "end_time", "status", "timezone",
             "schedule", "active")  # fmt: skip


def status_of(run: Recorded) -> str:
    """How far a run is, in JupyterLab's words: what has no word there has failed."""
    if run.state is State.RUNNING and run.is_cancelling:
        return "STOPPING"
    return _STATUS.get(run.state, "FAILED")


def job(run: Recorded) -> dict[str, Any]:
    """A run as a job. Times in milliseconds since 1970 (UTC).

    Raises
    ------
    DataError
        It is none of JupyterLab's.
    """
    made = LabJob.of(run.details)
    return {
        **_shared(made, run.parameters),
        "name": run.title,
        "job_id": job_id(run.id),
        "job_definition_id": run.schedule_id or made.definition or None,
        "create_time": _ms(run.queued),
        "update_time": _ms(run.ended or run.started or run.queued),
        "start_time": None if run.started is None else _ms(run.started),
        "end_time": None if run.ended is None else _ms(run.ended),
        "status": status_of(run),
        "status_message": run.problem or None,
    }


def definition(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a job definition.

    Raises
    ------
    DataError
        It is none of JupyterLab's.
    """
    made = LabJob.of(schedule.details)
    return {
        **_shared(made, schedule.parameters),
        "name": made.name,
        "job_definition_id": schedule.id,
        "schedule": schedule.trigger,
        "timezone": schedule.timezone,
        "create_time": made.made,
        "update_time": made.made,
        "active": schedule.is_enabled,
        "folder": made.folder,
    }


@dataclass(frozen=True)
class Wanted:
    """Which of them. What is empty does not filter.

    Attributes
    ----------
    name
        A beginning.
    status
        One of :data:`STATUSES`.
    definition
        The one that jobs were made from.
    tags
        All of them.
    since
        Started (jobs) or made (definitions) at or after: milliseconds since 1970 (UTC).
    sort
        ``field:asc`` or ``field:desc``, the most important one first; the newest first without one.
    offset, limit
        Which of those that fit.
    """

    name: str = ""
    status: str = ""
    definition: str = ""
    tags: tuple[str, ...] = ()
    since: int | None = None
    sort: tuple[str, ...] = ()
    offset: int = 0
    limit: int = 1000


@dataclass(frozen=True)
class Page:
    """Those of a page, how many fit, and where the next page begins; None at the end."""

    items: tuple[dict[str, Any], ...]
    total: int
    next: int | None


def page(found: Iterable[dict[str, Any]], wanted: Wanted) -> Page:
    """Those that fit, in the wanted order.

    Raises
    ------
    BadParameter
        They cannot be sorted by that.
    """
    fitting = [one for one in found if _fits(one, wanted)]
    for text in reversed(wanted.sort or ("create_time:desc",)):
        field, _, direction = text.partition(":")
        if field not in _SORTABLE or direction not in ("asc", "desc"):
            raise BadParameter(f"Jobs cannot be sorted by {text[:60]!r}.", f"Fields: {', '.join(_SORTABLE)}.")
        # What has no value comes first.
        fitting.sort(key=lambda one: _sortable(one.get(field)), reverse=direction == "desc")
    items = tuple(fitting[wanted.offset : wanted.offset + wanted.limit])
    end = wanted.offset + len(items)
    return Page(items, len(fitting), end if items and end < len(fitting) else None)


def _sortable(value: Any) -> tuple[bool, float, str]:
    if isinstance(value, (int, float)):
        return True, float(value), ""
    return value is not None, 0.0, str(value or "").casefold()


def _fits(one: Mapping[str, Any], wanted: Wanted) -> bool:
    at = one["start_time"] if "job_id" in one else one["create_time"]
    return (
        one["name"].startswith(wanted.name)
        and (not wanted.status or one.get("status") == wanted.status)
        and (not wanted.definition or one.get("job_definition_id") == wanted.definition)
        and set(wanted.tags) <= set(one["tags"])
        and (wanted.since is None or (at is not None and at >= wanted.since))
    )


def _shared(made: LabJob, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "input_filename": made.filename,
        "runtime_environment_name": made.environment,
        "runtime_environment_parameters": {},
        "output_formats": list(made.formats),
        "parameters": {name: str(value) for name, value in parameters.items()},
        "tags": list(made.tags),
        "name": made.name,
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
