"""Where to send the parts of an order, and why.

::

    router      SmartOrderRouter: one order, or many
    receipt     what was decided, from what, why; it can be replayed
    terms       what each venue charges, how far it is, whether its quotes are protected
    config      what a desk can set, and what it knows of the stock
    scores      the venues side by side, from 0 to 1
    reasons     the sentences of a receipt
    schedules   TWAP, VWAP, POV, Almgren-Chriss: when to send how much of a large order
    impact      what a trade does to the price
    decide, day, children, batch, layout      from objects to arrays and back
    kernel, streams, fills                    the compiled loops: costs, the optimum, chances of a fill
"""

from __future__ import annotations

from quantdesk.orders.routing.batch import Books, Parents, Splits
from quantdesk.orders.routing.config import Conditions, RoutingConfig, Weights
from quantdesk.orders.routing.decide import replay
from quantdesk.orders.routing.receipt import Alternative, Receipt
from quantdesk.orders.routing.router import SmartOrderRouter
from quantdesk.orders.routing.scores import VenueScore
from quantdesk.orders.routing.terms import Terms, directory

__all__ = [
    "Alternative",
    "Books",
    "Conditions",
    "Parents",
    "Receipt",
    "RoutingConfig",
    "SmartOrderRouter",
    "Splits",
    "Terms",
    "VenueScore",
    "Weights",
    "directory",
    "replay",
]
