"""Runs that are asked for, wait and are cancelled; how workers have them is :mod:`.claims`. An edge module: SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, insert, or_, select, update

from quantdesk.errors import BadInput
from quantdesk.reports.ledger.claims import TAKEN_OVER_AT_MOST, ClaimLost, Claims
from quantdesk.reports.ledger.entry import Attempt, Order, Recorded, State
from quantdesk.reports.ledger.rows import fresh, keep_metrics, must_be_final, run_of
from quantdesk.reports.ledger.tables import ATTEMPTS, RUNS, as_json, attempt_of, nanoseconds, with_metrics

__all__ = ["TAKEN_OVER_AT_MOST", "ClaimLost", "Queue"]

_NAMES_AT_ONCE = 500


class Queue(Claims):
    """The runs of a ledger, as who asks for them and as workers see them.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    # --------------------------------------------------------------------------------------------------------- asking

    def add(self, order: Order) -> tuple[Recorded, bool]:
        """Ask for a run; a second order of the same name, or of the same schedule and due time, gets the first one's.

        Returns
        -------
        tuple
            The run, and whether it is new.

        Raises
        ------
        BadInput
            Fewer than one attempt, or only one of schedule and due time.
        EnvironmentProblem
            The database cannot be reached or written.
        """
        if order.attempts < 1:
            raise BadInput(f"{order.attempts} attempts are none.", "Give 1 or more.")
        if (order.schedule_id is None) != (order.due is None):
            raise BadInput(f"The run {order.id} has only one of schedule and due time.", "Give both, or neither.")
        with self.database.writing() as connection:
            same = RUNS.c.id == order.id
            if order.schedule_id is not None and order.due is not None:
                due = and_(RUNS.c.schedule_id == order.schedule_id, RUNS.c.due == nanoseconds(order.due))
                same = or_(same, due)
            found = connection.execute(select(RUNS).where(same)).first()
            if found is not None:
                return with_metrics(connection, [found])[0], False
            now = self.database.now(connection)
            connection.execute(insert(RUNS).values(**fresh(order, now)))
            return run_of(connection, order.id), True

    def release(self, run_id: str) -> bool:
        """Let a run that waited for others go on; whether it waited."""
        with self.database.writing() as connection:
            waited = and_(RUNS.c.id == run_id, RUNS.c.state == State.WAITING)
            return connection.execute(update(RUNS).where(waited).values(state=State.QUEUED)).rowcount == 1

    def cancel(self, run_id: str, problem: str = "It was cancelled.") -> Recorded:
        """Cancel a run: at once where it has not begun, by its worker where it is under way.

        Raises
        ------
        UnknownName
            There is no such run. One that has ended stays as it is.
        """
        with self.database.writing() as connection:
            now = self.database.now(connection)
            idle = and_(RUNS.c.id == run_id, RUNS.c.state.in_([State.QUEUED, State.WAITING]))
            ended = {"state": State.CANCELLED, "ended": now, "problem": problem}
            if not connection.execute(update(RUNS).where(idle).values(**ended)).rowcount:
                under_way = and_(RUNS.c.id == run_id, RUNS.c.state == State.RUNNING)
                connection.execute(update(RUNS).where(under_way).values(is_cancelling=True))
            return run_of(connection, run_id)

    def note_detail(self, run_id: str, name: str, value: Any) -> Recorded:
        """Set one of the details of a run, in any state.

        Raises
        ------
        UnknownName
            There is no such run.
        """
        with self.database.writing() as connection:
            details = {**run_of(connection, run_id).details, name: value}
            connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(details=as_json(details)))
            return run_of(connection, run_id)

    def note(
        self, order: Order, record: Mapping[str, Any], state: State, *, attempt: int = 1, **more: Any
    ) -> tuple[Recorded, bool]:
        """Note a run that was carried out without the queue, for example from a terminal; once.

        Parameters
        ----------
        order
            What was asked for.
        record
            Its ``run.json``: its times are those of the run.
        state, more
            See :meth:`finish`.
        attempt
            Which try it was.

        Returns
        -------
        tuple
            The run, and whether it is new; one that is known stays as it is.

        Raises
        ------
        BadInput
            The state is not final.
        """
        must_be_final(state)
        metrics = more.pop("metrics", {})
        started, ended = (nanoseconds(datetime.fromisoformat(record[name])) for name in ("started", "ended"))
        with self.database.writing() as connection:
            is_new = connection.scalar(select(RUNS.c.id).where(RUNS.c.id == order.id)) is None
            if is_new:
                row = fresh(order, started) | {"state": state, "attempt": attempt, "started": started, "ended": ended}
                connection.execute(insert(RUNS).values(**row | {"record": as_json(dict(record))} | more))
                keep_metrics(connection, order.id, metrics)
            return run_of(connection, order.id), is_new

    # -------------------------------------------------------------------------------------------------------- reading

    def get(self, run_id: str) -> Recorded:
        """One run.

        Raises
        ------
        UnknownName
            There is none of this name.
        """
        with self.database.reading() as connection:
            return run_of(connection, run_id)

    def known(self, run_ids: Iterable[str]) -> frozenset[str]:
        """Those of the names that runs of the ledger have."""
        wanted, found = list(run_ids), set[str]()
        with self.database.reading() as connection:
            for first in range(0, len(wanted), _NAMES_AT_ONCE):
                some = wanted[first : first + _NAMES_AT_ONCE]
                found.update(connection.scalars(select(RUNS.c.id).where(RUNS.c.id.in_(some))))
        return frozenset(found)

    def waiting(self) -> tuple[Recorded, ...]:
        """The runs that wait for others, the oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(select(RUNS).where(RUNS.c.state == State.WAITING).order_by(RUNS.c.queued))
            return with_metrics(connection, list(rows))

    def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        """The attempts of a run that have ended, the first one first."""
        with self.database.reading() as connection:
            found = select(ATTEMPTS).where(ATTEMPTS.c.run_id == run_id).order_by(ATTEMPTS.c.number)
            return tuple(attempt_of(row) for row in connection.execute(found))
