"""The words of a receipt: why there, why so, what was rejected, what was assumed. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from quantdesk.orders.amounts import dollars
from quantdesk.orders.order import OrderType, TimeInForce, Urgency
from quantdesk.orders.routing import layout as at

if TYPE_CHECKING:
    from quantdesk.orders.routing.receipt import Receipt

__all__ = ["STATUS", "URGENCIES", "WHY", "sentences"]

URGENCIES = tuple(Urgency)

STATUS = (
    "routed", "no_quotes", "no_bid", "no_offer", "crossed", "not_marketable", "no_venue", "blocked", "no_listing",
    "auction",
)  # fmt: skip

WHY = (
    "used",
    "no terms are known for it",
    "it quotes nothing on that side",
    "its price is beyond the limit",
    "the shares cost less, or fill more surely, elsewhere",
    "it is taken to hide nothing at the midpoint",
    "a better protected quote elsewhere could not be taken in full",
)

_NOTHING_SENT = {
    at.NO_QUOTES: "Nothing is sent: no venue quotes {symbol}.",
    at.NO_BID: "Nothing is sent: nobody bids for {symbol}, the market is one-sided.",
    at.NO_OFFER: "Nothing is sent: nobody offers {symbol}, the market is one-sided.",
    at.CROSSED: "Nothing is sent: the national market is crossed, {bid} bid and {ask} offered.",
    at.NOT_MARKETABLE: "Nothing is sent: it may not rest, and {limit} does not reach {bid} bid, {ask} offered.",
    at.NO_VENUE: "Nothing is sent: of the venues that quote {symbol} none can take this order.",
    at.BLOCKED: "Nothing is sent: better protected quotes could not be taken in full.",
    at.NO_LISTING: "Nothing is sent: an auction needs the listing exchange, one with terms, in conditions.listing.",
}


def sentences(receipt: Receipt) -> tuple[str, ...]:
    """What a reader wants to know, in the order in which one asks."""
    order, nbbo = receipt.inputs.order, receipt.nbbo
    status = int(receipt.found.whole[at.W_STATUS])
    said = [
        f"{order.action.replace('_', ' ').capitalize()} {order.shares:,} {order.symbol}, "
        f"{order.order_type.replace('_', ' ')}, {order.urgency} urgency; national best {_price(nbbo.bid)} bid, "
        f"{_price(nbbo.ask)} offered."
    ]
    if status in _NOTHING_SENT:
        limit = _price(order.limit)
        form = _NOTHING_SENT[status]
        said.append(form.format(symbol=order.symbol, bid=_price(nbbo.bid), ask=_price(nbbo.ask), limit=limit))
        return (*said, *_taken_as_read(receipt))
    if status == at.AUCTION:
        said.append(f"It goes to {receipt.children[0].venue} for its {order.time_in_force} auction.")
        return tuple(said)
    said += _parts(receipt)
    said.append(_cost(receipt))
    if receipt.inputs.order.shares > receipt.shares:
        said.append(f"{receipt.unsent:,} shares are not sent: better protected quotes could not be taken in full.")
    by_reason: dict[str, list[str]] = {}
    for venue, why in receipt.rejected.items():
        by_reason.setdefault(why, []).append(venue)
    said += [f"Not {', '.join(venues)}: {why}." for why, venues in by_reason.items()]
    return (*said, *_taken_as_read(receipt))


def _parts(receipt: Receipt) -> list[str]:
    order = receipt.inputs.order
    said = []
    for child in receipt.children:
        at_price = f"at {_price(child.limit)}" if child.limit else "without a limit"
        if child.peg:
            doing = f"at the midpoint, {at_price}" if child.limit else "at the midpoint"
            doing = ("taken " if child.time_in_force is TimeInForce.IOC else "resting ") + doing
        elif child.time_in_force is TimeInForce.IOC:
            doing = f"taken up to {_price(child.limit)}" if order.is_buy else f"taken down to {_price(child.limit)}"
        else:
            doing = f"resting {at_price}"
        sweep = ", as an intermarket sweep order" if child.iso else ""
        said.append(f"{child.shares:,} shares to {child.venue}, {doing}{sweep}.")
    if any(child.iso for child in receipt.children):
        said.append("The sweep takes every better protected quote in full (Rule 611).")
    elif not receipt.inputs.protection:
        said.append("Better quotes are not protected.")
    return said


def _cost(receipt: Receipt) -> str:
    order = receipt.inputs.order
    mine = f"Expected cost {_cents(receipt.expected_cost / order.shares)} a share against the midpoint"
    other = receipt.alternative
    if other is None:
        return f"{mine}; no single venue could do it."
    return f"{mine}; all to {other.venue}, the best single venue, {_cents(other.expected_cost / order.shares)}."


def _taken_as_read(receipt: Receipt) -> list[str]:
    inputs = receipt.inputs
    config, given = inputs.day.config, inputs.conditions
    said = []
    if not given.daily_volume:
        said.append(f"No volume was given: {config.assumed_volume:,} shares a day are assumed.")
    if given.daily_volatility is None:
        said.append(f"No volatility was given: {config.assumed_volatility:.1%} a day is assumed.")
    notes = [one.note for one in inputs.day.terms.values() if one.note]
    if notes:
        days = sorted({day for note in notes for day in _DAY.findall(note)})
        said.append(
            f"{len(notes)} of {len(inputs.day.terms)} venues have terms of other days ({', '.join(days)}), the nearest"
            " that the rulebook has."
        )
    if inputs.order.order_type is OrderType.MIDPOINT_PEG and receipt.children:
        said.append("Undisplayed sizes are estimates.")
    return said


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _price(amount: int) -> str:
    if amount == 0:
        return "nothing"
    exact = dollars(amount)
    return f"{exact:.2f}" if amount % 10_000 == 0 else f"{exact.normalize():f}"


def _cents(micro: float) -> str:
    return f"{micro / 10_000:+.3f} cents"
