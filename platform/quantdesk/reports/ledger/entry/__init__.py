"""What the ledger takes and gives. Pure.

::

    run         orders of runs, runs, the right to carry one out, how attempts ended
    question    who asks, which runs, and pages of them
    schedule    when a report runs by itself
    remark      comments and sign-offs
    delivery    messages that are to be sent
"""

from __future__ import annotations

from quantdesk.reports.ledger.entry.delivery import Delivery, DeliveryState
from quantdesk.reports.ledger.entry.question import Filter, Page, Viewer
from quantdesk.reports.ledger.entry.remark import Comment, SignOff, Verdict
from quantdesk.reports.ledger.entry.run import FINAL, Attempt, Claim, Left, Order, Recorded, State
from quantdesk.reports.ledger.entry.schedule import Schedule

__all__ = [
    "FINAL",
    "Attempt",
    "Claim",
    "Comment",
    "Delivery",
    "DeliveryState",
    "Filter",
    "Left",
    "Order",
    "Page",
    "Recorded",
    "Schedule",
    "SignOff",
    "State",
    "Verdict",
    "Viewer",
]
