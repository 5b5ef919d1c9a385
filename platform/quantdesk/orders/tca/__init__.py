"""Transaction cost analysis: what executions cost, and where the cost came from. Pure.

::

    facts        orders, fills and quotes as the measures take them
    tape         quotes and prints over time, looked up as they were known
    sources      facts from the ledger and from results, tapes from simulated markets
    trial        orders of every kind from a seed, to see how a desk executes
    shortfall    implementation shortfall of one order, exact
    spreads      measures of single fills
    averages     weighted averages, standard errors, bootstrap
    tables       averages by group, shortfalls by group, the curve of realised spreads
    rule605      the shape of a report under Rule 605
    analysis     all of it: ``analyse(orders, fills, tapes)``

Signs are costs: above 0 is worse for the one who traded, but for price improvement, which is what it says. What is not
known is NaN (None for exact money) and comes with a reason; it is never 0, and never carried over a halt or a close.
"""

from quantdesk.orders.tca.analysis import Analysis, analyse
from quantdesk.orders.tca.averages import Interval
from quantdesk.orders.tca.facts import Fill, OrderFacts, Quote, Routed
from quantdesk.orders.tca.rule605 import Report
from quantdesk.orders.tca.shortfall import Shortfall, shortfall
from quantdesk.orders.tca.sources import Collected, facts_from_ledger, facts_from_results, market_tapes
from quantdesk.orders.tca.spreads import HORIZONS
from quantdesk.orders.tca.tape import Prints, Tape
from quantdesk.orders.tca.trial import agenda, trial

__all__ = [
    "HORIZONS",
    "Analysis",
    "Collected",
    "Fill",
    "Interval",
    "OrderFacts",
    "Prints",
    "Quote",
    "Report",
    "Routed",
    "Shortfall",
    "Tape",
    "agenda",
    "analyse",
    "facts_from_ledger",
    "facts_from_results",
    "market_tapes",
    "shortfall",
    "trial",
]
