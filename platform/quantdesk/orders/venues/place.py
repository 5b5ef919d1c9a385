"""Where an order trades, and what holds there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quantdesk.orders.halts.status import Halts
from quantdesk.orders.venues.impact import Pressure
from quantdesk.orders.venues.reports import Reports
from quantdesk.orders.venues.sources import Source

__all__ = ["HaltPolicy", "Place"]


class HaltPolicy(StrEnum):
    """What a venue does with an order that arrives while its symbol is halted."""

    QUEUE = "queue"
    """As the exchanges do: day orders wait for the reopening, immediate-or-cancel orders are cancelled."""
    REJECT = "reject"
    """Every order is rejected with the code of the halt."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listing is, and what holds there.

    Attributes
    ----------
    symbol, venue
        Which, where.
    source
        The flow.
    pressure
        What one's own orders have taken of the symbol, over all venues.
    reports
        Whom to tell.
    halts
        What stops trading; None for nothing.
    policy
        What happens to orders in a halt.
    seed
        Of the cancellations of the background.
    """

    symbol: str
    venue: str
    source: Source
    pressure: Pressure
    reports: Reports
    halts: Halts | None = None
    policy: HaltPolicy = HaltPolicy.QUEUE
    seed: int = 0
