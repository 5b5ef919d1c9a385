"""The router's cost model once more, slow and plain, and its exact optimum by integer programming. For tests.

Written from the description, not from the loops: it lists every share that can be sent with its worth, and hands the
list to HiGHS (scipy.optimize.milp) with one switch for each price and the rule of protection as constraints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, milp
from scipy.stats import poisson

from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing.config import Conditions, RoutingConfig
from quantdesk.orders.routing.terms import Terms

MICRO = 1_000_000
URGENCY = {"low": 0, "normal": 1, "high": 2}


@dataclass
class Part:
    """Shares that can be sent: to whom, at which y (None for a place in the queue), how many, the worth of each."""

    venue: str
    y: int | None
    size: int
    worth: float
    displayed_top: bool = False


def taking(terms: Terms, price: int) -> float:
    """The fee for taking a share, micro-dollars."""
    return terms.remove_fee if price >= MICRO else price * terms.remove_below_dollar_ppm / MICRO


def bound_of(order: Order, far: int, config: RoutingConfig) -> int:
    """The worst price that is allowed."""
    step = 10_000 if far >= MICRO else 100
    reach = int(far * config.collar)
    if order.is_buy:
        bound = max(far, (far + reach) // step * step)
        return min(bound, order.limit) if order.limit else bound
    bound = min(far, -(-(far - reach) // step) * step)
    return max(bound, order.limit)


def parts_of(
    order: Order, quotes: Quotes, terms: list[Terms], config: RoutingConfig, conditions: Conditions
) -> tuple[list[Part], float]:
    """Every share that can be sent, and what one costs that is not had now (both against the midpoint)."""
    side, nbbo = order.side, quotes.nbbo
    far, near = (nbbo.ask, nbbo.bid) if side > 0 else (nbbo.bid, nbbo.ask)
    fars, sizes = (quotes.ask, quotes.ask_size) if side > 0 else (quotes.bid, quotes.bid_size)
    nears, near_sizes = (quotes.bid, quotes.bid_size) if side > 0 else (quotes.ask, quotes.ask_size)
    middle = (far + near) / 2
    spread = max(abs(far - near), 10_000 if far >= MICRO else 100)
    bound = bound_of(order, far, config)
    by_name = {one.venue: one for one in terms}
    known = [(place, by_name[name]) for place, name in enumerate(quotes.venues) if name in by_name]
    urgency = URGENCY[order.urgency]
    reaches = side * far <= side * bound
    takes = order.order_type == "market" or order.time_in_force == "ioc"

    shown = sorted(
        (side * int(price), int(size))
        for place, _ in known
        for price, size in zip(fars[place], sizes[place], strict=True)
        if price and side * price <= side * bound
    )
    deep, total = side * bound, 0
    for y, size in shown:
        if total >= order.shares:
            break
        deep, total = y, total + size
    if not reaches:
        deep = side * far
    volume = conditions.daily_volume or config.assumed_volume
    volatility = config.assumed_volatility if conditions.daily_volatility is None else conditions.daily_volatility
    impact = config.impact_y * volatility * np.sqrt(order.shares / volume) * middle
    dearest = max([0.0, *(taking(one, far) for _, one in known)])
    shortfall = deep - side * middle + dearest + config.penalty_spreads[urgency] * spread + impact + 1

    parts = []
    for place, one in known:
        half = config.quote_half_life_ms * 1e6
        age = quotes.at - int(quotes.quoted_at[place])
        chance = (half + age) / (half + age + 2 * one.latency_ns)
        for level, (price, size) in enumerate(zip(fars[place].tolist(), sizes[place].tolist(), strict=True)):
            if not price or side * price > side * bound:
                break
            worth = chance * (shortfall - (side * price - side * middle + taking(one, price)))
            parts.append(Part(one.venue, side * price, size, worth, level == 0))
            if level == 0:
                hidden = int(one.hidden_share * size)
                parts.append(Part(one.venue, side * price, hidden, config.hidden_certainty * worth))
    if not takes:
        horizon = config.horizon_s[urgency] if reaches else config.rest_s
        at = near if reaches else order.limit
        if horizon > 0 and (far != near or not reaches):
            trade = config.trade_shares
            unit = min(order.shares, trade * -(-order.shares // (trade * 16)))
            weight = {place: int(near_sizes[place][0]) + trade for place, _ in known}
            trades = volume / 2 / trade * horizon / 23_400
            for place, one in known:
                mean = trades * weight[place] / sum(weight.values())
                queue = sum(
                    int(size)
                    for price, size in zip(nears[place], near_sizes[place], strict=True)
                    if price and side * price >= side * at
                )
                adverse = config.adverse_spreads * spread if reaches else 0.0
                add = one.add_fee if at >= MICRO else 0
                gain = shortfall - (side * at - side * middle + add + adverse)
                for number in range(1, -(-order.shares // unit) + 1):
                    likely = poisson.sf(-(-(queue + number * unit) // trade) - 1, mean)
                    if likely < 0.01 or gain <= 0:
                        break
                    parts.append(Part(one.venue, None, unit, likely * gain))
    return parts, shortfall


def optimum(order: Order, quotes: Quotes, parts: list[Part], protected: set[str], blocked: set[str]) -> float:
    """The highest worth of any split in whole shares.

    Parameters
    ----------
    protected
        Venues whose best quote must be taken in full before anything trades beyond it.
    blocked
        Venues that cannot be sent to, beyond whose best quote nothing may trade.
    """
    if not parts:
        return 0.0
    side = order.side
    tops = (quotes.ask if side > 0 else quotes.bid)[:, 0].tolist()
    top_y = {name: side * price for name, price in zip(quotes.venues, tops, strict=True) if price}
    wall = min([top_y[name] for name in blocked if name in top_y], default=None)
    prices = sorted({part.y for part in parts if part.y is not None})
    count, switches = len(parts), len(prices)
    cost = np.concatenate([[-part.worth for part in parts], np.zeros(switches)])
    upper = np.concatenate([[part.size for part in parts], np.ones(switches)])
    rows, most = [np.concatenate([np.ones(count), np.zeros(switches)])], [float(order.shares)]
    for place, part in enumerate(parts):
        if part.y is None:
            continue
        row = np.zeros(count + switches)  # shares only where their price is switched on
        row[place], row[count + prices.index(part.y)] = 1, -part.size
        rows.append(row)
        most.append(0.0)
        if part.displayed_top and part.venue in protected:
            for number, price in enumerate(prices):
                if price > part.y:  # a worse price only where this quote is taken in full
                    row = np.zeros(count + switches)
                    row[place], row[count + number] = -1, part.size
                    rows.append(row)
                    most.append(0.0)
    for number, price in enumerate(prices):
        if wall is not None and price > wall:
            upper[count + number] = 0
    found = milp(
        cost, integrality=np.ones(count + switches), bounds=(0, upper),
        constraints=LinearConstraint(np.array(rows), -np.inf, np.array(most)), options={"mip_rel_gap": 0.0},
    )  # fmt: skip
    assert found.success, found.message
    return float(-found.fun)
