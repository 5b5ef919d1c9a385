"""What a venue said of each child order, in order, with execution ids that depend on nothing but the order. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.order import Child
from quantdesk.orders.routing.terms import Terms

__all__ = ["Reports"]


class Reports:
    """The executions of every child that arrived at a simulated venue.

    Parameters
    ----------
    terms
        Of the venues by name: they set the fees.
    """

    def __init__(self, terms: Mapping[str, Terms]) -> None:
        self.terms = dict(terms)
        self._told: dict[str, list[Execution]] = {}
        self._open: dict[str, int] = {}
        self.children: dict[str, Child] = {}

    def arrived(self, child: Child) -> None:
        """A child has arrived; from here on it is known."""
        self.children[child.client_id] = child
        self._told[child.client_id] = []
        self._open[child.client_id] = child.shares

    def tell(self, client_id: str, kind: Kind, at: int, *, shares: int = 0, price: int = 0, liquidity: str = "",
             text: str = "") -> None:  # fmt: skip
        """Something happened to a child. The fee follows from the terms; what it still has open, too."""
        child, told = self.children[client_id], self._told[client_id]
        fee = 0
        if kind is Kind.FILL:
            terms = self.terms[child.venue]
            fee = (terms.add_fee_for if liquidity == "add" else terms.remove_fee_for)(shares, price)
            self._open[client_id] -= shares
        name = f"{client_id}:{len(told)}"
        told.append(Execution(name, client_id, kind, at, child.venue, shares, price, fee, liquidity, text))
        if kind.is_final or self._open[client_id] == 0:
            del self._open[client_id]

    def of(self, client_id: str) -> tuple[Execution, ...] | None:
        """Everything so far; None where it never arrived."""
        told = self._told.get(client_id)
        return None if told is None else tuple(told)

    def since(self, client_id: str, known: int) -> tuple[Execution, ...]:
        """What came after the first `known` reports."""
        return tuple(self._told[client_id][known:])

    @property
    def open(self) -> tuple[str, ...]:
        """The client ids of what is open, in the order of arrival."""
        return tuple(self._open)
