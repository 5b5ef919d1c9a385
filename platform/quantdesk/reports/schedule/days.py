"""The days of a market: sessions of an exchange, or the days of a fixing. Pure.

Sessions are those of :mod:`quantdesk.orders.halts.sessions`: holidays, early closes, unscheduled closures and lunch are
right there. Fixings are those of :data:`quantdesk.market.sessions.OWN`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports.schedule.trigger import CalendarEnds

__all__ = ["Day", "days_from", "days_within", "find_market", "is_fixing", "period_of"]

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """One session, or one fixing, whose opening and close are the same moment then.

    Attributes
    ----------
    day
        The local date by which it goes.
    opens, closes
        UTC.
    lunch
        Beginning and end of a break, or None.
    """

    day: dt.date
    opens: dt.datetime
    closes: dt.datetime
    lunch: tuple[dt.datetime, dt.datetime] | None = None

    def __contains__(self, at: dt.datetime) -> bool:
        """Whether trading goes on: from the opening to just before the close, lunch excepted."""
        return self.opens <= at < self.closes and not (self.lunch and self.lunch[0] <= at < self.lunch[1])


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Canonical names, by any name in capitals."""
    import exchange_calendars

    from quantdesk.market.sessions import OWN

    known = exchange_calendars.get_calendar_names(include_aliases=True)
    return {name.upper(): exchange_calendars.resolve_alias(name) for name in known} | {name: name for name in OWN}


def find_market(name: str) -> str:
    """The name of a market as calendars have it: ``nyse`` is ``XNYS``.

    Raises
    ------
    UnknownName
        There is no such market.
    """
    found = _names().get(name.upper())
    if found is None:
        raise UnknownName("market", name[:40], _names())
    return found


def is_fixing(market: str) -> bool:
    """Whether a market has one moment a day, and no hours."""
    from quantdesk.market.sessions import OWN

    return market in OWN


def days_from(market: str, first: dt.date) -> Iterator[Day]:
    """The days of a market from a date on, ascending.

    Raises
    ------
    CalendarEnds
        When the end of what is known has been reached.
    """
    for year in range(first.year, dt.MAXYEAR):
        for day in _year(market, year):
            if day.day >= first:
                yield day


def days_within(market: str, first: dt.date, last: dt.date) -> tuple[Day, ...]:
    """The days of a market between two dates, both included.

    Raises
    ------
    CalendarEnds
        The calendar does not reach the end.
    """
    found = (day for year in range(first.year, last.year + 1) for day in _year(market, year))
    return tuple(day for day in found if first <= day.day <= last)


@lru_cache(maxsize=256)
def _year(market: str, year: int) -> tuple[Day, ...]:
    try:
        return _fixings(market, year) if is_fixing(market) else _sessions(market, year)
    except BadInput as error:
        raise CalendarEnds(market, year) from error


def _sessions(market: str, year: int) -> tuple[Day, ...]:
    from quantdesk.orders.halts.sessions import session

    dates = (
        dt.date(year, 1, 1) + number * _DAY for number in range((dt.date(year + 1, 1, 1) - dt.date(year, 1, 1)).days)
    )
    found = (session(market, date) for date in dates)
    return tuple(Day(one.day, one.opens, one.closes, one.breaks) for one in found if one is not None)


def _fixings(market: str, year: int) -> tuple[Day, ...]:
    from quantdesk.market.sessions import event_times, sessions_between

    dates = sessions_between(market, dt.date(year, 1, 1), dt.date(year, 12, 31))
    moments = event_times(market, dates)
    pairs = zip(dates, moments, strict=True)
    return tuple(Day(date.date(), at.to_pydatetime(), at.to_pydatetime()) for date, at in pairs)


def period_of(kind: str, day: dt.date) -> tuple[dt.date, dt.date]:
    """First and last date of the week (from Monday), month, quarter or year that holds a date."""
    if kind == "week":
        first = day - day.weekday() * _DAY
        return first, first + 6 * _DAY
    months = {"month": 1, "quarter": 3, "year": 12}[kind]
    begins = (day.month - 1) // months * months + 1
    first = day.replace(month=begins, day=1)
    after = dt.date(day.year + (begins + months > 12), (begins + months - 1) % 12 + 1, 1)
    return first, after - _DAY
