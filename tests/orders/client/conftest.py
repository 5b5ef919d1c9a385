"""A small desk, and a router that puts it behind HTTP and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.client import Fence, SorConfig, handle
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import ChildResult, OrderResult, OrderStatus


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result, from a thread of its own: a browser's test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


class MemoryDesk:
    """Fills everything at 100.5, once a key; counts how often."""

    def __init__(self, mode: ExecutionMode = ExecutionMode.SIMULATED) -> None:
        self.mode = mode
        self.executed: list[Order] = []
        self.known: dict[tuple[str | None, str], OrderResult] = {}
        self.orders: dict[str, OrderResult] = {}
        self.status = OrderStatus.FILLED

    def execute(self, order: Order) -> OrderResult:
        key = (order.user_id, order.idempotency_key or "")
        if key in self.known and order.idempotency_key:
            return self.known[key]
        if order.symbol == "NOPE":
            raise UnknownName("symbol", order.symbol, ["AAPL"])
        self.executed.append(order)
        filled = order.shares if self.status is OrderStatus.FILLED else 0
        price = Decimal("100.5") if filled else None
        result = OrderResult(
            order_id=f"order-{len(self.executed)}",
            symbol=order.symbol,
            action=str(order.action),
            order_type=str(order.order_type),
            status=self.status,
            shares=order.shares,
            filled_shares=filled,
            average_price=price,
            commission=Decimal("0.30"),
            venues=("XNAS",),
            venue_scores={"XNAS": 0.9},
            arrival_midpoint=Decimal("100.495"),
            arrival_bid=Decimal("100.49"),
            arrival_ask=Decimal("100.5"),
            slippage_bps=0.5 if filled else None,
            slippage_nbbo_bps=0.0 if filled else None,
            execution_time_ms=1.5,
            routing_time_us=20.0,
            reasoning="The best price.",
            execution_mode=self.mode,
            children=(ChildResult("c-1", "XNAS", order.shares, filled, price, Decimal("0.30"), "fill"),),
        )
        self.known[key] = self.orders[result.order_id] = result
        return result

    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        return self.known.get((user_id, idempotency_key))

    def result(self, order_id: str) -> OrderResult:
        if order_id not in self.orders:
            raise UnknownName("order", order_id, self.orders)
        return self.orders[order_id]


class Router:
    """A desk behind HTTP. `faults` are used up in order by the requests whose path they begin."""

    def __init__(self, desk: MemoryDesk) -> None:
        self.desk = desk
        self.fence = Fence(desk)
        self.faults: list[tuple[str, Callable[[Any, Callable[[], tuple[int, Any]]], None]]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.late: list[threading.Thread] = []
        self.released = threading.Event()
        router = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                router.requests.append((self.command, self.path, dict(self.headers)))
                router.late.append(threading.current_thread())

                def answer() -> tuple[int, Any]:
                    return handle(router.fence, self.command, self.path, body)

                for place, (path, fault) in enumerate(router.faults):
                    if self.path.startswith(path) and not (path == "/orders" and self.path != path):
                        del router.faults[place]
                        fault(self, answer)
                        return
                status, said = answer()
                self.say(status, json.dumps(said).encode())

            def do_GET(self) -> None:
                self.serve()

            def do_POST(self) -> None:
                self.serve()

            def wait(self) -> None:
                router.released.wait(30)

            def say(self, status: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: Any) -> None:
                pass  # a client that has gone

            def server_bind(self) -> None:
                self.socket.bind(self.server_address)
                self.server_address = self.socket.getsockname()

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def fail(self, *faults: Any, path: str = "/orders") -> None:
        """Lay out faults, by name."""
        self.faults += [(path, getattr(Faults, name)) for name in faults]

    def settle(self) -> None:
        """Let go of everything that hangs, and wait until it has come to its end."""
        self.released.set()
        for thread in self.late:
            thread.join(10)
        self.released.clear()

    def posts(self) -> int:
        return sum(method == "POST" and path == "/orders" for method, path, _ in self.requests)

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


class Faults:
    """What can go wrong. `here` is the request's handler, `answer` has the desk do its work."""

    @staticmethod
    def late(here: Any, answer: Any) -> None:
        here.wait()  # nobody waits for it any more; then it is read, and goes to the desk
        here.said = answer()
        here.close_connection = True

    @staticmethod
    def hang(here: Any, answer: Any) -> None:
        here.wait()
        here.close_connection = True

    @staticmethod
    def dies(here: Any, answer: Any) -> None:
        answer()
        here.close_connection = True

    @staticmethod
    def slow(here: Any, answer: Any) -> None:
        answer()
        here.wait()
        here.close_connection = True

    @staticmethod
    def drips(here: Any, answer: Any) -> None:
        answer()
        here.send_response(200)
        here.send_header("Content-Length", "1000")
        here.end_headers()
        for _ in range(30):
            here.wfile.write(b" ")
            here.wfile.flush()
            time.sleep(0.1)

    @staticmethod
    def endless(here: Any, answer: Any) -> None:
        answer()
        here.send_response(200)
        here.end_headers()
        here.close_connection = True
        for _ in range(100):
            here.wfile.write(b" " * 100_000)

    @staticmethod
    def html(here: Any, answer: Any) -> None:
        answer()
        here.say(200, b"<html>Just a moment...</html>", "text/html")

    @staticmethod
    def html_404(here: Any, answer: Any) -> None:
        here.say(404, b"<html>Not found</html>", "text/html")

    @staticmethod
    def fails(here: Any, answer: Any) -> None:
        answer()
        here.say(500, b"oops")

    @staticmethod
    def redirects(here: Any, answer: Any) -> None:
        here.send_response(307)
        here.send_header("Location", "/orders/elsewhere")
        here.send_header("Content-Length", "0")
        here.end_headers()

    @staticmethod
    def no_json_404(here: Any, answer: Any) -> None:
        here.say(404, b'{"error": {"code": "NOT_KNOWN", "problem": "", "remedy": ""}}')

    @staticmethod
    def in_progress(here: Any, answer: Any) -> None:
        here.say(409, b'{"error": {"code": "IN_PROGRESS", "problem": "", "remedy": ""}}')


def change(**fields: Any) -> Any:
    """A fault that takes the order, and changes its answer."""

    def fault(here: Any, answer: Any) -> None:
        _, said = answer()
        for name, value in fields.items():
            (said if name in said else said["result"])[name] = value
        here.say(200, json.dumps(said).encode())

    return fault


@pytest.fixture
def changed() -> Any:
    return change


@pytest.fixture(scope="session")
def make_desk() -> type[MemoryDesk]:
    return MemoryDesk


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def make_router() -> Iterator[Callable[[MemoryDesk], Router]]:
    made: list[Router] = []

    def make(desk: MemoryDesk) -> Router:
        made.append(Router(desk))
        return made[-1]

    yield make
    for router in made:
        router.settle()
        router.stop()


@pytest.fixture
def router(desk: MemoryDesk, make_router: Callable[[MemoryDesk], Router]) -> Router:
    return make_router(desk)


@pytest.fixture
def config(tmp_path: Path) -> SorConfig:
    return SorConfig(
        token="t0ken-of-the-desk",
        connect_timeout=1.0,
        timeout=1.0,
        failures=3,
        reset=1.0,
        journal=tmp_path / "sor.db",
    )


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def quotes() -> Callable[[str], Quotes | None]:
    """Quotes of AAPL alone."""

    def found(symbol: str) -> Quotes | None:
        if symbol == "DOWN":
            raise BadInput("There are no quotes today.", "Come back.")
        if symbol != "AAPL":
            return None
        books = {"XNAS": (100_000_000, 300, 100_020_000, 60), "XNYS": (100_010_000, 100, 100_030_000, 500)}
        return Quotes.of("AAPL", 1_700_000_000_000_000_000, books)

    return found
