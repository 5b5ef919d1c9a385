"""The market beside the fills: best quotes and prints of a symbol over time, looked up as they were known. Pure.

A look-up gives the last quote at or before a moment. It gives none, and says why, where the market did not trade: a
quote of before a halt or of yesterday says nothing of now, so it is never carried over one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.symbols import canonical
from quantdesk.orders.tca.facts import Quote

__all__ = ["Looked", "Prints", "Tape", "Why"]

Ints = NDArray[np.int64]
Span = tuple[int, int]


class Why(IntEnum):
    """Why there is no quote."""

    THERE = 0
    """There is one."""
    NO_TAPE = 1
    CLOSED = 2
    HALTED = 3
    NOT_YET = 4
    """It trades, and nobody has quoted yet since it opened or resumed."""
    ONE_SIDED = 5
    CROSSED = 6

    @property
    def words(self) -> str:
        """For people; empty where there is a quote."""
        return _WORDS[self]


_WORDS = {
    Why.THERE: "",
    Why.NO_TAPE: "no quotes of the symbol",
    Why.CLOSED: "session closed",
    Why.HALTED: "trading halted",
    Why.NOT_YET: "no quote yet since the opening or resumption",
    Why.ONE_SIDED: "one-sided quote",
    Why.CROSSED: "crossed quote",
}


@dataclass(frozen=True, slots=True)
class Looked:
    """What look-ups found: arrays of one length.

    Attributes
    ----------
    bid, ask
        Micro-dollars, 0 where there is no usable quote.
    why
        :class:`Why` as numbers; 0 exactly where there is one.
    """

    bid: Ints
    ask: Ints
    why: NDArray[np.int8]


class Tape:
    """The national best bid and offer of a symbol over time. Arrays are read-only.

    Parameters
    ----------
    symbol
        Which.
    at
        When each quote came to be, in order; of several of one nanosecond the last one counts.
    bid, ask
        Micro-dollars, 0 where nobody quotes.
    sessions
        Pairs of opening and close, both within the session, in order. Left out, the tape is one session from its
        first quote to its last.
    halts
        Pairs of halt and resumption: it trades again at the second moment. A halt without an end lasts to the close:
        give 0 there.

    Raises
    ------
    BadInput
        Lengths that differ, times or spans out of order, numbers that are not whole or below 0.
    """

    __slots__ = ("_close", "_end", "_open", "_start", "ask", "at", "bid", "symbol")

    def __init__(
        self,
        symbol: str,
        at: ArrayLike,
        bid: ArrayLike,
        ask: ArrayLike,
        sessions: Sequence[Span] = (),
        halts: Sequence[Span] = (),
    ) -> None:
        self.symbol = canonical(symbol)
        self.at, self.bid, self.ask = (_whole(values, self.symbol) for values in (at, bid, ask))
        if not self.at.shape == self.bid.shape == self.ask.shape or self.at.ndim != 1:
            raise BadInput(f"The tape of {self.symbol} has columns of {self.at.shape}, {self.bid.shape} and "
                           f"{self.ask.shape}.", "Give three of one length.")  # fmt: skip
        if (np.diff(self.at) < 0).any():
            place = int(np.flatnonzero(np.diff(self.at) < 0)[0])
            raise BadInput(f"The tape of {self.symbol} goes back in time at row {place + 1}.", "Sort it by time.")
        if not sessions and len(self.at):
            sessions = [(int(self.at[0]), int(self.at[-1]))]
        days = _ordered(self.symbol, "session", sessions)
        # A span of before all time stands in front, so that each moment has one at or before it.
        self._open, self._close = _columns([(-1, -2), *days])
        stops = _ordered(self.symbol, "halt", [(halt, resumed or _close_of(halt, days) + 1) for halt, resumed in halts])
        self._start, self._end = _columns([(-1, -2), *_trading(days, stops)])
        for values in (self.at, self.bid, self.ask, self._open, self._close, self._start, self._end):
            values.flags.writeable = False

    def __len__(self) -> int:
        return len(self.at)

    def look(self, when: ArrayLike) -> Looked:
        """The quotes as of some moments: the last ones known by then, and never one from across a halt or a close."""
        moments = np.asarray(when, np.int64)
        why = np.zeros(moments.shape, np.int8)
        bid, ask, known = np.zeros_like(moments), np.zeros_like(moments), np.full(moments.shape, -1)
        if len(self.at):
            place = np.searchsorted(self.at, moments, side="right") - 1
            bid, ask, known = self.bid[place], self.ask[place], np.where(place < 0, -1, self.at[place])
        session = np.searchsorted(self._open, moments, side="right") - 1
        span = np.searchsorted(self._start, moments, side="right") - 1
        why[(bid > ask) & (ask > 0)] = Why.CROSSED
        why[(bid == 0) | (ask == 0)] = Why.ONE_SIDED
        why[known < self._start[span]] = Why.NOT_YET
        why[moments > self._end[span]] = Why.HALTED
        why[moments > self._close[session]] = Why.CLOSED
        there = why == Why.THERE
        return Looked(np.where(there, bid, 0), np.where(there, ask, 0), why)

    def after(self, when: ArrayLike, delay: int) -> Looked:
        """The quotes `delay` nanoseconds after some moments.

        It looks ahead, on purpose: it measures what came after a fill and is for realised spreads alone. Nothing that
        decides may ask it.
        """
        return self.look(np.asarray(when, np.int64) + delay)

    def last_of_session(self, when: ArrayLike) -> Looked:
        """The last usable quotes of the sessions that some moments lie in. It looks ahead, as :meth:`after` does."""
        moments = np.asarray(when, np.int64)
        usable = np.flatnonzero((self.bid > 0) & (self.bid <= self.ask))
        session = np.searchsorted(self._open, moments, side="right") - 1
        opened, close = self._open[session], self._close[session]
        bid, ask = np.zeros_like(moments), np.zeros_like(moments)
        there = moments <= close
        if len(usable):
            place = usable[np.searchsorted(self.at[usable], close, side="right") - 1]
            there &= (opened <= self.at[place]) & (self.at[place] <= close)
            bid, ask = np.where(there, self.bid[place], 0), np.where(there, self.ask[place], 0)
        else:
            there &= False
        return Looked(bid, ask, np.where(there, np.int8(Why.THERE), np.int8(Why.CLOSED)))

    def quote(self, at: int) -> Quote:
        """The quote as of one moment, with zeros where there is none."""
        found = self.look([at])
        return Quote(at, int(found.bid[0]), int(found.ask[0]))


class Prints:
    """The trades of a symbol that the market reported, for its volume-weighted average price.

    Parameters
    ----------
    symbol
        Which.
    at, price, shares
        When (in order), micro-dollars a share, how many.
    """

    __slots__ = ("_shares", "_value", "at", "symbol")

    def __init__(self, symbol: str, at: ArrayLike, price: ArrayLike, shares: ArrayLike) -> None:
        self.symbol = canonical(symbol)
        self.at, paid, sizes = (_whole(values, self.symbol) for values in (at, price, shares))
        if not self.at.shape == paid.shape == sizes.shape or (np.diff(self.at) < 0).any():
            raise BadInput(f"The prints of {self.symbol} do not fit together.", "Give three columns, sorted by time.")
        self._shares = np.concatenate([[0.0], np.cumsum(sizes, dtype=np.float64)])
        self._value = np.concatenate([[0.0], np.cumsum(paid.astype(np.float64) * sizes)])

    def vwap(self, start: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
        """Micro-dollars a share over trades from `start` to `end`, both included; NaN where nothing was traded."""
        first = np.searchsorted(self.at, np.asarray(start, np.int64), side="left")
        last = np.searchsorted(self.at, np.asarray(end, np.int64), side="right")
        shares = np.asarray(self._shares[last] - self._shares[first])
        value = np.asarray(self._value[last] - self._value[first])
        found: NDArray[np.float64] = np.full(shares.shape, np.nan)
        np.divide(value, shares, out=found, where=shares > 0)
        return found


def _trading(sessions: Sequence[Span], halts: Sequence[Span]) -> list[Span]:
    """First and last nanosecond of each unbroken stretch of trading."""
    found: list[Span] = []
    for opened, close in sessions:
        start = opened
        for halt, resumed in halts:
            if halt > close or resumed <= start:
                continue
            if halt > start:
                found.append((start, halt - 1))
            start = resumed
        if start <= close:
            found.append((start, close))
    return found


def _close_of(halt: int, sessions: Sequence[Span]) -> int:
    """The first close at or after a halt; the halt itself where none follows."""
    return next((close for _, close in sessions if close >= halt), halt)


def _ordered(symbol: str, what: str, spans: Iterable[Span]) -> list[Span]:
    whole = [(int(start), int(end)) for start, end in spans]
    edges = [edge for span in whole for edge in span]
    if edges != sorted(edges):
        raise BadInput(f"The {what}s of {symbol} overlap or are out of order: {whole}.", "Sort them, start before end.")
    return whole


def _columns(spans: Sequence[Span]) -> tuple[Ints, Ints]:
    both = np.array(spans, np.int64)
    return both[:, 0].copy(), both[:, 1].copy()


def _whole(values: ArrayLike, symbol: str) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise BadInput(f"A tape of {symbol} holds {array.dtype} values.", "Give whole micro-dollars and nanoseconds.")
    whole = np.array(array, np.int64)
    if whole.size and int(whole.min()) < 0:
        raise BadInput(f"A tape of {symbol} holds {int(whole.min())}.", "Give numbers of at least 0.")
    return whole
