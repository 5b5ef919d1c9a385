"""The phase of the day on a listing exchange, and until when orders for its auctions can be entered. Pure.

Sessions, early closes, lunch breaks and holidays are those of ``exchange_calendars``, for any exchange that it knows,
without the days of :mod:`~quantdesk.orders.halts.closures`. The times of auctions are dated entries of the rulebook; an
exchange without such an entry has no auction phases here. They are written for a full day: around a late opening or an
early close they move with it.

>>> from zoneinfo import ZoneInfo
>>> at = dt.datetime(2026, 11, 27, 12, 55, tzinfo=ZoneInfo("America/New_York"))  # closes at 13:00
>>> found = phase("XNYS", at)
>>> found.phase, found.until.isoformat(), found.then
(<Phase.CLOSING_AUCTION: 'closing auction'>, '2026-11-27T18:00:00+00:00', <Phase.CLOSED: 'closed'>)
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.halts.closures import closures
from quantdesk.orders.halts.hours import aware
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.rulebook.entries import Auction

__all__ = ["Cutoffs", "Phase", "Session", "Span", "cutoffs", "next_session", "phase", "session", "spans"]

_AHEAD = 2
"""Years in which the next session is looked for: no exchange was ever shut for longer."""


class Phase(StrEnum):
    """What the exchange does."""

    PRE_OPEN = "pre-open"
    """The local day of a session, before its opening auction. From local midnight: when an exchange begins to take
    orders is not part of the rulebook."""
    OPENING_AUCTION = "opening auction"
    """From the first imbalance message to the opening."""
    CONTINUOUS = "continuous"
    BREAK = "break"
    """Shut for lunch."""
    CLOSING_AUCTION = "closing auction"
    """From the first imbalance message to the close. Trading goes on; orders for the auction are restricted."""
    CLOSED = "closed"

    @property
    def trades(self) -> bool:
        """Whether it is a part of the regular session in which shares trade continuously."""
        return self in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)

    @property
    def is_auction(self) -> bool:
        """Whether an auction is being prepared."""
        return self in (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION)


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


@dataclass(frozen=True)
class Span:
    """A phase with its bounds.

    Attributes
    ----------
    exchange, phase
        Where, and what.
    since, until
        Aware datetimes, UTC; `since` belongs to it and `until` to the next. None where the calendar ends.
    then
        What comes next.
    """

    exchange: str
    phase: Phase
    since: dt.datetime | None
    until: dt.datetime | None
    then: Phase


@dataclass(frozen=True)
class Cutoffs:
    """Until when orders for the auctions of a day can be entered; aware datetimes, UTC.

    Attributes
    ----------
    opening_imbalance, closing_imbalance
        When imbalance messages begin.
    moo_until, moc_until, loc_until
        Market-on-open, market-on-close, limit-on-close.
    cancel_until
        After it no auction order can be cancelled; None where the rulebook does not restrict that.
    rule
        The entry of the rulebook: its source and how sure it is.
    """

    opening_imbalance: dt.datetime
    closing_imbalance: dt.datetime
    moo_until: dt.datetime
    moc_until: dt.datetime
    loc_until: dt.datetime
    cancel_until: dt.datetime | None
    rule: Auction


def phase(exchange: str, at: dt.datetime, book: Rulebook | None = None) -> Span:
    """The phase of the day at a moment, and when it changes next.

    Parameters
    ----------
    exchange
        The MIC of the listing exchange, for example ``XNYS``; any name that ``exchange_calendars`` knows.
    at
        An aware datetime.
    book
        The rules; those that ship when left out.

    Raises
    ------
    UnknownName
        There is no such exchange.
    BadDates
        A naive time, or one that the calendar does not cover.
    """
    moment, name = aware(at).astimezone(dt.UTC), _mic(exchange)
    before, after = _around(name, moment)
    if after is None:
        return Span(name, Phase.CLOSED, before.closes if before else None, None, Phase.CLOSED)
    for span in spans(after, book, before):
        assert span.since is not None  # noqa: S101 (the spans of a session are bounded)
        assert span.until is not None  # noqa: S101
        if span.since <= moment < span.until:
            # Where a market never sleeps, the next session follows at once.
            return span if span.then is not Phase.CLOSED else replace(span, then=_begins(name, span.until, book))
    first = spans(after, book, before)[0]
    return Span(name, Phase.CLOSED, before.closes if before else None, first.since, first.phase)


def spans(of: Session, book: Rulebook | None = None, before: Session | None = None) -> tuple[Span, ...]:
    """The phases of a session, from local midnight to the close; none of them is empty, none overlap.

    Parameters
    ----------
    of
        The session.
    book
        The rules; those that ship when left out.
    before
        The session before it, which has to be over first (there are sessions that open on the evening before).
    """
    zone = ZoneInfo(str(_calendar(of.exchange, of.day.year).tz))
    midnight = dt.datetime.combine(of.opens.astimezone(zone).date(), dt.time(), zone).astimezone(dt.UTC)
    starts = max(midnight, before.closes) if before is not None else midnight
    marks: list[tuple[dt.datetime, Phase]] = [(starts, Phase.PRE_OPEN)]
    times = _cutoffs(of, book)
    if times is not None:
        marks.append((max(times.opening_imbalance, starts), Phase.OPENING_AUCTION))
    marks.append((of.opens, Phase.CONTINUOUS))
    if of.breaks is not None:
        marks += [(of.breaks[0], Phase.BREAK), (of.breaks[1], Phase.CONTINUOUS)]
    if times is not None and times.closing_imbalance > marks[-1][0]:
        marks.append((times.closing_imbalance, Phase.CLOSING_AUCTION))
    marks.append((of.closes, Phase.CLOSED))
    kept = [(start, kind) for n, (start, kind) in enumerate(marks) if n + 1 == len(marks) or start < marks[n + 1][0]]
    return tuple(
        Span(of.exchange, kind, start, kept[n + 1][0], kept[n + 1][1]) for n, (start, kind) in enumerate(kept[:-1])
    )


def cutoffs(exchange: str, day: dt.date, book: Rulebook | None = None) -> Cutoffs | None:
    """The entry cut-offs of a day; None where the exchange is shut or the rulebook has no entry for it.

    Raises
    ------
    UnknownName
        There is no such exchange.
    """
    found = session(exchange, day)
    return None if found is None else _cutoffs(found, book)


def session(exchange: str, day: dt.date) -> Session | None:
    """The session of a day; None where the exchange is shut.

    Raises
    ------
    UnknownName
        There is no such exchange.
    BadDates
        The calendar does not cover the day.
    """
    return next((one for one in _year(_mic(exchange), day.year) if one.day == day), None)


def next_session(exchange: str, at: dt.datetime) -> Session | None:
    """The session that is on, or the next one; None where the calendar ends.

    Raises
    ------
    UnknownName
        There is no such exchange.
    BadDates
        A naive time, or one that the calendar does not cover.
    """
    return _around(_mic(exchange), aware(at).astimezone(dt.UTC))[1]


def _cutoffs(of: Session, book: Rulebook | None) -> Cutoffs | None:
    rule = (book or bundled()).auction(of.day, of.exchange)
    if rule is None:
        return None
    zone = ZoneInfo(str(_calendar(of.exchange, of.day.year).tz))

    def on_the_day(time: dt.time, shift: dt.timedelta) -> dt.datetime:
        return dt.datetime.combine(of.day, time, zone).astimezone(dt.UTC) + shift

    return Cutoffs(
        opening_imbalance=on_the_day(rule.opening_imbalance, of.late),
        closing_imbalance=on_the_day(rule.closing_imbalance, -of.early),
        moo_until=on_the_day(rule.moo_until, of.late),
        moc_until=on_the_day(rule.moc_until, -of.early),
        loc_until=on_the_day(rule.loc_until, -of.early),
        cancel_until=None if rule.cancel_until is None else on_the_day(rule.cancel_until, -of.early),
        rule=rule,
    )


def _begins(exchange: str, at: dt.datetime, book: Rulebook | None) -> Phase:
    """What comes at the close of a session: the next one where it begins then, or nothing."""
    before, after = _around(exchange, at)
    first = spans(after, book, before)[0] if after is not None else None
    return first.phase if first is not None and first.since == at else Phase.CLOSED


def _around(exchange: str, at: dt.datetime) -> tuple[Session | None, Session | None]:
    """The last session that is over, and the first that is not."""
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


def _mic(exchange: str) -> str:
    if not isinstance(exchange, str) or not exchange:
        raise BadInput(f"{exchange!r} names no exchange.", "Give its MIC, for example XNYS.")
    return exchange.upper()
