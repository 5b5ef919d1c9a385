"""The monitor: trades and national best quotes in, changes of state out. Pure: time comes with the events.

:class:`Monitor` takes events one by one or in chunks, :func:`replay` a whole day. All of them run
:mod:`~quantdesk.orders.halts.luld.machine`, and what a stock costs in memory does not depend on how much it trades.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import exact_price
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.orders.halts.luld import loop, machine
from quantdesk.orders.rulebook import Rulebook, bundled

__all__ = ["Change", "Events", "Monitor", "Stock", "Trading", "replay"]

UNIT = 10_000
"""Prices are counted in ten-thousandths of a dollar."""
Time = dt.datetime | int
"""An aware datetime, or nanoseconds since 1970 (UTC)."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ROOM = 1024
_MICROS = 100
"""Micro-dollars in a ten-thousandth of a dollar."""


class Trading(Enum):
    """What a stock may do."""

    WAITING = machine.WAITING
    """No reference price yet: the primary has not opened."""
    NORMAL = machine.NORMAL
    LIMIT = machine.LIMIT
    """The best offer stands at the lower band, or the best bid at the upper."""
    STRADDLE = machine.STRADDLE
    """A best quote stands beyond a band."""
    PAUSED = machine.PAUSED
    REOPENING = machine.REOPENING
    """Paused beyond the first segment: the primary reopens when it can."""
    CLOSE_ONLY = machine.CLOSE_ONLY
    """Paused so late that only the closing auction follows."""
    CLOSED = machine.CLOSED

    @property
    def is_halted(self) -> bool:
        """Whether nothing may trade."""
        return self.value >= machine.PAUSED


_STATES = tuple(Trading)
_WHY = {
    machine.OPENED: "the primary opened at {reference}",
    machine.MEAN_FALLBACK: "the primary has not opened: the mean of {detail} trades is the reference",
    machine.MEAN_MOVED: "the mean of five minutes moved the reference from {price} to {reference}",
    machine.DOUBLED: "the parameters double in this part of the session: {lower} to {upper}",
    machine.AT_LOWER: "the best offer stands at the lower band ({detail} shares)",
    machine.AT_UPPER: "the best bid stands at the upper band ({detail} shares)",
    machine.CLEARED: "the quotes at the band were executed or cancelled after {seconds} s",
    machine.BEYOND: "a best quote at {price} stands beyond a band",
    machine.WITHIN: "the best quotes are within the bands again",
    machine.TIMED_OUT: "the limit state at {band} lasted too long: trading pauses (LUDP)",
    machine.PRIMARY: "the primary paused trading (LUDS)",
    machine.EXTENDED: "the primary has not reopened: the pause goes on until {until}, the collar widens",
    machine.NOT_REOPENING: "the pause reached the last part of the session: the closing auction follows",
    machine.REOPENED: "the primary reopened at {reference}",
    machine.TOO_EARLY: "a reopening before the end of the pause does not count",
    machine.SESSION_OVER: "the regular session is over",
}
_HALVED = "the parameters are single again: {lower} to {upper}"
_ON_A_QUOTE = "the primary opened on a quote: the previous close of {reference} is the reference"


@dataclass(frozen=True)
class Change:
    """Something changed.

    Attributes
    ----------
    at
        When; UTC, to the microsecond. What time alone does (the end of a limit state) is dated by when it was due.
    before, after
        The states.
    why
        In words, with the numbers.
    code
        The halt code of the exchanges that goes with it: ``LUDP``, ``LUDS``, or nothing.
    reference, lower, upper
        Dollars, as they are afterwards; NaN before there is a reference.
    event
        The number of the event that brought it out, counted within the call.
    """

    at: dt.datetime
    before: Trading
    after: Trading
    why: str
    code: str
    reference: float
    lower: float
    upper: float
    event: int


@dataclass(frozen=True)
class Stock:
    """What a day's bands of a stock depend on.

    Attributes
    ----------
    symbol
        Its name.
    previous_close
        Dollars, on the primary listing exchange.
    tier
        1 or 2.
    on
        The day, in New York.
    leverage
        Of a leveraged product.
    round_lot
        Trades of fewer shares are odd lots, which do not count; from the rulebook, by the previous close, when None.
    """

    symbol: str
    previous_close: float | Decimal | str
    tier: int
    on: dt.date
    leverage: float | Decimal | str = 1
    round_lot: int | None = None


_NOT_LAST_SALE = frozenset("BCGHIMNPQRTUVWZ479")
"""Sale conditions (UTP and CTA codes) of trades that may not set the last sale, from memory: average price, cash, form
T, bunched sold, price variation, odd lot, next day, prior reference, seller, out of sequence, contingent and so on."""


class Events:
    """A run of events as arrays, each of shape ``(n,)``, in the order of time.

    Parameters
    ----------
    kind
        ``machine.TRADE`` and so on.
    at
        Nanoseconds since 1970 (UTC), not descending.
    price, size, other, other_size
        See :func:`quantdesk.orders.halts.luld.machine.step`.

    Raises
    ------
    BadInput, BadDates
        Arrays of different lengths, descending times.
    """

    __slots__ = ("at", "kind", "other", "other_size", "price", "size")

    def __init__(
        self,
        kind: ArrayLike,
        at: ArrayLike,
        price: ArrayLike,
        size: ArrayLike,
        other: ArrayLike,
        other_size: ArrayLike,
    ) -> None:
        given = {"kind": kind, "at": at, "price": price, "size": size, "other": other, "other_size": other_size}
        for name, values in given.items():
            array = np.ascontiguousarray(values, dtype=np.int64)
            if array.ndim != 1 or len(array) != len(np.atleast_1d(np.asarray(kind))):
                raise BadInput(f"The events have {np.shape(array)} values of {name}.", "Give one of each an event.")
            setattr(self, name, array)
        back = np.flatnonzero(np.diff(self.at) < 0)
        if back.size:
            raise BadDates(
                f"Event {back[0] + 1} is earlier than the one before it ({self.at[back[0] + 1]} < {self.at[back[0]]}).",
                "Give events in the order of time.",
            )

    at: NDArray[np.int64]
    kind: NDArray[np.int64]
    price: NDArray[np.int64]
    size: NDArray[np.int64]
    other: NDArray[np.int64]
    other_size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)


class Monitor:
    """Follows one stock through one session.

    Events carry an aware datetime or, what is faster, nanoseconds since 1970 (UTC) as a whole number.

    Parameters
    ----------
    stock
        Whom.
    book
        The rules; those that ship when left out.

    Raises
    ------
    BadInput
        A close that is no price, an unknown tier.
    BadDates
        A day without a session, or without limit up / limit down.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> day = dt.datetime(2026, 3, 2, tzinfo=ZoneInfo("America/New_York"))
    >>> monitor = Monitor(Stock("ABC", 100, 1, day.date()))
    >>> opened = monitor.opens(day.replace(hour=9, minute=30), 100)
    >>> monitor.bands
    (95.0, 105.0)
    >>> [change.after.name for change in monitor.quote(day.replace(hour=10), 94.0, 95.0, 100, 200)]
    ['LIMIT']
    >>> [change.code for change in monitor.clock(day.replace(hour=10, second=15))]
    ['LUDP']
    """

    def __init__(self, stock: Stock, book: Rulebook | None = None) -> None:
        self.stock = stock
        rule, self._lot = _compiled(stock, book or bundled())
        seconds = int(rule[machine.R_WINDOW])
        self._memory = np.zeros(loop.size_of(seconds), dtype=np.int64)
        bounds = np.cumsum([machine.RULE_SIZE, machine.STATE_SIZE, seconds, seconds])
        self._rule, self._state, self._sums, self._counts, room = np.split(self._memory, bounds)
        self._room = room.reshape(loop.ROOM, machine.CHANGE_SIZE)
        self._rule[:] = rule

    @property
    def trading(self) -> Trading:
        """The state."""
        return _STATES[int(self._state[machine.S_STATE])]

    @property
    def reference(self) -> float:
        """The reference price in dollars; NaN before there is one."""
        value = int(self._state[machine.S_REFERENCE])
        return value / UNIT if value else float("nan")

    @property
    def bands(self) -> tuple[float, float]:
        """Lower and upper band in dollars; NaN before there is a reference."""
        if not self._state[machine.S_REFERENCE]:
            return float("nan"), float("nan")
        return int(self._state[machine.S_LOWER]) / UNIT, int(self._state[machine.S_UPPER]) / UNIT

    @property
    def collar(self) -> tuple[float, float]:
        """Between which prices a paused stock may reopen, in dollars; NaN when it is not paused."""
        if self.trading not in (Trading.PAUSED, Trading.REOPENING):
            return float("nan"), float("nan")
        return int(self._state[machine.S_COLLAR_LOW]) / UNIT, int(self._state[machine.S_COLLAR_HIGH]) / UNIT

    @property
    def band_micros(self) -> tuple[int, int] | None:
        """Lower and upper band in micro-dollars, as orders count them.

        None where no bands hold: before there is a reference, in a pause, after the close.
        """
        if self.trading not in (Trading.NORMAL, Trading.LIMIT, Trading.STRADDLE):
            return None
        return int(self._state[machine.S_LOWER]) * _MICROS, int(self._state[machine.S_UPPER]) * _MICROS

    @property
    def last(self) -> int:
        """The time of the last event, in nanoseconds since 1970 (UTC); 0 before the first."""
        return int(self._state[machine.S_LAST])

    @property
    def due(self) -> int | None:
        """When a limit state becomes a pause, if nothing ends it: nanoseconds since 1970; None outside of one."""
        if self.trading is not Trading.LIMIT:
            return None
        return int(self._state[machine.S_LIMIT] + self._rule[machine.R_LIMIT])

    @property
    def pause_code(self) -> str:
        """The code of the pause that holds: ``LUDP`` after a limit state, ``LUDS`` where the primary called it."""
        if self.trading not in (Trading.PAUSED, Trading.REOPENING, Trading.CLOSE_ONLY):
            return ""
        return "LUDP" if self._state[machine.S_SIDE] else "LUDS"

    def trade(self, at: Time, price: float, shares: int, conditions: str = "") -> tuple[Change, ...]:
        """A trade was reported.

        Odd lots, and trades whose conditions may not set the last sale, do not count for the mean.
        """
        if isinstance(shares, bool) or not isinstance(shares, int | np.integer) or shares <= 0:
            raise BadInput(f"A trade of {shares!r} shares.", "Give a whole number above 0.")
        eligible = shares >= self._lot and not _NOT_LAST_SALE & set(conditions)
        return self._single(machine.TRADE, at, _units(price, "trade price"), int(eligible))

    def quote(
        self, at: Time, bid: float | None, ask: float | None, bid_size: int = 0, ask_size: int = 0
    ) -> tuple[Change, ...]:
        """The national best quotes changed; None where there is none. Sizes in shares."""
        sides = [0 if price is None else _units(price, what) for price, what in ((bid, "bid"), (ask, "ask"))]
        return self._single(machine.QUOTE, at, sides[0], int(bid_size), sides[1], int(ask_size))

    def opens(self, at: Time, price: float | None) -> tuple[Change, ...]:
        """The primary opened: with a trade at a price, or on a quote (None)."""
        return self._single(machine.OPEN, at, 0 if price is None else _units(price, "opening price"))

    def reopens(self, at: Time, price: float | None) -> tuple[Change, ...]:
        """The primary reopened: with a trade at a price, or on a quote (None), which keeps the reference."""
        return self._single(machine.REOPEN, at, 0 if price is None else _units(price, "reopening price"))

    def pauses(self, at: Time) -> tuple[Change, ...]:
        """The primary paused trading by itself, as it may in a straddle state."""
        return self._single(machine.PAUSE, at, 0)

    def clock(self, at: Time) -> tuple[Change, ...]:
        """Time has passed."""
        return self._single(machine.CLOCK, at, 0)

    def feed(self, events: Events) -> tuple[Change, ...]:
        """Many events at once; the result is that of feeding them one by one.

        Raises
        ------
        BadDates
            The first event is earlier than the last one that was fed. Nothing is taken in then.
        """
        self._not_back(int(events.at[0]) if len(events) else int(self._state[machine.S_LAST]))
        room = np.empty((_ROOM, machine.CHANGE_SIZE), dtype=np.int64)
        kept = [array.copy() for array in (self._state, self._sums, self._counts)]
        while True:
            number = self._run(events, room)
            if number <= len(room):
                return _told(room[:number])
            for array, old in zip((self._state, self._sums, self._counts), kept, strict=True):
                array[:] = old
            room = np.empty((number, machine.CHANGE_SIZE), dtype=np.int64)

    def _run(self, events: Events, room: NDArray[np.int64]) -> int:
        return int(
            loop.feed(
                self._rule,
                self._state,
                self._sums,
                self._counts,
                events.kind,
                events.at,
                events.price,
                events.size,
                events.other,
                events.other_size,
                room,
            )
        )

    def _single(
        self, kind: int, at: Time, price: int, size: int = 0, other: int = 0, other_size: int = 0
    ) -> tuple[Change, ...]:
        now = at if isinstance(at, int) else _nanoseconds(at)
        number = loop.one(self._memory, kind, now, price, size, other, other_size)
        if number == 0:
            return ()
        self._not_back(now)
        return _told(self._room[:number])

    def _not_back(self, now: int) -> None:
        last = int(self._state[machine.S_LAST])
        if now < last:
            raise BadDates(f"{_moment(now)} is earlier than {_moment(last)}.", "Give events in the order of time.")


def replay(stock: Stock, events: Events, book: Rulebook | None = None) -> tuple[Change, ...]:
    """A whole day at once: the changes that a :class:`Monitor` gives that is fed these events."""
    return Monitor(stock, book).feed(events)


def _compiled(stock: Stock, book: Rulebook) -> tuple[NDArray[np.int64], int]:
    """The rules of the day as integers, and the size of a round lot."""
    rule, hours, lots = book.luld(stock.on), regular_hours(stock.on), book.round_lot(stock.on)
    if rule is None:
        raise BadDates(f"There was no limit up / limit down on {stock.on}.", "The rulebook says when it was in force.")
    if hours is None:
        raise BadDates(f"The exchanges were closed on {stock.on}.", "Give the day of a session.")
    if stock.tier not in (1, 2):
        raise BadInput(f"There is no tier {stock.tier!r}.", "Give 1 or 2.")
    close = exact_price(stock.previous_close, "previous close")
    leverage = exact_price(str(stock.leverage).lstrip("-"), "leverage")
    bucket = rule.bucket(close)
    opens, closes = _nanoseconds(hours.opens), _nanoseconds(hours.closes)
    until, since = opens, np.iinfo(np.int64).max
    for window in rule.doubling:
        if stock.tier == 2 and window.tier_2_up_to is not None and close > window.tier_2_up_to:
            continue
        length = window.minutes * 60 * machine.SECOND
        until, since = (opens + length, since) if window.anchor == "open" else (until, closes - length)
    values: Mapping[int, int] = {
        machine.R_PPM: int((bucket.tier_1 if stock.tier == 1 else bucket.tier_2) * leverage * 1_000_000),
        machine.R_DOLLARS: 0 if bucket.at_most is None else int(bucket.at_most * UNIT),
        machine.R_CLOSE: int(close * UNIT),
        machine.R_OPENS: opens,
        machine.R_CLOSES: closes,
        machine.R_DOUBLE_UNTIL: until,
        machine.R_DOUBLE_FROM: int(since),
        machine.R_WINDOW: rule.mean_s,
        machine.R_CHANGE: int(rule.least_change * 1_000_000),
        machine.R_AGE: rule.least_age_s * machine.SECOND,
        machine.R_LIMIT: rule.limit_state_s * machine.SECOND,
        machine.R_PAUSE: rule.pause_s * machine.SECOND,
        machine.R_LAST_PART: rule.no_reopening_s * machine.SECOND,
        machine.R_FALLBACK: rule.fallback_s * machine.SECOND,
        machine.R_COLLAR: int(rule.collar * 1_000_000),
        machine.R_COLLAR_LEAST: int(rule.collar_least * UNIT),
        machine.R_COLLAR_UP_TO: int(rule.collar_least_up_to * UNIT),
    }
    compiled = np.array([values[place] for place in range(machine.RULE_SIZE)], dtype=np.int64)
    lot = stock.round_lot
    if lot is None:
        lot = 100 if lots is None else next(size.shares for size in lots.sizes if close >= size.at_least)
    return compiled, lot


def _units(price: Any, what: str) -> int:
    """A price in ten-thousandths of a dollar."""
    if type(price) is float and 0.0 < price < 1e12:  # the fast way, for what is nearly always given
        return round(price * UNIT)
    return int((exact_price(price, what) * UNIT).to_integral_value())


def _nanoseconds(at: dt.datetime) -> int:
    if not isinstance(at, dt.datetime) or at.tzinfo is None:
        raise BadDates(f"The time {at!r} has no time zone.", "Give an aware datetime.")
    past = at - _EPOCH
    return ((past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds) * 1000


def _moment(nanoseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=nanoseconds // 1000)


def _told(rows: NDArray[np.int64]) -> tuple[Change, ...]:
    return tuple(_change(*map(int, row)) for row in rows)


def _dollars(units: int) -> str:
    return f"${units / UNIT:,.4f}"


def _change(
    event: int, at: int, before: int, after: int, why: int, reference: int, lower: int, upper: int, detail: int
) -> Change:
    text = _WHY[why]
    if not detail and why in (machine.DOUBLED, machine.OPENED):
        text = _HALVED if why == machine.DOUBLED else _ON_A_QUOTE
    return Change(
        at=_moment(at),
        before=Trading(before),
        after=Trading(after),
        why=text.format(
            detail=detail,
            price=_dollars(detail),
            seconds=f"{detail / machine.SECOND:.3f}",
            until=f"{_moment(max(detail, 0)).astimezone(NEW_YORK):%H:%M:%S}",
            reference=_dollars(reference),
            lower=_dollars(lower),
            upper=_dollars(upper),
            band=_dollars(lower if detail < 0 else upper),
        ),
        code={machine.TIMED_OUT: "LUDP", machine.PRIMARY: "LUDS"}.get(why, ""),
        reference=reference / UNIT if reference else float("nan"),
        lower=lower / UNIT if reference else float("nan"),
        upper=upper / UNIT if reference else float("nan"),
        event=event,
    )
