"""From the split to child orders. Pure."""

from __future__ import annotations

from quantdesk.orders.order import Child, Order, OrderType, TimeInForce
from quantdesk.orders.routing import layout as at

__all__ = ["children_of"]


def children_of(
    order: Order, order_id: str, venues: tuple[str, ...], found: at.Found, listing: str
) -> tuple[Child, ...]:
    """The children of a split: those that take first, from the best limit to the worst; then those that rest.

    Parameters
    ----------
    order, order_id
        The parent, and the name that their ids begin with.
    venues
        In the order of the rows of `found`.
    found
        What the loops have decided.
    listing
        The venue of an order for an auction.
    """
    status = int(found.whole[at.W_STATUS])
    symbol, action = order.symbol, order.action
    if status == at.AUCTION:
        return (
            Child(f"{order_id}-1", listing, symbol, action, order.shares, order.limit,
                  time_in_force=order.time_in_force),
        )  # fmt: skip
    if status != at.ROUTED:
        return ()
    peg = order.order_type is OrderType.MIDPOINT_PEG
    join, rest = int(found.whole[at.W_JOIN_PRICE]), int(found.whole[at.W_REST_PRICE])
    side = order.side
    plan: list[tuple[int, int, str, int, int, TimeInForce, bool]] = []
    for venue, (take, limit, iso, joins, rests, _) in zip(venues, found.rows.tolist(), strict=True):
        if take:
            plan.append((0, side * limit, venue, take, limit, TimeInForce.IOC, bool(iso & 1)))
        if joins:
            plan.append((1, -joins, venue, joins, order.limit if peg else join, TimeInForce.DAY, False))
        if rests:
            plan.append((2, -rests, venue, rests, rest, TimeInForce.DAY, bool(iso & 2)))
    plan.sort()
    return tuple(
        [
            Child(f"{order_id}-{number}", venue, symbol, action, shares, limit, peg, life, iso)
            for number, (_, _, venue, shares, limit, life, iso) in enumerate(plan, 1)
        ]
    )
