"""When a message that did not arrive is tried again, and when it is given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["BackOff", "next_attempt"]


@dataclass(frozen=True)
class BackOff:
    """How patiently a message is tried.

    Attributes
    ----------
    first_s
        Seconds from the first failure to the second attempt.
    factor
        By which each wait is longer than the one before.
    longest_s
        No wait is longer, whatever the other side asks for.
    attempts
        After so many it goes to the dead letters.
    """

    first_s: float = 30.0
    factor: float = 2.0
    longest_s: float = 3600.0
    attempts: int = 24


def next_attempt(
    attempts: int, now: datetime, back_off: BackOff | None = None, *, retry_after_s: float | None = None
) -> datetime | None:
    """When to try again after the attempt number `attempts` failed; None to give up.

    Parameters
    ----------
    attempts
        How often it was tried so far, this time included; from 1.
    now
        UTC.
    back_off
        How patiently; the defaults when not given.
    retry_after_s
        What the other side asked for: not earlier than that, within the longest wait.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> now = datetime(2026, 11, 27, 9, tzinfo=UTC)
    >>> [(next_attempt(n, now) - now).seconds for n in (1, 2, 3, 8)]
    [30, 60, 120, 3600]
    >>> next_attempt(24, now) is None
    True
    """
    rule = back_off or BackOff()
    if attempts >= rule.attempts:
        return None
    # The exponent is bounded, so that no number of attempts overflows a float.
    wait = min(rule.first_s * rule.factor ** min(attempts - 1, 60), rule.longest_s)
    if retry_after_s is not None:
        wait = min(max(wait, retry_after_s), rule.longest_s)
    return now + timedelta(seconds=wait)
