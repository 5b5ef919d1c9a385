"""Which shares to take from which venue: the most valuable next, under order protection. Compiled, pure.

Three streams of shares flow from each venue, each with a value that falls as it is used: what it displays, level by
level; what it may hide at its best price; and a place in its queue, unit by unit. A share that is sent and fills costs
``c``; one that does not fill, or is not sent, costs the shortfall price ``C``; with the chance ``p`` of a fill it is
worth ``p (C - c)`` to send it there. The cost of a split is a sum of such terms, convex and linear in pieces, so that
taking the most valuable share next is optimal, and in whole shares. Order protection ties the streams: beyond a price P
every better protected quote must be taken in full. Where the plain optimum breaks that, each P is tried.
"""

from __future__ import annotations

import numpy as np

from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.fills import compiled

__all__ = ["deepest", "greedy", "room", "search"]


@compiled
def room(count, levels):  # type: ignore[no-untyped-def]
    """Room for the streams of so many venues; one order after the other may use it."""
    return at.Streams(
        np.empty((count, levels, 2), np.int64), np.empty((count, levels)), np.empty((count, at.STREAM_WHOLE), np.int64),
        np.empty((count, at.STREAM_REAL)), np.empty(2, np.int64),
    )  # fmt: skip


@compiled
def greedy(streams, shares, limit_y, forced_y, only, column):  # type: ignore[no-untyped-def]
    """Take the most valuable share next, until the order is spread or nothing is worth it.

    Displayed levels up to `limit_y` are open; the best ones of protected venues that are better than `forced_y` are
    taken first, whatever their worth. `only` is the one venue that is asked, or ``ALL``. What each stream gives is
    written into the three columns of `streams.whole` from `column` on. Returns the value, the shares left, and the
    shares that fill on average.
    """
    levels = streams.worth.shape[1]
    first = 0 if only < 0 else only
    last = len(streams.worth) if only < 0 else only + 1
    unit, trade = streams.units[0], streams.units[1]
    whole, real = streams.whole, streams.real
    left = shares
    value = 0.0
    filled = 0.0
    for venue in range(first, last):
        whole[venue, column] = 0
        whole[venue, column + 1] = 0
        whole[venue, column + 2] = 0
        whole[venue, at.S_PLACE] = 0
        if whole[venue, at.S_PROTECTED] == 1 and whole[venue, at.S_TOP] < forced_y:
            size = streams.levels[venue, 0, 1]
            whole[venue, column] = size
            value += streams.worth[venue, 0] * size
            filled += real[venue, at.R_CERTAIN] * size
            left -= size
            whole[venue, at.S_PLACE] = 1
        whole[venue, at.S_NUMBER] = whole[venue, at.S_FIRST]
        real[venue, at.R_TAIL] = real[venue, at.R_FIRST_TAIL]
        real[venue, at.R_MASS] = real[venue, at.R_FIRST_MASS]
    if left < 0:
        return -np.inf, left, filled
    while left > 0:
        best = 0.0
        pick = -1
        stream = 0
        for venue in range(first, last):
            level = whole[venue, at.S_PLACE]
            if level < levels and streams.levels[venue, level, 0] <= limit_y:
                mine = streams.worth[venue, level]
                if mine > best or (mine == best and pick >= 0 and whole[venue, at.S_KEY] < whole[pick, at.S_KEY]):
                    best, pick, stream = mine, venue, 0
            if whole[venue, at.S_HIDDEN] > whole[venue, column + 1] and whole[venue, at.S_HIDDEN_Y] <= limit_y:
                mine = real[venue, at.R_HIDDEN_WORTH]
                if mine > best or (mine == best and pick >= 0 and whole[venue, at.S_KEY] < whole[pick, at.S_KEY]):
                    best, pick, stream = mine, venue, 1
            if real[venue, at.R_TAIL] >= at.LEAST_CHANCE:
                mine = real[venue, at.R_TAIL] * real[venue, at.R_GAIN]
                if mine > best or (mine == best and pick >= 0 and whole[venue, at.S_KEY] < whole[pick, at.S_KEY]):
                    best, pick, stream = mine, venue, 2
        if pick < 0:
            break
        if stream == 0:
            size = min(left, streams.levels[pick, whole[pick, at.S_PLACE], 1])
            whole[pick, at.S_PLACE] += 1
            filled += real[pick, at.R_CERTAIN] * size
        elif stream == 1:
            size = min(left, whole[pick, at.S_HIDDEN])
            filled += real[pick, at.R_CERTAIN_HIDDEN] * size
        else:
            size = min(left, unit)
            filled += real[pick, at.R_TAIL] * size
            after = -(-(whole[pick, at.S_QUEUE] + whole[pick, column + 2] + size + unit) // trade)
            while whole[pick, at.S_NUMBER] < after:  # P(N >= k + 1) = P(N >= k) - P(N = k)
                real[pick, at.R_TAIL] -= real[pick, at.R_MASS]
                whole[pick, at.S_NUMBER] += 1
                real[pick, at.R_MASS] *= real[pick, at.R_MEAN] / whole[pick, at.S_NUMBER]
        whole[pick, column + stream] += size
        value += best * size
        left -= size
    return value, left, filled


@compiled
def deepest(streams, venue):  # type: ignore[no-untyped-def]
    """The y of the worst displayed or hidden share that a venue gives; lowest where it gives none."""
    used = streams.whole
    worst = -at.FAR_AWAY
    if used[venue, at.S_USED + 1] > 0:
        worst = streams.whole[venue, at.S_HIDDEN_Y]
    left = used[venue, at.S_USED]
    for level in range(streams.worth.shape[1]):
        if left <= 0:
            break
        worst = max(worst, streams.levels[venue, level, 0])
        left -= streams.levels[venue, level, 1]
    return worst


@compiled
def _protects(streams):  # type: ignore[no-untyped-def]
    """Whether every protected quote that is better than the worst price taken is taken in full."""
    worst = -at.FAR_AWAY
    for venue in range(len(streams.whole)):
        worst = max(worst, deepest(streams, venue))
    for venue in range(len(streams.whole)):
        if streams.whole[venue, at.S_PROTECTED] == 1 and streams.whole[venue, at.S_TOP] < worst \
                and streams.whole[venue, at.S_USED] < streams.levels[venue, 0, 1]:  # fmt: skip
            return False
    return True


@compiled
def search(streams, shares, limit_y):  # type: ignore[no-untyped-def]
    """The best split that protects better quotes: the plain optimum where it does, else the best over all prices P."""
    value, left, filled = greedy(streams, shares, limit_y, -at.FAR_AWAY, at.ALL, np.int64(at.S_USED))
    if _protects(streams):
        return value, left, filled, 0
    free = value
    value = -np.inf
    price = -at.FAR_AWAY
    tried = 0
    while value < free:
        after = at.FAR_AWAY
        for venue in range(len(streams.whole)):
            for level in range(streams.worth.shape[1]):
                if price < streams.levels[venue, level, 0] < after and streams.levels[venue, level, 0] <= limit_y:
                    after = streams.levels[venue, level, 0]
        if after == at.FAR_AWAY:
            break
        price = after
        tried += 1
        mine, rest, full = greedy(streams, shares, price, price, at.ALL, np.int64(at.S_TRIAL))
        if mine == -np.inf:  # better quotes take more than there is
            break
        if mine > value:
            value, left, filled = mine, rest, full
            for venue in range(len(streams.whole)):
                for stream in range(3):
                    streams.whole[venue, at.S_USED + stream] = streams.whole[venue, at.S_TRIAL + stream]
    return value, left, filled, tried
