"""Where real orders go: brokers, behind the one :class:`~quantdesk.orders.executions.Gateway`.

What is where::

    alpaca     AlpacaGateway: orders to a paper or a live account      (edge: network, clock)
    transport  requests, timeouts, and what a failure proves           (edge: network)
    sdk        the parts of ``alpaca-py`` that are used                (edge: network)
    config     keys and addresses                                      (edge: environment)
    reports    what Alpaca says of an order, as execution reports      (pure)
    latest     its latest quote as a book                              (pure)
    reconcile  a broker's own list beside the ledger: the differences  (pure)

``AlpacaGateway`` is imported when it is asked for: ``alpaca-py`` takes a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantdesk.orders.brokers.config import AlpacaConfig
from quantdesk.orders.brokers.reconcile import Difference, Statement, compare

if TYPE_CHECKING:
    from quantdesk.orders.brokers.alpaca import AlpacaGateway

__all__ = ["AlpacaConfig", "AlpacaGateway", "Difference", "Statement", "compare"]


def __getattr__(name: str) -> Any:
    if name == "AlpacaGateway":
        from quantdesk.orders.brokers.alpaca import AlpacaGateway

        return AlpacaGateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
