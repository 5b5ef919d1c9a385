"""An OpenID Connect provider: where its parts are, what its keys are, what it answers. An edge module: the network.

What it says is believed only from the very addresses that its own document names, over HTTPS (or on this machine),
without following a redirect, and up to a megabyte. Silence and nonsense are one thing (`Unreachable`: nothing is
known); a refusal is another (`Rejected`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
from tornado.httpclient import HTTPClientError
from tornado.httputil import HTTPInputError

from quantdesk.hub.auth.config import OidcConfig
from quantdesk.hub.auth.given import loopback
from quantdesk.hub.auth.idtoken import ALGORITHMS, Expected, judge, unpacked
from quantdesk.hub.auth.person import LoginOver, Unreachable

__all__ = ["Metadata", "Provider", "Rejected"]

_KEEP, _KEYS_AGAIN, _JUST_NOW = 3600.0, 30.0, 1.0

Fetch = Callable[..., Awaitable[Any]]
"""Fetches an address and gives the JSON of the answer: GenericOAuthenticator's ``httpfetch``."""


class Rejected(Exception):
    """The provider answered that it will not.

    Attributes
    ----------
    status
        Of its answer.
    error
        Its own word for it, such as ``invalid_grant``; empty where it gives none.
    """

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status} {error}".strip())
        self.status, self.error = status, error


@dataclass(frozen=True)
class Metadata:
    """What the provider's document says.

    Attributes
    ----------
    authorize, token, userinfo, keys
        Its addresses.
    end_session
        Where a browser goes to log out there; empty where that is not possible.
    """

    authorize: str
    token: str
    userinfo: str
    keys: str
    end_session: str = ""


class Provider:
    """One provider.

    Parameters
    ----------
    config
        Who it is, and what this hub is called there.
    fetch
        See `Fetch`.
    """

    def __init__(self, config: OidcConfig, fetch: Fetch) -> None:
        self._config, self._fetch_json = config, fetch
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, list[jwt.PyJWK]] | None = None

    async def metadata(self, *, awake: bool = False) -> Metadata:
        """Its document, which is read again every hour.

        Parameters
        ----------
        awake
            Read it now, if that was not just done: before a browser is sent to a provider that may not be there.

        Raises
        ------
        Unreachable
            It does not answer, or the document is another provider's.
        """
        age = time.monotonic() - (self._metadata[0] if self._metadata else float("-inf"))
        if self._metadata is not None and age < (_JUST_NOW if awake else _KEEP):
            return self._metadata[1]
        issuer = self._config.issuer
        try:
            found = await self.fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration", "discovery")
        except Rejected as error:
            raise Unreachable(f"{issuer} has no openid-configuration ({error}).") from None
        if found.get("issuer") != issuer:
            raise Unreachable(
                f"The document of {issuer} is that of {str(found.get('issuer'))[:200]!r}.",
                "Tell the administrator: QUANTDESK_LOGIN_OIDC_ISSUER is the name that the provider gives itself.",
            )
        made = Metadata(
            self._place(found, "authorization_endpoint"),
            self._place(found, "token_endpoint"),
            self._place(found, "userinfo_endpoint"),
            self._place(found, "jwks_uri"),
            self._place(found, "end_session_endpoint") if found.get("end_session_endpoint") else "",
        )
        self._metadata = (time.monotonic(), made)
        return made

    async def verified(self, token: Any, nonce: str = "") -> dict[str, Any]:
        """The claims of an ID token, if it is to be believed.

        Raises
        ------
        LoginOver
            It is not: see `quantdesk.hub.auth.idtoken`.
        Unreachable
            The keys cannot be had, or the provider's clock is wrong.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise LoginOver("The provider's word on who you are is no token.", "Log in again.") from None
        algorithm = str(header.get("alg"))
        key = await self._key(header.get("kid"), algorithm)
        claims = unpacked(token, key, algorithm)
        expected = Expected(self._config.issuer, self._config.client_id, nonce, self._config.skew)
        judge(claims, expected, time.time())
        return claims

    async def fetch(self, url: str, what: str, **request: Any) -> dict[str, Any]:
        """What the provider answers.

        Raises
        ------
        Unreachable
            Nothing, or nothing that means anything.
        Rejected
            A refusal.
        """
        silent = f"{urlsplit(self._config.issuer).hostname}, which knows who you are, does not answer."
        try:
            found = await self._fetch_json(url, what, **request)
        except HTTPClientError as error:
            if not 400 <= error.code < 500 or error.code in (408, 425, 429):
                raise Unreachable(silent) from None
            raise Rejected(error.code, _word(error.response)) from None
        except (OSError, ValueError, HTTPInputError):
            raise Unreachable(silent) from None
        if not isinstance(found, dict):
            raise Unreachable(silent)
        return found

    def _place(self, document: dict[str, Any], name: str) -> str:
        """An address of the document, which may be no worse protected than the issuer's own."""
        url = document.get(name)
        try:
            parts = urlsplit(url) if isinstance(url, str) else None
            host = parts.hostname if parts else None
        except ValueError:
            parts = host = None
        if parts is None or not host or not (parts.scheme == "https" or (parts.scheme == "http" and loopback(host))):
            raise Unreachable(
                f"The document of {self._config.issuer} says {str(url)[:200]!r} for {name}.",
                "Tell the administrator: the provider has to be reached over HTTPS.",
            )
        return str(url)

    async def _key(self, kid: Any, algorithm: str) -> Any:
        """The public key of a token; the keys are fetched again when one is unknown, but not for every forger."""
        for again in (False, True):
            keys = await self._known_keys(again=again)
            fitting = [key for key in keys if (kid is None or key.key_id == kid) and _fits(key, algorithm)]
            if len(fitting) == 1:
                return fitting[0].key
        raise LoginOver(
            "The provider's word on who you are is not to be believed: it is signed with a key that it does not have.",
            "Log in again.",
        )

    async def _known_keys(self, *, again: bool) -> list[jwt.PyJWK]:
        now = time.monotonic()
        if self._keys is not None:
            age = now - self._keys[0]
            if age < (_KEYS_AGAIN if again else _KEEP):
                return self._keys[1]
        try:
            found = await self.fetch((await self.metadata()).keys, "keys")
        except Rejected as error:
            raise Unreachable(f"The keys of {self._config.issuer} cannot be had ({error}).") from None
        keys = []
        for entry in found.get("keys") or []:
            try:
                keys.append(jwt.PyJWK(entry))
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
                continue  # of a kind that is not known here
        self._keys = (now, keys)
        return keys


def _fits(key: jwt.PyJWK, algorithm: str) -> bool:
    """Whether a key is for signatures of this kind; a shared secret is none."""
    kinds = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    return (
        algorithm in ALGORITHMS
        and key.key_type == kinds[algorithm[:2]]
        and key.public_key_use in (None, "sig")
    )  # fmt: skip


def _word(response: Any) -> str:
    """The provider's own word for a refusal, cut to what OAuth allows in one."""
    try:
        found = json.loads(response.body).get("error", "")
    except (AttributeError, ValueError, TypeError):
        return ""
    return "".join(one for one in str(found)[:60] if one.isalnum() or one in "_-.")
