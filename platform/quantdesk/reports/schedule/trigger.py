"""What a schedule is asked: when is it due next, and when was it due between two moments. Pure."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from quantdesk.errors import BadDates, DataError, UnknownName

__all__ = ["LAST_YEAR", "CalendarEnds", "Trigger", "at_local", "utc", "zone"]

LAST_YEAR = 9000
"""No due time is looked for after it."""


class CalendarEnds(DataError):
    """The calendar of an exchange is not known that far, so that nobody can say when the schedule is due.

    Attributes
    ----------
    market
        Whose calendar.
    known_until
        The last day before the year that is not known.
    """

    def __init__(self, market: str, year: int) -> None:
        self.market = market
        self.known_until = dt.date(year - 1, 12, 31)
        super().__init__(
            f"The calendar of {market} is not known for {year}, so that no due time can be told.",
            "Name another market or write cron; newer releases of exchange_calendars know later years.",
        )


@dataclass(frozen=True)
class Trigger(ABC):
    """When something is due.

    Due times are aware datetimes in UTC, strictly ascending, and depend on nothing but the trigger.

    Attributes
    ----------
    text
        As people wrote it.
    timezone
        Name of the zone in which its clock times are meant, for example ``America/New_York``.
    """

    text: str
    timezone: str

    def next_after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first due time later than `moment`; None when none is left before the year 9000.

        Raises
        ------
        BadDates
            `moment` is no datetime with a time zone.
        CalendarEnds
            The calendar of its exchange ends before the next due time could be found.
        """
        return next(self._after(utc(moment), None), None)

    def between(self, after: dt.datetime, until: dt.datetime, limit: int | None = None) -> tuple[dt.datetime, ...]:
        """The due times later than `after` and not later than `until`, the first `limit` of them.

        Neighbouring ranges share no due time and lose none.

        Raises
        ------
        BadDates, CalendarEnds
            As for :meth:`next_after`; a calendar that reaches `until` is enough.
        """
        last = utc(until)
        return tuple(islice(takewhile(lambda due: due <= last, self._after(utc(after), last)), limit))

    @abstractmethod
    def describe(self) -> str:
        """One sentence in plain words, with the zone, and what happens on odd days."""

    @abstractmethod
    def _after(self, moment: dt.datetime, until: dt.datetime | None) -> Iterator[dt.datetime]:
        """Due times later than `moment` in UTC, ascending. What is later than `until` is not asked for."""

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone(self.timezone)


def utc(moment: dt.datetime) -> dt.datetime:
    """The moment in UTC.

    Raises
    ------
    BadDates
        It is no datetime, or has no time zone.
    """
    if not isinstance(moment, dt.datetime) or moment.utcoffset() is None:
        raise BadDates(f"{moment!r} is no moment.", "Give a datetime with a time zone, for example datetime.now(UTC).")
    if not 1000 <= moment.year <= LAST_YEAR:
        raise BadDates(f"No schedule is known for {moment.isoformat()}.", f"Give a year from 1000 to {LAST_YEAR}.")
    return moment.astimezone(dt.UTC)


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises
    ------
    UnknownName
        There is none; the message offers the nearest ones.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise UnknownName("time zone", str(name)[:80], available_timezones()) from None


def at_local(wall: dt.datetime, where: ZoneInfo) -> dt.datetime:
    """The instant (UTC) at which clocks show `wall`, each local time once.

    A time that comes twice, in the night when clocks go back, is its first. One that does not come, in the night when
    they go forward, is the first moment after the gap.

    Parameters
    ----------
    wall
        Local date and time, without a zone, whole seconds.
    where
        The zone.
    """
    late = wall.replace(tzinfo=where, fold=0).astimezone(dt.UTC)
    if late.astimezone(where).replace(tzinfo=None) == wall:
        return late
    # In a gap, the two readings of a local time lie on both sides of the moment at which the clocks went forward.
    early = wall.replace(tzinfo=where, fold=1).astimezone(dt.UTC)
    before = early.astimezone(where).utcoffset()
    while late - early > dt.timedelta(seconds=1):
        middle = early + dt.timedelta(seconds=(late - early) // dt.timedelta(seconds=2))
        early, late = (middle, late) if middle.astimezone(where).utcoffset() == before else (early, middle)
    return late
