"""Homes of servers that run: measured now and then, and their users told before a home is too full. An edge module.

A home is looked at when the hub looks whether its server runs, and the last look is long enough ago. It costs little:
as the user, behind everything else that the machine does, and never two at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import Gauge

from quantdesk.errors import QuantdeskError
from quantdesk.hub.accounts import Account
from quantdesk.hub.quota import QuotaConfig, Usage, measured, size

__all__ = ["NEARLY", "HomeWatch", "told"]

NEARLY = 0.9
"""Part of what is allowed from which on a user is told."""
LONGEST_S = 600.0
_log = logging.getLogger(__name__)
_FULL = Gauge(
    "quantdesk_homes_full",
    "Homes of servers that run which hold nine tenths of what is allowed (nearly) or more than that (over).",
    ["how"],
)


def told(found: Usage) -> str:
    """What the user of a home is told; nothing below nine tenths of what is allowed.

    >>> told(Usage("ana", 950_000_000, 1_000_000_000))
    'Your home holds 950 MB of 1.0 GB. Above that your server will not start again.'
    """
    if found.used is None or found.limit is None or found.used < NEARLY * found.limit:
        return ""
    if found.is_over:
        return (
            f"Your home holds {size(found.used)}, and {size(found.limit)} are allowed: once it is stopped, your server "
            f"will not start. Make room while it runs.{found.told_largest}"
        )
    return (
        f"Your home holds {size(found.used)} of {size(found.limit)}. Above that your server will not start again."
        f"{found.told_largest}"
    )


def _gently(account: Account, limit: int, patience: float) -> Usage:
    return measured(account, limit, patience, gently=True)


class HomeWatch:
    """What is known of the homes of servers that run.

    Parameters
    ----------
    config
        How much is allowed, and how often it is looked; None reads the environment.
    clock
        Seconds that only grow.
    measure
        What measures: account, bytes above which the largest things are named, seconds of patience.
    """

    def __init__(
        self,
        config: QuotaConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        measure: Callable[[Account, int, float], Usage] | None = None,
    ) -> None:
        self._config = config or QuotaConfig.from_env()
        self._clock, self._measure = clock, measure or _gently
        self._looked: dict[str, float] = {}
        self._waiting: dict[str, tuple[Account, int]] = {}
        self._notes: dict[str, tuple[datetime, Usage]] = {}
        self._working: asyncio.Task[None] | None = None

    def runs(self, account: Account, of_profile: int = 0) -> None:
        """The server of an account runs: its home is looked at, if that is due. To be called in the hub's loop.

        `of_profile` is how many bytes its profile allows, as for `quantdesk.hub.quota.check`.
        """
        every, last = self._config.look_every_s, self._looked.get(account.user)
        limit = self._config.limit_in(of_profile)
        if not every or not limit or (last is not None and self._clock() < last + every):
            return
        self._looked[account.user] = self._clock()
        self._waiting[account.user] = (account, limit)
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())

    def ended(self, user: str) -> None:
        """The server of a user runs no more: its next start measures."""
        self._looked.pop(user, None)
        self._waiting.pop(user, None)
        self._notes.pop(user, None)
        self._count()

    def note(self, user: str) -> tuple[datetime, str] | None:
        """When a user's home was measured, and what the user is told; None where there is nothing to tell."""
        at, found = self._notes.get(user, (None, None))
        return (at, sentence) if at and found and (sentence := told(found)) else None

    async def _work(self) -> None:
        while self._waiting:
            user = next(iter(self._waiting))
            account, limit = self._waiting.pop(user)
            try:
                found = await asyncio.to_thread(self._measure, account, round(NEARLY * limit), LONGEST_S)
            except (OSError, QuantdeskError) as error:
                _log.warning("The home of %s could not be measured: %s", user, error)
                continue
            if user in self._looked:  # its server has not ended meanwhile
                self._notes[user] = (datetime.now(UTC), dataclasses.replace(found, limit=limit))
                self._count()

    def _count(self) -> None:
        found = [one for _, one in self._notes.values() if told(one)]
        over = sum(one.is_over for one in found)
        _FULL.labels("over").set(over)
        _FULL.labels("nearly").set(len(found) - over)
