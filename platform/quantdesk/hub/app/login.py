"""Log in through JupyterHub, with any number of workers. An edge module: FastAPI, the network, the clock.

What one worker begins another may end: the state of a login travels in a signed cookie of its own, for the callback
alone, and the hub's token in another. Where to go afterwards is a path of this service, or its front page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from quantdesk.hub.app import metrics
from quantdesk.hub.app.access import COOKIE, HUB_SESSION, current_user, signed_in_token, user_of
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.problems import Refusal

__all__ = ["local_path", "router"]

router = APIRouter(include_in_schema=False)
STATE_COOKIE = "quantdesk-login-"
_STATE_LIFE = 600
_PLAIN = re.compile(r"[\x21-\x7e]{1,2000}")


def local_path(given: str, prefix: str) -> str:
    """`given` if it is a path of this service, else its front page: nobody is led elsewhere from here.

    >>> local_path("//evil.example/services/quantdesk/", "/services/quantdesk")
    '/services/quantdesk/'
    """
    home = f"{prefix}/"
    if not _PLAIN.fullmatch(given) or not given.startswith(home) or "\\" in given:
        return home
    try:
        parts = urlsplit(given)
    except ValueError:
        return home
    if parts.scheme or parts.netloc or parts.path.startswith("//"):
        return home
    segments = parts.path.replace("%2e", ".").replace("%2E", ".").split("/")
    return home if ".." in segments or "." in segments else given


@router.get("/login")
async def login(request: Request, next: Annotated[str, Query(max_length=4000)] = "") -> Response:  # noqa: A002
    """Send the browser to the hub, which asks for a password where it must."""
    config: ServiceConfig = request.app.state.config
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": config.client,
        "redirect_uri": _callback(config),
        "response_type": "code",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    response = RedirectResponse(f"{config.hub_url}hub/api/oauth2/authorize?{urlencode(asked)}", 302)
    value = {"state": state, "verifier": verifier, "next": local_path(next, config.prefix)}
    response.set_cookie(
        STATE_COOKIE + state[:8], request.app.state.signer.sign("login", value, time.time()), max_age=_STATE_LIFE,
        path=_callback(config), secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip
    return response


@router.get("/oauth_callback")
async def callback(
    request: Request,
    code: Annotated[str, Query(max_length=500)] = "",
    state: Annotated[str, Query(max_length=500)] = "",
    error: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Come back from the hub with a code, and go on with a cookie."""
    config: ServiceConfig = request.app.state.config
    if error:
        raise Refusal(403, "login_refused", "The hub did not let you in here.", "Ask an administrator of the hub.")
    name = STATE_COOKIE + state[:8]
    begun = request.app.state.signer.read("login", request.cookies.get(name, ""), time.time(), _STATE_LIFE)
    if not code or not begun or not state.isascii() or not hmac.compare_digest(str(begun["state"]), state):
        metrics.refused("login_state")
        raise Refusal(400, "login_state", "This login was begun in another browser, or too long ago.",
                      f"Begin again at {config.prefix}/.")  # fmt: skip
    token = await request.app.state.hub.token_for(code, str(begun["verifier"]), _callback(config))
    model = await request.app.state.hub.model(token, request.cookies.get(HUB_SESSION, "")[:200]) if token else None
    if token is None or model is None:
        metrics.refused("login_code")
        raise Refusal(
            403, "login_code", "The hub does not know this login's code.", f"Begin again at {config.prefix}/."
        )
    user_of(model, token, by_cookie=True)
    response = RedirectResponse(local_path(str(begun["next"]), config.prefix), 302)
    response.delete_cookie(name, path=_callback(config))
    response.set_cookie(
        COOKIE, request.app.state.signer.sign("session", {"token": token}, time.time()), path=f"{config.prefix}/",
        secure=request.url.scheme == "https", httponly=True, samesite="lax",
    )  # fmt: skip
    return response


@router.post("/logout", dependencies=[Depends(current_user)])
async def logout(request: Request) -> Response:
    """Forget the session here, and end that of the hub."""
    config: ServiceConfig = request.app.state.config
    token = signed_in_token(request)
    if token:
        request.app.state.hub.forget(token)
    response = RedirectResponse(f"{config.hub_url}hub/logout", 303)
    response.delete_cookie(COOKIE, path=f"{config.prefix}/")
    return response


def _callback(config: ServiceConfig) -> str:
    return f"{config.prefix}/oauth_callback"
