"""Runs whose files are removed; their rows stay. An edge module: SQL.

A run is first marked, in one transaction that looks once more whether anything keeps it; from then on nothing new may
lean on it. Its files go afterwards, and when they are gone, so does the name of their folder. Whoever dies in between
leaves a mark, by which the next one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, tuple_, update

from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import FINAL, DeliveryState, Left, Recorded, State
from quantdesk.reports.ledger.tables import COMMENTS, DELIVERIES, RUNS, SIGN_OFFS, moment, with_metrics

__all__ = ["Keeping"]


class Keeping:
    """Which runs of a ledger keep their files.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def left(self, report: str) -> tuple[Left, ...]:
        """The runs of a report that have ended and have files, the newest first."""
        ended = and_(RUNS.c.report == report, RUNS.c.state.in_(FINAL), RUNS.c.folder != "", RUNS.c.removed.is_(None))
        columns = (RUNS.c.id, RUNS.c.state, RUNS.c.folder, RUNS.c.cached_from, RUNS.c.queued)
        found = select(*columns, _is_held().label("is_held")).where(ended)
        with self.database.reading() as connection:
            rows = connection.execute(found.order_by(RUNS.c.queued.desc(), RUNS.c.id.desc())).all()
        return tuple(
            Left(row.id, State(row.state), row.folder, row.cached_from, moment(row.queued), bool(row.is_held))
            for row in rows
        )

    def ordered(self, trigger: str) -> tuple[tuple[State, bool, Mapping[str, Any]], ...]:
        """State, whether its files were removed, and details of every run that a trigger has ordered."""
        wanted = select(RUNS.c.state, RUNS.c.removed, RUNS.c.details).where(RUNS.c.trigger == trigger)
        with self.database.reading() as connection:
            rows = connection.execute(wanted).all()
        return tuple((State(row.state), row.removed is not None, json.loads(row.details)) for row in rows)

    def remove(self, run_id: str) -> bool:
        """Mark a run as removed, unless something keeps it; whether it was marked now.

        What keeps it: it has not ended, it is the last complete one of its report, a run that is kept shares its files,
        somebody spoke of it or signed it, a message about it is still to be sent.
        """
        other = RUNS.alias()
        is_newer = tuple_(other.c.queued, other.c.id) > tuple_(RUNS.c.queued, RUNS.c.id)
        has_newer = exists().where(
            other.c.report == RUNS.c.report, other.c.state == State.COMPLETED, other.c.removed.is_(None), is_newer
        )
        leaning = exists().where(other.c.cached_from == RUNS.c.id, other.c.removed.is_(None))
        free = and_(
            RUNS.c.id == run_id,
            RUNS.c.removed.is_(None),
            RUNS.c.state.in_(FINAL),
            or_(RUNS.c.state != State.COMPLETED, has_newer),
            ~leaning,
            ~_is_held(),
        )
        with self.database.writing() as connection:
            now = self.database.now(connection)
            return connection.execute(update(RUNS).where(free).values(removed=now)).rowcount == 1

    def unfinished(self) -> tuple[Recorded, ...]:
        """The runs that are marked, and whose files may still be there."""
        with self.database.reading() as connection:
            return with_metrics(connection, list(connection.execute(_marked())))

    def emptied(self, run_id: str) -> None:
        """Note that the files of a marked run are gone."""
        gone = and_(RUNS.c.id == run_id, RUNS.c.removed.is_not(None))
        with self.database.writing() as connection:
            connection.execute(update(RUNS).where(gone).values(folder=""))


def _marked() -> Select[tuple[object, ...]]:
    return select(RUNS).where(RUNS.c.removed.is_not(None), RUNS.c.folder != "").order_by(RUNS.c.removed)


def _is_held() -> ColumnElement[bool]:
    open_message = DELIVERIES.c.state.in_([DeliveryState.PENDING, DeliveryState.SENDING])
    return or_(
        exists().where(COMMENTS.c.run_id == RUNS.c.id),
        exists().where(SIGN_OFFS.c.run_id == RUNS.c.id),
        exists().where(DELIVERIES.c.run_id == RUNS.c.id, open_message),
    )
