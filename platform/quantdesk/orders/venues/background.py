"""The background of a book: orders of everybody else, renewed step by step around one's own. Compiled. Pure.

Within a step, each order of the background is cancelled with a fixed probability, wherever it stands in the queue
(cancellations at a constant rate per order: Cont, Stoikov and Talreja 2010, section 2.2); new ones queue up behind
until the displayed size is that of the flow. One's own order moves forward by what trades and by what is cancelled
before it, and never by more. What a market order of the background takes of the background is queued up again behind
at once: the volume of the flow is that of many small orders, between which others refill. Whether an order
survives is a hash of the seed and its serial number: the same whoever asks, and however often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from quantdesk.orders.venues.matching import (
    BUY,
    F_EVENT,
    F_MAKER,
    F_MAKER_OWNER,
    F_PRICE,
    F_SHARES,
    HIDDEN,
    L_PRICE,
    L_QUEUES,
    L_WORSE,
    M_BEST,
    M_FILLS,
    M_PEGS,
    O_BEFORE,
    O_KIND,
    O_LEVEL,
    O_NEXT,
    O_OWNER,
    O_SERIAL,
    O_SHARES,
    O_SIDE,
    PEG,
    SELL,
    SHOWN,
    SLOT_BITS,
    compiled,
    price_of,
    reduce,
    remove,
    rest,
    take,
)

__all__ = ["Targets", "renew", "shares_ahead", "trade"]

PIECES = 4
"""Into how many orders new size at a price is divided."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What the background shows after a step.

    Attributes
    ----------
    shown, hidden
        Shape ``(2, n, 2)``: for bids and offers, price and shares of each level; rows of 0 are none.
    """

    shown: Any
    hidden: Any

    @property
    def room(self) -> int:
        """How many orders it can add."""
        return 2 * PIECES * int(self.shown.shape[1] + self.hidden.shape[1])


@compiled
def _uniform(seed: int, number: int) -> float:
    """A number in [0, 1) that depends on both: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = np.uint64(seed) + np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float64(x >> np.uint64(11)) / 9007199254740992.0


@compiled
def _target(targets: Any, price: int) -> int:
    for row in range(len(targets)):
        if targets[row, 0] == price:
            return int(targets[row, 1])
    return 0


@compiled
def _thin(orders: Any, levels: Any, meta: Any, side: int, kind: int, targets: Any, survives: float, seed: int) -> None:
    """Cancel what is not at a price of the flow, and a part of the rest."""
    level = meta[M_BEST + side]
    while level >= 0:
        worse = levels[level, L_WORSE]
        stays = _target(targets, levels[level, L_PRICE]) > 0
        slot = levels[level, L_QUEUES + 3 * kind]
        while slot >= 0:
            after = orders[slot, O_NEXT]
            if orders[slot, O_OWNER] == 0 and not (stays and _uniform(seed, orders[slot, O_SERIAL]) < survives):
                remove(orders, levels, meta, slot)
            slot = after
        level = worse


@compiled
def _fill_up(orders: Any, levels: Any, meta: Any, fills: Any, side: int, kind: int, price: int, shares: int) -> None:
    """Bring the background at a price to a size: from the back, or at the back."""
    have = 0
    level = meta[M_BEST + side]
    while level >= 0 and levels[level, L_PRICE] != price:
        level = levels[level, L_WORSE]
    slot = -1
    if level >= 0:
        slot = levels[level, L_QUEUES + 3 * kind + 1]
        there = levels[level, L_QUEUES + 3 * kind]
        while there >= 0:
            if orders[there, O_OWNER] == 0:
                have += orders[there, O_SHARES]
            there = orders[there, O_NEXT]
    while have > shares:
        before = orders[slot, O_BEFORE]
        if orders[slot, O_OWNER] == 0:
            off = min(have - shares, orders[slot, O_SHARES])
            reduce(orders, levels, meta, slot, off)
            have -= off
        slot = before
    more = shares - have
    if more > 0:
        # What crosses an order of one's own trades with it before it can rest.
        more = take(orders, levels, meta, fills, side, more, price, 0, 0, 0)
    piece = (more + PIECES - 1) // PIECES
    while more > 0:
        rest(orders, levels, meta, side, price, min(piece, more), kind, 0)
        more -= min(piece, more)


@compiled
def renew(orders: Any, levels: Any, meta: Any, fills: Any, shown: Any, hidden: Any, survives: float, seed: int) -> None:
    """One step of the background; see the module. Old quotes of both sides go before new ones come."""
    for side in (BUY, SELL):
        _thin(orders, levels, meta, side, SHOWN, shown[side], survives, seed)
        _thin(orders, levels, meta, side, HIDDEN, hidden[side], survives, seed)
    for side in (BUY, SELL):
        for row in range(shown.shape[1]):
            if shown[side, row, 1] > 0:
                _fill_up(orders, levels, meta, fills, side, SHOWN, shown[side, row, 0], shown[side, row, 1])
        for row in range(hidden.shape[1]):
            if hidden[side, row, 1] > 0:
                _fill_up(orders, levels, meta, fills, side, HIDDEN, hidden[side, row, 0], hidden[side, row, 1])


@compiled
def trade(orders: Any, levels: Any, meta: Any, fills: Any, side: int, shares: int, limit: int) -> None:
    """A market order of the background; see the module."""
    begun = meta[M_FILLS]
    take(orders, levels, meta, fills, side, shares, limit, 0, 0, 0)
    for row in range(begun, meta[M_FILLS]):  # a row that was freed keeps its kind until it is used again
        fills[row, F_EVENT] = orders[fills[row, F_MAKER] & ((1 << SLOT_BITS) - 1), O_KIND]
    for row in range(begun, meta[M_FILLS]):
        if fills[row, F_MAKER_OWNER] == 0:
            rest(orders, levels, meta, 1 - side, fills[row, F_PRICE], fills[row, F_SHARES], fills[row, F_EVENT], 0)
        fills[row, F_EVENT] = 0


@compiled
def shares_ahead(orders: Any, levels: Any, meta: Any, slot: int) -> int:
    """Shares at the price of an order that trade before it."""
    kind, side, level = orders[slot, O_KIND], orders[slot, O_SIDE], orders[slot, O_LEVEL]
    price, serial = price_of(orders, meta, slot), orders[slot, O_SERIAL]
    before = 0
    if kind != PEG:
        there = orders[slot, O_BEFORE]
        while there >= 0:
            before += orders[there, O_SHARES]
            there = orders[there, O_BEFORE]
    else:
        level = meta[M_BEST + side]
        while level >= 0 and levels[level, L_PRICE] != price:
            level = levels[level, L_WORSE]
    if kind != SHOWN and level >= 0:
        before += levels[level, L_QUEUES + 2]
        if kind == PEG:
            there = levels[level, L_QUEUES + 3]
            while there >= 0:
                before += orders[there, O_SHARES] if orders[there, O_SERIAL] < serial else 0
                there = orders[there, O_NEXT]
    if kind != SHOWN:
        there = meta[M_PEGS + 3 * side]
        while there >= 0:
            same = there != slot and price_of(orders, meta, there) == price and orders[there, O_SERIAL] < serial
            before += orders[there, O_SHARES] if same else 0
            there = orders[there, O_NEXT]
    return before
