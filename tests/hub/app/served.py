"""A service in this process, and a hub that answers as JupyterHub's API does. Loaded by path: tests are no package.

The hub's answers have the form that ``GET /hub/api/user`` and ``POST /hub/api/oauth2/token`` of JupyterHub 6.1.1 have;
tests/hub/app/test_real_hub.py asks the real one.
"""

from __future__ import annotations

import asyncio
import html
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import APIRouter
from starlette.responses import HTMLResponse

from loops import Loop
from quantdesk.hub.app.access import Rights
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.factory import create_app
from quantdesk.hub.app.front import pages

PREFIX = "/services/quantdesk"
ACCESS = "access:services!service=quantdesk"
RIGHTS = {
    "rita": ("read",),
    "ana": ("read", "run"),
    "tom": ("read", "run", "trade"),
    "root": ("read", "run", "trade", "admin"),
    "nora": (),
}


@dataclass
class Hub:
    """Tokens and codes, and what they are good for."""

    asked: int = 0
    is_away: bool = False
    gone: set[str] = field(default_factory=set)
    codes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)

    def code(self, who: str, challenge: str, session: str = "") -> str:
        """What the hub sends the browser back with, once somebody is logged in."""
        made = secrets.token_hex(8)
        self.codes[made] = (who, challenge, session)
        return made

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.is_away:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path.endswith("/oauth2/token"):
            return self._token(request)
        token = request.headers.get("authorization", "").removeprefix("token ")
        if token in self.gone:
            return httpx.Response(403, json={"status": 403, "message": "Forbidden"})
        name = token.removeprefix("token-").partition("-")[0]
        if token == "token-outsider":
            return httpx.Response(
                200, json={"kind": "user", "name": "outsider", "scopes": ["self"], "session_id": None}
            )
        if token == "token-robot":
            scopes = [ACCESS, "custom:quantdesk:read"]
            return httpx.Response(200, json={"kind": "service", "name": "root", "scopes": scopes, "session_id": None})
        if not token.startswith("token-") or name not in RIGHTS:
            return httpx.Response(403, json={"status": 403, "message": "Forbidden"})
        scopes = [ACCESS, *(f"custom:quantdesk:{right}" for right in RIGHTS[name])]
        model = {"kind": "user", "name": name, "groups": ["desk"], "scopes": scopes}
        return httpx.Response(200, json={**model, "session_id": self.sessions.get(token)})

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.forms.append(form)
        who, challenge, session = self.codes.pop(form["code"], ("", "", ""))
        import base64
        import hashlib

        verified = (
            base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        )
        if not who or verified != challenge or form["client_secret"] != "s" * 48:
            return httpx.Response(400, json={"error": "invalid_grant"})
        token = f"token-{who}-{secrets.token_hex(4)}"
        if session:
            self.sessions[token] = session
        return httpx.Response(200, json={"access_token": token, "token_type": "Bearer"})


front = APIRouter()


@front.get("/", include_in_schema=False)
async def home(user: Rights.Read) -> HTMLResponse:
    """A front page in place of the gallery's, which asks for notebooks and a ledger."""
    return HTMLResponse(f"Logged in as {html.escape(user.name)}. You may: {', '.join(sorted(user.rights))}.")


class Served:
    """A service, and clients of it."""

    def __init__(
        self, hub: Hub, folder: Path, desk: Any = None, routers: Any = (pages, front), **settings: Any
    ) -> None:
        self.hub = hub
        given = {"secret": "q" * 40, "token": "s" * 48, "folder": folder, "remember": 0.0, "scenario_seconds": 0.0}
        self.config = ServiceConfig(**(given | settings))
        transport = None if desk is None else httpx.ASGITransport(desk)
        self.loop = Loop()  # one for all requests, as a worker has
        self.app = create_app(self.config, hub=httpx.MockTransport(hub), desk=transport, routers=routers)

    def close(self) -> None:
        """End it as a server does."""

        async def whole_life() -> None:
            async with self.app.router.lifespan_context(self.app):
                pass

        self.loop.run(whole_life())
        self.loop.close()

    def browser(self) -> Browser:
        """A browser without cookies."""
        return Browser(self)

    def ask(self, method: str, path: str, who: str = "", **given: Any) -> httpx.Response:
        """One request of a program, with the token of somebody."""
        headers = dict(given.pop("headers", {}))
        if who:
            headers["Authorization"] = f"Bearer token-{who}"
        (answer,) = self.together([(method, path, headers, given)])
        return answer

    def together(self, requests: list[tuple[str, str, dict[str, str], dict[str, Any]]]) -> list[httpx.Response]:
        """Several requests at the same time."""

        async def all_of_them() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://desk.example", timeout=60) as client:
                return await asyncio.gather(
                    *(
                        client.request(method, path, headers=headers, **given)
                        for method, path, headers, given in requests
                    )
                )

        return self.loop.run(all_of_them())

    def raw(self, scope: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
        """One request as a server hands it on: with a body in pieces, or one that never ends."""
        sent: list[dict[str, Any]] = []
        left = list(messages)

        async def receive() -> dict[str, Any]:
            if not left:
                await asyncio.sleep(3600)
            return left.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        whole = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b"",
            "root_path": "", "client": ("127.0.0.1", 1), "server": ("desk.example", 80), "headers": [], **scope,
        }  # fmt: skip
        self.loop.run(self.app(whole, receive, send))
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:])


class Browser:
    """Keeps cookies as a browser does, and follows the login through the hub."""

    def __init__(self, service: Served) -> None:
        self.service = service
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request, with the cookies that belong to its path."""
        headers = {"Accept": "text/html", **given.pop("headers", {})}

        async def one() -> httpx.Response:
            transport = httpx.ASGITransport(self.service.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://desk.example", cookies=self.cookies, timeout=60
            ) as client:
                answer = await client.request(method, path, headers=headers, **given)
                self.cookies = client.cookies
                return answer

        return self.service.loop.run(one())

    def log_in(self, who: str, next: str = "", session: str = "") -> httpx.Response:  # noqa: A002
        """Through the hub; the last answer of the service."""
        begun = self.ask("GET", f"{PREFIX}/login", params={"next": next} if next else {})
        assert begun.status_code == 302
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        if session:
            self.cookies.set("jupyterhub-session-id", session, domain="desk.example", path="/")
        code = self.service.hub.code(who, asked["code_challenge"][0], session)
        return self.ask("GET", f"{PREFIX}/oauth_callback", params={"code": code, "state": asked["state"][0]})

    def form_token(self) -> str:
        """The token that the forms of this session carry."""
        page = self.ask("GET", f"{PREFIX}/api")
        assert page.status_code == 200, page.text
        return page.text.partition('name="_csrf" value="')[2].partition('"')[0]


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem that an answer tells."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = json.loads(answer.text)
    assert told["status"] == answer.status_code
    assert told["detail"]
    return told
