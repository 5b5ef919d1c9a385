"""The range of dates that a caller asks for. Pure.

A bound is an ISO date (``"2020-03-16"``), a :class:`datetime.date`, or an aware datetime. A date bounds sessions, both
ends included; an aware datetime bounds timestamps, both ends included. A datetime with a time of day but without a
zone says two different things in two places, so it is refused.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from quantdesk.errors import BadDates

__all__ = ["Bound", "Span", "span"]

Bound = str | dt.date | dt.datetime | None

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WANTED = 'Give an ISO date such as "2020-03-16", or a datetime with a time zone.'


@dataclass(frozen=True)
class Span:
    """A checked range; None leaves a side open. Dates bound sessions, aware datetimes bound timestamps."""

    start: dt.date | dt.datetime | None
    end: dt.date | dt.datetime | None

    def __str__(self) -> str:
        def said(bound: dt.date | None, open_side: str) -> str:
            return bound.isoformat() if bound is not None else open_side

        return f"{said(self.start, 'the beginning')} to {said(self.end, 'the end')}"


def span(start: Bound = None, end: Bound = None) -> Span:
    """Check both bounds, and that they are in order.

    Raises
    ------
    BadDates
        A bound is no date, has a time of day but no zone, or `start` lies after `end`.
    """
    first, last = _bound("start", start), _bound("end", end)
    if first is not None and last is not None and _reversed(first, last):
        raise BadDates(
            f"The start {first.isoformat()} lies after the end {last.isoformat()}.", "Swap them, or widen the range."
        )
    return Span(first, last)


def _bound(name: str, given: Bound) -> dt.date | dt.datetime | None:
    if given is None:
        return None
    if isinstance(given, str):
        given = _parsed(name, given)
    if isinstance(given, dt.datetime):
        if given != given:  # NaT is a datetime to isinstance, and unequal to itself
            raise BadDates(f"The {name} is NaT, which is no date.", _WANTED)
        if given.tzinfo is not None and given.utcoffset() is not None:
            return given
        if given.time() != dt.time(0):
            raise BadDates(f"The {name} {given.isoformat()} has a time of day but no time zone.", _WANTED)
        return given.date()
    if isinstance(given, dt.date):
        return given
    raise BadDates(f"The {name} {given!r} is no date (it is a {type(given).__name__}).", _WANTED)


def _parsed(name: str, text: str) -> dt.date | dt.datetime:
    try:
        return dt.date.fromisoformat(text) if _DATE.fullmatch(text) else dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadDates(f"The {name} {text[:60]!r} is no date ({error}).", _WANTED) from None


def _reversed(first: dt.date | dt.datetime, last: dt.date | dt.datetime) -> bool:
    """Whether a range runs backwards. A date and a datetime are compared as dates."""
    if isinstance(first, dt.datetime) and isinstance(last, dt.datetime):
        return first > last
    days = [bound.date() if isinstance(bound, dt.datetime) else bound for bound in (first, last)]
    return days[0] > days[1]
