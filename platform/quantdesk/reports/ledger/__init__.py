"""What the platform knows of runs: asked for, under way, ended; when they are due, and what people said of them.

One database, SQLite or PostgreSQL (:mod:`quantdesk.records`). The files of a run (notebook, page, log) are in its
folder (:mod:`quantdesk.reports.runs`); the ledger holds the record of it, so that thousands can be searched, and two
workers never do one thing twice.

::

    entry/        what the ledger takes and gives: orders of runs, runs, schedules, remarks    (pure)
    config        where it is                                                                  (edge: the environment)
    tables        the tables                                                                   (edge: SQL)
    rows          what a run is in the tables                                                  (edge: SQL)
    claims        runs that workers take, keep, try again and end                              (edge: SQL)
    queue         runs that are asked for, wait, are cancelled; and all of the claims          (edge: SQL)
    search        runs by report, state, person, metric; pages of them                         (edge: SQL)
    schedules     what is due when, each due time handled once                                 (edge: SQL)
    remarks       comments, sign-offs, the trail of who did what: only ever added to           (edge: SQL)
    deliveries    messages that wait to be sent, were sent, or could not be                    (edge: SQL)
    keeping       runs whose files are removed, by retention                                   (edge: SQL)
    store         :class:`RunLedger`, which has all of them                                    (edge: a database)
    versions      revisions of the tables, both ways                                           (edge: SQL)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from quantdesk.reports.ledger.entry import (
    Attempt,
    Claim,
    Comment,
    Delivery,
    Filter,
    Order,
    Page,
    Recorded,
    Schedule,
    SignOff,
    State,
    Verdict,
    Viewer,
)

if TYPE_CHECKING:
    from quantdesk.reports.ledger.config import RunLedgerConfig
    from quantdesk.reports.ledger.store import RunLedger

_HOMES = {"RunLedger": "store", "RunLedgerConfig": "config"}

__all__ = [
    "Attempt",
    "Claim",
    "Comment",
    "Delivery",
    "Filter",
    "Order",
    "Page",
    "Recorded",
    "RunLedger",
    "RunLedgerConfig",
    "Schedule",
    "SignOff",
    "State",
    "Verdict",
    "Viewer",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
