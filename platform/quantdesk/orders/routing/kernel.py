"""The split of one order over venues, on integers, compiled. Pure: arrays in, arrays filled.

The streams are filled in by :mod:`~quantdesk.orders.routing.costs`, and the most valuable shares are taken by
:mod:`~quantdesk.orders.routing.streams`; here the rest is sent, what sweeps is marked, and each venue gets a reason.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from quantdesk.orders.routing import costs, fills, streams
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.costs import adding, bound_of, displayed, national, queues, shown, step_at, taking
from quantdesk.orders.routing.fills import compiled, kept
from quantdesk.orders.routing.streams import alone, greedy, room, search

__all__ = ["split_all", "split_one", "stamp"]


@compiled
def _spread_out(shares, streams):  # type: ignore[no-untyped-def]
    """Shares in proportion to the weights, whole, what is left over to the heaviest; False where there is no weight."""
    total = 0.0
    heaviest = -1
    count = len(streams.real)
    for venue in range(count):
        weight = streams.real[venue, at.R_WEIGHT]
        total += weight
        if weight > 0.0 and (heaviest < 0 or weight > streams.real[heaviest, at.R_WEIGHT]):
            heaviest = venue
    if heaviest < 0:
        return False
    left = shares
    for venue in range(count):
        part = min(left, np.int64(shares * (streams.real[venue, at.R_WEIGHT] / total)))
        streams.whole[venue, at.S_EXTRA] = part
        left -= part
    streams.whole[heaviest, at.S_EXTRA] += left
    return True


@compiled
def _rest(order, book, rules, price, left, streams, rows, column):  # type: ignore[no-untyped-def]
    """Let what is left rest at a price, where it is likeliest and cheapest to fill; what hardly will, spread out."""
    count = len(rows)
    dearest = -np.inf
    for venue in range(count):
        if rules.venues[venue, at.V_KNOWN] == 1:
            dearest = max(dearest, adding(rules.venues, venue, price))
    base = order[at.O_SIDE] * price + dearest + step_at(rules.ticks, price)  # so that each venue gains something
    queues(order, book, rules, price, rules.params[at.P_REST], base, streams)
    _, left, _ = greedy(streams, left, -at.FAR_AWAY, -at.FAR_AWAY, np.int64(at.S_TRIAL))
    for venue in range(count):
        rows[venue, column] += streams.whole[venue, at.S_TRIAL + 2]
    _tail(streams, left, rows, column)


@compiled
def _tail(streams, left, rows, column):  # type: ignore[no-untyped-def]
    """Shares that will hardly fill anywhere rest all the same, by flow over queue; what cannot even is returned."""
    if left > 0:
        for venue in range(len(rows)):
            streams.real[venue, at.R_WEIGHT] = 0.0
            if streams.real[venue, at.R_GAIN] > 0.0:
                streams.real[venue, at.R_WEIGHT] = (streams.real[venue, at.R_MEAN] + 1e-9) / (
                    streams.whole[venue, at.S_QUEUE] + streams.units[0]
                )
        if _spread_out(left, streams):
            for venue in range(len(rows)):
                rows[venue, column] += streams.whole[venue, at.S_EXTRA]
            return np.int64(0)
    return left


@compiled
def _best_two(streams):  # type: ignore[no-untyped-def]
    """The two best y of protected quotes; a venue whose own is the first is bound by the second."""
    first, second = at.FAR_AWAY, at.FAR_AWAY
    for venue in range(len(streams.whole)):
        if streams.whole[venue, at.S_PROTECTED] == 1:
            top = streams.whole[venue, at.S_TOP]
            if top < first:
                first, second = top, first
            elif top < second:
                second = top
    return first, second


@compiled
def _sweep_orders(order, streams, first, second, rest_price, rows):  # type: ignore[no-untyped-def]
    """Mark what sweeps: 1 for a child that takes, 2 for one that rests.

    These are each child that may trade through a protected quote elsewhere, and those that take such quotes in full.
    """
    if order[at.O_STYLE] == at.PEG_IOC:
        return
    side = order[at.O_SIDE]
    standing = streams.whole
    worst = -at.FAR_AWAY
    for venue in range(len(rows)):
        own_first = standing[venue, at.S_PROTECTED] == 1 and standing[venue, at.S_TOP] == first
        others = second if own_first else first
        if rows[venue, at.F_TAKE] > 0 and others < side * rows[venue, at.F_TAKE_LIMIT]:
            rows[venue, at.F_ISO] |= 1
            worst = max(worst, side * rows[venue, at.F_TAKE_LIMIT])
        if rows[venue, at.F_REST] > 0 and others < side * rest_price:
            rows[venue, at.F_ISO] |= 2
            worst = max(worst, side * rest_price)
    for venue in range(len(rows)):
        if rows[venue, at.F_TAKE] > 0 and standing[venue, at.S_PROTECTED] == 1 and standing[venue, at.S_TOP] < worst:
            rows[venue, at.F_ISO] |= 1


@compiled
def _say_why(order, book, rules, whole, limit_y, rows):  # type: ignore[no-untyped-def]
    """Per venue that gets nothing, why."""
    side = order[at.O_SIDE]
    peg = order[at.O_STYLE] == at.PEG or order[at.O_STYLE] == at.PEG_IOC
    deepest_y = -at.FAR_AWAY
    best = whole[at.W_ASK] if side > 0 else whole[at.W_BID]
    reaches = whole[at.W_BOUND] > 0 and (order[at.O_STYLE] == at.MARKET or side * best <= side * whole[at.W_BOUND])
    for venue in range(len(rows)):
        if rows[venue, at.F_TAKE] > 0 and not peg:
            deepest_y = max(deepest_y, side * rows[venue, at.F_TAKE_LIMIT])
    for venue in range(len(rows)):
        top = book.far[venue, 0]
        why = at.DEARER
        if rules.venues[venue, at.V_KNOWN] != 1:
            why = at.NO_TERMS
        elif rows[venue, at.F_TAKE] + rows[venue, at.F_JOIN] + rows[venue, at.F_REST] > 0:
            why = at.USED
        elif peg and rules.hidden[venue] <= 0.0:
            why = at.SHOWS_ALL
        elif top == 0 and (order[at.O_STYLE] == at.MARKET or order[at.O_STYLE] == at.PEG_IOC):
            why = at.NO_QUOTE
        elif reaches and not peg and top > 0 and side * top > side * whole[at.W_BOUND]:
            why = at.BEYOND
        elif not peg and top > 0 and whole[at.W_UNSENT] > 0 and (side * top > limit_y or side * top > deepest_y):
            why = at.BEHIND
        rows[venue, at.F_WHY] = why


@compiled
def _fill(order, volatility, book, rules, streams, found):  # type: ignore[no-untyped-def]
    """Split an order over the venues of a book; the answer is written into `found`."""
    rows, marks, whole, money = found
    side, shares, style, urgency = order[at.O_SIDE], order[at.O_SHARES], order[at.O_STYLE], order[at.O_URGENCY]
    params = rules.params
    count, levels = book.far.shape
    some = False
    for venue in range(count):
        some = some or rules.venues[venue, at.V_KNOWN] == 1
        for column in range(rows.shape[1]):
            rows[venue, column] = 0
        for column in range(marks.shape[1]):
            marks[venue, column] = 0.0
    whole[at.W_UNSENT] = shares
    whole[at.W_SINGLE] = -1
    status, far, near = national(order, book, whole)
    if status == at.ROUTED and not some:
        status = at.NO_VENUE
    whole[at.W_STATUS] = status
    if status != at.ROUTED:
        return at.FAR_AWAY
    middle = side * (far + near) / 2.0
    spread = float(max(abs(far - near), step_at(rules.ticks, far)))
    bound = bound_of(order, far, params, rules.ticks)
    pegged = style in (at.PEG, at.PEG_IOC)
    reaches = side * far <= side * bound
    whole[at.W_BOUND] = bound
    if pegged:
        whole[at.W_BOUND] = order[at.O_LIMIT]
        reaches = order[at.O_LIMIT] == 0 or middle <= side * order[at.O_LIMIT]

    # What a share costs that is not had now: the price at which the order could be completed, and what waiting costs.
    deep = side * far if pegged or not reaches else shown(order, book, rules, bound, streams)
    dearest = 0.0
    for venue in range(count):
        if rules.venues[venue, at.V_KNOWN] == 1:
            dearest = max(dearest, taking(rules.venues, venue, far))
    impact = params[at.P_IMPACT] * volatility * np.sqrt(shares / order[at.O_VOLUME]) * (far + near) / 2.0
    shortfall = deep - middle + dearest + params[at.P_PENALTY + urgency] * spread + impact + 1.0
    money[at.C_SHORTFALL] = shortfall
    streams.units[0] = min(shares, rules.trade * -(-shares // (rules.trade * at.UNITS)))
    streams.units[1] = rules.trade
    blocked = displayed(order, book, rules, bound, middle, shortfall, streams)
    limit_y = min(at.FAR_AWAY - 1, blocked)
    if style in (at.MARKET, at.PEG_IOC) and not reaches:
        whole[at.W_STATUS] = at.NOT_MARKETABLE
        return limit_y

    # Where it may rest while it could trade, or must because it cannot trade.
    if style == at.PEG:
        whole[at.W_JOIN_PRICE] = (far + near) // 2
        if order[at.O_LIMIT] > 0:
            whole[at.W_JOIN_PRICE] = side * min(side * whole[at.W_JOIN_PRICE], side * order[at.O_LIMIT])
        queues(order, book, rules, whole[at.W_JOIN_PRICE], params[at.P_REST], shortfall + middle, streams)
    elif style == at.RESTING and not reaches:
        whole[at.W_JOIN_PRICE] = order[at.O_LIMIT]
        queues(order, book, rules, order[at.O_LIMIT], params[at.P_REST], shortfall + middle, streams)
    elif style == at.RESTING and params[at.P_HORIZON + urgency] > 0.0 and far != near:
        whole[at.W_JOIN_PRICE] = near
        base = shortfall + middle - params[at.P_ADVERSE] * spread
        queues(order, book, rules, near, params[at.P_HORIZON + urgency], base, streams)
    for venue in range(count):
        marks[venue, at.M_TAKE] = streams.real[venue, at.R_CERTAIN]
        marks[venue, at.M_REST] = streams.real[venue, at.R_FIRST_TAIL]

    value, left, filled, whole[at.W_TRIED] = search(streams, shares, limit_y)
    money[at.C_EXPECTED] = shortfall * shares - value
    money[at.C_FILLED] = filled
    first, second = _best_two(streams)
    alone(streams, shares, limit_y, first, second, marks[:, at.M_SINGLE])
    money[at.C_SINGLE] = shortfall * shares
    for venue in range(count):
        marks[venue, at.M_SINGLE] = shortfall * shares - marks[venue, at.M_SINGLE]
        if marks[venue, at.M_SINGLE] < money[at.C_SINGLE]:
            money[at.C_SINGLE] = marks[venue, at.M_SINGLE]
            whole[at.W_SINGLE] = venue
    complete = blocked > side * bound
    for venue in range(count):
        rows[venue, at.F_TAKE] = streams.whole[venue, at.S_USED] + streams.whole[venue, at.S_USED + 1]
        rows[venue, at.F_JOIN] = streams.whole[venue, at.S_USED + 2]
        whole_book = np.int64(0)
        for level in range(levels):
            whole_book += streams.levels[venue, level, 1]
        complete = complete and streams.whole[venue, at.S_USED] == whole_book
        if rows[venue, at.F_TAKE] > 0:
            rows[venue, at.F_TAKE_LIMIT] = order[at.O_LIMIT] if pegged else side * streams.whole[venue, at.S_USED + 3]
    if left > 0:
        left = _leftover(order, book, rules, left, reaches, complete, near, streams, found)
    _sweep_orders(order, streams, first, second, whole[at.W_REST_PRICE], rows)
    whole[at.W_UNSENT] = left
    if left == shares:
        whole[at.W_STATUS] = at.NO_VENUE if pegged else at.BLOCKED
    return limit_y


@compiled
def _leftover(order, book, rules, left, reaches, complete, near, streams, found):  # type: ignore[no-untyped-def]
    """Send what the streams did not take, where the order lets it; what is not sent is returned."""
    rows, _, whole, _ = found
    style = order[at.O_STYLE]
    if style == at.PEG or not reaches:
        left = _tail(streams, left, rows, np.int64(at.F_JOIN))
        if left > 0 and style == at.RESTING:  # fees so odd that no place is worth having: it rests all the same
            _rest(order, book, rules, whole[at.W_JOIN_PRICE], left, streams, rows, np.int64(at.F_JOIN))
            left = np.int64(0)
    elif style == at.RESTING:
        whole[at.W_REST_PRICE] = whole[at.W_BOUND] if complete else near
        _rest(order, book, rules, whole[at.W_REST_PRICE], left, streams, rows, np.int64(at.F_REST))
        left = np.int64(0)
    elif complete:  # more than is shown: what is left goes along, as far as the bound
        for venue in range(len(rows)):
            streams.real[venue, at.R_WEIGHT] = rows[venue, at.F_TAKE]
        if _spread_out(left, streams):
            left = np.int64(0)
            for venue in range(len(rows)):
                if rows[venue, at.F_TAKE] > 0:
                    rows[venue, at.F_TAKE] += streams.whole[venue, at.S_EXTRA]
                    rows[venue, at.F_TAKE_LIMIT] = whole[at.W_BOUND]
    return left


@compiled
def split(order, volatility, book, rules, streams, found):  # type: ignore[no-untyped-def]
    """Split an order (whole numbers ``O_...``) over the venues of a book, and say of each venue why it gets nothing."""
    limit_y = _fill(order, volatility, book, rules, streams, found)
    _say_why(order, book, rules, found.whole, limit_y, found.rows)


def stamp() -> int:
    """A number that changes with any loop or any place in the arrays: what the kept machine code was made from."""
    digest = hashlib.sha256()
    for module in (fills, costs, streams, sys.modules[__name__]):
        for name, loop in sorted(vars(module).items()):
            code = getattr(getattr(loop, "py_func", None), "__code__", None)
            if code is not None:
                digest.update(repr((name, code.co_code, code.co_consts, code.co_names, code.co_varnames)).encode())
    places = sorted((name, int(one * 1e6)) for name, one in vars(at).items() if isinstance(one, int | float))
    digest.update(repr((places, int(at.FAR_AWAY))).encode())
    return int(digest.hexdigest()[:15], 16)


def _entries(version: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two loops that are called from outside; see `kept` for why they close over a version."""

    @kept
    def one(order, volatility, book, rules, found):  # type: ignore[no-untyped-def]
        made_of = version  # noqa: F841
        split(order, volatility, book, rules, room(len(book.far), book.far.shape[1]), found)

    @kept
    def all_(orders, volatility, bid, bid_size, ask, ask_size, quoted_at, rules, rows, marks, whole, money):  # type: ignore[no-untyped-def]
        made_of = version  # noqa: F841
        streams = room(bid.shape[1], bid.shape[2])
        for number in range(len(orders)):
            if orders[number, at.O_SIDE] > 0:
                book = at.Book(ask[number], ask_size[number], bid[number], bid_size[number], quoted_at[number])
            else:
                book = at.Book(bid[number], bid_size[number], ask[number], ask_size[number], quoted_at[number])
            found = at.Found(rows[number], marks, whole[number], money[number])
            split(orders[number], volatility[number], book, rules, streams, found)

    return one, all_


split_one, split_all = _entries(stamp())
"""One order by itself, ``(order, volatility, book, rules, found)``; and each row of the orders with its own books; the
marks have room for one."""
