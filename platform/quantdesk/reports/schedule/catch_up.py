"""What to run of that which was due while nobody looked. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from quantdesk.errors import BadParameter
from quantdesk.reports.schedule.trigger import Trigger, utc

__all__ = ["CatchUp", "Decision", "missed"]


class CatchUp(StrEnum):
    """What becomes of due times that were missed."""

    SKIP = "skip"
    """None of them is run."""
    LATEST = "latest"
    """Of all that is due, the latest one is run."""
    ALL = "all"
    """All of them are run, up to a limit: the latest ones then."""


@dataclass(frozen=True)
class Decision:
    """What to do about the due times up to a moment.

    Attributes
    ----------
    run
        Due times to run, ascending.
    first_skipped, last_skipped
        The first and the last due time that is not run; None where all are.
    """

    run: tuple[dt.datetime, ...] = ()
    first_skipped: dt.datetime | None = None
    last_skipped: dt.datetime | None = None

    @property
    def handled(self) -> dt.datetime | None:
        """The last due time that is dealt with now; None where nothing was due."""
        return max((at for at in (*self.run[-1:], self.last_skipped) if at is not None), default=None)


def missed(
    trigger: Trigger,
    last_handled: dt.datetime,
    now: dt.datetime,
    policy: CatchUp,
    *,
    grace: dt.timedelta = dt.timedelta(minutes=5),
    limit: int = 100,
) -> Decision:
    """Decide about everything that was due after `last_handled`, up to `now`.

    A due time no older than `grace` is on time, whatever the policy: a worker looks about once a second, and restarts
    in less than that. Nothing is due where `now` is not later than `last_handled`: a clock that was put back repeats
    nothing.

    Parameters
    ----------
    trigger
        The schedule.
    last_handled
        The last due time that was run or skipped; for a new schedule, when it was made.
    now
        The moment.
    policy
        For what was missed.
    grace
        How late is still on time.
    limit
        How many due times are run at most, the latest ones.

    Raises
    ------
    CalendarEnds, BadDates
        As for :meth:`.Trigger.between`.
    BadParameter
        `limit` is below 1, or `grace` below 0.
    """
    if limit < 1 or grace < dt.timedelta(0):
        raise BadParameter(f"A limit of {limit} and a grace of {grace}.", "Give a limit from 1, and a grace from 0.")
    since, now = utc(last_handled), utc(now)
    first = next(iter(trigger.between(since, now, 1)), None) if now > since else None
    if first is None:
        return Decision()
    on_time = max(since, now - grace)
    keep = {CatchUp.SKIP: limit, CatchUp.LATEST: 1, CatchUp.ALL: limit}[CatchUp(policy)]
    reach = on_time if policy is CatchUp.SKIP else since
    # One more than is kept tells whether something is left out, and what came last of it.
    latest = _latest(trigger, reach, now, keep + 1)
    run = latest[-keep:]
    if run and run[0] == first:
        return Decision(run)
    left = latest[:-keep] or _latest(trigger, since, min(on_time, now), 1)
    return Decision(run, first, left[-1])


def _latest(trigger: Trigger, after: dt.datetime, until: dt.datetime, count: int) -> tuple[dt.datetime, ...]:
    """The last `count` due times of a range, without a walk through all of it where they are many."""
    for begins in _further_back(after, until):
        found = trigger.between(begins, until)
        if len(found) >= count:
            return found[-count:]
    return found


def _further_back(after: dt.datetime, until: dt.datetime) -> Iterator[dt.datetime]:
    """Moments ever further before `until`, the last of them `after`."""
    span = dt.timedelta(hours=1)
    while until - span > after:
        yield until - span
        span *= 4
    yield after
