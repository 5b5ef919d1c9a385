"""The breakers that stop the whole market. Pure.

>>> import datetime as dt
>>> levels(2711.02, dt.date(2020, 3, 16))
Levels(level_1=2521.24, level_2=2358.58, level_3=2168.81)

Source: NYSE Rule 7.12 and its predecessor 80B, as dated entries of :mod:`quantdesk.orders.rulebook`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import exact_price
from quantdesk.orders.halts.hours import NEW_YORK, Hours, aware, local_date, regular_hours
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.rulebook.entries import Level, MarketWide

__all__ = ["Levels", "MarketHalt", "Watch", "levels", "replay"]


@dataclass(frozen=True)
class Levels:
    """The index values at which the market stops; None for a level that the rule of the day did not have."""

    level_1: float
    level_2: float
    level_3: float | None


@dataclass(frozen=True)
class MarketHalt:
    """A level was reached.

    Attributes
    ----------
    level
        1, 2 or 3.
    at
        When, as the path has it; aware.
    value, threshold
        The index, and the level it had reached.
    resumes
        When trading goes on: equal to `at` where the rule stops nothing so late in the day, None where trading is over
        for the day.
    index, proxy
        The index that the rule watches, and whether the path is of another one that stands in for it.
    """

    level: int
    at: dt.datetime
    value: float
    threshold: float
    resumes: dt.datetime | None
    index: str
    proxy: bool

    @property
    def stops(self) -> bool:
        """Whether trading stops."""
        return self.resumes != self.at


def levels(
    previous_close: float | Decimal | str,
    on: dt.date,
    *,
    quarter_base: float | Decimal | str | None = None,
    book: Rulebook | None = None,
) -> Levels:
    """The values of the index at which the market stops on a day.

    Parameters
    ----------
    previous_close
        Of the index that the rule of the day watches: the S&P 500 from 2013-04-08, the Dow Jones before.
    on
        The day, in New York.
    quarter_base
        From 1998 to 2013 the points were fixed each quarter, from the average close of the month before it. Left out,
        the previous close stands in for that average, and the levels are approximate.
    book
        The rules; those that ship when left out.

    Raises
    ------
    BadInput
        A close that is no price.
    BadDates
        A day before there were breakers.
    """
    close = exact_price(previous_close, "previous close")
    rule = _rule(on, book)
    base = close if quarter_base is None else exact_price(quarter_base, "base of the quarter")
    found = [float(_threshold(rule, level, close, base)) for level in rule.levels]
    return Levels(found[0], found[1], found[2] if len(found) > 2 else None)


class Watch:
    """Follows the index through one session, value by value.

    Values while trading is stopped are passed over: nobody trades on them. Each level counts once a day. A halt that
    would reach past the close ends the day, and so does the last level.

    Parameters
    ----------
    previous_close
        Of the index that is followed.
    index
        What is followed. Where the rule of the day watches another one, the halts say that it is a proxy.
    quarter_base, book
        See :func:`levels`; the base is that of the index that the rule watches.
    watched_close
        Of a proxy: the previous close of the index that the rule watches, by which points become a part of it. Needed
        before 1998-04-15, when levels were points of the Dow Jones; after it, a proxy without it falls by the rule's
        percentages, which were not rounded to points yet.

    Raises
    ------
    BadInput
        A close that is no price.
    """

    def __init__(
        self,
        previous_close: float | Decimal | str,
        *,
        index: str = "SPX",
        quarter_base: float | Decimal | str | None = None,
        watched_close: float | Decimal | str | None = None,
        book: Rulebook | None = None,
    ) -> None:
        self._close = exact_price(previous_close, "previous close")
        self._watched = None if watched_close is None else exact_price(watched_close, "close of the watched index")
        self._base = None if quarter_base is None else exact_price(quarter_base, "base of the quarter")
        self._index = index
        self._book = book
        self._rule: MarketWide | None = None
        self._hours: Hours | None = None
        self._thresholds: list[Decimal] = []
        self._last: dt.datetime | None = None
        self._halts: list[MarketHalt] = []

    @property
    def halts(self) -> tuple[MarketHalt, ...]:
        """The levels that were reached so far, in the order of time."""
        return tuple(self._halts)

    @property
    def is_over(self) -> bool:
        """Whether trading is over for the day."""
        return any(halt.resumes is None for halt in self._halts)

    def value(self, at: dt.datetime, value: float) -> tuple[MarketHalt, ...]:
        """The index has a value; the levels that it reached with it, as a rule none.

        Raises
        ------
        BadInput
            A value that is no price.
        BadDates
            Naive, earlier than the one before, of another day, or outside of the session. Nothing is taken in then.
        """
        exact = exact_price(value, "index value")
        rule, hours = self._session(at)
        if aware(at) not in hours:
            raise BadDates(f"{at} is outside of the session {hours.opens} to {hours.closes}.", "Give one session.")
        if self._last is not None and at < self._last:
            raise BadDates(f"{at} comes after {self._last}.", "Give the path in the order of time.")
        self._last = at
        if self.is_over or (self._halts and self._halts[-1].resumes is not None and at < self._halts[-1].resumes):
            return ()
        # A path that jumps over a level has reached both; the deeper one decides what happens.
        found = tuple(
            MarketHalt(
                number + 1,
                at,
                float(exact),
                float(self._thresholds[number]),
                _resumes(rule.levels[number], hours, at, shifted=rule.early_close_shift),
                rule.index,
                self._index != rule.index,
            )
            for number in range(len(self._halts), len(self._thresholds))
            if exact <= self._thresholds[number]
        )
        self._halts += found
        return found

    def _session(self, at: dt.datetime) -> tuple[MarketWide, Hours]:
        if self._rule is None or self._hours is None:
            day = local_date(aware(at))
            rule, hours = _rule(day, self._book), regular_hours(day)
            if hours is None:
                raise BadDates(f"The exchanges were closed on {day}.", "Give the path of a session.")
            self._thresholds = [self._level(rule, level) for level in rule.levels]
            self._rule, self._hours = rule, hours
        return self._rule, self._hours

    def _level(self, rule: MarketWide, level: Level) -> Decimal:
        """The value of the index that is followed at which a level of the watched one is reached."""
        if self._index == rule.index:
            return _threshold(rule, level, self._close, self._base or self._close)
        if self._watched is not None:
            share = _threshold(rule, level, self._watched, self._base or self._watched) / self._watched
            return self._close * share
        if self._base is not None:
            raise BadInput(
                f"The base of the quarter is one of the {rule.index}, and the path is of the {self._index}.",
                f"Give the previous close of the {rule.index} as watched_close with it.",
            )
        if level.fall is None:
            raise BadInput(
                f"The levels of the day are points of the {rule.index}, and the path is of the {self._index}.",
                f"Give the previous close of the {rule.index} as watched_close.",
            )
        return self._close * (1 - level.fall)


def replay(
    path: Iterable[tuple[dt.datetime, float]],
    previous_close: float | Decimal | str,
    *,
    index: str = "SPX",
    quarter_base: float | Decimal | str | None = None,
    watched_close: float | Decimal | str | None = None,
    book: Rulebook | None = None,
) -> tuple[MarketHalt, ...]:
    """The halts that a path of the index sets off within one session: what a :class:`Watch` finds.

    Parameters
    ----------
    path
        Moments (aware, ascending, of one session) and index values.
    previous_close, index, quarter_base, watched_close, book
        See :class:`Watch`.

    Raises
    ------
    BadInput
        A value that is no price.
    BadDates
        Naive, descending, of several days, or outside of the session.
    """
    watch = Watch(previous_close, index=index, quarter_base=quarter_base, watched_close=watched_close, book=book)
    for at, value in path:
        watch.value(at, value)
    return watch.halts


def _rule(on: dt.date, book: Rulebook | None) -> MarketWide:
    rule = (book or bundled()).market_wide(on)
    if rule is None:
        raise BadDates(f"There were no market-wide breakers on {on}.", "They begin on 1988-10-19.")
    return rule


def _threshold(rule: MarketWide, level: Level, close: Decimal, base: Decimal) -> Decimal:
    if level.points is not None:
        return close - level.points
    assert level.fall is not None  # noqa: S101 (a level has points or a fall)
    if rule.fixed_quarterly_to is not None:
        points = (base * level.fall / rule.fixed_quarterly_to).quantize(Decimal(1), ROUND_HALF_UP)
        return close - points * rule.fixed_quarterly_to
    threshold = close * (1 - level.fall)
    if rule.truncate_to is not None:
        threshold = (threshold / rule.truncate_to).quantize(Decimal(1), ROUND_FLOOR) * rule.truncate_to
    return threshold


def _resumes(level: Level, hours: Hours, at: dt.datetime, *, shifted: bool) -> dt.datetime | None:
    """When trading goes on after a level was reached; None where it does not."""
    # Times of day are those of a full session: on an early close they move with it, where the rule says so.
    local = (at - (hours.shift if shifted else dt.timedelta())).astimezone(NEW_YORK)
    halt = next(halt for halt in level.halts if halt.holds(local.time()))
    if halt.minutes is None:
        return None
    resumes = at + dt.timedelta(minutes=halt.minutes)
    return resumes if resumes < hours.closes or halt.minutes == 0 else None
