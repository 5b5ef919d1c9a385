"""Many steps of the background in one go, until one's own order trades. Compiled. Pure.

It does what :class:`~quantdesk.orders.venues.listing.Listing` does step by step where no halt and no band has a say; a
test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.venues.background import renew, trade
from quantdesk.orders.venues.matching import (
    BUY,
    F_MAKER_OWNER,
    F_TAKER_OWNER,
    M_FILLS,
    M_LIVE,
    SELL,
    compiled,
    peg_to,
)

__all__ = ["DONE", "ROOM", "Run", "fill_targets", "play"]

P_AT, P_BID, P_BID_SIZE, P_ASK, P_ASK_SIZE, P_HIDDEN_BID, P_HIDDEN_ASK, P_MIDPOINT = range(8)
PLAN_SIZE = 8
"""A step: when, best quotes of the venue with displayed and hidden sizes, national midpoint (0 for none)."""
T_AT, T_SIDE, T_PRICE, T_SHARES = range(4)
"""A market order: when, side of the book that it is on, its limit, shares."""
DONE, ROOM = -1, -2
"""Why it stopped, where it did not stop at a fill: nothing more to do, or no more room in the book."""
GOLDEN = 0x9E3779B97F4A7C15 & 0x7FFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Run:
    """What :meth:`Book.play` plays: the arrays of :func:`play`.

    Attributes
    ----------
    plan, tape, deeper, offsets, tick, width
        See :func:`play`.
    begun
        The step before the first of the offsets.
    """

    plan: NDArray[np.int64]
    tape: NDArray[np.int64]
    deeper: NDArray[np.int64]
    offsets: NDArray[np.int64]
    tick: int
    width: int
    begun: int


@compiled
def fill_targets(row: Any, deeper: Any, tick: int, offset: int, shown: Any, hidden: Any) -> None:
    """Write what is displayed and hidden in a step, as :class:`Targets` has it."""
    for side in (BUY, SELL):
        price, size, more = row[P_BID], row[P_BID_SIZE], row[P_HIDDEN_BID]
        away = -tick
        if side == SELL:
            price, size, more = row[P_ASK], row[P_ASK_SIZE], row[P_HIDDEN_ASK]
            away = tick
        touch = price + offset
        there = price > 0 and size > 0 and touch > 0
        for level in range(shown.shape[1]):
            at = touch + level * away
            shares = size if level == 0 else (deeper[level - 1] if level <= len(deeper) else 0)
            use = there and at > 0 and shares > 0
            shown[side, level, 0] = at if use else 0
            shown[side, level, 1] = shares if use else 0
        hidden[side, 0, 0] = touch if there and more > 0 else 0
        hidden[side, 0, 1] = more if there and more > 0 else 0


@compiled
def _own_fill(fills: Any, meta: Any) -> bool:
    for row in range(meta[M_FILLS]):
        if fills[row, F_MAKER_OWNER] != 0 or fills[row, F_TAKER_OWNER] != 0:
            return True
    meta[M_FILLS] = 0
    return False


@compiled
def play(orders: Any, levels: Any, meta: Any, fills: Any, plan: Any, tape: Any, deeper: Any, offsets: Any,
         cursor: Any, until: int, tick: int, width: int, seed: int, survives: float) -> int:  # fmt: skip
    """Play on to a moment, or to the first fill of an order that has an owner.

    Parameters
    ----------
    plan, tape
        Steps and market orders of the session.
    deeper
        Shares of the displayed levels behind the touch: a row for each step, or one for all of them.
    offsets
        Of each step, from the one after the present one on: micro-dollars by which prices are moved.
    cursor
        The present step, the market orders that are done, and the offset of the present step; they are moved on.
    until
        The last moment.
    tick, width
        Step of prices, and how many levels are displayed.
    seed, survives
        See :func:`renew`.

    Returns
    -------
    int
        The moment of the fill; DONE, or ROOM.
    """
    shown = np.zeros((2, width, 2), dtype=np.int64)
    hidden = np.zeros((2, 1, 2), dtype=np.int64)
    begun = cursor[0]
    while True:
        following = cursor[0] + 1
        ends = until + 1
        if following < len(plan):
            ends = min(ends, plan[following, P_AT])
        while cursor[1] < len(tape) and tape[cursor[1], T_AT] < ends:
            live = meta[M_LIVE]
            if len(orders) - live <= live + 1:
                return ROOM
            row = cursor[1]
            cursor[1] += 1
            limit = tape[row, T_PRICE] + cursor[2]
            if cursor[0] >= 0 and limit > 0:
                trade(orders, levels, meta, fills, tape[row, T_SIDE], tape[row, T_SHARES], limit)
                if _own_fill(fills, meta):
                    return int(tape[row, T_AT])
        if following >= len(plan) or plan[following, P_AT] > until:
            return DONE
        if len(orders) - meta[M_LIVE] <= 8 * (width + 1):
            return ROOM
        cursor[0] = following
        cursor[2] = offsets[following - begun - 1]
        step = plan[following]
        fill_targets(step, deeper[min(following, len(deeper) - 1)], tick, cursor[2], shown, hidden)
        mixed = (seed + following * GOLDEN) & 0x7FFFFFFFFFFFFFFF
        peg_to(orders, levels, meta, fills, 0, 0)
        renew(orders, levels, meta, fills, shown, hidden, survives, mixed)
        middle = step[P_MIDPOINT] + cursor[2] if step[P_MIDPOINT] > 0 else 0
        peg_to(orders, levels, meta, fills, max(middle, 0), 0)
        if _own_fill(fills, meta):
            return int(step[P_AT])
