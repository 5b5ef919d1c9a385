"""The limit order book on integers, compiled. Pure.

An order is a row of `orders`, a price a row of `levels`; both hang in linked lists. Best prices come first, and within
a price what is displayed before what is hidden, each in order of arrival. Midpoint pegs of a side are in a list of
their own, because their price is the market's: the national midpoint, bounded by the limit of each. Prices are
micro-dollars.

A new price is looked for from the best one on, so that orders near the touch, which is most of them, cost the same in
a deep book as in a thin one; one far away costs a step for each price between.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from quantdesk.compute.machine_code import Compiler

__all__ = ["BUY", "HIDDEN", "PEG", "SELL", "SHOWN", "book_arrays", "cancel", "enter", "feed", "peg_to", "take"]

BUY, SELL = 0, 1
SHOWN, HIDDEN, PEG = 0, 1, 2

# Places in an order. The price of a peg is its limit, 0 for none; its level is -1. A side's serial numbers ascend.
O_PRICE, O_SHARES, O_SIDE, O_KIND, O_NEXT, O_BEFORE, O_LEVEL, O_OWNER, O_SERIAL = range(9)
ORDER_SIZE = 9
# Places in a level: head, tail and shares of the displayed, then of the hidden.
L_PRICE, L_WORSE, L_BETTER, L_QUEUES = range(4)
LEVEL_SIZE = 9
# Places in `meta`: free rows, best level of each side, head, tail and shares of the pegs of each side, and counters.
M_FREE, M_FREE_LEVEL, M_BEST, M_PEGS, M_MIDPOINT, M_SERIAL, M_FILLS, M_LIVE = 0, 1, 2, 4, 10, 11, 12, 13
META_SIZE = 14
# Places in a fill; `taker` is the handle of a resting peg that traded because it moved, else 0.
F_EVENT, F_MAKER, F_MAKER_OWNER, F_TAKER, F_TAKER_OWNER, F_SHARES, F_PRICE, F_LEFT = range(8)
FILL_SIZE = 8
# Kinds of events of `feed`, and their places.
ADD, CANCEL, TAKE = range(3)
E_KIND, E_SIDE, E_PRICE, E_SHARES, E_REFERENCE = range(5)
EVENT_SIZE = 5

HIGHEST = 1 << 62
SLOT_BITS = 24
"""A handle holds the serial number above these bits and the row below them."""

compiled = Compiler(Path(__file__).parent)


def book_arrays(capacity: int) -> tuple[Any, Any, Any]:
    """Orders, levels and meta of an empty book that can hold `capacity` orders."""
    orders, levels, meta = _empty(capacity)
    return orders.copy(), levels.copy(), meta.copy()


@lru_cache(maxsize=16)
def _empty(capacity: int) -> tuple[Any, Any, Any]:
    orders = np.zeros((capacity, ORDER_SIZE), dtype=np.int64)
    levels = np.zeros((capacity, LEVEL_SIZE), dtype=np.int64)
    meta = np.zeros(META_SIZE, dtype=np.int64)
    orders[:, O_NEXT] = np.arange(1, capacity + 1)
    levels[:, L_WORSE] = np.arange(1, capacity + 1)
    orders[-1, O_NEXT] = levels[-1, L_WORSE] = -1
    meta[[M_BEST, M_BEST + 1, M_PEGS, M_PEGS + 1, M_PEGS + 3, M_PEGS + 4]] = -1
    return orders, levels, meta


@compiled
def price_of(orders: Any, meta: Any, slot: int) -> Any:
    """At what price an order trades now; 0 for a peg while there is no midpoint."""
    bound = orders[slot, O_PRICE]
    if orders[slot, O_KIND] != PEG:
        return bound
    middle = meta[M_MIDPOINT]
    if middle == 0 or bound == 0:
        return middle
    if orders[slot, O_SIDE] == BUY:
        return min(middle, bound)
    return max(middle, bound)


@compiled
def _level_at(levels: Any, meta: Any, side: int, price: int) -> Any:
    """The level of a price; made where there is none."""
    sign = 1 if side == SELL else -1
    better, level = -1, meta[M_BEST + side]
    while level >= 0 and levels[level, L_PRICE] * sign < price * sign:
        better, level = level, levels[level, L_WORSE]
    if level >= 0 and levels[level, L_PRICE] == price:
        return level
    new = meta[M_FREE_LEVEL]
    meta[M_FREE_LEVEL] = levels[new, L_WORSE]
    levels[new, L_PRICE] = price
    levels[new, L_WORSE] = level
    levels[new, L_BETTER] = better
    for queue in (L_QUEUES, L_QUEUES + 3):
        levels[new, queue] = -1
        levels[new, queue + 1] = -1
        levels[new, queue + 2] = 0
    if level >= 0:
        levels[level, L_BETTER] = new
    if better >= 0:
        levels[better, L_WORSE] = new
    else:
        meta[M_BEST + side] = new
    return new


@compiled
def rest(orders: Any, levels: Any, meta: Any, side: int, price: int, shares: int, kind: int, owner: int) -> Any:
    """Put an order behind all others of its price and kind; its handle. There must be a free row."""
    slot = meta[M_FREE]
    meta[M_FREE] = orders[slot, O_NEXT]
    meta[M_LIVE] += 1
    meta[M_SERIAL] += 1
    serial = meta[M_SERIAL]
    orders[slot, O_PRICE] = price
    orders[slot, O_SHARES] = shares
    orders[slot, O_SIDE] = side
    orders[slot, O_KIND] = kind
    orders[slot, O_OWNER] = owner
    orders[slot, O_SERIAL] = serial
    orders[slot, O_NEXT] = -1
    if kind == PEG:
        orders[slot, O_LEVEL] = -1
        _append(orders, meta, M_PEGS + 3 * side, slot, shares)
    else:
        level = _level_at(levels, meta, side, price)
        orders[slot, O_LEVEL] = level
        _append(orders, levels[level], L_QUEUES + 3 * kind, slot, shares)
    return (serial << SLOT_BITS) | slot


@compiled
def _append(orders: Any, row: Any, queue: int, slot: int, shares: int) -> None:
    tail = row[queue + 1]
    orders[slot, O_BEFORE] = tail
    if tail >= 0:
        orders[tail, O_NEXT] = slot
    else:
        row[queue] = slot
    row[queue + 1] = slot
    row[queue + 2] += shares


@compiled
def _unlink(orders: Any, row: Any, queue: int, slot: int) -> None:
    before, after = orders[slot, O_BEFORE], orders[slot, O_NEXT]
    if before >= 0:
        orders[before, O_NEXT] = after
    else:
        row[queue] = after
    if after >= 0:
        orders[after, O_BEFORE] = before
    else:
        row[queue + 1] = before
    row[queue + 2] -= orders[slot, O_SHARES]


@compiled
def remove(orders: Any, levels: Any, meta: Any, slot: int) -> None:
    """Take an order off the book, with what is left of it."""
    side, kind, level = orders[slot, O_SIDE], orders[slot, O_KIND], orders[slot, O_LEVEL]
    if kind == PEG:
        _unlink(orders, meta, M_PEGS + 3 * side, slot)
    else:
        row = levels[level]
        _unlink(orders, row, L_QUEUES + 3 * kind, slot)
        if row[L_QUEUES] < 0 and row[L_QUEUES + 3] < 0:
            better, worse = row[L_BETTER], row[L_WORSE]
            if better >= 0:
                levels[better, L_WORSE] = worse
            else:
                meta[M_BEST + side] = worse
            if worse >= 0:
                levels[worse, L_BETTER] = better
            row[L_WORSE] = meta[M_FREE_LEVEL]
            meta[M_FREE_LEVEL] = level
    orders[slot, O_SERIAL] = 0
    orders[slot, O_SHARES] = 0
    orders[slot, O_NEXT] = meta[M_FREE]
    meta[M_FREE] = slot
    meta[M_LIVE] -= 1


@compiled
def reduce(orders: Any, levels: Any, meta: Any, slot: int, shares: int) -> None:
    """Take shares off an order, which keeps its place; with the last it goes."""
    if shares >= orders[slot, O_SHARES]:
        remove(orders, levels, meta, slot)
        return
    orders[slot, O_SHARES] -= shares
    if orders[slot, O_KIND] == PEG:
        meta[M_PEGS + 3 * orders[slot, O_SIDE] + 2] -= shares
    else:
        levels[orders[slot, O_LEVEL], L_QUEUES + 3 * orders[slot, O_KIND] + 2] -= shares


@compiled
def find(orders: Any, handle: int) -> Any:
    """The row of a handle; -1 where the order is on the book no longer."""
    slot = handle & ((1 << SLOT_BITS) - 1)
    serial = handle >> SLOT_BITS
    if serial == 0 or slot >= len(orders) or orders[slot, O_SERIAL] != serial:
        return -1
    return slot


@compiled
def first(orders: Any, levels: Any, meta: Any, side: int) -> Any:
    """The row of the order of a side that trades first: price, then displayed, then time. -1 where there is none."""
    level = meta[M_BEST + side]
    slot = -1
    if level >= 0:
        slot = levels[level, L_QUEUES]
        if slot < 0:
            slot = levels[level, L_QUEUES + 3]
    peg = meta[M_PEGS + 3 * side]
    if peg < 0 or meta[M_MIDPOINT] == 0:
        return slot
    sign = 1 if side == SELL else -1
    best, price = peg, price_of(orders, meta, peg)
    while peg >= 0:
        own = price_of(orders, meta, peg)
        if own * sign < price * sign:
            best, price = peg, own
        peg = orders[peg, O_NEXT]
    if slot < 0 or price * sign < levels[level, L_PRICE] * sign:
        return best
    is_later = orders[slot, O_KIND] == HIDDEN and orders[best, O_SERIAL] < orders[slot, O_SERIAL]
    return best if price == levels[level, L_PRICE] and is_later else slot


@compiled
def take(orders: Any, levels: Any, meta: Any, fills: Any, side: int, shares: int, limit: int, owner: int,
         taker: int, event: int) -> Any:  # fmt: skip
    """Trade against the other side up to a limit, best first; the shares that are left."""
    while shares > 0:
        slot = first(orders, levels, meta, 1 - side)
        if slot < 0:
            break
        price = price_of(orders, meta, slot)
        if (side == BUY and price > limit) or (side == SELL and price < limit):
            break
        quantity = min(shares, orders[slot, O_SHARES])
        row = fills[meta[M_FILLS]]
        meta[M_FILLS] += 1
        row[F_EVENT] = event
        row[F_MAKER] = (orders[slot, O_SERIAL] << SLOT_BITS) | slot
        row[F_MAKER_OWNER] = orders[slot, O_OWNER]
        row[F_TAKER] = taker
        row[F_TAKER_OWNER] = owner
        row[F_SHARES] = quantity
        row[F_PRICE] = price
        row[F_LEFT] = orders[slot, O_SHARES] - quantity
        reduce(orders, levels, meta, slot, quantity)
        shares -= quantity
    return shares


@compiled
def enter(orders: Any, levels: Any, meta: Any, fills: Any, side: int, price: int, shares: int, kind: int, owner: int,
          rests: bool, event: int) -> tuple[int, int]:  # fmt: skip
    """An order arrives: it trades with what it meets, and what is left rests. Shares left, and the handle or 0.

    A price of 0 is none: a market order, which must not rest, or a peg without a limit.
    """
    left = shares
    bound = price
    if kind == PEG:
        middle = meta[M_MIDPOINT]
        bound = middle
        if price > 0 and middle > 0:
            bound = min(middle, price) if side == BUY else max(middle, price)
    elif price == 0:
        bound = HIGHEST if side == BUY else 1
    if bound > 0:
        left = take(orders, levels, meta, fills, side, shares, bound, owner, 0, event)
    handle = 0
    if left > 0 and rests:
        handle = rest(orders, levels, meta, side, price, left, kind, owner)
    return left, handle


@compiled
def peg_to(orders: Any, levels: Any, meta: Any, fills: Any, midpoint: int, event: int) -> None:
    """The national midpoint is now this, or 0 for none: pegs move to it, and trade where that brings them together."""
    if meta[M_MIDPOINT] == midpoint:
        return
    meta[M_MIDPOINT] = midpoint
    if midpoint == 0:
        return
    for side in (BUY, SELL):
        slot = meta[M_PEGS + 3 * side]
        while slot >= 0:
            after = orders[slot, O_NEXT]
            shares = orders[slot, O_SHARES]
            handle = (orders[slot, O_SERIAL] << SLOT_BITS) | slot
            left = take(
                orders, levels, meta, fills, side, shares, price_of(orders, meta, slot), orders[slot, O_OWNER],
                handle, event,
            )  # fmt: skip
            if left < shares:
                reduce(orders, levels, meta, slot, shares - left)
            slot = after


@compiled
def cancel(orders: Any, levels: Any, meta: Any, handle: int) -> int:
    """Take an order off the book; the shares that were left, 0 where it was not there."""
    slot = find(orders, handle)
    if slot < 0:
        return 0
    left = int(orders[slot, O_SHARES])
    remove(orders, levels, meta, slot)
    return left


@compiled
def feed(orders: Any, levels: Any, meta: Any, fills: Any, handles: Any, events: Any, start: int) -> int:
    """Take in rows of events from `start` on; where it stopped: at the end, or for want of room.

    ``handles[row]`` becomes the handle of what rests of an ADD; a CANCEL refers to such a row.
    """
    for row in range(start, len(events)):
        kind = events[row, E_KIND]
        if kind == CANCEL:
            cancel(orders, levels, meta, handles[events[row, E_REFERENCE]])
            continue
        if meta[M_FREE] < 0 or meta[M_FILLS] + meta[M_LIVE] >= len(fills):
            return row
        side, price, shares = events[row, E_SIDE], events[row, E_PRICE], events[row, E_SHARES]
        _, handle = enter(orders, levels, meta, fills, side, price, shares, SHOWN, 0, kind == ADD, row)
        handles[row] = handle
    return len(events)
