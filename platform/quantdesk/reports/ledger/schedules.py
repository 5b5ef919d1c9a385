"""What is due when; each due time is handled once. An edge module: SQL."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, true, update

from quantdesk.errors import BadInput, UnknownName
from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import Schedule, Viewer
from quantdesk.reports.ledger.tables import SCHEDULES, as_json, moment, nanoseconds, schedule_of

__all__ = ["Schedules"]


class Schedules:
    """The schedules of a ledger.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, schedule: Schedule) -> Schedule:
        """Add a schedule; its name is made where it has none. Due times count from now on.

        Raises
        ------
        BadInput
            There is, or was, another schedule of this name.
        """
        name = schedule.id or f"{schedule.report}-{secrets.token_hex(4)}"
        with self.database.writing() as connection:
            if connection.scalar(select(SCHEDULES.c.id).where(SCHEDULES.c.id == name)) is not None:
                raise BadInput(f"There is, or was, a schedule {name!r}.", "Give another name, or none.")
            since = self.database.now(connection) if schedule.handled is None else nanoseconds(schedule.handled)
            row = {"id": name, **_values(schedule), "handled": since, "version": 1, "is_removed": False}
            connection.execute(insert(SCHEDULES).values(**row))
            return self._get(connection, name)

    def change(self, schedule: Schedule) -> Schedule:
        """Replace a schedule by an edited one; how far it was handled stays, but a pause is never caught up.

        Raises
        ------
        UnknownName
            There is none of this name.
        BadInput
            Somebody else has changed it since it was read.
        """
        with self.database.writing() as connection:
            before = self._get(connection, schedule.id)
            values: dict[str, Any] = {**_values(schedule), "version": schedule.version + 1}
            resumed = schedule.is_enabled and not before.is_enabled
            if resumed or (schedule.trigger, schedule.timezone) != (before.trigger, before.timezone):
                values["handled"] = self.database.now(connection)
            same = and_(SCHEDULES.c.id == schedule.id, SCHEDULES.c.version == schedule.version)
            if connection.execute(update(SCHEDULES).where(same).values(**values)).rowcount != 1:
                raise BadInput(
                    f"The schedule {schedule.id} has version {before.version}, not {schedule.version}: it was changed.",
                    "Read it again, and repeat your change.",
                )
            return self._get(connection, schedule.id)

    def remove(self, schedule_id: str) -> None:
        """Take a schedule away. Its runs stay, and its name is not used again.

        Raises
        ------
        UnknownName
            There is none of this name.
        """
        with self.database.writing() as connection:
            self._get(connection, schedule_id)
            connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == schedule_id).values(is_removed=True))

    def handled(self, schedule_id: str, until: datetime) -> bool:
        """Note that every due time up to `until` has its run or was passed over; whether that is new. No way back."""
        ns = nanoseconds(until)
        forward = or_(SCHEDULES.c.handled.is_(None), SCHEDULES.c.handled < ns)
        with self.database.writing() as connection:
            mine = and_(SCHEDULES.c.id == schedule_id, forward)
            return connection.execute(update(SCHEDULES).where(mine).values(handled=ns)).rowcount == 1

    def get(self, schedule_id: str, viewer: Viewer | None = None) -> Schedule:
        """One schedule.

        Raises
        ------
        UnknownName
            There is none of this name, or not for this viewer.
        """
        with self.database.reading() as connection:
            return self._get(connection, schedule_id, viewer)

    def list(
        self, viewer: Viewer | None = None, *, report: str | None = None, enabled: bool | None = None
    ) -> tuple[Schedule, ...]:
        """All schedules that the viewer may see, by report and name."""
        wanted = [SCHEDULES.c.is_removed.is_(False), _seen_by(viewer)]
        if report is not None:
            wanted.append(SCHEDULES.c.report == report)
        if enabled is not None:
            wanted.append(SCHEDULES.c.is_enabled.is_(enabled))
        with self.database.reading() as connection:
            rows = connection.execute(select(SCHEDULES).where(*wanted).order_by(SCHEDULES.c.report, SCHEDULES.c.id))
            return tuple(schedule_of(row) for row in rows)

    def now(self) -> datetime:
        """The clock that all users of the database share (UTC)."""
        with self.database.reading() as connection:
            return moment(self.database.now(connection))

    @staticmethod
    def _get(connection: Connection, schedule_id: str, viewer: Viewer | None = None) -> Schedule:
        mine = and_(SCHEDULES.c.id == schedule_id, SCHEDULES.c.is_removed.is_(False), _seen_by(viewer))
        row = connection.execute(select(SCHEDULES).where(mine)).one_or_none()
        if row is None:
            known = connection.scalars(
                select(SCHEDULES.c.id).where(SCHEDULES.c.is_removed.is_(False), _seen_by(viewer)).limit(100)
            )
            raise UnknownName("schedule", schedule_id[:200], list(known))
        return schedule_of(row)


def _seen_by(viewer: Viewer | None) -> ColumnElement[bool]:
    if viewer is None or viewer.is_admin:
        return true()
    return or_(SCHEDULES.c.is_private.is_(False), SCHEDULES.c.created_by == viewer.name)


def _values(schedule: Schedule) -> dict[str, Any]:
    return {
        "report": schedule.report,
        "trigger": schedule.trigger,
        "timezone": schedule.timezone,
        "created_by": schedule.created_by,
        "parameters": as_json(dict(schedule.parameters)),
        "catch_up": schedule.catch_up,
        "is_enabled": schedule.is_enabled,
        "after": as_json(list(schedule.after)),
        "is_private": schedule.is_private,
        "source": schedule.source,
        "details": as_json(dict(schedule.details)),
    }
