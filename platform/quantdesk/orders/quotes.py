"""What venues show: their books side by side, and the national best. Pure.

Prices are micro-dollars, sizes shares, times nanoseconds since 1970 (UTC); 0 stands for "none".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import dollars
from quantdesk.orders.symbols import canonical

__all__ = ["Nbbo", "Quotes"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nbbo:
    """The national best bid and offer.

    Attributes
    ----------
    bid, ask
        Micro-dollars, 0 where nobody quotes.
    bid_size, ask_size
        Shares of all venues at that price.
    """

    bid: int
    bid_size: int
    ask: int
    ask_size: int

    @property
    def is_two_sided(self) -> bool:
        """Whether there are a bid and an offer."""
        return self.bid > 0 and self.ask > 0

    @property
    def is_crossed(self) -> bool:
        """Whether the bid is above the offer."""
        return self.bid > self.ask > 0

    @property
    def midpoint(self) -> int:
        """The middle, rounded down to a micro-dollar; 0 where a side is missing."""
        return (self.bid + self.ask) // 2 if self.is_two_sided else 0


class Quotes:
    """The visible books of all venues for one symbol at one moment. Arrays are read-only.

    Parameters
    ----------
    symbol
        Which.
    at
        When it was put together.
    venues
        Names, ``n`` of them, without repetition.
    bid, ask
        Prices of shape ``(n,)`` or ``(n, levels)``, best first, in micro-dollars.
    bid_size, ask_size
        Shares of the same shape; 0 exactly where the price is 0.
    quoted_at
        When each venue last changed its quote, shape ``(n,)``; `at` for all when left out.

    Raises
    ------
    BadInput
        Shapes that do not fit, negative or non-integer values, levels out of order, a venue whose own bid is not below
        its own offer, a quote from the future.
    """

    __slots__ = ("_nbbo", "ask", "ask_size", "at", "bid", "bid_size", "quoted_at", "symbol", "venues")

    def __init__(
        self,
        symbol: str,
        at: int,
        venues: Sequence[str],
        bid: ArrayLike,
        bid_size: ArrayLike,
        ask: ArrayLike,
        ask_size: ArrayLike,
        quoted_at: ArrayLike | None = None,
    ) -> None:
        self.symbol = canonical(symbol)
        self.at = int(at)
        self.venues = tuple(venues)
        number = len(self.venues)
        if len(set(self.venues)) != number:
            raise BadInput(f"A venue is named twice: {', '.join(self.venues)}.", "Give each venue once.")
        self.bid, self.bid_size = _levels(bid, number, "bid"), _levels(bid_size, number, "bid size")
        self.ask, self.ask_size = _levels(ask, number, "ask"), _levels(ask_size, number, "ask size")
        when = np.full(number, self.at) if quoted_at is None else quoted_at
        self.quoted_at = _whole(when, "time")
        self._check(number)
        for name in ("bid", "bid_size", "ask", "ask_size", "quoted_at"):
            getattr(self, name).flags.writeable = False
        self._nbbo: Nbbo | None = None

    def _check(self, number: int) -> None:
        if self.quoted_at.shape != (number,):
            raise BadInput(f"{number} venues have {self.quoted_at.size} times.", "Give one time a venue.")
        if number and int(self.quoted_at.max()) > self.at:
            raise BadInput(f"A quote is of {int(self.quoted_at.max())}, after {self.at}.", "Give quotes known by then.")
        for price, size, what, better in (
            (self.bid, self.bid_size, "bid", -1),
            (self.ask, self.ask_size, "ask", 1),
        ):
            if price.shape != size.shape:
                raise BadInput(f"{what}s have the shape {price.shape}, their sizes {size.shape}.", "Give them alike.")
            if ((price == 0) != (size == 0)).any():
                raise BadInput(f"A {what} of {self.symbol} has a price without a size, or a size without a price.",
                               "Give 0 for both where there is no quote.")  # fmt: skip
            step = np.diff(price, axis=1) * better
            if ((step <= 0) & (price[:, 1:] > 0)).any() or ((price[:, :-1] == 0) & (price[:, 1:] > 0)).any():
                raise BadInput(f"The levels of {what} of {self.symbol} are out of order.", "Give the best first.")
        if self.bid.size and self.ask.size:
            own = (self.bid[:, 0] >= self.ask[:, 0]) & (self.bid[:, 0] > 0) & (self.ask[:, 0] > 0)
            if own.any():
                place = int(np.flatnonzero(own)[0])
                raise BadInput(
                    f"{self.venues[place]} quotes {self.symbol} at {dollars(int(self.bid[place, 0]))} bid, "
                    f"{dollars(int(self.ask[place, 0]))} offered.",
                    "A venue's own bid is below its own offer.",
                )

    @classmethod
    def of(cls, symbol: str, at: int, books: Mapping[str, Sequence[int]]) -> Quotes:
        """From a mapping of venues to ``(bid, bid size, ask, ask size)``, one level each."""
        rows = np.array([list(row) for row in books.values()], dtype=np.int64).reshape(len(books), 4)
        return cls(symbol, at, tuple(books), rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])

    @property
    def nbbo(self) -> Nbbo:
        """The national best bid and offer over all venues given."""
        if self._nbbo is None:
            bid, ask = self.bid[:, 0], self.ask[:, 0]
            best_bid = int(bid.max(initial=0))
            offered = ask[ask > 0]
            best_ask = int(offered.min()) if offered.size else 0
            self._nbbo = Nbbo(
                best_bid,
                int(self.bid_size[:, 0][bid == best_bid].sum()) if best_bid else 0,
                best_ask,
                int(self.ask_size[:, 0][ask == best_ask].sum()) if best_ask else 0,
            )
        return self._nbbo

    def to_dict(self) -> dict[str, Any]:
        """Whole numbers and text, for the ledger and the wire; :meth:`from_dict` takes it back."""
        arrays = {name: getattr(self, name).tolist() for name in ("bid", "bid_size", "ask", "ask_size", "quoted_at")}
        return {"symbol": self.symbol, "at": self.at, "venues": list(self.venues), **arrays}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Quotes:
        """From what :meth:`to_dict` gave."""
        return cls(**given)


def _whole(values: ArrayLike, what: str) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise BadInput(f"The {what}s {values!r:.80} are not whole.", "Give whole micro-dollars and shares.")
    whole = np.array(array, dtype=np.int64)
    if whole.size and int(whole.min()) < 0:
        raise BadInput(f"A {what} is {int(whole.min())}.", "Give numbers of at least 0.")
    return whole


def _levels(values: ArrayLike, number: int, what: str) -> Ints:
    whole = _whole(values, what)
    shaped = whole.reshape(-1, 1) if whole.ndim == 1 else whole
    if shaped.ndim != 2 or len(shaped) != number or shaped.shape[1] == 0:
        raise BadInput(f"{number} venues have {what}s of the shape {whole.shape}.", "Give one row a venue.")
    return shaped
