"""What waits to be sent: what the pump asks of a store of messages, and one that lives in memory. Pure.

:class:`quantdesk.reports.ledger.deliveries.Deliveries` is such a store in a database, as ``RunLedger.deliveries``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from quantdesk.errors import UnknownName
from quantdesk.reports.deliver.message import Message
from quantdesk.reports.ledger.entry import Delivery, DeliveryState

__all__ = ["MemoryOutbox", "Outbox", "enqueue", "message_of"]


class Outbox(Protocol):
    """A store of messages. What is claimed and neither sent nor failed comes back after some seconds."""

    def add(self, delivery: Delivery) -> bool:
        """Add a message; False where one of this id is there already, sent or not."""
        ...

    def claim(self, now: datetime, seconds: float, limit: int = 20) -> tuple[Delivery, ...]:
        """Take messages that are due; the attempt counts from here on."""
        ...

    def sent(self, delivery_id: str) -> None:
        """Note that a message was sent. It is final."""
        ...

    def failed(self, delivery_id: str, problem: str, again: datetime | None) -> None:
        """Note that an attempt failed, and when to try again; None makes it a dead letter."""
        ...


class MemoryOutbox:
    """A store for one process, forgotten at its end. Safe for threads."""

    def __init__(self) -> None:
        self._kept: dict[str, Delivery] = {}
        self._until: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def add(self, delivery: Delivery) -> bool:
        """See :class:`Outbox`."""
        with self._lock:
            if delivery.id in self._kept:
                return False
            self._kept[delivery.id] = replace(delivery, state=DeliveryState.PENDING, attempts=0, problem="")
            return True

    def claim(self, now: datetime, seconds: float, limit: int = 20) -> tuple[Delivery, ...]:
        """See :class:`Outbox`."""
        with self._lock:
            due = [one for one in self._kept.values() if self._is_due(one, now)]
            due.sort(key=lambda one: (one.not_before, one.id))
            taken = [replace(one, state=DeliveryState.SENDING, attempts=one.attempts + 1) for one in due[:limit]]
            for one in taken:
                self._kept[one.id] = one
                self._until[one.id] = now + timedelta(seconds=seconds)
            return tuple(taken)

    def sent(self, delivery_id: str) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            self._kept[delivery_id] = replace(self._kept[delivery_id], state=DeliveryState.SENT, problem="")

    def failed(self, delivery_id: str, problem: str, again: datetime | None) -> None:
        """See :class:`Outbox`."""
        with self._lock:
            one = self._kept[delivery_id]
            if one.state is DeliveryState.SENT:
                return  # whoever comes late changes nothing
            state = DeliveryState.DEAD if again is None else DeliveryState.PENDING
            self._kept[delivery_id] = replace(one, state=state, problem=problem, not_before=again or one.not_before)

    def revive(self, delivery_id: str, now: datetime) -> None:
        """Try a dead letter again.

        Raises
        ------
        UnknownName
            There is no dead letter of this id.
        """
        with self._lock:
            one = self._kept.get(delivery_id)
            if one is None or one.state is not DeliveryState.DEAD:
                known = [name for name, kept in self._kept.items() if kept.state is DeliveryState.DEAD]
                raise UnknownName("dead letter", delivery_id[:200], known)
            self._kept[delivery_id] = replace(one, state=DeliveryState.PENDING, attempts=0, not_before=now)

    def list(self, state: DeliveryState | None = None) -> tuple[Delivery, ...]:
        """Messages, the newest first."""
        with self._lock:
            found = [one for one in self._kept.values() if state is None or one.state is state]
        return tuple(sorted(found, key=lambda one: (one.created, one.id), reverse=True))

    def _is_due(self, one: Delivery, now: datetime) -> bool:
        if one.state is DeliveryState.SENDING:
            return self._until[one.id] <= now
        return one.state is DeliveryState.PENDING and one.not_before <= now


def enqueue(outbox: Outbox, messages: Iterable[Message], now: datetime) -> int:
    """Put messages into the store; those that are there already stay as they are.

    Returns
    -------
    int
        How many are new. Calling it again after a crash adds only what is missing.
    """
    return sum(
        outbox.add(
            Delivery(
                id=message.id,
                run_id=message.run_id,
                channel=message.to.channel,
                target=message.to.target,
                message=message.to_dict(),
                state=DeliveryState.PENDING,
                attempts=0,
                not_before=now,
                problem="",
                created=now,
            )
        )
        for message in messages
    )


def message_of(delivery: Delivery) -> Message:
    """The message of a delivery.

    Raises
    ------
    ValueError, TypeError, KeyError
        What is kept is none: another version wrote it, or somebody changed it.
    """
    return Message.from_dict(delivery.message)
