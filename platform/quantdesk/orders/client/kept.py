"""Mock executions in the ledger, in an account of their own. An edge module: it writes to the ledger.

What a client made up while its router was away belongs beside everything else that happened to orders, and must never
be taken for a trade: every entry is of the mode ``mock``, and no other account counts it.
"""

from __future__ import annotations

from quantdesk.orders.amounts import micros
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.order import Child, Order
from quantdesk.orders.result import ChildResult, OrderResult

__all__ = ["keep"]


def keep(ledger: Ledger, order: Order, result: OrderResult, at: int) -> None:
    """Write a mock result down, once; any other result is left to the desk that made it.

    Parameters
    ----------
    ledger
        Where.
    order
        With its idempotency key, by which the ledger knows it again.
    result
        What came of it.
    at
        Nanoseconds since 1970 (UTC).
    """
    if result.execution_mode is not ExecutionMode.MOCK:
        return
    order_id = ledger.receive(order, at, ExecutionMode.MOCK).order_id
    if any(True for _ in ledger.entries(order_id=order_id, kinds=[EntryKind.RESULT])):
        return
    entries = [entry for part in result.children for entry in _part(order, order_id, part, at)]
    told = {"status": str(result.status), "reason": result.reasoning}
    ledger.append(*entries, Entry(EntryKind.RESULT, at, order_id, user_id=order.user_id, payload=told))


def _part(order: Order, order_id: str, part: ChildResult, at: int) -> tuple[Entry, ...]:
    name = f"{order_id}.mock-{part.client_id.rpartition('-')[2]}"
    child = Child(name, part.venue, order.symbol, order.action, part.shares)
    sent = Entry.sent(child, at, order_id, order.user_id)
    if part.average_price is None:
        return (sent, Entry.executed(Execution(f"{name}:end", name, Kind.CANCELLED, at, part.venue), at, order_id))
    price = micros(part.average_price)
    fill = Execution(f"{name}:fill", name, Kind.FILL, at, part.venue, part.filled_shares, price, liquidity="remove")
    return sent, Entry.executed(fill, at, order_id)
