"""A limit order book for one symbol at one venue: price, then displayed before hidden, then time. Pure.

>>> book = Book()
>>> ask = book.add(Side.SELL, 100_010_000, 300).handle
>>> book.add(Side.BUY, 100_010_000, 100).fills[0].price
100010000
>>> book.shares(ask)
200

The order of priority is that of the US exchanges' rule books (price / display / time, for example NYSE Arca 7.36-E).
Prices are micro-dollars, sizes shares. Owners are numbers that the caller gives; 0 is the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.venues import background, matching, replay

__all__ = ["Book", "Entered", "Fill", "Priority", "Side"]

Ints = NDArray[np.int64]
_CHUNK_FILLS = 1 << 16


class Side(IntEnum):
    """Which side of the book."""

    BUY = matching.BUY
    SELL = matching.SELL


class Priority(IntEnum):
    """How an order rests."""

    SHOWN = matching.SHOWN
    """Displayed."""
    HIDDEN = matching.HIDDEN
    """At its limit, behind all that is displayed at that price."""
    PEG = matching.PEG
    """Hidden at the national midpoint, its limit bounding it."""


class Fill(NamedTuple):
    """One trade.

    Attributes
    ----------
    event
        Number of the row of :meth:`Book.feed`, else 0.
    maker, maker_owner
        Handle and owner of the resting order.
    taker
        Handle of a resting peg that traded because the midpoint moved; 0 where the taker had just arrived.
    taker_owner
        Its owner.
    shares, price
        How many, at micro-dollars.
    left
        What is left of the resting order.
    """

    event: int
    maker: int
    maker_owner: int
    taker: int
    taker_owner: int
    shares: int
    price: int
    left: int


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of an order on arrival.

    Attributes
    ----------
    handle
        Of what rests; 0 where nothing does.
    left
        Shares that did not trade.
    fills
        What traded.
    """

    handle: int
    left: int
    fills: tuple[Fill, ...]


class Book:
    """The book. It grows as it needs to.

    Parameters
    ----------
    capacity
        Orders for which there is room at first.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._orders, self._levels, self._meta = matching.book_arrays(max(2, capacity))
        self._fills = np.zeros((len(self._orders) + 2, matching.FILL_SIZE), dtype=np.int64)

    def __len__(self) -> int:
        return int(self._meta[matching.M_LIVE])

    def add(
        self, side: Side, price: int, shares: int, *, priority: Priority = Priority.SHOWN, owner: int = 0
    ) -> Entered:
        """An order arrives, trades with what it meets, and rests with what is left.

        Parameters
        ----------
        side, price, shares
            What. A peg may have the price 0: no limit.
        priority
            How it rests.
        owner
            Whose it is.

        Raises
        ------
        BadInput
            Shares or a price that are none.
        """
        if price == 0 and priority is not Priority.PEG:
            raise BadInput("An order without a price cannot rest.", "Give a limit, or call take().")
        return self._enter(side, price, shares, priority, owner, rests=True)

    def take(self, side: Side, shares: int, limit: int = 0, *, owner: int = 0) -> Entered:
        """A market order (no limit) or an immediate-or-cancel order: nothing rests.

        Raises
        ------
        BadInput
            Shares or a limit that are none.
        """
        return self._enter(side, limit, shares, Priority.SHOWN, owner, rests=False)

    def take_one_by_one(self, side: Side, levels: Sequence[tuple[int, int]], shares: int) -> list[tuple[int, int]]:
        """Hidden orders of the background come up one after the other, and each is taken as soon as it is there.

        What is left of the last one rests. Nothing that rests already may meet them.

        Parameters
        ----------
        side
            On which they come up.
        levels
            Price and shares of each.
        shares
            How many are taken of all of them.

        Returns
        -------
        list
            Price and shares that were taken of each.
        """
        taken = []
        for number, (price, there) in enumerate(levels, 1):
            many = min(there, shares)
            taken.append((price, many))
            shares -= many
            if many < there:
                self._meta[matching.M_SERIAL] += number - 1
                self.add(side, price, there - many, priority=Priority.HIDDEN)
                return taken
        self._meta[matching.M_SERIAL] += len(levels)
        return taken

    def _enter(self, side: Side, price: int, shares: int, priority: Priority, owner: int, *, rests: bool) -> Entered:
        if shares <= 0 or price < 0:
            raise BadInput(f"An order of {shares} shares at {price} micro-dollars.", "Give shares above 0 and a price.")
        self._room(1)
        left, handle = matching.enter(
            self._orders,
            self._levels,
            self._meta,
            self._fills,
            int(side),
            price,
            shares,
            int(priority),
            owner,
            rests,
            0,
        )
        return Entered(handle, left, self._taken())

    def cancel(self, handle: int) -> int:
        """Take an order off; the shares that were left, 0 where it was not on the book any more."""
        return int(matching.cancel(self._orders, self._levels, self._meta, handle))

    def replace(self, handle: int, shares: int, price: int) -> Entered:
        """Change an order. Fewer shares at the same price keep their place in the queue; all else goes to the back.

        Raises
        ------
        BadInput
            It is on the book no longer, or the values are no order.
        """
        slot = matching.find(self._orders, handle)
        if slot < 0:
            raise BadInput(f"Order {handle} is not on the book.", "It was filled or cancelled.")
        if shares <= 0 or price < 0:
            raise BadInput(f"An order of {shares} shares at {price} micro-dollars.", "Give shares above 0 and a price.")
        row = self._orders[slot]
        if price == row[matching.O_PRICE] and shares <= row[matching.O_SHARES]:
            matching.reduce(self._orders, self._levels, self._meta, slot, int(row[matching.O_SHARES]) - shares)
            return Entered(handle, shares, ())
        side, kind, owner = (int(row[place]) for place in (matching.O_SIDE, matching.O_KIND, matching.O_OWNER))
        self.cancel(handle)
        return self.add(Side(side), price, shares, priority=Priority(kind), owner=owner)

    def shares(self, handle: int) -> int:
        """What is left of an order; 0 where it is not on the book."""
        slot = matching.find(self._orders, handle)
        return 0 if slot < 0 else int(self._orders[slot, matching.O_SHARES])

    def ahead(self, handle: int) -> int:
        """Shares at the same price that trade before an order: its queue position. 0 is the front.

        Raises
        ------
        BadInput
            It is on the book no longer.
        """
        slot = matching.find(self._orders, handle)
        if slot < 0:
            raise BadInput(f"Order {handle} is not on the book.", "It was filled or cancelled.")
        return int(background.shares_ahead(self._orders, self._levels, self._meta, slot))

    def peg(self, midpoint: int) -> tuple[Fill, ...]:
        """The national midpoint moves, pegs with it; 0 where there is none, and pegs do not trade."""
        matching.peg_to(self._orders, self._levels, self._meta, self._fills, midpoint, 0)
        return self._taken()

    def best(self, side: Side) -> tuple[int, int]:
        """Price and shares of the best displayed quote; zeros where there is none."""
        return (self.depth(side, 1) or [(0, 0)])[0]

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """Price and displayed shares of the best levels that show any, best first."""
        found: list[tuple[int, int]] = []
        level = int(self._meta[matching.M_BEST + side])
        while level >= 0 and len(found) < levels:
            row = self._levels[level]
            if row[matching.L_QUEUES + 2]:
                found.append((int(row[matching.L_PRICE]), int(row[matching.L_QUEUES + 2])))
            level = int(row[matching.L_WORSE])
        return found

    def feed(self, events: Ints) -> tuple[Ints, Ints]:
        """A stream of orders of the background, compiled: what a replay or a benchmark needs.

        Parameters
        ----------
        events
            Shape ``(n, 5)``: kind (0 add, 1 cancel, 2 take), side, price (0 for a market order), shares, and for a
            cancel the row of the order that it cancels.

        Returns
        -------
        tuple of arrays
            The fills, with columns as in :class:`Fill`; and the handle of each row's resting order, or 0.

        Raises
        ------
        BadInput
            Rows that are no events.
        """
        rows = np.ascontiguousarray(events, dtype=np.int64)
        _check(rows)
        handles = np.zeros(len(rows), dtype=np.int64)
        pieces = []
        done = 0
        while done < len(rows):
            if len(self._fills) < self._meta[matching.M_LIVE] + _CHUNK_FILLS:
                self._fills = np.zeros((len(self._orders) + _CHUNK_FILLS, matching.FILL_SIZE), dtype=np.int64)
            self._room(1)
            done = int(
                matching.feed(self._orders, self._levels, self._meta, self._fills, handles, rows, done)
            )  # stops where it lacks room
            pieces.append(self._fills[: self._meta[matching.M_FILLS]].copy())
            self._meta[matching.M_FILLS] = 0
        return np.concatenate(pieces) if pieces else np.zeros((0, matching.FILL_SIZE), dtype=np.int64), handles

    def renew(self, targets: background.Targets, survives: float, seed: int) -> tuple[Fill, ...]:
        """The background moves on by one step: see :mod:`quantdesk.orders.venues.background`."""
        self._room(targets.room)
        background.renew(
            self._orders, self._levels, self._meta, self._fills, targets.shown, targets.hidden, survives, seed
        )
        return self._taken()

    def trade(self, side: Side, shares: int, limit: int) -> tuple[Fill, ...]:
        """A market order of the background, which the background refills: the fills of orders that have an owner."""
        self._room(len(self) + 1)  # each order that trades may be followed by another one
        background.trade(self._orders, self._levels, self._meta, self._fills, int(side), shares, limit)
        return tuple(fill for fill in self._taken() if fill.maker_owner)

    def play(
        self, run: replay.Run, cursor: Ints, until: int, seed: int, survives: float
    ) -> tuple[int, tuple[Fill, ...]]:
        """Many steps of the background: see :func:`quantdesk.orders.venues.replay.play`.

        Returns
        -------
        tuple
            The moment and the fills at which an order that has an owner traded; no fills where none did until the end.
        """
        while True:
            self._meta[matching.M_FILLS] = 0
            stopped = replay.play(
                self._orders, self._levels, self._meta, self._fills, run.plan, run.tape, run.deeper, run.offsets,
                cursor, until, run.tick, run.width, seed, survives,
            )  # fmt: skip
            if stopped != replay.ROOM:
                return int(stopped), tuple(fill for fill in self._taken() if fill.maker_owner or fill.taker_owner)
            run = replace(run, offsets=run.offsets[cursor[0] - run.begun :], begun=int(cursor[0]))
            self._room(2 * len(self._orders))

    def _room(self, more: int) -> None:
        """Make room for some more orders, and for as many fills as there can be."""
        live, size = int(self._meta[matching.M_LIVE]), len(self._orders)
        if live + more > size:
            new = max(2 * size, live + more)
            orders, levels, _ = matching.book_arrays(new)
            for fresh, old, free, link in (
                (orders, self._orders, matching.M_FREE, matching.O_NEXT),
                (levels, self._levels, matching.M_FREE_LEVEL, matching.L_WORSE),
            ):
                fresh[:size] = old
                fresh[-1, link] = self._meta[free]  # the new rows come first, then what was free
                self._meta[free] = size
            self._orders, self._levels = orders, levels
        if live + more + 2 > len(self._fills):
            self._fills = np.zeros((2 * len(self._orders) + 2, matching.FILL_SIZE), dtype=np.int64)

    def _taken(self) -> tuple[Fill, ...]:
        number = int(self._meta[matching.M_FILLS])
        if not number:
            return ()
        self._meta[matching.M_FILLS] = 0
        return tuple(Fill(*row) for row in self._fills[:number].tolist())


def _check(rows: Any) -> None:
    if rows.ndim != 2 or rows.shape[1] != matching.EVENT_SIZE:
        raise BadInput(f"Events of the shape {rows.shape}.", f"Give {matching.EVENT_SIZE} columns.")
    kind, side, price, shares, reference = rows.T
    cancels = kind == matching.CANCEL
    wrong = (kind < 0) | (kind > matching.TAKE) | (~cancels & ((shares <= 0) | (side < 0) | (side > 1) | (price < 0)))
    wrong |= (kind == matching.ADD) & (price == 0)
    wrong |= cancels & ((reference < 0) | (reference >= np.arange(len(rows))))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"Event {place} is {rows[place].tolist()}.",
            "Give kind 0 to 2, side 0 or 1, a price, shares above 0; a cancel refers to an earlier row.",
        )
