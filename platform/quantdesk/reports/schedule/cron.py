"""Cron expressions of five fields, right over daylight saving. Pure.

The fields are read and matched by ``cronsim``, on clocks without a zone; what the clocks of a zone do is decided here,
by the rule of Debian's cron:

- Hour and minute name fixed times (neither starts with ``*``): each local time once a day. What falls into the gap when
  clocks go forward runs at its end; what comes twice when they go back runs the first time.
- Hour or minute starts with ``*``: what the clock shows. What falls into the gap is left out, and an hour that comes
  twice counts twice, so that "every ten minutes" stays every ten minutes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from quantdesk.errors import BadInput
from quantdesk.reports.schedule.trigger import LAST_YEAR, Trigger, at_local, zone

__all__ = ["Cron", "parse_cron"]

_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_RANGES = ("0 to 59", "0 to 23", "1 to 31 or L", "1 to 12 or JAN to DEC", "0 to 7 or SUN to SAT")
_EXAMPLE = "Write minute, hour, day of month, month and day of week: 30 7 * * MON-FRI is 07:30 from Monday to Friday."
_SECOND = dt.timedelta(seconds=1)
_STEP = dt.timedelta(hours=6)
"""No zone changed its clocks twice within so short a time."""


@dataclass(frozen=True)
class Cron(Trigger):
    """A cron expression of five fields; make it by :func:`parse_cron`."""

    def describe(self) -> str:
        """In plain words, in the zone."""
        said = CronSim(self.text, dt.datetime(2000, 1, 1)).explain()  # noqa: DTZ001
        odd = (
            "each local time once, also when clocks change"
            if self._fixed
            else "what the clock shows: an hour that clocks skip is left out, one that they repeat counts twice"
        )
        return f"{said} ({self.timezone}); {odd}."

    @cached_property
    def _fixed(self) -> bool:
        minute, hour, *_ = self.text.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def _after(self, moment: dt.datetime, until: dt.datetime | None) -> Iterator[dt.datetime]:  # noqa: ARG002
        # Due times are whole minutes of local clocks; so are whole seconds in UTC, also in the years of odd offsets.
        start = moment.replace(microsecond=0)
        return self._once(start) if self._fixed else self._shown(start)

    def _once(self, start: dt.datetime) -> Iterator[dt.datetime]:
        # Ascending local times are instants that never descend: those at or before the last one are it once more.
        last = start
        for wall in self._walls(start.astimezone(self._zone).replace(tzinfo=None)):
            due = at_local(wall, self._zone)
            if due > last:
                yield due
                last = due

    def _shown(self, start: dt.datetime) -> Iterator[dt.datetime]:
        # While the offset stays, local times and instants go hand in hand; so from one change of clocks to the next.
        where, begins = self._zone, False
        while True:
            offset = _offset(start, where)
            wall = (start + offset).replace(tzinfo=None)
            for due_wall in self._walls(wall - _SECOND if begins else wall):
                due = (due_wall - offset).replace(tzinfo=dt.UTC)
                change = _change(start, due, where)
                if change is not None:
                    start, begins = change, True  # the first moment of the new offset may be due itself
                    break
                yield due
                start, begins = due, False
            else:
                return

    def _walls(self, after: dt.datetime) -> Iterator[dt.datetime]:
        """Matching local times later than `after`, without a zone."""
        try:
            for wall in CronSim(self.text, after):
                if wall.year > LAST_YEAR:
                    return
                yield wall
        except (OverflowError, ValueError):
            return  # datetime ends


def _offset(at: dt.datetime, where: ZoneInfo) -> dt.timedelta:
    return at.astimezone(where).utcoffset() or dt.timedelta(0)


def _change(start: dt.datetime, end: dt.datetime, where: ZoneInfo) -> dt.datetime | None:
    """The first moment later than `start`, up to `end`, at which the offset is another one."""
    before = _offset(start, where)
    while start < end:
        later = min(start + _STEP, end)
        if _offset(later, where) != before:
            while later - start > _SECOND:
                middle = start + dt.timedelta(seconds=(later - start) // (2 * _SECOND))
                start, later = (middle, later) if _offset(middle, where) == before else (start, middle)
            return later
        start = later
    return None


def parse_cron(text: str, timezone: str) -> Cron:
    """Read a cron expression.

    Parameters
    ----------
    text
        Minute, hour, day of month, month, day of week; each ``*``, a number, a name (``MON``, ``JAN``), a range, a
        list, or steps (``*/15``); ``L`` is the last day of a month, ``FRI#2`` the second Friday, ``5L`` the last one.
        Where both days are given, either counts.
    timezone
        The zone of its clock times.

    Raises
    ------
    BadInput
        It is none, or is never due; the message names the field.
    UnknownName
        There is no such time zone.
    """
    zone(timezone)
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise BadInput(f"The schedule {text!r} has {len(fields)} of the five fields of cron.", _EXAMPLE)
    try:
        found = CronSim(text, dt.datetime(2000, 1, 1))  # noqa: DTZ001 (a clock on a wall)
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        place = _FIELDS.index(wrong) if wrong in _FIELDS else 0
        if wrong == "day-of-month" and _is_read(" ".join([*fields[:3], "*", fields[4]])):
            raise _never(text) from None  # a good day, in months that do not have it
        raise BadInput(
            f"The schedule {text!r} is wrong in its {wrong}, field {place + 1} of five: {fields[place]!r}.",
            f"It takes {_RANGES[place]}, * for all, lists (1,2), ranges (1-5) and steps (*/2). {_EXAMPLE}",
        ) from None
    if next(found, None) is None:
        raise _never(text)
    return Cron(" ".join(fields), timezone)


def _is_read(text: str) -> bool:
    try:
        CronSim(text, dt.datetime(2000, 1, 1))  # noqa: DTZ001 (a clock on a wall)
    except CronSimError:
        return False
    return True


def _never(text: str) -> BadInput:
    return BadInput(f"The schedule {text!r} is never due: no such day comes in 50 years.", _EXAMPLE)
