"""Signed values for cookies and forms. Pure: the secret and the clock come in as arguments."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

__all__ = ["Signer"]

_LARGEST = 4000


class Signer:
    """Signs values, each for one purpose: what was signed for another is not taken.

    Parameters
    ----------
    secret
        32 characters or more.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()

    def sign(self, purpose: str, value: dict[str, Any], now: float) -> str:
        """A value as text for a cookie, with the time at which it was signed (seconds since 1970)."""
        body = _text(json.dumps({"v": value, "t": round(now, 3)}, separators=(",", ":")).encode())
        return f"{body}.{self._mark(purpose, body)}"

    def read(self, purpose: str, text: str, now: float, life: float) -> dict[str, Any] | None:
        """What was signed, if it was signed here for this purpose and is not older than `life` seconds; else None."""
        body, dot, mark = text.partition(".")
        if len(text) > _LARGEST or not dot or not text.isascii():
            return None
        if not hmac.compare_digest(mark, self._mark(purpose, body)):
            return None
        found = json.loads(_bytes(body))  # it is ours, so it can be read
        value = found["v"]
        return value if -60 <= now - found["t"] <= life and isinstance(value, dict) else None

    def token(self, purpose: str, of: str) -> str:
        """A text that only this service can make out of another: for forms, bound to a session."""
        return self._mark(purpose, of)

    def fits(self, purpose: str, of: str, token: str) -> bool:
        """Whether a text is that token, compared in constant time."""
        return token.isascii() and hmac.compare_digest(token, self.token(purpose, of))

    def _mark(self, purpose: str, text: str) -> str:
        return _text(hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
