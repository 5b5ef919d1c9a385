"""The desk: one pipeline from an order to its fills, and everything written down.

::

    embedded     the desk of this process, as the settings say     (edge)
    desk         Desk: what callers ask                            (edge)
    controls     kill switches, limits, transfers, borrowing       (edge)
    steps        how an order moves, step by step                  (edge)
    sending      sending when what lies between can fail           (edge)
    journal      the ledger, and the memory made of it             (edge)
    world        clock, quotes, halts, facts, rules                (edge)
    scheduled    a large order worked over time                    (edge)
    bridge       a backtest that trades through a desk             (edge)
    state        the memory: a fold over the ledger                (pure)
    outcome      from the memory to a result                       (pure)
    reconciliation   what the ledger says, beside a broker's list  (pure)
    stops, short_sales, direct, facts                              (pure)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.orders.desk.bridge import DeskExecution, still_market
    from quantdesk.orders.desk.desk import Desk
    from quantdesk.orders.desk.embedded import EmbeddedConfig, open_desk, simulated_desk
    from quantdesk.orders.desk.facts import Facts, known
    from quantdesk.orders.desk.scheduled import work
    from quantdesk.orders.desk.state import Stop
    from quantdesk.orders.desk.world import DeskConfig

_HOMES = {
    "Desk": "desk",
    "DeskConfig": "world",
    "DeskExecution": "bridge",
    "EmbeddedConfig": "embedded",
    "Facts": "facts",
    "Stop": "state",
    "known": "facts",
    "open_desk": "embedded",
    "simulated_desk": "embedded",
    "still_market": "bridge",
    "work": "scheduled",
}

__all__ = [
    "Desk",
    "DeskConfig",
    "DeskExecution",
    "EmbeddedConfig",
    "Facts",
    "Stop",
    "known",
    "open_desk",
    "simulated_desk",
    "still_market",
    "work",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
