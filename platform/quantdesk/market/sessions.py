"""Sessions and event times: which days a series should have, and the UTC instant of each bar. Pure.

Exchanges come from `exchange_calendars`, early closes included. What is fixed or published off an exchange has a
calendar of ours, described in :data:`OWN`. Building an exchange calendar takes about half a second, so each is built
once per process and range.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput, UnknownName

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OWN", "OwnCalendar", "calendar_names", "event_times", "open_times", "sessions_between", "time_zone"]

_EARLIEST, _LATEST = 1886, 2200


@dataclass(frozen=True)
class OwnCalendar:
    """A calendar that no exchange keeps: weekdays without holidays, and one event at the same local time on each.

    Attributes
    ----------
    description
        What it is and where its holidays come from.
    zone, at
        Time zone and local time of the event.
    days
        From a first and a last year to the days, ascending.
    """

    description: str
    zone: str
    at: dt.time
    days: Callable[[int, int], pd.DatetimeIndex]


def _weekdays(first: int, last: int) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.date_range(f"{first}-01-01", f"{last}-12-31", freq="B", unit="ns")


def _published_holidays(market: str, first: int, last: int) -> pd.DatetimeIndex:
    """Closures of a market that the `holidays` package knows."""
    import holidays
    import pandas as pd

    known = holidays.financial_holidays(market, years=range(first, last + 1))
    return pd.DatetimeIndex(sorted(known), dtype="datetime64[ns]")


def _ecb_days(first: int, last: int) -> pd.DatetimeIndex:
    return _weekdays(first, last).difference(_published_holidays("XECB", first, last))


def _treasury_days(first: int, last: int) -> pd.DatetimeIndex:
    days = _weekdays(first, last).difference(_published_holidays("USGS", first, last))
    return days if first >= 1996 else days.difference(_treasury_closures_before_1996(first))


def _treasury_closures_before_1996(first: int) -> pd.DatetimeIndex:
    """The bond dealers' list starts in 1996; before it, federal holidays and Good Friday.

    A New Year or a Veterans Day that fell on a Saturday was not kept on the Friday before it.
    """
    import pandas as pd
    from pandas.tseries.holiday import AbstractHolidayCalendar, GoodFriday, USFederalHolidayCalendar

    rules = AbstractHolidayCalendar(name="treasury", rules=[*USFederalHolidayCalendar.rules, GoodFriday])
    closed = pd.DatetimeIndex(rules.holidays(pd.Timestamp(first, 1, 1), pd.Timestamp(1995, 12, 31)))
    after = closed + pd.Timedelta(days=1)
    eve = (closed.dayofweek == 4) & (after.month * 100 + after.day).isin([101, 1111])
    return closed[~eve]


def _oil_days(first: int, last: int) -> pd.DatetimeIndex:
    """Weekdays that are no regular holiday of the New York exchanges; their special closures did not stop oil."""
    import pandas as pd

    exchange = _exchange("XNYS", first // 10 * 10, last // 10 * 10 + 9)
    closed = exchange.regular_holidays.holidays(pd.Timestamp(first, 1, 1), pd.Timestamp(last, 12, 31))
    return _weekdays(first, last).difference(closed)


def _month_ends(first: int, last: int) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.date_range(f"{first}-01-01", f"{last}-12-31", freq="BME", unit="ns")


OWN: dict[str, OwnCalendar] = {
    "ECB": OwnCalendar(
        "fixing days of the European Central Bank: weekdays without the closing days of the euro settlement system "
        "(`holidays`, market XECB)",
        "Europe/Berlin",
        dt.time(14, 15),
        _ecb_days,
    ),
    "UST": OwnCalendar(
        "days with a US Treasury curve: weekdays without the bond dealers' holidays (`holidays`, market USGS, from "
        "1996); before that without federal holidays and Good Friday",
        "America/New_York",
        dt.time(15, 30),
        _treasury_days,
    ),
    "OIL-US": OwnCalendar(
        "days of US crude oil: weekdays without the regular holidays of the New York exchanges",
        "America/New_York",
        dt.time(14, 30),
        _oil_days,
    ),
    "MONTHLY-US": OwnCalendar(
        "the last weekday of each month, for averages over the month",
        "America/New_York",
        dt.time(17, 0),
        _month_ends,
    ),
}


def calendar_names() -> list[str]:
    """Every calendar that a series can name: ours, and the exchanges'."""
    import exchange_calendars

    return sorted([*OWN, *exchange_calendars.get_calendar_names(include_aliases=True)])


@lru_cache(maxsize=32)
def _exchange(name: str, first: int, last: int) -> Any:
    """An exchange's calendar for whole years. Cached: half a second each."""
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(name, start=f"{first}-01-01", end=f"{last}-12-31")
    except InvalidCalendarName:
        raise UnknownName("calendar", name, calendar_names()) from None
    except ValueError as error:
        raise BadInput(
            f"The calendar {name} does not cover {first} to {last} ({error}).", "Give rows that it covers."
        ) from error


@lru_cache(maxsize=32)
def _own_days(name: str, first: int, last: int) -> pd.DatetimeIndex:
    return OWN[name].days(first, last)


def _years(first: dt.date, last: dt.date) -> tuple[int, int]:
    """Whole decades around a range, so that a hundred series share one calendar."""
    if first.year < _EARLIEST or last.year > _LATEST:
        raise BadInput(
            f"No calendar covers {first.isoformat()} to {last.isoformat()}.",
            f"Sessions are known from {_EARLIEST} to {_LATEST}.",
        )
    return max(first.year // 10 * 10, _EARLIEST), last.year // 10 * 10 + 9


def time_zone(calendar: str) -> str:
    """The name of the time zone in which a calendar's dates are meant.

    Raises
    ------
    UnknownName
        There is no such calendar.
    """
    if calendar in OWN:
        return OWN[calendar].zone
    return str(_exchange(calendar, 2010, 2019).tz)


def sessions_between(calendar: str, first: dt.date, last: dt.date) -> pd.DatetimeIndex:
    """The days on which `calendar` should have a bar.

    Parameters
    ----------
    calendar
        A name from :data:`OWN`, or an exchange's.
    first, last
        Bounds, both included.

    Returns
    -------
    pandas.DatetimeIndex
        Local dates as midnights without a zone, ascending.

    Raises
    ------
    UnknownName
        There is no such calendar.
    BadInput
        The calendar does not reach that far.
    """
    import pandas as pd

    years = _years(first, last)
    days = _own_days(calendar, *years) if calendar in OWN else _exchange(calendar, *years).sessions
    return days[(days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last))]


def event_times(calendar: str, sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The UTC instant of each session's event: its close, early closes included, or the fixing.

    A date on which the exchange was closed gets the time of a regular close: the row is kept as the source has it, and
    the quality report names it.

    Parameters
    ----------
    calendar
        A name from :data:`OWN`, or an exchange's.
    sessions
        Local dates as midnights without a zone.

    Returns
    -------
    pandas.DatetimeIndex
        One instant per given date, UTC, in nanoseconds.
    """
    import pandas as pd

    if sessions.empty:
        return pd.DatetimeIndex([], dtype="datetime64[ns, UTC]", name="timestamp")
    if calendar in OWN:
        own = OWN[calendar]
        return _local(sessions, own.at, own.zone)
    exchange = _exchange(calendar, *_years(sessions.min().date(), sessions.max().date()))
    closes = exchange.closes.reindex(sessions)
    absent = closes.isna().to_numpy()
    events = pd.DatetimeIndex(closes).tz_convert("UTC")
    if absent.any():
        regular = _local(sessions, exchange.close_times[-1][1], str(exchange.tz))
        events = events.where(~absent, regular)
    return events.as_unit("ns").rename("timestamp")


def open_times(calendar: str, days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The UTC instant at which trading opens on each day.

    Parameters
    ----------
    calendar
        A name from :data:`OWN`, where a day opens at midnight in its zone, or an exchange's, where a day without a
        session gets the time of a regular opening.
    days
        Local dates as midnights without a zone.

    Returns
    -------
    pandas.DatetimeIndex
        One instant per given day, UTC, in nanoseconds.
    """
    import pandas as pd

    if days.empty:
        return pd.DatetimeIndex([], dtype="datetime64[ns, UTC]", name="timestamp")
    if calendar in OWN:
        return _local(days, dt.time(0), OWN[calendar].zone)
    exchange = _exchange(calendar, *_years(days.min().date(), days.max().date()))
    opens = exchange.opens.reindex(days)
    absent = opens.isna().to_numpy()
    regular = _local(days, exchange.open_times[-1][1], str(exchange.tz))
    return pd.DatetimeIndex(opens).tz_convert("UTC").where(~absent, regular).as_unit("ns").rename("timestamp")


def _local(sessions: pd.DatetimeIndex, at: dt.time, zone: str) -> pd.DatetimeIndex:
    import pandas as pd

    instants = (sessions + pd.Timedelta(hours=at.hour, minutes=at.minute)).tz_localize(zone).tz_convert("UTC")
    return instants.as_unit("ns").rename("timestamp")
