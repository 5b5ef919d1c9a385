"""Whether a run that waits for other reports may go on. Pure.

It waits for the runs of the same day: the local day, in the zone of its schedule, on which it was due. Of several, the
last one that was due no later than itself counts; where that failed, those that were asked for after it count too, so
that somebody can run it again. Where all of them have ended and none is complete, the run that waits is cancelled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo

from quantdesk.reports.ledger.entry import Recorded, State
from quantdesk.reports.schedule.trigger import zone

__all__ = ["Gate", "Verdict", "begin_of_day", "decide"]

PATIENCE = dt.timedelta(hours=1)
"""How long after the end of its day a run waits for one that never began."""


class Gate(Enum):
    """What becomes of a run that waits."""

    OPEN = "open"
    CLOSED = "closed"
    NEVER = "never"


@dataclass(frozen=True)
class Verdict:
    """What becomes of it, and why, in a sentence."""

    gate: Gate
    reason: str = ""


def begin_of_day(run: Recorded) -> dt.datetime:
    """The beginning of the day that a run belongs to (UTC)."""
    where = _zone(run)
    return dt.datetime.combine(_day(run, where), dt.time(), where).astimezone(dt.UTC)


def decide(run: Recorded, others: Mapping[str, Iterable[Recorded]], now: dt.datetime) -> Verdict:
    """Decide about a run that waits.

    Parameters
    ----------
    run
        In the state ``waiting``.
    others
        By the name of each report in ``run.after``, its runs; those of other days do not count.
    now
        The moment (UTC).
    """
    where = _zone(run)
    day = _day(run, where)
    closed = ""
    for report in run.after:
        same_day = [one for one in others.get(report, ()) if _day(one, where) == day and one.id != run.id]
        same_day = _that_count(run, same_day)
        verdict = _of_one(
            report, same_day, day, now - PATIENCE >= dt.datetime.combine(day + dt.timedelta(1), dt.time(), where)
        )
        if verdict.gate is Gate.NEVER:
            return verdict
        closed = closed or (verdict.reason if verdict.gate is Gate.CLOSED else "")
    return Verdict(Gate.CLOSED, closed) if closed else Verdict(Gate.OPEN)


def _that_count(run: Recorded, runs: list[Recorded]) -> list[Recorded]:
    before = [one for one in runs if _at(one) <= _at(run)]
    if not before:
        return runs
    last = max(before, key=lambda one: (_at(one), one.queued))
    return [one for one in runs if one is last or one.queued > last.queued]


def _of_one(report: str, runs: Sequence[Recorded], day: dt.date, is_over: bool) -> Verdict:
    if any(one.state is State.COMPLETED for one in runs):
        return Verdict(Gate.OPEN)
    under_way = [one for one in runs if not one.state.is_final]
    if under_way:
        return Verdict(Gate.CLOSED, f"It waits for the run {under_way[0].id} of {report}.")
    if runs:
        last = max(runs, key=lambda one: one.queued)
        return Verdict(
            Gate.NEVER, f"It was not begun: {report}, which has to be complete before, is {last.state} ({last.id})."
        )
    if is_over:
        return Verdict(
            Gate.NEVER, f"It was not begun: {report}, which has to be complete before, did not run on {day}."
        )
    return Verdict(Gate.CLOSED, f"It waits for a run of {report} on {day}.")


def _zone(run: Recorded) -> ZoneInfo:
    name = run.details.get("timezone")
    return zone(name) if isinstance(name, str) else ZoneInfo("UTC")


def _day(run: Recorded, where: ZoneInfo) -> dt.date:
    return _at(run).astimezone(where).date()


def _at(run: Recorded) -> dt.datetime:
    return run.due or run.queued
