"""How often somebody may try to log in: by name and by address, for each way to log in. An edge module: the clock.

A name is locked after a few failures in a row (`quantdesk.hub.passwords.Lockout`), an address after many within a
while, so that nobody tries one password on every name. A success forgives a name, and not an address: its own account
would help an attacker otherwise.

What is being judged counts as a failure until it is known better, so that many guesses at once gain nothing. Where it
would be one too many for an address, it waits for those before it: a desk of fifty that logs in at the same moment from
one office is let in, and fifty guesses are not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from quantdesk.hub.auth.person import Unreachable
from quantdesk.hub.passwords import Lockout

__all__ = ["Attempt", "Attempts", "address_of"]

GUESSES, LOCKED_FOR = 5, 600
#: An office may sit behind one address.
FROM_ONE_ADDRESS, WITHIN = 40, 600
_ADDRESSES = 10_000


@dataclass
class Attempt:
    """One attempt: why it is refused without being judged, or None; and whether it turned out to be no guess."""

    refused: str | None
    succeeded: bool = False


class Attempts:
    """Failures to log in. Kept in memory: a restart forgets them, which an attacker cannot cause.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.names = Lockout(GUESSES, LOCKED_FOR, clock)
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._judging: Counter[str] = Counter()
        self._judged = asyncio.Condition()

    @asynccontextmanager
    async def attempt(self, name: str = "", address: str = "") -> AsyncIterator[Attempt]:
        """Judge one attempt in the block; it has failed unless the block sets ``succeeded``.

        Where whoever judges cannot be reached (``Unreachable``), nothing was guessed.

        Parameters
        ----------
        name, address
            Who tries, and from where; what is empty is not counted.
        """
        async with self._judged:
            await self._judged.wait_for(lambda: not self._might_be_too_many(address))
            made = Attempt(self.refusal(name, address))  # nothing is awaited from here to the count
            if made.refused is None:
                self.failed(name, address)
                self._judging[address] += 1
        try:
            yield made
        except Unreachable:
            made.succeeded = True
            raise
        finally:
            if made.refused is None:
                self._judging[address] -= 1
                if not self._judging[address]:
                    del self._judging[address]
                if made.succeeded:
                    self.succeeded(name, address)
                async with self._judged:
                    self._judged.notify_all()

    def _might_be_too_many(self, address: str) -> bool:
        """Whether those that are being judged decide over the next one from an address."""
        times = self._recent(address)
        return len(times) >= FROM_ONE_ADDRESS and not self._too_many(address)

    def _too_many(self, address: str) -> bool:
        return len(self._recent(address)) - self._judging[address] >= FROM_ONE_ADDRESS

    def refusal(self, name: str = "", address: str = "") -> str | None:
        """Why nobody may try this name, or from this address, at the moment; None when he may."""
        left = self.names.remaining(name) if name else 0.0
        if left:
            return f"Too many wrong passwords for this name. Try again in {_minutes(left)}."
        if self._too_many(address):
            left = self._recent(address)[0] + WITHIN - self._clock()
            return f"Too many failed logins from your address. Try again in {_minutes(left)}."
        return None

    def failed(self, name: str = "", address: str = "") -> None:
        """Count a failure."""
        if name:
            self.names.failed(name)
        if address:
            times = self._recent(address)
            times.append(self._clock())
            self._failed[address] = times
            self._failed.move_to_end(address)
            while len(self._failed) > _ADDRESSES:
                self._failed.popitem(last=False)

    def succeeded(self, name: str = "", address: str = "") -> None:
        """What was counted was no failure: forgive the name all, and the address this one."""
        if name:
            self.names.succeeded(name)
        times = self._failed.get(address)
        if times:
            times.pop()

    def _recent(self, address: str) -> deque[float]:
        times = self._failed.get(address)
        if times is None:
            return deque()
        since = self._clock() - WITHIN
        while times and times[0] <= since:
            times.popleft()
        return times


def address_of(headers: Mapping[str, str], peer: str, proxies: int = 0) -> str:
    """Whom a request comes from.

    Each proxy adds who asked it at the end of ``X-Forwarded-For``: the last entry is the word of the hub's own proxy,
    and what stands before it is anybody's, unless more proxies of ours are in front.

    Parameters
    ----------
    headers
        Of the request.
    peer
        Who is connected, where no proxy is between.
    proxies
        How many proxies of ours are in front of the hub's own.

    Returns
    -------
    str
        The address; of an IPv6 address its network of 64 bits, which one customer has.

    Examples
    --------
    >>> address_of({"X-Forwarded-For": "1.1.1.1, 203.0.113.9"}, "127.0.0.1")
    '203.0.113.9'
    """
    entries = [one.strip() for one in headers.get("X-Forwarded-For", "").split(",") if one.strip()]
    text = entries[max(len(entries) - 1 - proxies, 0)] if entries else peer
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _minutes(seconds: float) -> str:
    number = max(1, round(seconds / 60))
    return f"{number} minute{'s' if number != 1 else ''}"
