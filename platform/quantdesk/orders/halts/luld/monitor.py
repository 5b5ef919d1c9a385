"""The monitor: trades and national best quotes in, changes of state out. Pure: time comes with the events.

:class:`Monitor` takes events one by one or in chunks, :func:`replay` a whole day. All of them run
:mod:`~quantdesk.orders.halts.luld.machine`, and what a stock costs in memory does not depend on how much it trades.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import exact_price, moment, nanoseconds
from quantdesk.orders.halts.luld import loop, machine
from quantdesk.orders.halts.luld.change import STATES, UNIT, Change, Trading, told
from quantdesk.orders.halts.luld.stock import Events, Stock, compiled_rule
from quantdesk.orders.rulebook import Rulebook, bundled

__all__ = ["Monitor", "replay"]

Time = dt.datetime | int
"""An aware datetime, or nanoseconds since 1970 (UTC)."""
_ROOM = 1024
_MICROS = 100
"""Micro-dollars in a ten-thousandth of a dollar."""
_NOT_LAST_SALE = frozenset("BCGHIMNPQRTUVWZ479")
"""Sale conditions (UTP and CTA codes) of trades that may not set the last sale, from memory: average price, cash, form
T, bunched sold, price variation, odd lot, next day, prior reference, seller, out of sequence, contingent and so on."""


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
        rule, self._lot = compiled_rule(stock, book or bundled())
        seconds = int(rule[machine.R_WINDOW])
        self._memory = np.zeros(loop.size_of(seconds), dtype=np.int64)
        bounds = np.cumsum([machine.RULE_SIZE, machine.STATE_SIZE, seconds, seconds])
        self._rule, self._state, self._sums, self._counts, room = np.split(self._memory, bounds)
        self._room = room.reshape(loop.ROOM, machine.CHANGE_SIZE)
        self._rule[:] = rule

    @property
    def trading(self) -> Trading:
        """The state."""
        return STATES[int(self._state[machine.S_STATE])]

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
    def closes(self) -> int:
        """The end of its session, in nanoseconds since 1970 (UTC)."""
        return int(self._rule[machine.R_CLOSES])

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
                return told(room[:number])
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
        now = at if isinstance(at, int) else nanoseconds(at)
        number = loop.one(self._memory, kind, now, price, size, other, other_size)
        if number == 0:
            return ()
        self._not_back(now)
        return told(self._room[:number])

    def _not_back(self, now: int) -> None:
        last = int(self._state[machine.S_LAST])
        if now < last:
            raise BadDates(f"{moment(now)} is earlier than {moment(last)}.", "Give events in the order of time.")


def replay(stock: Stock, events: Events, book: Rulebook | None = None) -> tuple[Change, ...]:
    """A whole day at once: the changes that a :class:`Monitor` gives that is fed these events."""
    return Monitor(stock, book).feed(events)


def _units(price: Any, what: str) -> int:
    """A price in ten-thousandths of a dollar."""
    if type(price) is float and 0.0 < price < 1e12:  # the fast way, for what is nearly always given
        return round(price * UNIT)
    return int((exact_price(price, what) * UNIT).to_integral_value())
