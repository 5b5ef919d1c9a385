"""The one process through which orders go, and how workers reach it. An edge module: a socket, the ledger of orders.

Two desks would each miss what the other does, and an order sent twice could be executed by both. So there is one,
behind a socket that only the service's own account can open; a :class:`~quantdesk.orders.client.Fence` stands before
it. Where several services share one desk, as on Kubernetes, it has a port of its own, and asks for a token.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
from typing import Any

import httpx

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.orders.client.fence import Executor
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderResult

__all__ = ["DeskClient", "LazyDesk", "desk_app", "main"]

_WITHIN_S = 180.0
"""Seconds for an answer: the first order opens the desk, which makes the exchanges of a day from real bars."""


class DeskClient:
    """Asks the desk's process.

    Parameters
    ----------
    config
        Where it is: a socket, or an address.
    transport
        Another way to it.
    """

    def __init__(self, config: ServiceConfig, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._config, self._socket, self._elsewhere, self._given = (
            config,
            config.desk_socket,
            config.desk_url,
            transport,
        )
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]] | None:
        """A request of :mod:`quantdesk.orders.client.server` and its answer; None where nobody knows what came of it.

        Raises
        ------
        EnvironmentProblem
            The desk is not there: nothing was sent.
        """
        if self._client is None:
            self._client = self._made()
        try:
            answer = await self._client.request(method, path, json=body)
            found = answer.json()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise EnvironmentProblem("The desk does not answer; nothing was sent.", "Try again in a moment.") from None
        except (httpx.HTTPError, ValueError):
            return None
        if answer.status_code == 401:
            raise EnvironmentProblem("The desk does not know this service; nothing was sent.", "Compare their tokens.")
        return (answer.status_code, found) if isinstance(found, dict) else None

    def _made(self) -> httpx.AsyncClient:
        if self._elsewhere is None and self._given is None and self._socket is None:
            raise EnvironmentProblem("This service has no desk.", "Start it by python -m quantdesk.hub.app.")
        transport = self._given
        if transport is None and self._elsewhere is None:
            transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        who = {"Authorization": f"Bearer {self._config.shared_with_desk}"} if self._elsewhere else {}
        return httpx.AsyncClient(
            transport=transport,
            base_url=self._elsewhere or "http://desk",
            headers=who,
            timeout=httpx.Timeout(_WITHIN_S, connect=5.0),
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class LazyDesk:
    """The desk of the settings, opened at its first order; where they name a remote router, that one.

    Parameters
    ----------
    config
        Where a simulated desk keeps its ledger, unless ``QUANTDESK_DESK_LEDGER`` says otherwise.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._config, self._lock = config, threading.Lock()
        self._desk: Executor | None = None

    def execute(self, order: Order) -> OrderResult:
        """Execute an order."""
        return self._opened().execute(order)

    def result(self, order_id: str) -> OrderResult:
        """How an order stands."""
        return self._opened().result(order_id)

    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """The same by its key."""
        return self._opened().find(user_id, idempotency_key)

    def _opened(self) -> Executor:
        with self._lock:
            if self._desk is None:
                self._desk = self._remote() or self._own()
            return self._desk

    def _own(self) -> Executor:
        from quantdesk.orders.desk import EmbeddedConfig, open_desk

        settings = EmbeddedConfig.from_env()
        if settings.gateway == "simulated" and settings.ledger is None:
            self._config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            settings = settings.model_copy(update={"ledger": f"sqlite:///{self._config.folder / 'orders.sqlite'}"})
        return open_desk((), settings)

    @staticmethod
    def _remote() -> Executor | None:
        from quantdesk.orders.client import SorConfig, get_sor_client

        return _Remote(get_sor_client()) if SorConfig.from_env().url is not None else None


class _Remote:
    """A remote router in the place of a desk; it is asked for what came of orders by its own interface."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def execute(self, order: Order) -> OrderResult:
        result: OrderResult = self._client.execute(order)
        return result

    def result(self, order_id: str) -> OrderResult:
        raise EnvironmentProblem(f"The order {order_id} is at the remote router.", "Ask that one.")

    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        raise EnvironmentProblem(f"The order {idempotency_key} of {user_id} is at the remote router.", "Ask that one.")


def desk_app(desk: Executor, token: str = "", metrics_token: str = "") -> Any:
    """An ASGI application that answers for a desk, one order at a time, off the event loop.

    Parameters
    ----------
    desk
        What executes.
    token
        What everybody has to show who asks for more than whether it is alive; nothing where the socket is guarded.
    metrics_token
        What Prometheus shows; it opens the figures alone.
    """
    import anyio
    import anyio.to_thread
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from quantdesk.hub.app.desk_figures import CONTENT_TYPE_LATEST, DeskFigures
    from quantdesk.orders.client.server import handle

    figures = DeskFigures()

    async def answer(request: Request) -> Response:
        if request.url.path == "/healthz" and request.method == "GET":
            return JSONResponse({"status": "ok"})
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        is_read = request.url.path == "/metrics" and request.method == "GET"
        accepted = metrics_token if is_read and metrics_token else token
        if accepted and not hmac.compare_digest(accepted.encode(), shown):
            return JSONResponse({"error": {"code": "UNKNOWN_CALLER", "problem": "The token is missing or wrong."}}, 401)
        if is_read:
            return Response(figures.exposed(), media_type=CONTENT_TYPE_LATEST)
        raw = request.scope.get("raw_path", b"").decode("latin-1")
        path, body = raw or request.url.path, await request.body()
        # What was begun is brought to its end, also when the one who asked has gone.
        begun = time.monotonic()
        with anyio.CancelScope(shield=True):
            status, found = await anyio.to_thread.run_sync(handle, desk, request.method, path, body)
        if (request.method, raw or request.url.path) == ("POST", "/orders"):
            figures.answered(status, found, time.monotonic() - begun)
        return JSONResponse(json.loads(json.dumps(found, default=str)), status)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def main() -> None:
    """The process."""
    import socket

    import uvicorn

    from quantdesk.hub.app.logs import set_up
    from quantdesk.orders.client import Fence

    set_up("quantdesk-desk")
    config = ServiceConfig.from_env()
    if config.desk_socket is None:
        if not config.port:
            raise EnvironmentProblem(
                "The desk has no socket.", "Start it by python -m quantdesk.hub.app, or give it QUANTDESK_SERVICE_PORT."
            )
        reader = config.metrics_token.get_secret_value() if config.metrics_token else ""
        app = desk_app(Fence(LazyDesk(config)), config.shared_with_desk, reader)
        uvicorn.run(app, host=config.host, port=config.port, log_config=None, access_log=False, server_header=False,
                    timeout_graceful_shutdown=60, ws="none")  # fmt: skip
        return
    listener = socket.socket(socket.AF_UNIX)
    fresh = config.desk_socket.with_name(f".{os.getpid()}.sock")
    before = os.umask(0o077)
    listener.bind(str(fresh))
    os.umask(before)
    fresh.rename(config.desk_socket)  # takes the place of one whose process was killed
    app = desk_app(Fence(LazyDesk(config)))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=30))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
