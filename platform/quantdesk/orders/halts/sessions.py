"""The sessions of an exchange: when it opens, closes and has lunch, without the days on which it was shut. Pure.

They are those of ``exchange_calendars``, for any exchange that it knows, without the days of
:mod:`~quantdesk.orders.halts.closures`. A year is looked up once for each process.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.halts.closures import closures
from quantdesk.orders.halts.hours import aware

__all__ = ["Session", "around", "mic", "next_session", "session", "zone_of"]

_AHEAD = 2
"""Years in which the next session is looked for: no exchange was ever shut for longer."""


@dataclass(frozen=True)
class Session:
    """One session of an exchange; aware datetimes, UTC.

    Attributes
    ----------
    exchange, day
        The MIC, and the date by which the session goes.
    opens, closes
        Its bounds.
    breaks
        Beginning and end of the lunch break, or None.
    late, early
        By how much it opens later than usual, and closes earlier.
    """

    exchange: str
    day: dt.date
    opens: dt.datetime
    closes: dt.datetime
    breaks: tuple[dt.datetime, dt.datetime] | None
    late: dt.timedelta
    early: dt.timedelta


def session(exchange: str, day: dt.date) -> Session | None:
    """The session of a day; None where the exchange is shut.

    Raises
    ------
    UnknownName
        There is no such exchange.
    BadDates
        The calendar does not cover the day.
    """
    return next((one for one in _year(mic(exchange), day.year) if one.day == day), None)


def next_session(exchange: str, at: dt.datetime) -> Session | None:
    """The session that is on, or the next one; None where the calendar ends.

    Raises
    ------
    UnknownName
        There is no such exchange.
    BadDates
        A naive time, or one that the calendar does not cover.
    """
    return around(mic(exchange), aware(at).astimezone(dt.UTC))[1]


def zone_of(of: Session) -> ZoneInfo:
    """The time zone of a session's exchange."""
    return ZoneInfo(str(_calendar(of.exchange, of.day.year).tz))


def around(exchange: str, at: dt.datetime) -> tuple[Session | None, Session | None]:
    """The last session that is over at a moment (UTC), and the first that is not; None where there is none."""
    before: Session | None = None
    for year in range(at.year, at.year + _AHEAD):
        sessions = _year(exchange, year) if year == at.year else _year_if_known(exchange, year)
        place = bisect_right(sessions, at, key=lambda one: one.closes)
        if place:
            before = sessions[place - 1]
        elif before is None:  # the first days of a year, or a market that was shut for all of it
            before = next(iter(_year_if_known(exchange, year - 1)[-1:]), None)
        if place < len(sessions):
            return before, sessions[place]
    return before, None


def _year_if_known(exchange: str, year: int) -> tuple[Session, ...]:
    """The sessions of a year, none where the calendar does not reach that far."""
    try:
        return _year(exchange, year)
    except BadDates:
        return ()


@lru_cache(maxsize=64)
def _calendar(exchange: str, year: int) -> Any:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    # A week on either side, because some sessions open on the evening before.
    try:
        return exchange_calendars.get_calendar(exchange, start=f"{year - 1}-12-20", end=f"{year + 1}-01-10")
    except InvalidCalendarName:
        names = exchange_calendars.get_calendar_names(include_aliases=True)
        raise UnknownName("exchange", exchange, names) from None
    except ValueError:
        try:
            return exchange_calendars.get_calendar(exchange, start=f"{year}-01-01", end=f"{year}-12-31")
        except ValueError as error:
            raise BadDates(
                f"The calendar {exchange} does not cover {year} ({error}).", "Give a day it covers."
            ) from None


@lru_cache(maxsize=64)
def _year(exchange: str, year: int) -> tuple[Session, ...]:
    """The sessions of a year, closures taken out, in the order of time."""
    calendar = _calendar(exchange, year)
    shut = closures(exchange)
    rows = calendar.schedule.loc[f"{year}-01-01" : f"{year}-12-31"]
    zone = ZoneInfo(str(calendar.tz))
    found = []
    for day, opens, begins, ends, closes in rows[["open", "break_start", "break_end", "close"]].itertuples():
        date = day.date()
        if any(date in closure for closure in shut):
            continue
        first, last = opens.to_pydatetime().astimezone(dt.UTC), closes.to_pydatetime().astimezone(dt.UTC)
        lunch = None
        if begins == begins:  # not so for NaT, where there is no break
            lunch = (begins.to_pydatetime().astimezone(dt.UTC), ends.to_pydatetime().astimezone(dt.UTC))
        found.append(
            Session(
                exchange,
                date,
                first,
                last,
                lunch,
                _apart(first, _regular(calendar.open_times, date), zone),
                -_apart(last, _regular(calendar.close_times, date), zone),
            )
        )
    return tuple(found)


def _regular(times: Any, day: dt.date) -> dt.time:
    """The usual time of a day, from pairs of a first day (or None) and a time."""
    return [time for since, time in times if since is None or since.date() <= day][-1]  # type: ignore[no-any-return]


def _apart(at: dt.datetime, usual: dt.time, zone: ZoneInfo) -> dt.timedelta:
    """How far a moment is from the usual time on its local day; by the clock on the wall."""
    local = at.astimezone(zone).replace(tzinfo=None)
    apart = local - dt.datetime.combine(local.date(), usual)
    # A close at midnight is the usual one of the day before it.
    return apart + dt.timedelta(days=1) if apart <= -dt.timedelta(hours=23) else apart


def mic(exchange: str) -> str:
    """The name of an exchange in capitals.

    Raises
    ------
    BadInput
        It is no name.
    """
    if not isinstance(exchange, str) or not exchange:
        raise BadInput(f"{exchange!r} names no exchange.", "Give its MIC, for example XNYS.")
    return exchange.upper()
