"""When the market is open: the regular session of a day, early closes included. Pure.

The calendar is that of ``exchange_calendars`` for the New York Stock Exchange, which all US listing exchanges keep.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import pandas as pd

from quantdesk.errors import BadDates
from quantdesk.market.sessions import event_times, open_times, sessions_between

__all__ = ["NEW_YORK", "Hours", "aware", "local_date", "regular_hours"]

NEW_YORK = ZoneInfo("America/New_York")
_FULL_CLOSE = dt.time(16, 0)


@dataclass(frozen=True)
class Hours:
    """A regular session.

    Attributes
    ----------
    opens, closes
        Aware datetimes, UTC.
    """

    opens: dt.datetime
    closes: dt.datetime

    def __contains__(self, at: dt.datetime) -> bool:
        return self.opens <= at <= self.closes

    @property
    def shift(self) -> dt.timedelta:
        """How much later than 16:00 it closes: negative on an early close."""
        local = self.closes.astimezone(NEW_YORK)
        return local - local.replace(hour=_FULL_CLOSE.hour, minute=_FULL_CLOSE.minute, second=0, microsecond=0)


@lru_cache(maxsize=4096)
def regular_hours(on: dt.date) -> Hours | None:
    """The regular session of a day in New York; None where the exchanges were closed."""
    days = sessions_between("XNYS", on, on)
    if days.empty:
        return None
    opens, closes = open_times("XNYS", days)[0], event_times("XNYS", days)[0]
    return Hours(pd.Timestamp(opens).to_pydatetime(), pd.Timestamp(closes).to_pydatetime())


def aware(at: dt.datetime) -> dt.datetime:
    """The moment itself, once it is known to be one.

    Raises
    ------
    BadDates
        It is no datetime, or has no time zone.
    """
    if not isinstance(at, dt.datetime):
        raise BadDates(f"{at!r} is no moment.", "Give a datetime with a time zone.")
    if at.tzinfo is None or at.utcoffset() is None:
        raise BadDates(f"The time {at} has no time zone.", "Give one, for example America/New_York.")
    return at


def local_date(at: dt.datetime) -> dt.date:
    """The day of a moment in New York."""
    return aware(at).astimezone(NEW_YORK).date()
