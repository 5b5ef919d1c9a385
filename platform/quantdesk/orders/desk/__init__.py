"""The desk: one pipeline from an order to its fills, and everything written down.

::

    desk         Desk: what callers ask                        (edge)
    steps        how an order moves, step by step              (edge)
    sending      sending when what lies between can fail       (edge)
    journal      the ledger, and the memory made of it         (edge)
    world        clock, quotes, halts, facts, rules            (edge)
    state        the memory: a fold over the ledger            (pure)
    outcome      from the memory to a result                   (pure)
    stops, short_sales, direct, facts                          (pure)
"""

from __future__ import annotations

from quantdesk.orders.desk.desk import Desk
from quantdesk.orders.desk.facts import Facts, known
from quantdesk.orders.desk.state import Stop
from quantdesk.orders.desk.world import DeskConfig

__all__ = ["Desk", "DeskConfig", "Facts", "Stop", "known"]
