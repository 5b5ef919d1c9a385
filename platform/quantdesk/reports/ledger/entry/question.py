"""Which runs are asked for, by whom, and a part of the answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quantdesk.reports.ledger.entry.run import Recorded, State

__all__ = ["Filter", "Page", "Viewer"]


@dataclass(frozen=True)
class Viewer:
    """Who asks. A private run is shown to who asked for it, to the report's owner and to administrators.

    Attributes
    ----------
    name
        The user's name.
    is_admin
        Whether all may be seen.
    """

    name: str
    is_admin: bool = False


@dataclass(frozen=True)
class Filter:
    """Which runs. What is None or empty does not filter.

    Attributes
    ----------
    report
        Name of a report.
    states
        Any of these.
    requested_by, owner
        A person.
    schedule_id
        Of a schedule.
    trigger
        What asked for it.
    text
        In the report's name or title, or the run's name; case does not matter.
    since, until
        Asked for at or after, and before (UTC).
    """

    report: str | None = None
    states: tuple[State, ...] = ()
    requested_by: str | None = None
    owner: str | None = None
    schedule_id: str | None = None
    trigger: str | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Some of the runs, newest first, and the cursor that gives those after them; None at the end."""

    runs: tuple[Recorded, ...]
    cursor: str | None
