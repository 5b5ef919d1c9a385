"""From what is known of an order to its result. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from quantdesk.orders.amounts import dollars
from quantdesk.orders.desk.state import ChildState, OrderState, Stop
from quantdesk.orders.executions import ExecutionMode, Kind
from quantdesk.orders.guardrails import GuardrailViolation
from quantdesk.orders.result import ChildResult, OrderResult, OrderStatus

__all__ = ["ending", "outcome"]

_MILLIONTH = Decimal("0.000001")


def ending(state: OrderState) -> OrderStatus:
    """How an order ends of which nothing is open any more."""
    filled = state.filled
    if filled == state.order.shares:
        return OrderStatus.FILLED
    if filled:
        return OrderStatus.PARTIALLY_FILLED
    refused = state.children and all(child.kind is Kind.REJECTED for child in state.children.values())
    return OrderStatus.REJECTED if refused and not state.cancel_requested else OrderStatus.CANCELLED


def outcome(
    state: OrderState, mode: ExecutionMode, stops: tuple[Stop, ...] = (), *, was_known: bool = False
) -> OrderResult:
    """The result of an order as it stands.

    Parameters
    ----------
    state
        The order.
    mode
        Where its fills come from.
    stops
        Its protective stops that still stand.
    was_known
        Whether this answers a repeated request.
    """
    order, children = state.order, list(state.children.values())
    filled = state.filled
    notional = sum(child.notional for child in children)
    average = _average(notional, filled)
    arrival = _arrival(state)
    middle, far = arrival["midpoint"], arrival["ask" if order.is_buy else "bid"]
    return OrderResult(
        order_id=state.order_id,
        symbol=order.symbol,
        action=str(order.action),
        order_type=str(order.order_type),
        status=_status(state),
        shares=order.shares,
        filled_shares=filled,
        average_price=average,
        commission=dollars(sum(child.fees for child in children)),
        venues=_venues(children),
        venue_scores=_scores(state),
        arrival_midpoint=_price(middle),
        arrival_bid=_price(arrival["bid"]),
        arrival_ask=_price(arrival["ask"]),
        slippage_bps=_slippage(order.side, notional, filled, middle),
        slippage_nbbo_bps=_slippage(order.side, notional, filled, far),
        execution_time_ms=max(state.last_fill_at - state.received_at, 0) / 1e6 if filled else 0.0,
        routing_time_us=sum(receipt["routing_time_ns"] for receipt in state.receipts) / 1e3,
        reasoning=_reasoning(state),
        execution_mode=mode,
        children=tuple(_child(child) for child in children),
        violations=tuple(GuardrailViolation(**one) for one in (state.decision or {}).get("violations", ())),
        stop_loss_ids=tuple(stop.stop_id for stop in stops),
        label=str((state.decision or {}).get("label", "")),
        was_known=was_known,
    )


def _status(state: OrderState) -> OrderStatus:
    if state.status is not None:
        return state.status
    return OrderStatus.PENDING_UNKNOWN if state.unknown else OrderStatus.OPEN


def _average(notional: int, shares: int) -> Decimal | None:
    return None if not shares else (dollars(notional) / shares).quantize(_MILLIONTH, ROUND_HALF_EVEN)


def _price(amount: int) -> Decimal | None:
    return dollars(amount) if amount else None


def _slippage(side: int, notional: int, shares: int, against: int) -> float | None:
    """Basis points by which the average price is worse than a price; above 0 is a cost."""
    if not shares or not against:
        return None
    return side * (notional - shares * against) / (shares * against) * 1e4


def _arrival(state: OrderState) -> dict[str, int]:
    """Bid, offer and midpoint at the first routing decision; 0 where there was none."""
    nbbo: Any = state.receipts[0]["nbbo"] if state.receipts else {}
    bid, ask = int(nbbo.get("bid", 0)), int(nbbo.get("ask", 0))
    return {"bid": bid, "ask": ask, "midpoint": (bid + ask) // 2 if bid and ask else 0}


def _venues(children: list[ChildState]) -> tuple[str, ...]:
    filled: dict[str, int] = {}
    for child in children:
        filled[child.child.venue] = filled.get(child.child.venue, 0) + child.filled
    traded = {venue: shares for venue, shares in filled.items() if shares} or filled
    return tuple(sorted(traded, key=lambda venue: (-traded[venue], venue)))


def _scores(state: OrderState) -> dict[str, float]:
    found: dict[str, float] = {}
    for receipt in state.receipts:
        for row in receipt.get("venues", ()):
            found.setdefault(row["venue"], row["score"])
    return found


def _reasoning(state: OrderState) -> str:
    sentences = [text for receipt in state.receipts for text in receipt.get("reasoning", ())]
    return " ".join([*dict.fromkeys(sentences), *([state.reason] if state.reason else [])])


def _child(state: ChildState) -> ChildResult:
    child = state.child
    return ChildResult(
        client_id=child.client_id,
        venue=child.venue,
        shares=child.shares,
        filled_shares=state.filled,
        average_price=_average(state.notional, state.filled),
        commission=dollars(state.fees),
        status="unknown" if state.kind is None else str(state.kind),
    )
