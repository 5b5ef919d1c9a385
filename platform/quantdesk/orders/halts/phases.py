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
from dataclasses import dataclass, replace
from enum import StrEnum

from quantdesk.orders.halts.hours import aware
from quantdesk.orders.halts.sessions import Session, around, mic, next_session, session, zone_of
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.rulebook.entries import Auction

__all__ = ["Cutoffs", "Phase", "Session", "Span", "cutoffs", "next_session", "phase", "session", "spans"]


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
    moment, name = aware(at).astimezone(dt.UTC), mic(exchange)
    before, after = around(name, moment)
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
    zone = zone_of(of)
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


def _cutoffs(of: Session, book: Rulebook | None) -> Cutoffs | None:
    rule = (book or bundled()).auction(of.day, of.exchange)
    if rule is None:
        return None
    zone = zone_of(of)

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
    before, after = around(exchange, at)
    first = spans(after, book, before)[0] if after is not None else None
    return first.phase if first is not None and first.since == at else Phase.CLOSED
