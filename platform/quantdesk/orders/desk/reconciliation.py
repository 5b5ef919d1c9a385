"""What the ledger says, in the form in which a broker's own list is held against it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from quantdesk.orders.brokers.reconcile import Statement
from quantdesk.orders.desk.state import DeskState
from quantdesk.orders.executions import Gateway, Kind
from quantdesk.orders.ledger import EntryKind, Stored, execution_of

__all__ = ["States", "here", "there"]


@runtime_checkable
class States(Protocol):
    """A gateway that has a list of its own: open orders, positions, fills."""

    def statement(self, since: int) -> Statement:
        """The account's own list, with the fills from a moment on (nanoseconds since 1970, UTC)."""
        ...


def here(state: DeskState, entries: Iterable[Stored], since: int) -> Statement:
    """What the ledger says.

    Parameters
    ----------
    state
        The memory of the desk.
    entries
        Of the ledger; those of executions are looked at.
    since
        Fills from this moment on.
    """
    reports = [
        execution_of(one) for one in entries if one.kind is EntryKind.EXECUTION and one.mode in (None, state.mode)
    ]
    return Statement(
        open_orders={
            child.child.client_id: child.leaves for order in state.unfinished() for child in order.open_children
        },
        positions=state.portfolio.positions,
        fills={
            one.execution_id: (one.client_id, one.shares, one.price)
            for one in reports
            if one.kind is Kind.FILL and one.at >= since
        },
    )


def there(gateway: Gateway, ours: Statement, since: int) -> Statement:
    """What the gateway says: its own list; where it keeps none, its open orders and what it says of each."""
    if isinstance(gateway, States):
        return gateway.statement(since)
    names = gateway.open_children()
    return Statement({name: ours.open_orders.get(name, 0) for name in names}, ours.positions, ours.fills)
