"""What a share costs at each venue, and how likely it is to be had: the streams of an order, filled in. Compiled, pure.

Prices are compared as ``y = side * price``: lower is better for either side. Costs are micro-dollars a share against
the middle of the national best quotes, so that those of a purchase and of a sale mean the same.
"""

from __future__ import annotations

import numpy as np

from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.fills import at_least, compiled, mass, survival

__all__ = ["adding", "bound_of", "displayed", "national", "queues", "shown", "step_at", "taking"]


@compiled
def step_at(ticks, price):  # type: ignore[no-untyped-def]
    """The smallest step of quotes at a price."""
    step = np.int64(1)
    least = np.int64(-1)
    for row in range(len(ticks)):
        if ticks[row, 0] <= price and ticks[row, 0] > least:
            least = ticks[row, 0]
            step = ticks[row, 1]
    return step


@compiled
def bound_of(order, best, params, ticks):  # type: ignore[no-untyped-def]
    """The worst price at which a child may trade: the collar beyond the far side, and the order's limit."""
    step = step_at(ticks, best)
    reach = np.int64(best * params[at.P_COLLAR])
    if order[at.O_SIDE] > 0:
        bound = max(best, (best + reach) // step * step)
        if order[at.O_LIMIT] > 0:
            bound = min(bound, order[at.O_LIMIT])
    else:
        bound = min(best, -(-(best - reach) // step) * step)
        bound = max(bound, order[at.O_LIMIT])
    return bound


@compiled
def taking(venues, venue, price):  # type: ignore[no-untyped-def]
    """The fee for taking a share."""
    if price >= at.DOLLAR:
        return float(venues[venue, at.V_REMOVE])
    return price * venues[venue, at.V_BELOW] / 1e6


@compiled
def adding(venues, venue, price):  # type: ignore[no-untyped-def]
    """The fee for adding a share."""
    return float(venues[venue, at.V_ADD]) if price >= at.DOLLAR else 0.0


@compiled
def _key(seed, venue):  # type: ignore[no-untyped-def]
    """A number by which venues that are worth the same come in an order that the seed decides (splitmix64)."""
    mixed = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(venue + 1) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1))


@compiled
def shown(order, book, rules, bound, streams):  # type: ignore[no-untyped-def]
    """How deep the order must go: the y at which all usable venues together have shown its shares, or the worst shown.

    Walks the books together, price by price.
    """
    side = order[at.O_SIDE]
    count, levels = book.far.shape
    standing = streams.whole
    for venue in range(count):
        standing[venue, at.S_PLACE] = 0 if rules.venues[venue, at.V_KNOWN] == 1 else levels
    left = order[at.O_SHARES]
    deep = side * bound
    while left > 0:
        best = at.FAR_AWAY
        for venue in range(count):
            if standing[venue, at.S_PLACE] < levels and book.far[venue, standing[venue, at.S_PLACE]] > 0:
                best = min(best, side * book.far[venue, standing[venue, at.S_PLACE]])
        if best > side * bound:
            break
        deep = best
        for venue in range(count):
            if standing[venue, at.S_PLACE] < levels and side * book.far[venue, standing[venue, at.S_PLACE]] == best:
                left -= book.far_size[venue, standing[venue, at.S_PLACE]]
                standing[venue, at.S_PLACE] += 1
    return deep


@compiled
def _queue(side, book, venue, price, peg, hidden):  # type: ignore[no-untyped-def]
    """Shares ahead of an order that comes to rest: displayed at its price or better, or hidden at the middle."""
    if peg:
        return np.int64(hidden * book.near_size[venue, 0])
    ahead = np.int64(0)
    for level in range(book.near.shape[1]):
        if book.near[venue, level] > 0 and side * book.near[venue, level] >= side * price:
            ahead += book.near_size[venue, level]
    return ahead


@compiled
def _flow(order, book, rules, horizon, real):  # type: ignore[no-untyped-def]
    """Expected number of trades at each venue within the horizon, on the near side; 0 where the order may not rest.

    Half of the day's volume meets the near side. A venue's part of it is that of its displayed size; one trade more is
    added to each, so that a venue that shows nothing can be the first. Midpoint orders meet the hidden part.
    """
    peg = order[at.O_STYLE] == at.PEG
    total = 0.0
    for venue in range(len(real)):
        real[venue, at.R_MEAN] = 0.0
        if rules.venues[venue, at.V_KNOWN] == 1 and (not peg or rules.hidden[venue] > 0.0):
            real[venue, at.R_MEAN] = book.near_size[venue, 0] + rules.trade
            total += real[venue, at.R_MEAN]
    if total > 0.0:
        trades = order[at.O_VOLUME] / 2.0 / rules.trade * horizon / rules.params[at.P_SESSION]
        for venue in range(len(real)):
            real[venue, at.R_MEAN] *= trades / total
            if peg:
                real[venue, at.R_MEAN] *= min(1.0, rules.hidden[venue])


@compiled
def national(order, book, whole):  # type: ignore[no-untyped-def]
    """The best of all venues: status, far and near price."""
    side = order[at.O_SIDE]
    far = np.int64(0)
    near = np.int64(0)
    for venue in range(len(book.far)):
        price = book.far[venue, 0]
        if price > 0 and (far == 0 or side * price < side * far):
            far = price
        price = book.near[venue, 0]
        if price > 0 and (near == 0 or side * price > side * near):
            near = price
    whole[at.W_BID], whole[at.W_ASK] = (near, far) if side > 0 else (far, near)
    if far == 0 and near == 0:
        return at.NO_QUOTES, far, near
    if whole[at.W_BID] == 0:
        return at.NO_BID, far, near
    if whole[at.W_ASK] == 0:
        return at.NO_OFFER, far, near
    if whole[at.W_BID] > whole[at.W_ASK]:
        return at.CROSSED, far, near
    return at.ROUTED, far, near


@compiled
def displayed(order, book, rules, bound, middle, shortfall, streams):  # type: ignore[no-untyped-def]
    """Fill in what each venue displays and may hide, and what a share of it is worth; no place in a queue yet.

    Returns the best y of venues without terms: under protection nothing may trade beyond it.
    """
    side, style = order[at.O_SIDE], order[at.O_STYLE]
    protect = order[at.O_PROTECT] == 1
    certainty = rules.params[at.P_CERTAINTY]
    blocked = at.FAR_AWAY
    for venue in range(len(book.far)):
        top = book.far[venue, 0]
        known = rules.venues[venue, at.V_KNOWN] == 1
        streams.whole[venue, at.S_TOP] = side * top if top > 0 else at.FAR_AWAY
        guarded = protect and known and rules.venues[venue, at.V_PROTECTED] == 1 and top > 0
        streams.whole[venue, at.S_PROTECTED] = 1 if guarded else 0
        streams.whole[venue, at.S_KEY] = _key(order[at.O_SEED], venue)
        streams.real[venue, at.R_CERTAIN] = 0.0
        streams.whole[venue, at.S_HIDDEN] = 0
        streams.whole[venue, at.S_HIDDEN_Y] = at.FAR_AWAY
        streams.real[venue, at.R_GAIN] = 0.0
        streams.whole[venue, at.S_FIRST] = 0
        streams.real[venue, at.R_FIRST_TAIL] = 0.0
        streams.real[venue, at.R_FIRST_MASS] = 0.0
        for level in range(book.far.shape[1]):
            streams.levels[venue, level, 0] = at.FAR_AWAY
            streams.levels[venue, level, 1] = 0
            streams.worth[venue, level] = 0.0
        if not known:
            if protect:
                blocked = min(blocked, streams.whole[venue, at.S_TOP])
            continue
        if top == 0 or style == at.PEG:
            continue
        age = float(order[at.O_AT] - book.quoted_at[venue])
        certain = survival(age, 2.0 * rules.venues[venue, at.V_LATENCY], rules.params[at.P_HALF_LIFE])
        streams.real[venue, at.R_CERTAIN] = certain
        streams.real[venue, at.R_CERTAIN_HIDDEN] = certain * certainty
        hidden = np.int64(rules.hidden[venue] * book.far_size[venue, 0])
        if style == at.PEG_IOC:
            streams.whole[venue, at.S_HIDDEN_Y] = -at.FAR_AWAY
            streams.whole[venue, at.S_HIDDEN] = hidden
            cost = taking(rules.venues, venue, np.int64(side * middle))
            streams.real[venue, at.R_HIDDEN_WORTH] = certain * certainty * (shortfall - cost)
            continue
        for level in range(book.far.shape[1]):
            price = book.far[venue, level]
            if price == 0 or side * price > side * bound:
                break
            cost = side * price - middle + taking(rules.venues, venue, price)
            streams.levels[venue, level, 0] = side * price
            streams.levels[venue, level, 1] = book.far_size[venue, level]
            streams.worth[venue, level] = certain * (shortfall - cost)
        if streams.levels[venue, 0, 1] > 0:
            streams.whole[venue, at.S_HIDDEN_Y] = side * top
            streams.whole[venue, at.S_HIDDEN] = hidden
            streams.real[venue, at.R_HIDDEN_WORTH] = certainty * streams.worth[venue, 0]
    return blocked


@compiled
def queues(order, book, rules, price, horizon, base, streams):  # type: ignore[no-untyped-def]
    """Fill in what a place in each queue at a price is worth, against the cost `base`."""
    side = order[at.O_SIDE]
    peg = order[at.O_STYLE] == at.PEG
    unit, trade = streams.units[0], streams.units[1]
    _flow(order, book, rules, horizon, streams.real)
    for venue in range(len(book.far)):
        streams.real[venue, at.R_GAIN] = 0.0
        streams.real[venue, at.R_FIRST_TAIL] = 0.0
        if streams.real[venue, at.R_MEAN] > 0.0:
            streams.real[venue, at.R_GAIN] = base - side * price - adding(rules.venues, venue, price)
            streams.whole[venue, at.S_QUEUE] = _queue(side, book, venue, price, peg, rules.hidden[venue])
            number = -(-(streams.whole[venue, at.S_QUEUE] + unit) // trade)
            streams.whole[venue, at.S_FIRST] = number
            streams.real[venue, at.R_FIRST_TAIL] = at_least(number, streams.real[venue, at.R_MEAN])
            streams.real[venue, at.R_FIRST_MASS] = mass(number, streams.real[venue, at.R_MEAN])
