"""A large order worked over time: its slices sent when they are due. An edge module: it waits.

>>> slices = twap(10_000, Window.of(day, dt.time(10), dt.time(15)), 20)      # doctest: +SKIP
>>> work(desk, Order("AAPL", "buy", 10_000, idempotency_key="big"), slices, market.advance)   # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from quantdesk.errors import BadInput
from quantdesk.orders.desk.desk import Desk
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult
from quantdesk.orders.routing.schedules import Slice

__all__ = ["work"]


def work(desk: Desk, order: Order, slices: Sequence[Slice], wait: Callable[[int], object]) -> tuple[OrderResult, ...]:
    """Send an order slice by slice. What a slice leaves unfilled goes with the next one.

    Each slice is an order of its own, with guardrails, halts and routing of its moment, and with the key
    ``{key}/{number}``. After a crash the same call goes on: slices that were sent are answered, not sent again.

    Parameters
    ----------
    desk
        Who executes.
    order
        The parent: a market or limit order with an idempotency key.
    slices
        From :mod:`quantdesk.orders.routing.schedules`; their shares sum to the order's.
    wait
        Called with the moment (nanoseconds) at which a slice is due: ``SimulatedMarket.advance``, or a sleep until it.

    Returns
    -------
    tuple of OrderResult
        One a slice that was sent, as it stood when the next one was due. A slice without shares is passed over.

    Raises
    ------
    BadInput
        No key; slices that do not sum to the order's shares, or are out of order.
    """
    if order.idempotency_key is None:
        raise BadInput(
            "An order that is worked over time has no idempotency key.", "Give one: a restart goes on by it."
        )
    total = sum(one.shares for one in slices)
    if total != order.shares:
        raise BadInput(f"The slices have {total} shares, the order {order.shares}.", "Let them sum to the same.")
    if any(after.at < before.at for before, after in itertools.pairwise(slices)):
        raise BadInput("The slices are out of order.", "Give them by their times.")
    results: list[OrderResult] = []
    due = 0
    for number, one in enumerate(slices, 1):
        if one.at > desk.world.now():
            wait(one.at)
        desk.poll()
        due += one.shares
        # What still rests is cancelled; while that is not confirmed it may trade, and so is not sent again.
        results = [sent if sent.status.is_final else desk.cancel(sent.order_id) for sent in results]
        shares = due - sum(sent.filled_shares if sent.status.is_final else sent.shares for sent in results)
        if shares > 0:
            key = f"{order.idempotency_key}/{number}"
            known = desk.find(order.user_id, key)
            results.append(known or desk.execute(dataclasses.replace(order, shares=shares, idempotency_key=key)))
    return tuple(results)
