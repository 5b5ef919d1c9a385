"""One round of sending: take what is due, send it, note what became of it. An edge module: it talks to the channels.

Each address has a thread of its own in a round, so a webhook that hangs delays nobody else, and what waits for the same
place is left for a later round once that place has failed. A message is noted as sent after the channel took it: when
this process dies in between, it is sent again, with the same id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from quantdesk.errors import QuantdeskError
from quantdesk.reports.deliver.attempts import BackOff, next_attempt
from quantdesk.reports.deliver.channel import Channel, Permanent, Temporary
from quantdesk.reports.deliver.outbox import Outbox, message_of
from quantdesk.reports.deliver.recipients import EMAIL
from quantdesk.reports.ledger.entry import Delivery

__all__ = ["Pumped", "pump"]

_log = logging.getLogger(__name__)

HOLD_S = 600.0
"""Seconds for which a message belongs to a round: longer than any round, so that no second worker sends it, too."""
THREADS = 8
BUDGET_S = 240.0
"""Seconds after which a round begins no further message to one place; with a minute for the last one at the worst, it
is over well within its hold."""


@dataclass(frozen=True)
class Pumped:
    """What one round did, in messages."""

    sent: int = 0
    put_off: int = 0
    dead: int = 0

    @property
    def tried(self) -> int:
        """All of them."""
        return self.sent + self.put_off + self.dead


def pump(
    outbox: Outbox,
    channels: Mapping[str, Channel],
    now: datetime,
    *,
    back_off: BackOff | None = None,
    limit: int = 20,
) -> Pumped:
    """Do one round.

    Parameters
    ----------
    outbox
        Where messages wait: ``RunLedger.deliveries``, or a :class:`~quantdesk.reports.deliver.outbox.MemoryOutbox`.
    channels
        By the names of :data:`quantdesk.reports.deliver.recipients.CHANNELS`.
    now
        UTC.
    back_off
        How patiently messages are tried.
    limit
        How many messages at most.

    Returns
    -------
    Pumped
        What became of them. Nothing that a channel does is raised.
    """
    rule = back_off or BackOff()
    places: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in outbox.claim(now, HOLD_S, limit):
        # All mail goes to one server.
        place = (delivery.channel, "" if delivery.channel == EMAIL else delivery.target)
        places.setdefault(place, []).append(delivery)
    if not places:
        return Pumped()
    with ThreadPoolExecutor(min(THREADS, len(places)), thread_name_prefix="deliver") as pool:
        rounds = list(pool.map(lambda waiting: _one_place(outbox, channels, now, rule, waiting), places.values()))
    return Pumped(
        sum(done.sent for done in rounds), sum(done.put_off for done in rounds), sum(done.dead for done in rounds)
    )


def _one_place(
    outbox: Outbox, channels: Mapping[str, Channel], now: datetime, rule: BackOff, waiting: Sequence[Delivery]
) -> Pumped:
    """Send what waits for one place, in order, until it fails."""
    sent = put_off = dead = 0
    failed: Temporary | None = None
    begun = time.monotonic()
    for delivery in waiting:
        is_tried = failed is None and time.monotonic() - begun < BUDGET_S
        try:
            if not is_tried:
                raise failed or Temporary("Not tried: many messages wait for the same place.", retry_after_s=0.0)
            _send(channels, delivery)
        except Temporary as error:
            # What was not tried is not given up, however often its place was down before its turn came.
            attempts = delivery.attempts if is_tried else min(delivery.attempts, rule.attempts - 1)
            again = next_attempt(attempts, now, rule, retry_after_s=error.retry_after_s)
            _note_failure(outbox, delivery, error, again)
            put_off, dead = put_off + (again is not None), dead + (again is None)
            failed = error
        except Permanent as error:
            _note_failure(outbox, delivery, error, None)
            dead += 1
        else:
            outbox.sent(delivery.id)
            sent += 1
    return Pumped(sent, put_off, dead)


def _send(channels: Mapping[str, Channel], delivery: Delivery) -> None:
    channel = channels.get(delivery.channel)
    if channel is None:
        raise Temporary(f"There is no channel {delivery.channel!r} in the settings.")
    try:
        message = message_of(delivery)
    except (ValueError, TypeError, KeyError) as error:
        raise Permanent(f"What was kept of the message cannot be read ({type(error).__name__}).") from error
    try:
        channel.send(message)
    except (Temporary, Permanent):
        raise
    except Exception as error:  # a channel of somebody's own must not end the worker
        _log.exception("delivery %s failed", delivery.id)
        raise Temporary(f"The channel {delivery.channel} failed ({type(error).__name__}).") from error


def _note_failure(outbox: Outbox, delivery: Delivery, error: QuantdeskError, again: datetime | None) -> None:
    outbox.failed(delivery.id, f"{error.problem} {error.remedy}".strip(), again)
    level = logging.WARNING if again is None else logging.INFO
    _log.log(level, "delivery %s by %s: %s", delivery.id, delivery.channel, error.problem)
