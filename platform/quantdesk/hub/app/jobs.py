"""Scenarios that take long: asked for by a worker, carried out by the runner, polled by anybody. An edge module: SQL.

A job is carried out by who holds it, for some seconds at a time: a runner that dies is succeeded, and what it has done
counts for nothing. The same question has the same answer, so carrying it out twice does no harm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from quantdesk.errors import BadParameter
from quantdesk.hub.app.database import JOBS, SECOND
from quantdesk.records import Database

__all__ = ["Job", "JobState", "Jobs"]

_TRIES = 3
_KEPT_S = 7 * 86_400
_WAITING = 20


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Job:
    """A scenario that was asked for.

    Attributes
    ----------
    id, user
        Its name; whose it is.
    asked
        The request as JSON.
    state
        How far it is.
    created, started, ended
        Nanoseconds since 1970 (UTC); None for what has not come.
    elapsed_s
        Seconds since it began, or that it took; None before.
    usual_s
        What jobs of the same scenario took, at the median; None for a first one. An estimate, and called one.
    ahead
        Jobs that were asked for before it and have not begun.
    is_cancelling
        Whether it shall end.
    result, problem
        What came of it, as JSON: an answer, or the members of a problem.
    """

    id: str
    user: str
    asked: str
    state: JobState
    created: int
    started: int | None
    ended: int | None
    elapsed_s: float | None
    usual_s: float | None
    ahead: int
    is_cancelling: bool
    result: str | None
    problem: dict[str, Any] | None


class Jobs:
    """The jobs of a service.

    Parameters
    ----------
    database
        With the service's tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job_id: str, user: str, asked: str, subject: str) -> Job | None:
        """Ask for a job; one of this name that is there already is given back. None: too many of this user wait.

        Parameters
        ----------
        job_id
            Its name.
        user
            Whose.
        asked
            The request as JSON.
        subject
            The scenario's name, by which its usual time is known.
        """
        with self._database.writing() as connection:
            found = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
            if found is None:
                waiting = and_(JOBS.c.user_name == user, JOBS.c.state == JobState.QUEUED)
                if int(connection.scalar(select(func.count()).select_from(JOBS).where(waiting)) or 0) >= _WAITING:
                    return None
                row = {
                    "id": job_id, "user_name": user, "asked": asked, "subject": subject, "state": JobState.QUEUED,
                    "created": self._database.now(connection), "holder": "", "until": 0, "tries": 0,
                    "is_cancelling": False,
                }  # fmt: skip
                connection.execute(insert(JOBS).values(row))
            return self._get(connection, job_id)

    def get(self, job_id: str) -> Job | None:
        """One job."""
        with self._database.reading() as connection:
            return self._get(connection, job_id)

    def of(self, user: str | None, limit: int, cursor: str | None = None) -> tuple[tuple[Job, ...], str | None]:
        """The jobs of a user, or of all when None, the newest first; and the cursor of those after them.

        Raises
        ------
        BadParameter
            It is no cursor of a page.
        """
        wanted = [JOBS.c.user_name == user] if user is not None else []
        if cursor is not None:
            created, divider, last = cursor.partition("~")
            if not divider or not (
                created.isascii() and created.isdecimal() and len(created) <= 19 and int(created) < 2**63
            ):
                raise BadParameter(f"{cursor[:80]!r} is no cursor of a page.", "Give the one of the page before.")
            wanted.append(or_(JOBS.c.created < int(created), and_(JOBS.c.created == int(created), JOBS.c.id < last)))
        order = select(JOBS).where(*wanted).order_by(JOBS.c.created.desc(), JOBS.c.id.desc()).limit(limit + 1)
        with self._database.reading() as connection:
            rows = connection.execute(order).all()
            found = tuple(self._of(connection, row) for row in rows[:limit])
        last_one = rows[limit - 1] if len(rows) > limit else None
        return found, None if last_one is None else f"{last_one.created}~{last_one.id}"

    def cancel(self, job_id: str) -> Job | None:
        """End a job: at once where it waits, by its runner where it is under way. One that has ended stays."""
        with self._database.writing() as connection:
            now = self._database.now(connection)
            waits = and_(JOBS.c.id == job_id, JOBS.c.state == JobState.QUEUED)
            ended = {"state": JobState.CANCELLED, "ended": now, "is_cancelling": True}
            if not connection.execute(update(JOBS).where(waits).values(ended)).rowcount:
                runs = and_(JOBS.c.id == job_id, JOBS.c.state == JobState.RUNNING)
                connection.execute(update(JOBS).where(runs).values(is_cancelling=True))
            return self._get(connection, job_id)

    # ------------------------------------------------------------------------------------------------- for the runner

    def take(self, holder: str, seconds: float) -> Job | None:
        """Take the job that has waited longest, or one whose runner is gone; None where there is none."""
        with self._database.reading() as connection:  # most often there is none, and nobody waits for a writer
            if connection.execute(self._open(self._database.now(connection))).first() is None:
                return None
        with self._database.writing() as connection:
            now = self._database.now(connection)
            row = connection.execute(self._open(now)).first()
            if row is None:
                return None
            mine = JOBS.c.id == row.id
            if row.is_cancelling:
                connection.execute(update(JOBS).where(mine).values(state=JobState.CANCELLED, ended=now))
                return None
            if row.tries >= _TRIES:
                told = json.dumps({"status": 500, "code": "lost", "detail": f"It was begun {_TRIES} times, and its "
                                   "process died each time.", "remedy": "Ask for less at a time."})  # fmt: skip
                connection.execute(update(JOBS).where(mine).values(state=JobState.FAILED, ended=now, problem=told))
                return None
            taken = {"state": JobState.RUNNING, "holder": holder, "until": now + round(seconds * SECOND),
                     "tries": row.tries + 1, "started": now}  # fmt: skip
            connection.execute(update(JOBS).where(mine).values(taken))
            return self._get(connection, row.id)

    def hold(self, job_id: str, holder: str, seconds: float) -> bool | None:
        """Put off the end of a hold. Whether the job shall be cancelled; None where somebody else has it."""
        with self._database.writing() as connection:
            until = self._database.now(connection) + round(seconds * SECOND)
            if not connection.execute(update(JOBS).where(self._held(job_id, holder)).values(until=until)).rowcount:
                return None
            return bool(connection.scalar(select(JOBS.c.is_cancelling).where(JOBS.c.id == job_id)))

    def finish(
        self, job_id: str, holder: str, state: JobState, *, result: str | None = None, problem: str | None = None
    ) -> bool:
        """Note how a job ended; whether it was still this runner's."""
        with self._database.writing() as connection:
            ended = {"state": state, "ended": self._database.now(connection), "result": result, "problem": problem}
            return connection.execute(update(JOBS).where(self._held(job_id, holder)).values(ended)).rowcount == 1

    def give_back(self, holder: str) -> None:
        """Put back what a runner has that ends in order: no try was used up."""
        with self._database.writing() as connection:
            mine = and_(JOBS.c.holder == holder, JOBS.c.state == JobState.RUNNING)
            back = {"state": JobState.QUEUED, "holder": "", "until": 0, "tries": JOBS.c.tries - 1, "started": None}
            connection.execute(update(JOBS).where(mine).values(back))

    def forget(self) -> int:
        """Delete what ended more than a week ago; how many that were."""
        with self._database.writing() as connection:
            old = JOBS.c.ended < self._database.now(connection) - _KEPT_S * SECOND
            return int(connection.execute(delete(JOBS).where(old)).rowcount)

    @staticmethod
    def _open(now: int) -> Any:
        gone = and_(JOBS.c.state == JobState.RUNNING, JOBS.c.until < now)
        return select(JOBS).where(or_(JOBS.c.state == JobState.QUEUED, gone)).order_by(JOBS.c.created, JOBS.c.id)

    @staticmethod
    def _held(job_id: str, holder: str) -> Any:
        return and_(JOBS.c.id == job_id, JOBS.c.holder == holder, JOBS.c.state == JobState.RUNNING)

    def _get(self, connection: Connection, job_id: str) -> Job | None:
        row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
        return None if row is None else self._of(connection, row)

    def _of(self, connection: Connection, row: Row[Any]) -> Job:
        state = JobState(row.state)
        elapsed = None
        if row.started is not None:
            elapsed = round(((row.ended or self._database.now(connection)) - row.started) / SECOND, 3)
        usual, ahead = None, 0
        if not state.is_final:
            alike = and_(JOBS.c.subject == row.subject, JOBS.c.state == JobState.COMPLETED)
            times = sorted(
                (one.ended - one.started) / SECOND
                for one in connection.execute(
                    select(JOBS.c.started, JOBS.c.ended).where(alike).order_by(JOBS.c.ended.desc()).limit(9)
                )
            )
            usual = round(times[len(times) // 2], 3) if times else None
        if state is JobState.QUEUED:
            before = and_(JOBS.c.state == JobState.QUEUED, JOBS.c.created < row.created)
            ahead = int(connection.scalar(select(func.count()).select_from(JOBS).where(before)) or 0)
        return Job(
            row.id, row.user_name, row.asked, state, row.created, row.started, row.ended, elapsed, usual, ahead,
            bool(row.is_cancelling), row.result, json.loads(row.problem) if row.problem else None,
        )  # fmt: skip
