"""Orders to a smart order router, remote or in this process, and the wire between the two.

What is where::

    client    SorClient: async and sync                                (edge: network, threads)
    commands  what the command line asks of orders                     (edge: desk, ledger)
    config    where the remote router is                               (edge: environment)
    embedded  the desk of this process, opened at its first order      (edge: settings, market data)
    kept      mock executions in the ledger                            (edge: a database)
    journal   which orders went out, and what came of them             (edge: SQLite)
    core      what is done when, and above all when not                (pure)
    mock      what an order would have got from the quotes at hand     (pure)
    wire      orders and results as JSON; what can be believed         (pure)
    server    one request answered by a desk                           (pure)
    fence     a desk whose keys can be given up                        (pure)
"""

from __future__ import annotations

from quantdesk.orders.client.client import SorClient, get_sor_client
from quantdesk.orders.client.config import SorConfig
from quantdesk.orders.client.core import Fallback, Resolved
from quantdesk.orders.client.fence import Fence
from quantdesk.orders.client.server import handle

__all__ = ["Fallback", "Fence", "Resolved", "SorClient", "SorConfig", "get_sor_client", "handle"]
