"""Many parent orders at once, through the loop that a single one goes through. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.order import MAX_SHARES, Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.config import Conditions
from quantdesk.orders.routing.day import Day
from quantdesk.orders.routing.decide import AUCTIONS, numbers_of

__all__ = ["Books", "Parents", "Splits", "split_many"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parents:
    """Parent orders as columns; `m` of them.

    Attributes
    ----------
    numbers
        Shape ``(m, 9)``: side (1 or -1), shares, limit in micro-dollars or 0, style and urgency by
        :mod:`quantdesk.orders.routing.layout`, time, whether quotes are protected, seed, daily volume.
    volatility
        Of a day's return, shape ``(m,)``.

    Raises
    ------
    BadInput
        Wrong shapes, or a value that no single order could have.
    """

    numbers: Ints
    volatility: Floats

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "numbers", _whole(self.numbers, "numbers of the orders"))
        put(self, "volatility", np.ascontiguousarray(self.volatility, dtype=np.float64))
        numbers = self.numbers
        if numbers.ndim != 2 or numbers.shape[1] != at.ORDER_SIZE or self.volatility.shape != (len(numbers),):
            raise BadInput(f"Orders of the shape {numbers.shape}.", f"Give {at.ORDER_SIZE} numbers an order.")
        lowest = {at.O_LIMIT: 0, at.O_SHARES: 1, at.O_VOLUME: 1, at.O_STYLE: at.MARKET, at.O_URGENCY: 0}
        highest = {at.O_SHARES: MAX_SHARES, at.O_STYLE: at.PEG_IOC, at.O_URGENCY: 2}
        if len(numbers) and (
            not np.isin(numbers[:, at.O_SIDE], (-1, 1)).all()
            or any(numbers[:, column].min() < least for column, least in lowest.items())
            or any(numbers[:, column].max() > most for column, most in highest.items())
            or ((numbers[:, at.O_STYLE] == at.RESTING) & (numbers[:, at.O_LIMIT] == 0)).any()
            or not (np.isfinite(self.volatility) & (self.volatility >= 0)).all()
        ):
            raise BadInput("An order of the batch could not be one by itself.", "Make them with Parents.of.")

    @classmethod
    def of(
        cls, orders: Sequence[Order], at_times: Sequence[int], day: Day, *,
        protection: bool | None = None, seed: int = 0, conditions: Sequence[Conditions] | None = None,
    ) -> Parents:  # fmt: skip
        """Columns of orders that are at hand as objects.

        Parameters
        ----------
        orders, at_times
            The orders, and the time of the quotes of each.
        day
            What holds on that day: :meth:`SmartOrderRouter.day`.
        protection, seed, conditions
            As for :meth:`SmartOrderRouter.route`; conditions one for each order.

        Raises
        ------
        BadInput
            A stop order, or one for an auction.
        """
        if any(order.time_in_force in AUCTIONS for order in orders):
            raise BadInput("An order for an auction is not split.", "Route it by itself.")
        protect = day.protection if protection is None else protection
        known = [Conditions()] * len(orders) if conditions is None else conditions
        rows = [
            numbers_of(order, when, protect, seed, one, day.config)
            for order, when, one in zip(orders, at_times, known, strict=True)
        ]
        assumed = day.config.assumed_volatility
        volatility = [assumed if one.daily_volatility is None else one.daily_volatility for one in known]
        return cls(np.array(rows, dtype=np.int64).reshape(-1, at.ORDER_SIZE), np.array(volatility, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class Books:
    """The books of `n` venues for each of `m` orders.

    Attributes
    ----------
    venues
        Names, in the order of the second axis.
    bid, bid_size, ask, ask_size
        Shape ``(m, n, levels)``, best first; 0 for none, as in :class:`~quantdesk.orders.quotes.Quotes`.
    quoted_at
        Shape ``(m, n)``.

    Raises
    ------
    BadInput
        Shapes that do not fit, negative values, a price without a size, levels out of order.
    """

    venues: tuple[str, ...]
    bid: Ints
    bid_size: Ints
    ask: Ints
    ask_size: Ints
    quoted_at: Ints

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "venues", tuple(self.venues))
        for name in ("bid", "bid_size", "ask", "ask_size", "quoted_at"):
            put(self, name, _whole(getattr(self, name), name))
        shape = self.bid.shape
        same = all(one.shape == shape for one in (self.bid_size, self.ask, self.ask_size))
        if len(shape) != 3 or shape[1] != len(self.venues) or not same or self.quoted_at.shape != shape[:2]:
            raise BadInput(
                f"Books of the shape {shape} for {len(self.venues)} venues.", "Give (orders, venues, levels)."
            )
        for price, size, better in ((self.bid, self.bid_size, -1), (self.ask, self.ask_size, 1)):
            if ((price == 0) != (size == 0)).any():
                raise BadInput("A book has a price without a size, or a size without a price.", "Give 0 for both.")
            if shape[2] > 1:
                after, before = price[:, :, 1:], price[:, :, :-1]
                if (((after - before) * better <= 0) & (after > 0)).any() or ((before == 0) & (after > 0)).any():
                    raise BadInput("The levels of a book are out of order.", "Give the best first.")

    @classmethod
    def of(cls, quotes: Sequence[Quotes]) -> Books:
        """From quotes over the same venues and with as many levels.

        Raises
        ------
        BadInput
            They differ in that.
        """
        if len({(one.venues, one.bid.shape, one.ask.shape) for one in quotes}) != 1:
            raise BadInput(f"{len(quotes)} quotes over different venues or levels.", "Give them alike.")
        stacked = [np.stack([getattr(one, name) for one in quotes])
                   for name in ("bid", "bid_size", "ask", "ask_size", "quoted_at")]  # fmt: skip
        return cls(quotes[0].venues, *stacked)


@dataclass(frozen=True, slots=True)
class Splits:
    """How `m` orders are split over `n` venues.

    Attributes
    ----------
    venues
        Names, in the order of the second axis.
    rows
        Shape ``(m, n, 6)``: shares taken, their limit, sweep marks, shares that join the queue, shares that rest at the
        bound, why nothing; by :mod:`quantdesk.orders.routing.layout`.
    whole, money
        What holds of each order: status, prices, best single venue; expected costs. Shapes ``(m, 9)`` and ``(m, 4)``.
    """

    venues: tuple[str, ...]
    rows: Ints
    whole: Ints
    money: Floats

    @property
    def shares(self) -> Ints:
        """Shares to each venue, shape ``(m, n)``."""
        rows = self.rows
        found: Ints = rows[:, :, at.F_TAKE] + rows[:, :, at.F_JOIN] + rows[:, :, at.F_REST]
        return found

    @property
    def expected_cost(self) -> Floats:
        """As of :attr:`Receipt.expected_cost`, shape ``(m,)``."""
        return self.money[:, at.C_EXPECTED]


def split_many(parents: Parents, books: Books, day: Day) -> Splits:
    """Decide all orders.

    Raises
    ------
    BadInput
        Not as many books as orders, or a quote from after its order.
    """
    count = len(parents)
    if len(books.bid) != count:
        raise BadInput(f"{count} orders and {len(books.bid)} books.", "Give one book an order.")
    if count and (books.quoted_at > parents.numbers[:, at.O_AT, None]).any():
        raise BadInput("A quote is later than its order.", "Give quotes known by then.")
    from quantdesk.orders.routing.kernel import split_all

    venues = len(books.venues)
    rows = np.zeros((count, venues, at.ROW_SIZE), np.int64)
    marks = np.zeros((venues, at.MARK_SIZE))
    whole = np.zeros((count, at.WHOLE_SIZE), np.int64)
    money = np.zeros((count, at.MONEY_SIZE))
    split_all(parents.numbers, parents.volatility, books.bid, books.bid_size, books.ask, books.ask_size,
              books.quoted_at, day.rules(books.venues), rows, marks, whole, money)  # fmt: skip
    return Splits(books.venues, rows, whole, money)


def _whole(values: ArrayLike, what: str) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise BadInput(f"The {what} are {array.dtype}.", "Give whole micro-dollars, shares and nanoseconds.")
    whole: Any = np.array(array, dtype=np.int64, order="C")
    if what != "numbers of the orders" and whole.size and whole.min() < 0:
        raise BadInput(f"A {what} is {whole.min()}.", "Give numbers of at least 0.")
    whole.flags.writeable = False  # the loop is compiled for arrays that it cannot write to
    found: Ints = whole
    return found
