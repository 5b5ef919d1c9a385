"""Where venues get the background from: bars, or books that stand still. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import numpy as np

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import SECOND, micros
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.symbols import canonical
from quantdesk.orders.venues.flow import Flow, flow_of
from quantdesk.orders.venues.impact import Impact
from quantdesk.orders.venues.prints import Trades
from quantdesk.orders.venues.shape import SessionBars, Shape

__all__ = ["BarSource", "Books", "Price", "Source", "StillSource"]

Price = int | float | str | Decimal
Books = Mapping[str, Mapping[str, Sequence[Price]]]
"""Symbol to venue to (bid, bid size, ask, ask size). A whole number as a price is micro-dollars; text, a float or a
Decimal is dollars."""
FOREVER = 1 << 62
_KEPT = 64
"""Flows that are kept; others are made again when they are asked for, the same."""


class Source(Protocol):
    """The background of symbols at venues."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        ...

    @property
    def venues(self) -> tuple[str, ...]:
        """Where."""
        ...

    @property
    def shape(self) -> Shape:
        """The parameters of the flow."""
        ...

    def flow(self, symbol: str, at: int) -> Flow | None:
        """The first session that closes after a moment; None where there is none.

        Raises
        ------
        UnknownName
            No such symbol.
        """
        ...

    def begun(self, symbol: str, at: int) -> Flow | None:
        """The last session that had opened by a moment; None where there is none.

        Raises
        ------
        UnknownName
            No such symbol.
        """
        ...


class BarSource:
    """Flow made from bars.

    Parameters
    ----------
    sessions
        By symbol, in the order of time: see :func:`quantdesk.orders.venues.intake.sessions_of`.
    venues
        Names.
    seed
        Each symbol and session has a generator of its own, made from it: what one asks for changes nothing for others.
    shape
        Parameters.
    stopped
        Whether a symbol is known to be halted at a moment: then nothing is quoted and nothing trades.
    """

    def __init__(
        self,
        sessions: Mapping[str, tuple[SessionBars, ...]],
        venues: Sequence[str],
        seed: int,
        *,
        shape: Shape | None = None,
        stopped: Callable[[str, int], bool] | None = None,
    ) -> None:
        self._sessions = dict(sessions)
        self.venues = tuple(venues)
        self.seed = seed
        self.shape = shape or Shape()
        self._stopped = stopped
        self._made: OrderedDict[tuple[str, int], Flow] = OrderedDict()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return tuple(self._sessions)

    def flow(self, symbol: str, at: int) -> Flow | None:
        """The first session that closes after a moment."""
        closes = [one.closes for one in self._days(symbol)]
        return self._flow(symbol, bisect_right(closes, at))

    def begun(self, symbol: str, at: int) -> Flow | None:
        """The last session that had opened by a moment."""
        opens = [one.opens for one in self._days(symbol)]
        return self._flow(symbol, bisect_right(opens, at) - 1)

    def _days(self, symbol: str) -> tuple[SessionBars, ...]:
        if symbol not in self._sessions:
            raise UnknownName("symbol", symbol, self._sessions)
        return self._sessions[symbol]

    def _flow(self, symbol: str, place: int) -> Flow | None:
        if not 0 <= place < len(self._sessions[symbol]):
            return None
        key = (symbol, place)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        session, stopped = self._sessions[symbol][place], self._stopped
        rng = np.random.default_rng([self.seed, session.opens // SECOND & 0xFFFFFFFF, *symbol.encode()])
        asked = None if stopped is None else lambda at: stopped(symbol, at)
        self._made[key] = flow_of(session, self.venues, rng, shape=self.shape, stopped=asked)
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return self._made[key]


class StillSource:
    """Books that stand still but for changes that are given: for tests, notebooks, and questions of "what if".

    Nothing trades by itself. What is displayed is all there is, unless `impact` says how much lies behind it.

    Parameters
    ----------
    books
        See :data:`Books`.
    at
        When they begin to hold.
    venues
        Names; those of the books when left out.
    later
        Changes, in the order of time: moments and the books that are replaced then.
    impact
        By symbol.

    Raises
    ------
    BadInput
        No books, a quote that is none, crossed quotes of one venue, changes out of order.
    """

    def __init__(
        self,
        books: Books,
        at: int,
        *,
        venues: Sequence[str] = (),
        later: Sequence[tuple[int, Books]] = (),
        impact: Mapping[str, Impact] | None = None,
    ) -> None:
        if not books:
            raise BadInput("There are no books.", "Give those of at least one symbol.")
        moments = [at, *(when for when, _ in later)]
        if moments != sorted(set(moments)):
            raise BadInput(f"The changes at {moments[1:]} are out of order.", f"Give ascending moments after {at}.")
        named = {name: None for book in (books, *(b for _, b in later)) for one in book.values() for name in one}
        self.venues = tuple(venues) or tuple(named)
        unknown = [name for name in named if name not in self.venues]
        if unknown:
            raise UnknownName("venue", unknown[0], self.venues)
        impact = {canonical(name): one for name, one in (impact or {}).items()}
        steps = [(at, _canonical(books)), *((when, _canonical(book)) for when, book in later)]
        self.shape = Shape()
        self._flows = {name: self._flow(name, steps, impact.get(name)) for name in steps[0][1]}

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return tuple(self._flows)

    def flow(self, symbol: str, at: int) -> Flow | None:  # noqa: ARG002 (one session for all time)
        """The only session, which has no end."""
        if symbol not in self._flows:
            raise UnknownName("symbol", symbol, self._flows)
        return self._flows[symbol]

    def begun(self, symbol: str, at: int) -> Flow | None:
        """The same, once it has begun."""
        flow = self.flow(symbol, at)
        return flow if flow is not None and flow.opens <= at else None

    def _flow(self, symbol: str, steps: Sequence[tuple[int, Books]], impact: Impact | None) -> Flow:
        now: dict[str, list[int]] = {}
        rows, moments = [], []
        for at, books in steps:
            if symbol not in books:
                continue
            now |= {venue: _quote(quote) for venue, quote in books[symbol].items()}
            Quotes.of(symbol, at, now)  # refuses what is no book
            rows.append([now.get(name, [0, 0, 0, 0]) for name in self.venues])
            moments.append(at)
        table = np.array(rows, dtype=np.int64)
        empty = np.zeros(0, dtype=np.int64)
        prices = table[0][:, [0, 2]]
        mid = int(prices[prices > 0].mean()) if (prices > 0).any() else 0
        return Flow(
            symbol, self.venues, moments[0], FOREVER, np.array(moments), np.full(len(moments), mid),
            table[:, :, 0], table[:, :, 1], table[:, :, 2], table[:, :, 3], Trades(*[empty] * 5),
            impact.tick if impact else 1, tuple(1 / len(self.venues) for _ in self.venues), impact,
        )  # fmt: skip


def _canonical(books: Books) -> dict[str, Mapping[str, Sequence[Price]]]:
    return {canonical(name): book for name, book in books.items()}


def _quote(given: Sequence[Price]) -> list[int]:
    if len(given) != 4:
        raise BadInput(f"The quote {given!r} has {len(given)} parts.", "Give bid, bid size, ask and ask size.")
    bid, bid_size, ask, ask_size = given
    return [_price(bid), _size(bid_size), _price(ask), _size(ask_size)]


def _price(value: Price) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else micros(value, "quote")


def _size(value: Price) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"The size {value!r} is no number of shares.", "Give a whole number.")
    return value
