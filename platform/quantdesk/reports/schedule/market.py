"""Triggers that follow a market: its opening, its close, its sessions. Pure."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from quantdesk.reports.schedule.days import Day, days_from, days_within, is_fixing, period_of
from quantdesk.reports.schedule.trigger import CalendarEnds, Trigger, at_local

__all__ = ["LONGEST", "DuringSessions", "OnSessions", "Which"]

LONGEST = dt.timedelta(hours=24)
"""How far from an opening or a close a trigger can be (excluded): so due times keep the order of their sessions."""
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}


@dataclass(frozen=True)
class Which:
    """Which sessions: all, or the one of each period.

    Attributes
    ----------
    number
        1 for the first of the period, 2 for the second, ..., -1 for the last; 0 for every session.
    period
        ``week``, ``month``, ``quarter`` or ``year``.
    """

    number: int = 0
    period: str = "month"

    def of(self, market: str, first: dt.date) -> Iterator[Day]:
        """The sessions that are meant, from a date on, or from a little earlier.

        Raises
        ------
        CalendarEnds
            When the end of what is known has been reached.
        """
        if self.number == 0:
            yield from days_from(market, first)
            return
        place = self.number - 1 if self.number > 0 else self.number
        begins, ends = period_of(self.period, first)
        while True:
            days = days_within(market, begins, ends)
            if len(days) > (place if place >= 0 else -place - 1):  # a week of holidays may have no third session
                yield days[place]
            begins, ends = period_of(self.period, ends + dt.timedelta(days=1))

    def __str__(self) -> str:
        return "every session" if self.number == 0 else f"the {_ORDINALS[self.number]} session of each {self.period}"


@dataclass(frozen=True)
class _OfMarket(Trigger):
    """What follows the sessions of a market.

    Attributes
    ----------
    market
        Name of its calendar, for example ``XNYS``.
    which
        Which of its sessions.
    """

    market: str
    which: Which

    def _after(self, moment: dt.datetime, until: dt.datetime | None) -> Iterator[dt.datetime]:
        # Some sessions open on the evening before their date, offsets are below a day, and zones differ by a day.
        reached, slack = moment, dt.timedelta(days=3)
        try:
            for day in self.which.of(self.market, moment.date() - slack):
                if until is not None and day.day > until.date() + slack:
                    return
                for due in self._dues(day):
                    if due > reached:
                        yield due
                        reached = due
        except CalendarEnds as end:
            if until is None or until.date() > end.known_until:
                raise

    @abstractmethod
    def _dues(self, day: Day) -> Iterator[dt.datetime]:
        """The due times of one session, ascending."""


@dataclass(frozen=True)
class OnSessions(_OfMarket):
    """Once on each session that is meant: at a local time, or at a distance from its opening or close.

    Attributes
    ----------
    at
        A local time in the zone of the trigger, on the date of the session; or ``"open"`` or ``"close"``.
    offset
        After the opening or close; negative for before.
    """

    at: dt.time | str
    offset: dt.timedelta = dt.timedelta(0)

    def _dues(self, day: Day) -> Iterator[dt.datetime]:
        if isinstance(self.at, dt.time):
            yield at_local(dt.datetime.combine(day.day, self.at), self._zone)
        else:
            yield (day.opens if self.at == "open" else day.closes) + self.offset

    def describe(self) -> str:
        """In plain words."""
        if isinstance(self.at, dt.time):
            return f"At {self.at:%H:%M} ({self.timezone}) on {self.which} of {self.market}; not on its holidays."
        if is_fixing(self.market):
            return f"{_distance(self.offset)} the fixing of {self.market}, on {self.which}; not on its holidays."
        early = "late openings" if self.at == "open" else "early closes"
        return (
            f"{_distance(self.offset)} the {self.at} of {self.market}, on {self.which}; follows {early} and holidays."
        )


@dataclass(frozen=True)
class DuringSessions(_OfMarket):
    """Again and again while a market trades: from the opening on, not at lunch, the last time before the close.

    Attributes
    ----------
    step
        Between two due times.
    """

    step: dt.timedelta

    def _dues(self, day: Day) -> Iterator[dt.datetime]:
        at = day.opens
        while at < day.closes:
            if at in day:
                yield at
            at += self.step

    def describe(self) -> str:
        """In plain words."""
        return (
            f"Every {_span(self.step)} during {self.which} of {self.market}: from the opening on, not at lunch, "
            "the last time before the close."
        )


def _span(time: dt.timedelta) -> str:
    hours, minutes = divmod(round(time.total_seconds() / 60), 60)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in ((hours, "hour"), (minutes, "minute")) if count
    ]
    return " ".join(parts)


def _distance(offset: dt.timedelta) -> str:
    if not offset:
        return "At"
    return f"{_span(abs(offset))} {'after' if offset > dt.timedelta(0) else 'before'}"
