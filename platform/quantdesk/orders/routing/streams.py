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

__all__ = ["alone", "greedy", "room", "search"]


@compiled
def room(count, levels):  # type: ignore[no-untyped-def]
    """Room for the streams of so many venues; one order after the other may use it."""
    return at.Streams(
        np.empty((count, levels, 2), np.int64), np.empty((count, levels)), np.empty((count, at.STREAM_WHOLE), np.int64),
        np.empty((count, at.STREAM_REAL)), np.empty(2, np.int64),
    )  # fmt: skip


@compiled
def greedy(streams, shares, limit_y, forced_y, column):  # type: ignore[no-untyped-def]
    """Take the most valuable share next, until the order is spread or nothing is worth it.

    Displayed levels up to `limit_y` are open; the best ones of protected venues that are better than `forced_y` are
    taken first, whatever their worth. What each stream gives, and the worst y, is written into the four columns of
    `streams.whole` from `column` on. Returns the value, the shares left, and the shares that fill on average.
    """
    levels = streams.worth.shape[1]
    count = len(streams.worth)
    unit, trade = streams.units[0], streams.units[1]
    whole, real = streams.whole, streams.real
    left = shares
    value = 0.0
    filled = 0.0
    for venue in range(count):
        whole[venue, column] = 0
        whole[venue, column + 1] = 0
        whole[venue, column + 2] = 0
        whole[venue, column + 3] = -at.FAR_AWAY
        whole[venue, at.S_PLACE] = 0
        if whole[venue, at.S_PROTECTED] == 1 and whole[venue, at.S_TOP] < forced_y:
            size = streams.levels[venue, 0, 1]
            whole[venue, column] = size
            whole[venue, column + 3] = whole[venue, at.S_TOP]
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
        for venue in range(count):
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
            level = whole[pick, at.S_PLACE]
            size = min(left, streams.levels[pick, level, 1])
            whole[pick, at.S_PLACE] = level + 1
            whole[pick, column + 3] = max(whole[pick, column + 3], streams.levels[pick, level, 0])
            filled += real[pick, at.R_CERTAIN] * size
        elif stream == 1:
            size = min(left, whole[pick, at.S_HIDDEN])
            whole[pick, column + 3] = max(whole[pick, column + 3], whole[pick, at.S_HIDDEN_Y])
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
def alone(streams, shares, limit_y, first, second, values):  # type: ignore[no-untyped-def]
    """The value of sending everything to one venue, for each: :func:`greedy` with that venue only.

    `first` and `second` are the two best protected y, beyond which only the venue itself may be: each is bound by the
    best of the others.
    """
    levels = streams.worth.shape[1]
    unit, trade = streams.units[0], streams.units[1]
    whole, real = streams.whole, streams.real
    for venue in range(len(values)):
        own_first = whole[venue, at.S_PROTECTED] == 1 and whole[venue, at.S_TOP] == first
        limit = min(limit_y, second if own_first else first)
        hidden = whole[venue, at.S_HIDDEN] if whole[venue, at.S_HIDDEN_Y] <= limit else np.int64(0)
        tail, likely, number = real[venue, at.R_FIRST_TAIL], real[venue, at.R_FIRST_MASS], whole[venue, at.S_FIRST]
        left, level, queued, value = shares, 0, np.int64(0), 0.0
        while left > 0:
            best, stream = 0.0, -1
            if level < levels and streams.levels[venue, level, 0] <= limit and streams.worth[venue, level] > best:
                best, stream = streams.worth[venue, level], 0
            if hidden > 0 and real[venue, at.R_HIDDEN_WORTH] > best:
                best, stream = real[venue, at.R_HIDDEN_WORTH], 1
            if tail >= at.LEAST_CHANCE and tail * real[venue, at.R_GAIN] > best:
                best, stream = tail * real[venue, at.R_GAIN], 2
            if stream < 0:
                break
            if stream == 0:
                size = min(left, streams.levels[venue, level, 1])
                level += 1
            elif stream == 1:
                size = min(left, hidden)
                hidden = np.int64(0)
            else:
                size = min(left, unit)
                queued += size
                after = -(-(whole[venue, at.S_QUEUE] + queued + unit) // trade)
                while number < after:
                    tail -= likely
                    number += 1
                    likely *= real[venue, at.R_MEAN] / number
            value += best * size
            left -= size
        values[venue] = value


@compiled
def _protects(streams):  # type: ignore[no-untyped-def]
    """Whether every protected quote that is better than the worst price taken is taken in full."""
    whole = streams.whole
    worst = -at.FAR_AWAY
    for venue in range(len(whole)):
        if whole[venue, at.S_HIDDEN_Y] > -at.FAR_AWAY:  # at the midpoint nothing trades through anything
            worst = max(worst, whole[venue, at.S_USED + 3])
    for venue in range(len(whole)):
        better = whole[venue, at.S_PROTECTED] == 1 and whole[venue, at.S_TOP] < worst
        if better and whole[venue, at.S_USED] < streams.levels[venue, 0, 1]:
            return False
    return True


@compiled
def search(streams, shares, limit_y):  # type: ignore[no-untyped-def]
    """The best split that protects better quotes: the plain optimum where it does, else the best over all prices P."""
    value, left, filled = greedy(streams, shares, limit_y, -at.FAR_AWAY, np.int64(at.S_USED))
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
        mine, rest, full = greedy(streams, shares, price, price, np.int64(at.S_TRIAL))
        if mine == -np.inf:  # better quotes take more than there is
            break
        if mine > value:
            value, left, filled = mine, rest, full
            for venue in range(len(streams.whole)):
                for stream in range(4):
                    streams.whole[venue, at.S_USED + stream] = streams.whole[venue, at.S_TRIAL + stream]
    return value, left, filled, tried
