"""What stands around every request: its id, its size, headers, line in the log. An edge module: ASGI."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from quantdesk.hub.app import metrics
from quantdesk.hub.app.logs import request_id
from quantdesk.hub.app.problems import UNEXPECTED, Refusal, problem_response

__all__ = ["POLICY", "Guard", "policy"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("quantdesk.requests")
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_BODY_WITHIN = 30.0
_BASE = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def policy(**changed: str) -> str:
    """A Content-Security-Policy: that of all pages, with directives changed (``frame_ancestors="'self'"``) or added.

    >>> policy(frame_src="'none'").count("frame-src 'none'")
    1
    """
    directives = _BASE | {name.replace("_", "-"): value for name, value in changed.items()}
    return "; ".join(f"{name} {value}".strip() for name, value in directives.items())


POLICY = policy()
"""Of every answer that does not bring its own."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Guard:
    """Middleware. What fails inside it becomes a problem; nothing of it is told but the request's id.

    Parameters
    ----------
    app
        What it stands around.
    owner
        The application, by which problems are told. Its settings say where it is served, and how many bytes a request
        may have: a body is read whole before the request is looked at, so that one without a stated length ends where
        it is too long, and no half request is ever acted on.
    """

    def __init__(self, app: App, owner: Any) -> None:
        self._app, self._owner = app, owner
        self._largest, self._prefix = owner.state.config.largest, owner.state.config.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        identity = given if _ID.fullmatch(given) else str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = identity
        scope["app"] = self._owner
        if scope["path"].startswith(f"{self._prefix}/"):  # asked through the hub's proxy
            scope["root_path"] = self._prefix
        remembered = request_id.set(identity)
        answer = _Answer(send, identity)
        try:
            body = await self._body(scope, receive)
            if isinstance(body, Refusal):
                await self._refuse(scope, body, answer)
            else:
                await self._app(scope, _replayed(body, receive), answer.send)
        except Exception:  # noqa: BLE001  (whatever it was: logged whole, and told as nothing but its id)
            _log.exception("unexpected")
            if answer.status == 0:
                await self._refuse(scope, UNEXPECTED, answer)
        finally:
            self._told(scope, answer, time.perf_counter() - begun)
            request_id.reset(remembered)

    async def _refuse(self, scope: Scope, refusal: Refusal, answer: _Answer) -> None:
        metrics.refused(refusal.code)
        response = problem_response(Request(scope), refusal)
        await response(scope, _nothing, answer.send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Refusal:
        headers = dict(scope["headers"])
        stated = headers.get(b"content-length", b"")
        if not stated and b"transfer-encoding" not in headers:
            return b""
        if stated.isdigit() and int(stated) > self._largest:
            return self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(_BODY_WITHIN):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return Refusal(400, "incomplete", "The request ended in its middle.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._largest:
                        return self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            return Refusal(408, "slow", f"The request's body did not come within {_BODY_WITHIN:g} s.")

    def _too_large(self) -> Refusal:
        return Refusal(413, "too_large", f"The request has more than {self._largest:,} bytes.", "Send less at a time.",
                       headers={"Connection": "close"})  # fmt: skip

    def _told(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "none"
        metrics.observed(scope["method"] if scope["method"] in _METHODS else "other", route, answer.status, seconds)
        facts = {
            "user": scope.get("state", {}).get("user", ""),
            "method": scope["method"],
            "path": scope["path"][:300],
            "status": answer.status,
            "ms": round(seconds * 1000, 2),
            "bytes": answer.size,
        }
        _log.info("request", extra=facts)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Answer:
    """Sends an answer with the headers that each has, and notes what was sent."""

    def __init__(self, send: Send, identity: str) -> None:
        self._send, self._identity = send, identity
        self.status = self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._identity
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()  # that the one who asked has gone

    return again


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
