"""Who asks, and what he may do. An edge module: FastAPI, the clock.

A person comes with the cookie of :mod:`quantdesk.hub.app.login`, a program with ``Authorization: Bearer TOKEN`` (or
``token TOKEN``). JupyterHub says whose the token is and what it is good for. What changes something and comes with the
cookie must carry the token of a form, so that no other page can have a browser send it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from quantdesk.hub.app import metrics
from quantdesk.hub.app.config import NAME, ServiceConfig
from quantdesk.hub.app.hub_client import HubClient
from quantdesk.hub.app.problems import Refusal, wants_page
from quantdesk.hub.app.rates import Rates
from quantdesk.hub.app.signing import Signer

__all__ = ["COOKIE", "CSRF_FIELD", "CSRF_HEADER", "Right", "Rights", "User", "csrf_token", "current_user", "needs"]

COOKIE = "quantdesk-session"
HUB_SESSION = "jupyterhub-session-id"
CSRF_FIELD, CSRF_HEADER = "_csrf", "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ACCESS = ("access:services", f"access:services!service={NAME}")
_LONGEST = 2000


class Right(StrEnum):
    """What somebody may do; each is a scope of JupyterHub."""

    READ = "read"
    """See reports, features, halts."""
    RUN = "run"
    """Run reports and scenarios."""
    TRADE = "trade"
    """Send orders."""
    ADMIN = "admin"
    """See and change what is others', and the metrics."""

    @property
    def scope(self) -> str:
        """Its name in JupyterHub."""
        return f"custom:{NAME}:{self.value}"


@dataclass(frozen=True)
class User:
    """Who asks.

    Attributes
    ----------
    name
        In JupyterHub; a service of the hub is ``service:NAME``, which no person can be called.
    rights
        What he may do.
    groups
        Of JupyterHub.
    mark
        Stands for the token without being it; the tokens of forms are bound to it.
    by_cookie
        Whether a browser's cookie brought him here.
    """

    name: str
    rights: frozenset[Right]
    groups: tuple[str, ...] = ()
    mark: str = ""
    by_cookie: bool = False

    def may(self, right: Right) -> bool:
        """Whether he has a right."""
        return right in self.rights


async def current_user(request: Request) -> User:
    """Who asks; a FastAPI dependency. It also counts the request, and checks the form's token where one is needed.

    Raises
    ------
    Refusal
        302 to the login for a person's page; 401 without a token that is worth something; 403 without access to the
        service or without the token of a form; 429 after too many requests; 503 without the hub.
    """
    known = getattr(request.state, "known_user", None)
    if isinstance(known, User):
        return known
    user = await _identified(request)
    request.scope["state"]["user"] = user.name
    rates: Rates = request.app.state.rates
    await rates.hit("read" if request.method in _SAFE else "write", user.name)
    if user.by_cookie and request.method not in _SAFE:
        await _check_form(request, user)
    request.state.known_user = user
    return user


def needs(right: Right, *, costly: bool = False) -> Callable[[Request, User], Awaitable[User]]:
    """A dependency: the user, who has a right. `costly` counts the request among those that compute or trade.

    >>> needs(Right.READ).__name__
    'needs_read'
    """

    async def check(request: Request, user: Annotated[User, Depends(current_user)]) -> User:
        if not user.may(right):
            metrics.refused("missing_scope")
            raise Refusal(
                403, "missing_scope", f"{user.name} may not do this: the scope {right.scope} is missing.",
                "Ask an administrator of the hub for it, then log in again.", scope=right.scope,
            )  # fmt: skip
        if costly:
            await request.app.state.rates.hit("run", user.name)
        return user

    check.__name__ = f"needs_{right.value}"
    return check


class Rights:
    """The dependencies of the routes: as a parameter, or in ``dependencies`` where the user's name does not matter."""

    Read = Annotated[User, Depends(needs(Right.READ))]
    Run = Annotated[User, Depends(needs(Right.RUN, costly=True))]
    Trade = Annotated[User, Depends(needs(Right.TRADE, costly=True))]
    Admin = Annotated[User, Depends(needs(Right.ADMIN))]
    reading = Depends(needs(Right.READ))


def csrf_token(request: Request, user: User) -> str:
    """The token that a form of this user's session carries, in the field ``_csrf`` or the header ``X-CSRF-Token``."""
    signer: Signer = request.app.state.signer
    return signer.token("form", user.mark)


def signed_in_token(request: Request) -> str | None:
    """The token in the session's cookie, if it was signed here and is not too old."""
    config: ServiceConfig = request.app.state.config
    signer: Signer = request.app.state.signer
    value = request.cookies.get(COOKIE, "")
    found = signer.read("session", value, time.time(), config.session_days * 86_400) if value else None
    token = found.get("token") if found else None
    return token if isinstance(token, str) else None


def user_of(model: dict[str, Any], token: str, *, by_cookie: bool) -> User:
    """The user that the hub's answer is about.

    Raises
    ------
    Refusal
        403: the token is not meant for this service.
    """
    scopes = {str(one) for one in model.get("scopes") or ()}
    kind, name = model.get("kind"), model.get("name")
    if kind not in ("user", "service") or not isinstance(name, str) or not scopes.intersection(_ACCESS):
        metrics.refused("no_access")
        raise Refusal(
            403, "no_access", "This token gives no access to the service quantdesk.",
            f"It needs the scope {_ACCESS[1]}; ask an administrator of the hub.",
        )  # fmt: skip
    rights = frozenset(right for right in Right if right.scope in scopes)
    groups = tuple(str(one) for one in model.get("groups") or ())
    mark = hashlib.sha256(f"mark {token}".encode()).hexdigest()
    return User(name if kind == "user" else f"service:{name}", rights, groups, mark, by_cookie)


async def _identified(request: Request) -> User:
    hub: HubClient = request.app.state.hub
    header = request.headers.get("authorization", "")
    if header:
        kind, _, token = header.partition(" ")
        token = token.strip()
        if kind.lower() in ("bearer", "token") and token and len(token) < _LONGEST and token.isascii():
            if not hub.knows(token):
                await request.app.state.rates.look("stranger", _address(request))
            model = await hub.model(token)
            if model is not None:
                return user_of(model, token, by_cookie=False)
        await _stranger(request)
        raise Refusal(401, "bad_token", "The token in the Authorization header is not valid.", _HOW,
                      headers={"WWW-Authenticate": "Bearer"})  # fmt: skip
    token_in_cookie = signed_in_token(request)
    if token_in_cookie is not None:
        session = request.cookies.get(HUB_SESSION, "")[:200]
        model = await hub.model(token_in_cookie, session)
        # A session of the hub that has ended, or began anew as somebody else, ends ours at once.
        if model is not None and (model.get("session_id") or "") in ("", session):
            return user_of(model, token_in_cookie, by_cookie=True)
    await _stranger(request)
    if wants_page(request) and request.method in _SAFE:
        raise Refusal(302, "login", "Log in first.", headers={"Location": login_url(request)})
    raise Refusal(401, "not_logged_in", "Nobody is logged in here.", _HOW, headers={"WWW-Authenticate": "Bearer"})


_HOW = "Log in through the hub, or send a token of the hub's token page: Authorization: Bearer TOKEN."


def login_url(request: Request) -> str:
    """Where to log in, and come back to this page."""
    prefix = request.app.state.config.prefix
    path = request.scope["path"].removeprefix(prefix) or "/"
    query = request.scope.get("query_string", b"").decode("latin-1")
    return f"{prefix}/login?{urlencode({'next': prefix + path + (f'?{query}' if query else '')})}"


async def _stranger(request: Request) -> None:
    metrics.refused("stranger")
    await request.app.state.rates.hit("stranger", _address(request))


def _address(request: Request) -> str:
    """Who is at the other end of the proxy: the last of the header is the proxy's word, the others are anybody's."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return (forwarded or (request.client.host if request.client else ""))[:64]


async def _check_form(request: Request, user: User) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not given and kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        field = (await request.form()).get(CSRF_FIELD, "")
        given = "" if isinstance(field, UploadFile) else field
    signer: Signer = request.app.state.signer
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or not signer.fits(
        "form", user.mark, given
    ):
        metrics.refused("csrf")
        raise Refusal(403, "csrf", "This request does not carry its form's token.",
                      "Open the page again and send its form; a program sends a token of the hub instead.")  # fmt: skip
