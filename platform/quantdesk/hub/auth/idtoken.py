"""Whether a provider's ID token is to be believed: by its signature, for whom and until when it is. Pure.

OpenID Connect Core 1.0, section 3.1.3.7. The token comes from the provider itself over HTTPS; it is checked all the
same, because it says what the answer of no other request says: for whom, for which login, and what the provider's clock
shows.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from quantdesk.hub.auth.person import LoginOver, Unreachable

__all__ = ["ALGORITHMS", "Expected", "judge", "unpacked", "within"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key. ``none`` and those with a shared secret are not among them."""
#: A token of this moment may have been under way for so many seconds.
_UNDER_WAY = 300


@dataclass(frozen=True)
class Expected:
    """What a token must say.

    Attributes
    ----------
    issuer, client
        By whom and for whom.
    nonce
        The mark of the login that was begun here; empty at a renewal, which has none.
    skew
        Seconds by which the provider's clock may differ.
    """

    issuer: str
    client: str
    nonce: str = ""
    skew: int = 60


def unpacked(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    """The claims of a token whose signature fits; of its times and names nothing is known yet.

    Raises
    ------
    LoginOver
        It is no token, or is signed by somebody else.
    """
    unchecked: Options = {
        "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False,
        "verify_sub": False, "verify_jti": False,
    }  # fmt: skip
    try:
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(algorithm)
        return dict(jwt.decode(token, key, algorithms=[algorithm], options=unchecked))
    except (jwt.PyJWTError, ValueError, TypeError):
        raise _forged("its signature is not the provider's") from None


def judge(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    """Check what a token says.

    Parameters
    ----------
    claims
        Of a token whose signature fits.
    expected
        What they must be.
    now
        Seconds since 1970.

    Raises
    ------
    LoginOver
        The token is for somebody else, from somebody else, of another login, or has expired.
    Unreachable
        The provider's clock is wrong, or this machine's: nothing is known.
    """
    if claims.get("iss") != expected.issuer:
        raise _forged("it was issued by somebody else")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client not in audiences or (len(audiences) > 1 and claims.get("azp") != expected.client):
        raise _forged("it was issued for somebody else")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _forged("it names nobody")
    nonce = claims.get("nonce")
    if expected.nonce and not (isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), expected.nonce.encode())):
        raise _forged("it belongs to another login")
    _times(claims, expected, now)


def _times(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    times: dict[str, float] = {}
    for name in ("iat", "exp", "nbf"):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if value is None and name == "nbf":
                continue
            raise _forged(f"its time {name} is missing")
        times[name] = float(value)
    ahead = max(times["iat"], times.get("nbf", times["iat"])) - now
    if ahead > expected.skew:
        raise _clock(ahead, "ahead of")
    behind = now - times["iat"]
    if behind > _UNDER_WAY + expected.skew:
        raise _clock(behind, "behind")
    if times["exp"] <= now - expected.skew:
        raise LoginOver("The provider's word on who you are has expired.", "Log in again.")


def within(claims: Mapping[str, Any], path: str) -> Any:
    """What stands under a claim's name; dots lead into objects where no claim has the whole name.

    >>> within({"realm_access": {"roles": ["quant"]}}, "realm_access.roles")
    ['quant']
    """
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _forged(why: str) -> LoginOver:
    return LoginOver(f"The provider's word on who you are is not to be believed: {why}.", "Log in again.")


def _clock(seconds: float, side: str) -> Unreachable:
    shown = f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{max(1, round(seconds / 60))} minutes"
    return Unreachable(
        f"The provider's clock is {shown} {side} that of this hub, so that nobody can be let in.",
        "Tell the administrator: one of the two clocks is wrong. Who is logged in goes on.",
    )
