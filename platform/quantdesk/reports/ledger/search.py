"""Runs by report, state, person and metric, page by page. An edge module: SQL."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from quantdesk.errors import BadParameter, UnknownName
from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import Filter, Page, Recorded, State, Viewer
from quantdesk.reports.ledger.tables import METRICS, RUNS, nanoseconds, with_metrics

__all__ = ["Search"]

LARGEST_PAGE = 1000


class Search:
    """The runs of a ledger, as people see them.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def run(self, run_id: str, viewer: Viewer | None = None) -> Recorded:
        """One run.

        Parameters
        ----------
        run_id
            Its name.
        viewer
            Who asks; None is the platform itself.

        Raises
        ------
        UnknownName
            There is none, or not for this viewer: the two look alike.
        """
        with self.database.reading() as connection:
            mine = and_(RUNS.c.id == run_id, _seen_by(viewer))
            row = connection.execute(select(RUNS).where(mine)).one_or_none()
            if row is None:
                raise UnknownName("run", run_id[:200], [])
            return with_metrics(connection, [row])[0]

    def runs(
        self, which: Filter | None = None, viewer: Viewer | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Runs, newest first.

        Parameters
        ----------
        which
            All when None.
        viewer
            Who asks; None is the platform itself.
        limit
            Runs of a page, 1 to 1,000.
        cursor
            That of the page before.

        Raises
        ------
        BadParameter
            A limit out of range, or no cursor of a page.
        """
        if not 1 <= limit <= LARGEST_PAGE:
            raise BadParameter(f"A page of {limit} runs is none.", f"Ask for 1 to {LARGEST_PAGE:,}.")
        wanted = and_(_fits(which or Filter()), _seen_by(viewer), _beyond(cursor))
        with self.database.reading() as connection:
            rows = connection.execute(
                select(RUNS).where(wanted).order_by(RUNS.c.queued.desc(), RUNS.c.id.desc()).limit(limit + 1)
            ).all()
            found = with_metrics(connection, list(rows[:limit]))
        more = rows[limit - 1] if len(rows) > limit else None
        return Page(found, None if more is None else f"{more.queued}~{more.id}")

    def count(self, which: Filter | None = None, viewer: Viewer | None = None) -> int:
        """How many runs fit."""
        with self.database.reading() as connection:
            wanted = and_(_fits(which or Filter()), _seen_by(viewer))
            return int(connection.scalar(select(func.count()).select_from(RUNS).where(wanted)) or 0)

    def latest(self, viewer: Viewer | None = None, *, completed: bool = False) -> dict[str, Recorded]:
        """The last run of each report, by its name; only complete ones where that is asked for."""
        seen = and_(_seen_by(viewer), RUNS.c.state == State.COMPLETED) if completed else _seen_by(viewer)
        number = func.row_number().over(partition_by=RUNS.c.report, order_by=(RUNS.c.queued.desc(), RUNS.c.id.desc()))
        ranked = select(RUNS.c.id, number.label("number")).where(seen).subquery()
        with self.database.reading() as connection:
            last = select(RUNS).join(ranked, ranked.c.id == RUNS.c.id).where(ranked.c.number == 1)
            rows = connection.execute(last.order_by(RUNS.c.report)).all()
            return {run.report: run for run in with_metrics(connection, list(rows))}

    def history(
        self, report: str, metric: str, viewer: Viewer | None = None, *, limit: int = 60
    ) -> tuple[tuple[Recorded, float], ...]:
        """The values of a metric in the last complete runs of a report, the oldest first."""
        wanted = and_(
            RUNS.c.report == report,
            RUNS.c.state == State.COMPLETED,
            METRICS.c.name == metric,
            METRICS.c.value.is_not(None),
            _seen_by(viewer),
        )
        joined = select(RUNS, METRICS.c.value).join(METRICS, METRICS.c.run_id == RUNS.c.id).where(wanted)
        with self.database.reading() as connection:
            rows = connection.execute(joined.order_by(RUNS.c.queued.desc(), RUNS.c.id.desc()).limit(limit)).all()
            runs = with_metrics(connection, list(rows))
        return tuple(reversed([(run, float(row.value)) for run, row in zip(runs, rows, strict=True)]))

    def by_cache_key(self, key: str) -> Recorded | None:
        """The last complete run that was made from the same, still has its files, and was not itself served."""
        wanted = and_(
            RUNS.c.cache_key == key,
            RUNS.c.state == State.COMPLETED,
            RUNS.c.cached_from.is_(None),
            RUNS.c.removed.is_(None),
        )
        with self.database.reading() as connection:
            rows = connection.execute(select(RUNS).where(wanted).order_by(RUNS.c.queued.desc()).limit(1)).all()
            return with_metrics(connection, list(rows))[0] if rows else None


def _seen_by(viewer: Viewer | None) -> ColumnElement[bool]:
    if viewer is None or viewer.is_admin:
        return true()
    return or_(RUNS.c.is_private.is_(False), RUNS.c.requested_by == viewer.name, RUNS.c.owner == viewer.name)


def _fits(which: Filter) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = [true()]
    for column, value in (
        (RUNS.c.report, which.report),
        (RUNS.c.requested_by, which.requested_by),
        (RUNS.c.owner, which.owner),
        (RUNS.c.schedule_id, which.schedule_id),
        (RUNS.c.trigger, which.trigger),
    ):
        if value is not None:
            wanted.append(column == value)
    if which.states:
        wanted.append(RUNS.c.state.in_(which.states))
    if which.text:
        sought = which.text.lower()
        wanted.append(
            or_(
                *(func.lower(one).contains(sought, autoescape=True) for one in (RUNS.c.report, RUNS.c.title, RUNS.c.id))
            )
        )
    if which.since is not None:
        wanted.append(RUNS.c.queued >= nanoseconds(which.since))
    if which.until is not None:
        wanted.append(RUNS.c.queued < nanoseconds(which.until))
    return and_(*wanted)


def _beyond(cursor: str | None) -> ColumnElement[bool]:
    if cursor is None:
        return true()
    queued, divider, run_id = cursor.partition("~")
    if not divider or not queued.isascii() or not queued.isdecimal() or len(queued) > 19 or int(queued) >= 2**63:
        raise BadParameter(f"{cursor[:80]!r} is no cursor of a page.", "Give the one that came with the page before.")
    return or_(RUNS.c.queued < int(queued), and_(RUNS.c.queued == int(queued), RUNS.c.id < run_id))
