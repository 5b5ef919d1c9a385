"""What an order would have got from the quotes at hand, when the router that should have executed it is away. Pure.

Nothing is traded anywhere, and every result says ``execution_mode="mock"``. The order takes what the given books show,
the best price first, within its limit; what they do not show is cancelled, since nothing stands behind a mock that
could rest an order or watch a price. Without quotes there is no price, and none is made up: the order is rejected.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from quantdesk.orders.amounts import dollars, moment
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails.decision import GuardrailViolation
from quantdesk.orders.order import Order, OrderType, TimeInForce
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import ChildResult, OrderResult, OrderStatus

__all__ = ["mocked", "nothing"]

_MILLIONTH = Decimal("0.000001")
_TAKEN = (OrderType.MARKET, OrderType.LIMIT)
_AT_ONCE = (TimeInForce.DAY, TimeInForce.IOC)


def nothing(
    order: Order,
    order_id: str,
    status: OrderStatus,
    mode: ExecutionMode,
    reasoning: str,
    violations: tuple[GuardrailViolation, ...] = (),
) -> OrderResult:
    """A result without a fill.

    Parameters
    ----------
    order, order_id
        Which.
    status
        ``REJECTED`` or ``PENDING_UNKNOWN``.
    mode
        Where its fills would come from.
    reasoning
        Sentences.
    violations
        What stands against it.
    """
    return OrderResult(
        order_id=order_id,
        symbol=order.symbol,
        action=str(order.action),
        order_type=str(order.order_type),
        status=status,
        shares=order.shares,
        filled_shares=0,
        average_price=None,
        commission=Decimal(0),
        venues=(),
        venue_scores={},
        arrival_midpoint=None,
        arrival_bid=None,
        arrival_ask=None,
        slippage_bps=None,
        slippage_nbbo_bps=None,
        execution_time_ms=0.0,
        routing_time_us=0.0,
        reasoning=reasoning,
        execution_mode=mode,
        violations=violations,
    )


def mocked(order: Order, order_id: str, quotes: Quotes | None, why: str) -> OrderResult:
    """The mock result of an order.

    Parameters
    ----------
    order, order_id
        Which.
    quotes
        The books of its symbol; None where there are none.
    why
        A sentence: why it is a mock.
    """
    reason = _unmockable(order, quotes)
    if reason or quotes is None:
        text = f"{why} Mock execution was not possible: {reason}. Nothing was traded."
        return nothing(order, order_id, OrderStatus.REJECTED, ExecutionMode.MOCK, text)
    best = quotes.nbbo
    far = best.ask if order.is_buy else best.bid
    by_venue = _take(order, quotes)
    filled = sum(shares for shares, _ in by_venue.values())
    notional = sum(money for _, money in by_venue.values())
    text = f"{why} Mock execution at quotes of {moment(quotes.at):%Y-%m-%d %H:%M:%S} UTC: nothing was traded anywhere."
    if filled < order.shares:
        text += f" The quotes show {filled} shares that it could take; the rest is cancelled."
    if order.stop_loss:
        text += " No protective stop was placed."
    if filled == order.shares:
        status = OrderStatus.FILLED
    else:
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.CANCELLED
    return OrderResult(
        order_id=order_id,
        symbol=order.symbol,
        action=str(order.action),
        order_type=str(order.order_type),
        status=status,
        shares=order.shares,
        filled_shares=filled,
        average_price=_average(notional, filled),
        commission=Decimal(0),
        venues=tuple(sorted(by_venue, key=lambda venue: (-by_venue[venue][0], venue))),
        venue_scores={},
        arrival_midpoint=dollars(best.midpoint),
        arrival_bid=dollars(best.bid),
        arrival_ask=dollars(best.ask),
        slippage_bps=_slippage(order.side, notional, filled, best.midpoint),
        slippage_nbbo_bps=_slippage(order.side, notional, filled, far),
        execution_time_ms=0.0,
        routing_time_us=0.0,
        reasoning=text,
        execution_mode=ExecutionMode.MOCK,
        children=tuple(
            ChildResult(f"{order_id}-{number}", venue, shares, shares, _average(money, shares), Decimal(0), "fill")
            for number, (venue, (shares, money)) in enumerate(sorted(by_venue.items()), 1)
        ),
    )


def _unmockable(order: Order, quotes: Quotes | None) -> str:
    if order.order_type not in _TAKEN or order.time_in_force not in _AT_ONCE:
        return f"a {order.order_type} order ({order.time_in_force}) may have to wait, and a mock cannot"
    if quotes is None:
        return f"there is no quote of {order.symbol}"
    if quotes.symbol != order.symbol:
        return f"the quotes are of {quotes.symbol}"
    if not quotes.nbbo.is_two_sided:
        return f"{order.symbol} has no quote on both sides"
    return f"the quotes of {order.symbol} are crossed" if quotes.nbbo.is_crossed else ""


def _take(order: Order, quotes: Quotes) -> dict[str, tuple[int, int]]:
    """Shares and micro-dollars by venue: the best price first, ties in the order of the venues."""
    price = (quotes.ask if order.is_buy else quotes.bid).ravel()
    size = (quotes.ask_size if order.is_buy else quotes.bid_size).ravel()
    levels = quotes.ask.shape[1] if order.is_buy else quotes.bid.shape[1]
    left, found = order.shares, dict[str, tuple[int, int]]()
    for place in np.argsort(price * order.side, kind="stable").tolist():
        at = int(price[place])
        if not left or at == 0:
            continue
        if order.limit and (at - order.limit) * order.side > 0:
            break
        shares = min(left, int(size[place]))
        venue = quotes.venues[place // levels]
        before, money = found.get(venue, (0, 0))
        found[venue] = (before + shares, money + shares * at)
        left -= shares
    return found


def _average(notional: int, shares: int) -> Decimal | None:
    return None if not shares else (dollars(notional) / shares).quantize(_MILLIONTH, ROUND_HALF_EVEN)


def _slippage(side: int, notional: int, shares: int, against: int) -> float | None:
    return None if not shares else side * (notional - shares * against) / (shares * against) * 10_000
