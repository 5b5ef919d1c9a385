"""Orders: guardrails -> halts -> routing -> venue, one pipeline for notebooks, HTTP and scenarios.

::

    client        SorClient: the embedded desk, or a remote router
    alerts        rules that watch a desk, in production and in a scenario
    desk          the pipeline, protective stops, recovery, reconciliation
    tca           what the execution cost
    brokers       where real orders go
    ledger        everything that happened, for ever
    venues        simulated exchanges: books, queues, halts, order flow
    routing       where to send the parts of an order, and why
    guardrails    what a desk allows
    halts         what stops trading: bands, breakers, sessions, feeds
    rulebook      the rules of the market, dated
    order, quotes, executions, portfolio, symbols, amounts
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.orders.client import SorClient, get_sor_client
    from quantdesk.orders.desk import Desk
    from quantdesk.orders.guardrails import Guardrails, GuardrailViolation
    from quantdesk.orders.halts import HaltClient, get_halt_client
    from quantdesk.orders.order import Order
    from quantdesk.orders.routing import SmartOrderRouter

_HOMES = {
    "Desk": "desk",
    "GuardrailViolation": "guardrails",
    "Guardrails": "guardrails",
    "HaltClient": "halts",
    "Order": "order",
    "SmartOrderRouter": "routing",
    "SorClient": "client",
    "get_halt_client": "halts",
    "get_sor_client": "client",
}

__all__ = [
    "Desk",
    "GuardrailViolation",
    "Guardrails",
    "HaltClient",
    "Order",
    "SmartOrderRouter",
    "SorClient",
    "get_halt_client",
    "get_sor_client",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
