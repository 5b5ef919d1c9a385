"""Runs as workers take, keep and end them. An edge module: SQL.

A run is carried out by who holds its claim. A claim has an end, which its holder puts off while the work goes on, and
a fencing number: a worker that slept through the end of its claim, and was succeeded, can change nothing any more.
Whatever happens, every run that was asked for comes to one final state.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from quantdesk.errors import EnvironmentProblem
from quantdesk.records.database import Database
from quantdesk.reports.ledger.entry import Claim, Recorded, State
from quantdesk.reports.ledger.rows import keep_metrics, must_be_final, run_of
from quantdesk.reports.ledger.tables import ATTEMPTS, RUNS, as_json, nanoseconds

__all__ = ["LONGEST_CLAIM_S", "TAKEN_OVER_AT_MOST", "ClaimLost", "Claims"]

_SECOND = 1_000_000_000
LONGEST_CLAIM_S = 24 * 3600
"""Longer than any worker claims a run without renewing it."""
TAKEN_OVER_AT_MOST = 3
"""How often a run whose worker died is begun again, beyond its attempts: one that kills its workers has to end."""


class ClaimLost(EnvironmentProblem):
    """Somebody else has the run now, or it has ended."""


class Claims:
    """The claims of a ledger; part of :class:`.Queue`.

    Parameters
    ----------
    database
        With the tables of the newest revision.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def claim(
        self, holder: str, seconds: float, at_most: int | None = None, *, only: str = "", never: str = ""
    ) -> Claim | None:
        """Take the run that has waited longest and may begin; None where there is none.

        Parameters
        ----------
        holder
            The worker; two must not have one name.
        seconds
            How long the claim lasts without :meth:`renew`.
        at_most
            How many runs may be under way at once, in the whole ledger; None for no limit.
        only, never
            A trigger: its runs alone, or none of its runs. Empty for no such rule.
        """
        begun = time.monotonic()
        with self.database.writing() as connection:
            now = self.database.now(connection)
            busy = {
                row.report: int(row.under_way)
                for row in connection.execute(
                    select(RUNS.c.report, func.count().label("under_way"))
                    .where(RUNS.c.state == State.RUNNING)
                    .group_by(RUNS.c.report)
                )
            }
            if at_most is not None and sum(busy.values()) >= at_most:
                return None
            mine = RUNS.c.trigger == only if only else RUNS.c.trigger != never
            row = self._next(connection, now, busy, mine)
            if row is None:
                return None
            taken = {
                "state": State.RUNNING,
                "attempt": row.attempt + 1,
                "started": now,
                "holder": holder,
                "until": now + round(seconds * _SECOND),
                "fence": row.fence + 1,
                "progress": "{}",
            }
            connection.execute(update(RUNS).where(RUNS.c.id == row.id).values(**taken))
            return Claim(run_of(connection, row.id), holder, row.fence + 1, begun + seconds)

    def renew(self, claim: Claim, seconds: float, progress: Mapping[str, Any] | None = None) -> tuple[Claim, bool]:
        """Put the end of a claim off, and say how far the run is.

        Returns
        -------
        tuple
            The claim with its new end, and whether the run shall be cancelled.

        Raises
        ------
        ClaimLost
            Somebody else has the run, or it has ended: stop.
        """
        begun = time.monotonic()
        with self.database.writing() as connection:
            values: dict[str, Any] = {"until": self.database.now(connection) + round(seconds * _SECOND)}
            if progress is not None:
                values["progress"] = as_json(dict(progress))
            self._change(connection, claim, values)
            run = run_of(connection, claim.run.id)
        return Claim(run, claim.holder, claim.fence, begun + seconds), run.is_cancelling

    def finish(self, claim: Claim, state: State, record: Mapping[str, Any], **more: Any) -> Recorded:
        """Note how a run ended, for good.

        Parameters
        ----------
        claim
            The right to it.
        state
            A final one.
        record
            Its ``run.json``; empty where there is none.
        more
            ``problem``, ``folder``, ``cache_key``, ``cached_from`` (texts) and ``metrics`` (name to value and unit).

        Returns
        -------
        Recorded
            The run as it is now. Where the files that it was to share were removed meanwhile, it is queued again.

        Raises
        ------
        BadInput
            The state is not final.
        ClaimLost
            Somebody else has the run, or it has ended.
        """
        must_be_final(state)
        metrics = more.pop("metrics", {})
        with self.database.writing() as connection:
            now = self.database.now(connection)
            if _is_removed(connection, more.get("cached_from")):
                self._give_back(connection, claim)
                return run_of(connection, claim.run.id)
            self._change(
                connection, claim, {"state": state, "ended": now, "record": as_json(dict(record)), "until": 0, **more}
            )
            self._tried(connection, claim, now, state, more.get("problem", ""))
            keep_metrics(connection, claim.run.id, metrics)
            return run_of(connection, claim.run.id)

    def retry(self, claim: Claim, state: State, problem: str, not_before: datetime) -> Recorded:
        """Put a run back after an attempt that failed, to be tried again; what it ended with is kept as an attempt.

        Raises
        ------
        ClaimLost
            Somebody else has the run, or it has ended.
        """
        with self.database.writing() as connection:
            now = self.database.now(connection)
            back = {"state": State.QUEUED, "until": 0, "holder": "", "problem": problem}
            self._change(connection, claim, back | {"not_before": nanoseconds(not_before)})
            self._tried(connection, claim, now, state, problem)
            return run_of(connection, claim.run.id)

    def give_back(self, claim: Claim) -> None:
        """Put a run back that was not begun, or was left in the middle by a worker that ends in order: no attempt.

        Raises
        ------
        ClaimLost
            Somebody else has the run, or it has ended.
        """
        with self.database.writing() as connection:
            self._give_back(connection, claim)

    def take_over(self, by: str = "") -> tuple[Recorded, ...]:
        """Put back the runs whose claims are over: their workers are gone. One that has cost too many is lost.

        Parameters
        ----------
        by
            The worker that asks. It lives, so its own runs are not taken from it: its heart may only be slow.

        Returns
        -------
        tuple
            What was changed, as it is now.
        """
        with self.database.writing() as connection:
            now = self.database.now(connection)
            # A claim that ends later than any can was made while a clock was wrong.
            is_over = or_(RUNS.c.until < now, RUNS.c.until > now + LONGEST_CLAIM_S * _SECOND)
            over = and_(RUNS.c.state == State.RUNNING, is_over, RUNS.c.holder != by)
            rows = connection.execute(select(RUNS).where(over).order_by(RUNS.c.queued)).all()
            for row in rows:
                problem = f"Its worker {row.holder} ended without a word."
                lost = row.attempt >= row.attempts + TAKEN_OVER_AT_MOST
                values: dict[str, Any] = {"until": 0, "problem": problem, "fence": row.fence + 1}
                if row.is_cancelling:
                    values |= {"state": State.CANCELLED, "ended": now, "problem": "It was cancelled."}
                elif lost:
                    values |= {"state": State.LOST, "ended": now}
                else:
                    values |= {"state": State.QUEUED, "holder": "", "not_before": now}
                connection.execute(update(RUNS).where(RUNS.c.id == row.id).values(**values))
                _attempted(connection, row, now, State.CANCELLED if row.is_cancelling else State.LOST, problem)
            return tuple(run_of(connection, row.id) for row in rows)

    @staticmethod
    def _next(connection: Connection, now: int, busy: Mapping[str, int], mine: ColumnElement[bool]) -> Row[Any] | None:
        ready = and_(RUNS.c.state == State.QUEUED, RUNS.c.not_before <= now, mine)
        full: list[str] = []
        # Most often the first one may begin; a report whose runs are as many as it allows is passed over.
        while True:
            open_to = and_(ready, RUNS.c.report.not_in(full)) if full else ready
            row = connection.execute(select(RUNS).where(open_to).order_by(RUNS.c.queued, RUNS.c.id).limit(1)).first()
            if row is None or row.concurrency is None or busy.get(row.report, 0) < row.concurrency:
                return row
            full.append(row.report)

    @staticmethod
    def _change(connection: Connection, claim: Claim, values: Mapping[str, Any]) -> None:
        mine = and_(
            RUNS.c.id == claim.run.id,
            RUNS.c.fence == claim.fence,
            RUNS.c.holder == claim.holder,
            RUNS.c.state == State.RUNNING,
        )
        if connection.execute(update(RUNS).where(mine).values(**values)).rowcount != 1:
            raise ClaimLost(
                f"{claim.holder} has the run {claim.run.id} no longer.", "Another worker goes on with it; end this one."
            )

    @classmethod
    def _give_back(cls, connection: Connection, claim: Claim) -> None:
        back = {"state": State.QUEUED, "until": 0, "holder": "", "attempt": claim.run.attempt - 1, "progress": "{}"}
        cls._change(connection, claim, back)

    @staticmethod
    def _tried(connection: Connection, claim: Claim, now: int, state: State, problem: str) -> None:
        row = connection.execute(select(RUNS).where(RUNS.c.id == claim.run.id)).one()
        _attempted(connection, row, now, state, problem, holder=claim.holder)


def _is_removed(connection: Connection, run_id: str | None) -> bool:
    if run_id is None:
        return False
    return connection.scalar(select(RUNS.c.removed).where(RUNS.c.id == run_id)) is not None


def _attempted(
    connection: Connection, row: Row[Any], now: int, state: State, problem: str, *, holder: str | None = None
) -> None:
    # Numbered by what is there: a run that was given back has the number of its next attempt twice.
    last = connection.scalar(select(func.max(ATTEMPTS.c.number)).where(ATTEMPTS.c.run_id == row.id)) or 0
    values = {"holder": row.holder if holder is None else holder, "started": row.started, "ended": now}
    connection.execute(insert(ATTEMPTS).values(run_id=row.id, number=last + 1, state=state, problem=problem, **values))
