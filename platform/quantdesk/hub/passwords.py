"""What makes a password acceptable, how it is kept, and how often one may guess. Pure but for reading the word list."""

from __future__ import annotations

import string
import time
from collections.abc import Callable
from functools import cache
from importlib import resources

import bcrypt

__all__ = ["MOST_BYTES", "SHORTEST", "Lockout", "hashed", "matches", "objection"]

SHORTEST = 10
#: bcrypt reads no further than this; what is longer is refused rather than cut.
MOST_BYTES = 72


def objection(password: str, user: str) -> str | None:
    """What is wrong with a new password, as one sentence for the person who chose it; None when it will do."""
    if len(password) < SHORTEST:
        return f"The password has {len(password)} characters; it needs at least {SHORTEST}."
    if len(password.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return f"The password is longer than {MOST_BYTES} bytes, which is the most that can be kept."
    if any(ord(character) < 32 for character in password):
        return "The password holds a control character."
    if len(set(password.lower())) < 5:
        return "The password repeats a few characters; it needs at least 5 different ones."
    if password.isdigit():
        return "The password is digits only."
    if len(user) >= 3 and user in password.lower():
        return "The password holds your user name."
    core = password.lower().strip(string.digits + string.punctuation + " ")
    if password.lower() in common_passwords() or core in common_passwords():
        return "The password is one of the most common ones, with digits or signs around it at most."
    return None


@cache
def _nobody() -> bytes:
    """What a password is compared with when there is no such user, so that the answer takes equally long."""
    return hashed("nobody has this password")


@cache
def common_passwords() -> frozenset[str]:
    """The ten thousand most common passwords, in lower case, as NativeAuthenticator ships them."""
    text = (resources.files("nativeauthenticator") / "common-credentials.txt").read_text(encoding="utf-8")
    return frozenset(text.lower().split("\n")) - {""}


def hashed(password: str) -> bytes:
    """The bcrypt hash to keep. It takes a fifth of a second on purpose."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())


def matches(password: str, kept: bytes | None) -> bool:
    """Whether a password fits the kept hash. None stands for a user who is not there; it takes as long."""
    given = password.encode("utf-8", "replace")
    if len(given) > MOST_BYTES or b"\0" in given:
        given, kept = b"", None
    return bcrypt.checkpw(given, kept or _nobody()) and kept is not None


class Lockout:
    """How often one may guess: after `limit` failures in a row a name is locked for `seconds`.

    Kept in memory: a restart forgets it, which an attacker cannot cause.

    Parameters
    ----------
    limit
        Failures that are allowed.
    seconds
        How long the lock lasts, from the last failure.
    clock
        Seconds that only grow.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}

    def remaining(self, user: str) -> float:
        """Seconds until `user` may try again; 0 when he may now."""
        count, last = self._failures.get(user, (0, 0.0))
        left = last + self._seconds - self._clock()
        if left <= 0:
            self._failures.pop(user, None)
            return 0.0
        return left if count >= self._limit else 0.0

    def failed(self, user: str) -> None:
        """Count a failure."""
        count, _ = self._failures.pop(user, (0, 0.0))
        self._failures[user] = (count + 1, self._clock())
        if len(self._failures) > 10_000:  # names that nobody has must not fill the memory: the oldest failure goes
            del self._failures[next(iter(self._failures))]

    def succeeded(self, user: str) -> None:
        """Forget the failures."""
        self._failures.pop(user, None)
