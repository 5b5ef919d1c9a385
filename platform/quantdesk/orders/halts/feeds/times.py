"""Days and times of day as the feeds write them: New York's. Pure."""

from __future__ import annotations

import datetime as dt
import re

from quantdesk.orders.halts.feeds.halt import FeedError
from quantdesk.orders.halts.hours import NEW_YORK

__all__ = ["moment"]

_US = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})\s*(?:\.\s*(\d{1,9}))?")
"""Nasdaq's feed of past days pads the seconds with blanks before their fraction."""


def moment(day: str, time: str, where: str) -> dt.datetime:
    """A day and a time of day in New York as a moment in UTC.

    Parameters
    ----------
    day
        ``MM/DD/YYYY`` or ``YYYY-MM-DD``.
    time
        ``HH:MM:SS``, with or without a fraction.
    where
        The item, for messages.

    Raises
    ------
    FeedError
        They are neither.
    """
    us, iso, clock = _US.fullmatch(day.strip()), _ISO.fullmatch(day.strip()), _TIME.fullmatch(time.strip())
    try:
        if clock is None or (us is None and iso is None):
            raise ValueError("not as agreed")
        date = dt.date(int(us[3]), int(us[1]), int(us[2])) if us else dt.date.fromisoformat(day.strip())
        fraction = int((clock[4] or "0").ljust(6, "0")[:6])
        at = dt.datetime.combine(date, dt.time(int(clock[1]), int(clock[2]), int(clock[3]), fraction), NEW_YORK)
    except ValueError as error:
        raise FeedError(
            f"{where} has the time {day!r} {time!r}, which cannot be read ({error}).", "The feed may have changed."
        ) from error
    return at.astimezone(dt.UTC)
