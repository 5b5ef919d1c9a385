"""The rows of the gallery: reports with their last run, figure, metric and next run. An edge module: SQL."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from quantdesk.errors import QuantdeskError
from quantdesk.hub.app.access import User
from quantdesk.hub.app.catalogue import Catalogue
from quantdesk.hub.app.gallery.library import viewer_of
from quantdesk.hub.app.gallery.look import GROUPS
from quantdesk.hub.app.gallery.sparkline import Spark
from quantdesk.reports.ledger import Recorded, Schedule, Viewer
from quantdesk.reports.notebooks import Report
from quantdesk.reports.schedule import parse

__all__ = ["NEVER", "Due", "Row", "Wanted", "chosen", "next_due", "rows", "spark_of"]

_log = logging.getLogger(__name__)
NEVER = "never run"
_HISTORY = 30


@dataclass(frozen=True)
class Due:
    """When a report runs next, and by which schedule."""

    at: datetime
    schedule: Schedule


@dataclass(frozen=True)
class Row:
    """A report in the gallery.

    Attributes
    ----------
    name, title, description, owner, tags
        Of the report; of its last run where the notebook is gone.
    report
        None where the notebook is gone.
    last
        The last run that this person may see.
    complete
        The last complete one: its figure stands for the report.
    spark
        A metric over the last complete runs.
    due
        When it runs next; None where no schedule says so.
    """

    name: str
    title: str
    description: str
    owner: str
    tags: tuple[str, ...]
    report: Report | None
    last: Recorded | None
    complete: Recorded | None
    spark: Spark | None
    due: Due | None

    @property
    def is_private(self) -> bool:
        """Whether only its owner sees it."""
        return self.report is not None and self.report.declaration.visibility == "private"

    @property
    def group(self) -> str:
        """How its last run is, as people look for it."""
        if self.last is None:
            return NEVER
        return next(name for name, states in GROUPS.items() if self.last.state in states)

    @property
    def has_figure(self) -> bool:
        """Whether the last complete run left a small picture."""
        return self.complete is not None and bool(self.complete.record.get("thumbnail_files"))


@dataclass(frozen=True)
class Wanted:
    """What somebody looks for; empty does not filter."""

    text: str = ""
    group: str = ""
    owner: str = ""
    tag: str = ""

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.text or self.group or self.owner or self.tag)


def rows(library: Catalogue, user: User, now: datetime) -> tuple[Row, ...]:
    """Every report that somebody may see, by title; then those whose notebook is gone."""
    ledger, viewer = library.ledger, viewer_of(user)
    reports = library.reports(user)
    last = ledger.search.latest(viewer)
    complete = ledger.search.latest(viewer, completed=True)
    planned: dict[str, list[Schedule]] = {}
    for schedule in ledger.schedules.list(viewer, enabled=True):
        planned.setdefault(schedule.report, []).append(schedule)
    found = []
    for name, report in reports.items():
        spark = spark_of(library, report, complete.get(name), viewer)
        due = next_due(library, planned.get(name, ()), now)
        own = report.declaration
        found.append(
            Row(name, report.title, report.description, own.owner, own.tags, report,
                last.get(name), complete.get(name), spark, due)
        )  # fmt: skip
    found.sort(key=lambda row: (row.title.casefold(), row.name))
    # A notebook of a user's own, run from JupyterLab, has a slash in its name: it never was one of the team's.
    others = {name for name in last if "/" not in name} - set(reports)
    if others:  # a run that he may see does not give a report that he may not see away as gone
        others -= library.hidden(user)
    gone = [
        Row(name, last[name].title, "", last[name].owner, (), None, last[name], complete.get(name), None, None)
        for name in sorted(others)
    ]
    return (*found, *gone)


def spark_of(library: Catalogue, report: Report, complete: Recorded | None, viewer: Viewer) -> Spark | None:
    """The first declared metric with values, otherwise the first recorded one, over the last complete runs."""
    if complete is None:
        return None
    declared = report.declaration.metrics
    numbers = [name for name, (value, _) in complete.metrics.items() if isinstance(value, float)]
    name = next((one.name for one in declared if one.name in numbers), numbers[0] if numbers else None)
    if name is None:
        return None
    key = ("spark", report.name, report.sha256, name, complete.id, viewer)
    kept: Spark | None = library.kept(key)
    if kept is not None:
        return kept
    entry = report.declaration.metric(name)
    unit = complete.metrics[name][1] or (entry.unit if entry else "")
    bounds = entry.bounds if entry else None
    values = tuple(value for _, value in library.ledger.search.history(report.name, name, viewer, limit=_HISTORY))
    spark = Spark(
        (entry.label if entry else "") or name,
        unit,
        values or (float(complete.metrics[name][0] or 0.0),),
        bounds.lower if bounds else None,
        bounds.upper if bounds else None,
    )
    library.keep(key, spark)
    return spark


def next_due(library: Catalogue, schedules: Iterable[Schedule], now: datetime) -> Due | None:
    """The first due time after `now` of schedules that are not paused."""
    found = [Due(at, one) for one in schedules if one.is_enabled and (at := _next(library, one, now)) is not None]
    return min(found, key=lambda due: due.at, default=None)


def _next(library: Catalogue, schedule: Schedule, now: datetime) -> datetime | None:
    key = ("due", schedule.trigger, schedule.timezone)
    kept: tuple[datetime, datetime | None] | None = library.kept(key)
    if kept is not None and kept[0] <= now and (kept[1] is None or now < kept[1]):
        return kept[1]
    try:
        at = parse(schedule.trigger, schedule.timezone).next_after(now)
    except QuantdeskError as error:  # a calendar that ends, a market that is not known any more
        _log.warning("the schedule %s has no due time: %s", schedule.id, error)
        at = None
    library.keep(key, (now, at))
    return at


def chosen(found: Iterable[Row], wanted: Wanted) -> tuple[Row, ...]:
    """The rows that fit; each word of the text has to be somewhere in name, title, description, owner or tags."""
    words = wanted.text.casefold().split()

    def fits(row: Row) -> bool:
        haystack = " ".join((row.name, row.title, row.description, row.owner, *row.tags)).casefold()
        return (
            all(word in haystack for word in words)
            and (not wanted.group or row.group == wanted.group)
            and (not wanted.owner or row.owner == wanted.owner)
            and (not wanted.tag or wanted.tag in row.tags)
        )

    return tuple(row for row in found if fits(row))
