"""Messages that wait to be sent, were sent, or could not be. An edge module: SQL.

A message is claimed for some seconds, sent, and noted as sent. Where its sender dies in between it is sent again: at
least once, with an id by which the receiver knows the second one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, insert, or_, select, update

from quantdesk.errors import UnknownName
from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import Delivery, DeliveryState
from quantdesk.reports.ledger.tables import DELIVERIES, as_json, delivery_of, nanoseconds

__all__ = ["Deliveries"]

_SECOND = 1_000_000_000
LONGEST_S = 24 * 3600
"""Longer than a message waits for its next attempt, and than one is held by a sender."""


class Deliveries:
    """The messages of a ledger.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, delivery: Delivery) -> bool:
        """Add a message, to be sent from its ``not_before`` on; whether it is new: the same name is added once."""
        row = {
            "id": delivery.id,
            "run_id": delivery.run_id,
            "channel": delivery.channel,
            "target": delivery.target,
            "message": as_json(dict(delivery.message)),
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "not_before": nanoseconds(delivery.not_before),
            "until": 0,
            "problem": "",
            "created": nanoseconds(delivery.created),
        }
        with self.database.writing() as connection:
            if connection.scalar(select(DELIVERIES.c.id).where(DELIVERIES.c.id == delivery.id)) is not None:
                return False
            connection.execute(insert(DELIVERIES).values(**row))
            return True

    def claim(self, now: datetime, seconds: float, limit: int = 20) -> tuple[Delivery, ...]:
        """Take messages that are due, for some seconds; the attempt counts from here on.

        Parameters
        ----------
        now
            The moment (UTC).
        seconds
            After which another sender may take those that were not noted as sent or failed.
        limit
            How many at most.
        """
        at = nanoseconds(now)
        # A time that lies further ahead than any wait is one that a clock only thought of: nothing waits for it.
        furthest = at + LONGEST_S * _SECOND
        due = or_(
            and_(
                DELIVERIES.c.state == DeliveryState.PENDING,
                or_(DELIVERIES.c.not_before <= at, DELIVERIES.c.not_before > furthest),
            ),
            and_(
                DELIVERIES.c.state == DeliveryState.SENDING,
                or_(DELIVERIES.c.until <= at, DELIVERIES.c.until > furthest),
            ),
        )
        with self.database.writing() as connection:
            rows = connection.execute(
                select(DELIVERIES.c.id).where(due).order_by(DELIVERIES.c.not_before, DELIVERIES.c.id).limit(limit)
            ).all()
            names = [row.id for row in rows]
            taken = {"state": DeliveryState.SENDING, "until": at + round(seconds * _SECOND)}
            connection.execute(
                update(DELIVERIES).where(DELIVERIES.c.id.in_(names)).values(**taken, attempts=DELIVERIES.c.attempts + 1)
            )
            found = {
                row.id: delivery_of(row)
                for row in connection.execute(select(DELIVERIES).where(DELIVERIES.c.id.in_(names)))
            }
            return tuple(found[name] for name in names)

    def sent(self, delivery_id: str) -> None:
        """Note that a message was sent. It is final."""
        self._note(delivery_id, DeliveryState.SENT, "", None)

    def failed(self, delivery_id: str, problem: str, again: datetime | None) -> None:
        """Note that an attempt failed.

        Parameters
        ----------
        delivery_id
            Which.
        problem
            Why, without secrets.
        again
            When to try again (UTC); None gives it up: it goes to the dead letters.
        """
        self._note(delivery_id, DeliveryState.DEAD if again is None else DeliveryState.PENDING, problem, again)

    def revive(self, delivery_id: str, now: datetime) -> None:
        """Try a dead letter again.

        Raises
        ------
        UnknownName
            There is no dead letter of this name.
        """
        dead = and_(DELIVERIES.c.id == delivery_id, DELIVERIES.c.state == DeliveryState.DEAD)
        fresh = {"state": DeliveryState.PENDING, "attempts": 0, "not_before": nanoseconds(now)}
        with self.database.writing() as connection:
            if connection.execute(update(DELIVERIES).where(dead).values(**fresh)).rowcount != 1:
                known = connection.scalars(
                    select(DELIVERIES.c.id).where(DELIVERIES.c.state == DeliveryState.DEAD).limit(100)
                )
                raise UnknownName("dead letter", delivery_id[:200], list(known))

    def list(
        self, state: DeliveryState | None = None, *, run_id: str | None = None, limit: int = 200
    ) -> tuple[Delivery, ...]:
        """Messages, the newest first."""
        found = select(DELIVERIES).order_by(DELIVERIES.c.created.desc(), DELIVERIES.c.id).limit(limit)
        if state is not None:
            found = found.where(DELIVERIES.c.state == state)
        if run_id is not None:
            found = found.where(DELIVERIES.c.run_id == run_id)
        with self.database.reading() as connection:
            return tuple(delivery_of(row) for row in connection.execute(found))

    def _note(self, delivery_id: str, state: DeliveryState, problem: str, again: datetime | None) -> None:
        values = {"state": state, "until": 0, "problem": problem[:1000]}
        if again is not None:
            values["not_before"] = nanoseconds(again)
        # What was sent stays so, whoever comes late.
        open_one = and_(DELIVERIES.c.id == delivery_id, DELIVERIES.c.state != DeliveryState.SENT)
        with self.database.writing() as connection:
            connection.execute(update(DELIVERIES).where(open_one).values(**values))
