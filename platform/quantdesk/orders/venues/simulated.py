"""A simulated exchange: books with queues, latency, fees, halts and impact. Pure.

Everything that it says carries the mode ``simulated``: see :class:`quantdesk.orders.venues.SimulatedMarket`, which puts
several of them under one clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantdesk.errors import UnknownName
from quantdesk.orders.executions import Execution
from quantdesk.orders.halts.status import Halts
from quantdesk.orders.order import Child
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues.impact import Pressure
from quantdesk.orders.venues.listing import Listing
from quantdesk.orders.venues.place import HaltPolicy, Place
from quantdesk.orders.venues.reports import Reports
from quantdesk.orders.venues.sources import Source

__all__ = ["Conditions", "SimulatedVenue"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds at every venue of a market.

    Attributes
    ----------
    source
        The flow.
    reports
        Where executions are kept.
    pressure
        Of a symbol: what one's own orders have taken of it.
    halts
        What stops trading; None for nothing. A status of UNKNOWN stops nothing here: a simulated exchange knows.
    policy
        What happens to orders that arrive in a halt.
    seed
        Of the background's cancellations.
    """

    source: Source
    reports: Reports
    pressure: Callable[[str], Pressure]
    halts: Halts | None = None
    policy: HaltPolicy = HaltPolicy.QUEUE
    seed: int = 0


class SimulatedVenue:
    """One exchange.

    Parameters
    ----------
    terms
        Its name, fees and latency.
    conditions
        See :class:`Conditions`.
    at
        The moment at which it begins: nanoseconds since 1970 (UTC).
    """

    def __init__(self, terms: Terms, conditions: Conditions, at: int) -> None:
        self.terms = terms
        self._conditions = conditions
        self._at = at
        self._listings: dict[str, Listing] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.terms.venue

    def listing(self, symbol: str) -> Listing:
        """The book of a symbol, and what goes on around it.

        Raises
        ------
        UnknownName
            It is not traded here.
        """
        found = self._listings.get(symbol)
        if found is None:
            given = self._conditions
            if symbol not in given.source.symbols:
                raise UnknownName("symbol", symbol, given.source.symbols)
            place = Place(
                symbol,
                self.name,
                given.source,
                given.pressure(symbol),
                given.reports,
                given.halts,
                given.policy,
                given.seed,
            )
            found = self._listings[symbol] = Listing(place, self._at)
        return found

    def send(self, child: Child, sent_at: int) -> tuple[Execution, ...]:
        """An order is sent, and arrives after the latency; what happened to it on arrival.

        The book that it meets is the one of its arrival, not the one that the sender saw.
        """
        self.listing(child.symbol).arrive(child, sent_at + self.terms.latency_ns)
        return self._conditions.reports.since(child.client_id, 0)

    def cancel(self, client_id: str, sent_at: int) -> tuple[Execution, ...]:
        """A request to cancel is sent, and arrives after the latency; what has happened to the order until then."""
        reports = self._conditions.reports
        known = len(reports.of(client_id) or ())
        self.listing(reports.children[client_id].symbol).cancel(client_id, sent_at + self.terms.latency_ns)
        return reports.since(client_id, known)

    def advance(self, to: int) -> None:
        """Play on, where one's own orders are open; elsewhere nobody needs to know yet."""
        for listing in self._listings.values():
            if listing.has_own:
                listing.advance(to)
