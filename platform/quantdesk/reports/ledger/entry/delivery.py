"""A message about a run, and how far it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["Delivery", "DeliveryState"]


class DeliveryState(StrEnum):
    """How far a message is."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True)
class Delivery:
    """A message to one address.

    Attributes
    ----------
    id
        Its name: the same message is added once.
    run_id
        What it is about; empty when it is about no run.
    channel, target
        Which way (``email``, ``webhook``, ``file``), and to whom.
    message
        As JSON.
    state
        How far it is.
    attempts
        How often it was tried.
    not_before
        The next attempt (UTC).
    problem
        Why the last attempt failed; empty otherwise.
    created
        UTC.
    """

    id: str
    run_id: str
    channel: str
    target: str
    message: Mapping[str, Any]
    state: DeliveryState
    attempts: int
    not_before: datetime
    problem: str
    created: datetime
