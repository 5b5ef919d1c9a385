"""JupyterHub, asked who somebody is. An edge module: the network."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import httpx

from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.problems import Refusal

__all__ = ["HubClient"]

_KEPT = 5000
_WITHIN = 10.0
_FORGET_STRANGERS = 2.0


class HubClient:
    """Asks JupyterHub's API, and remembers for a moment what it said of a token.

    Parameters
    ----------
    config
        Where the hub is, and for how long to remember.
    transport
        How to reach it; the network when None.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        config: ServiceConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._transport, self._clock = config, transport, clock
        self._client: httpx.AsyncClient | None = None
        self._known: OrderedDict[tuple[str, str], tuple[float, dict[str, Any] | None]] = OrderedDict()
        self._asked: dict[tuple[str, str], asyncio.Future[dict[str, Any] | None]] = {}

    async def model(self, token: str, session: str = "") -> dict[str, Any] | None:
        """What the hub says of a token: name, groups, scopes, session; None where it is worth nothing.

        Parameters
        ----------
        token
            Of a person or of a service.
        session
            The browser's session, so that what was said to one is not believed in another.

        Raises
        ------
        Refusal
            503: the hub does not answer.
        """
        key = (token, session)
        known = self._known.get(key)
        if known is not None and self._clock() < known[0]:
            return known[1]
        if key in self._asked:  # many requests at once ask once
            return await asyncio.shield(self._asked[key])
        future = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            found = await self._ask(token)
        except BaseException as error:
            if not future.done():
                future.set_exception(error if isinstance(error, Refusal) else _away())
                future.exception()  # it is raised here; whoever waits gets it too
            raise
        else:
            life = self._config.remember if found is not None else min(_FORGET_STRANGERS, self._config.remember)
            self._known[key] = (self._clock() + life, found)
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            future.set_result(found)
            return found
        finally:
            del self._asked[key]

    async def token_for(self, code: str, verifier: str, redirect_uri: str) -> str | None:
        """The token that a code of the login is worth; None where it is worth none.

        Raises
        ------
        Refusal
            503: the hub does not answer.
        """
        form = {
            "client_id": self._config.client,
            "client_secret": self._config.token.get_secret_value(),
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        answer = await self._send("POST", "/oauth2/token", data=form)
        if answer.status_code >= 500:
            raise _away()
        if answer.status_code != 200:
            return None
        token = _json(answer).get("access_token")
        return token if isinstance(token, str) and token else None

    def knows(self, token: str) -> bool:
        """Whether the hub has said lately that a token is somebody's."""
        known = self._known.get((token, ""))
        return known is not None and known[1] is not None and self._clock() < known[0]

    def forget(self, token: str) -> None:
        """Ask again of a token at the next request."""
        for key in [key for key in self._known if key[0] == token]:
            del self._known[key]

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, token: str) -> dict[str, Any] | None:
        answer = await self._send("GET", "/user", headers={"Authorization": f"token {token}"})
        if answer.status_code == 200:
            return _json(answer)
        if answer.status_code in (400, 401, 403, 404):
            return None
        raise _away()

    async def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport, timeout=_WITHIN, follow_redirects=False, trust_env=False
            )
        try:
            return await self._client.request(method, self._config.hub_api + path, **given)
        except httpx.HTTPError:
            raise _away() from None  # its text may hold the token


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        raise _away() from None
    if not isinstance(found, dict):
        raise _away()
    return found


def _away() -> Refusal:
    return Refusal(
        503, "hub_away", "JupyterHub, which knows who you are, does not answer.", "Try again in a moment.",
        headers={"Retry-After": "5"},
    )  # fmt: skip
