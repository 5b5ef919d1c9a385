"""What is known of a feed, and when it may be asked again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts.feeds.halt import Halt

__all__ = ["LEAST_S", "Feed", "Heard", "wait_after"]

LEAST_S = 60
"""Seconds between two requests to a feed: Nasdaq asks for no more than one a minute."""
_MOST_S = 900


@dataclass(frozen=True)
class Feed:
    """Where a feed is, and how it is read.

    Attributes
    ----------
    name, url
        What its halts are kept under, and its address.
    parse
        From text to halts; raises FeedError on anything else.
    is_current
        Whether it tells of now. What it says of a past day is kept too, but does not make it fresh.
    """

    name: str
    url: str
    parse: Callable[[str], list[Halt]]
    is_current: bool = True


@dataclass(frozen=True)
class Heard:
    """What is known of a feed.

    Attributes
    ----------
    feed
        Its name.
    asked_at
        When it was asked last; nanoseconds since 1970 (UTC), 0 for never.
    heard_at
        When it last gave a whole answer, or said that nothing had changed; 0 for never.
    failures
        How many requests failed since then.
    wait_s
        Seconds from `asked_at` until it may be asked again.
    problem
        Why the last request failed; empty where it did not.
    """

    feed: str
    asked_at: int = 0
    heard_at: int = 0
    failures: int = 0
    wait_s: float = LEAST_S
    problem: str = ""

    def is_due(self, now: int) -> bool:
        """Whether it may be asked again. A clock that was set back does not stop it for longer than it would wait."""
        apart = (now - self.asked_at) / SECOND
        return apart >= self.wait_s or apart < -self.wait_s


def wait_after(failures: int, rng: np.random.Generator, asked_for_s: float = 0.0) -> float:
    """Seconds to wait after failures in a row: a minute, doubled by each up to fifteen, and up to a quarter more.

    Parameters
    ----------
    failures
        0 after a success, which waits one minute without jitter.
    rng
        Of the jitter.
    asked_for_s
        What the server asked for (``Retry-After``), which is kept to, up to an hour.
    """
    if failures == 0:
        return max(float(LEAST_S), min(asked_for_s, 3600.0))
    wait = min(LEAST_S * 2.0**failures, _MOST_S) * (1 + 0.25 * rng.random())
    return max(wait, min(asked_for_s, 3600.0))
