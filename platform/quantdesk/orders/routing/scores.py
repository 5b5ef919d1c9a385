"""How the venues compare, part by part: scores that explain a decision. Pure.

The split itself minimises expected cost; scores put what it weighs on one scale from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantdesk.orders.amounts import MICRO
from quantdesk.orders.order import OrderType
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.config import Weights

if TYPE_CHECKING:
    from quantdesk.orders.routing.receipt import Inputs
    from quantdesk.orders.routing.terms import Terms

__all__ = ["VenueScore", "rests", "scores_of"]


@dataclass(frozen=True, slots=True)
class VenueScore:
    """One venue in one decision.

    Attributes
    ----------
    venue
        Which.
    spread_score
        1 at the national best price of the side that counts, 0 a spread or more away or without a quote. For midpoint
        orders 1 where there is undisplayed size.
    latency_score
        One way from the desk: 1 at no latency, a half at the scale of the config.
    fee_score
        1 for the cheapest of the venues, 0 for the dearest, by what the order would pay there.
    fill_probability
        That a displayed quote still stands on arrival, or that the first unit at rest fills in time.
    score
        The weighted sum.
    shares
        What it gets.
    """

    venue: str
    spread_score: float
    latency_score: float
    fee_score: float
    fill_probability: float
    score: float
    shares: int


def rests(inputs: Inputs, found: at.Found) -> bool:
    """Whether an order waits on the near side, because it may not trade at once."""
    order = inputs.order
    if order.order_type is OrderType.MIDPOINT_PEG:
        return order.time_in_force != "ioc"
    far = int(found.whole[at.W_ASK if order.is_buy else at.W_BID])
    bound = int(found.whole[at.W_BOUND])
    return bound > 0 and far > 0 and order.side * far > order.side * bound


def scores_of(inputs: Inputs, found: at.Found, weights: Weights) -> tuple[VenueScore, ...]:
    """The scores of all venues with terms, the best first."""
    quotes, day = inputs.quotes, inputs.day
    resting = rests(inputs, found)
    places = [(place, day.terms[venue]) for place, venue in enumerate(quotes.venues) if venue in day.terms]
    fees = {place: _fee(terms, resting, _price(inputs, found, place, resting)) for place, terms in places}
    low, high = min(fees.values(), default=0.0), max(fees.values(), default=0.0)
    rows, marks = found.rows.tolist(), found.marks.tolist()
    scored = []
    for place, terms in places:
        spread = _spread(inputs, found, place, resting)
        latency = 1.0 / (1.0 + terms.latency_ns / (day.config.latency_scale_us * 1000.0))
        fee = (high - fees[place]) / (high - low) if high > low else 1.0
        fill = marks[place][at.M_REST if resting else at.M_TAKE]
        score = weights.spread * spread + weights.latency * latency + weights.fee * fee + weights.fill * fill
        shares = rows[place][at.F_TAKE] + rows[place][at.F_JOIN] + rows[place][at.F_REST]
        if int(found.whole[at.W_STATUS]) == at.AUCTION:
            shares = inputs.order.shares if terms.venue == inputs.conditions.listing else 0
        scored.append(VenueScore(terms.venue, spread, latency, fee, fill, score, shares))
    return tuple(sorted(scored, key=lambda one: (-one.score, one.venue)))


def _price(inputs: Inputs, found: at.Found, place: int, resting: bool) -> int:
    """The price at a venue that decides its fee."""
    quotes, side = inputs.quotes, inputs.order.side
    if resting:
        return int(found.whole[at.W_JOIN_PRICE])
    own = int((quotes.ask if side > 0 else quotes.bid)[place, 0])
    return own or int(found.whole[at.W_ASK if side > 0 else at.W_BID])


def _fee(terms: Terms, resting: bool, price: int) -> float:
    if resting:
        return float(terms.add_fee if price >= MICRO else 0)
    return float(terms.remove_fee) if price >= MICRO else price * terms.remove_below_dollar_ppm / MICRO


def _spread(inputs: Inputs, found: at.Found, place: int, resting: bool) -> float:
    order, quotes = inputs.order, inputs.quotes
    if order.order_type is OrderType.MIDPOINT_PEG:
        return 1.0 if inputs.day.terms[quotes.venues[place]].hidden_share > 0 else 0.0
    bid, ask = int(found.whole[at.W_BID]), int(found.whole[at.W_ASK])
    buying = order.is_buy != resting  # who takes offers is compared by them, who rests among offers as well
    own = int((quotes.ask if buying else quotes.bid)[place, 0])
    best = ask if buying else bid
    if own == 0 or best == 0:
        return 0.0
    wide = max(abs(ask - bid), 10_000 if best >= MICRO else 100) if bid and ask else 10_000
    return max(0.0, 1.0 - abs(own - best) / wide)
