"""A broker for tests that speaks Alpaca's API: a process of its own, whose orders are in a SQLite file.

Shapes, error codes and messages are those of Alpaca's documentation and of what its users report: ``/v2/orders``,
``/v2/orders:by_client_order_id``, ``/v2/positions``, ``/v2/account``, ``/v2/account/activities/FILL``, ``/v2/clock``
and ``/v2/stocks/quotes/latest``. It outlives the desk that talks to it, and its own restart. ``PUT /control`` is no
part of Alpaca: it makes quotes, fills and faults.

Run as a program it serves; :class:`Server` is how a test starts it. It ends when its standard input does.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY, SECRET = "PKTESTKEY0000000001", "s3cr3t/of+the=account"  # pragma: allowlist secret
TABLES = """
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, client TEXT UNIQUE NOT NULL, symbol TEXT, side TEXT, type TEXT,
    tif TEXT, qty INTEGER, price TEXT, submitted REAL, ended REAL, status TEXT);
CREATE TABLE IF NOT EXISTS fills (id TEXT PRIMARY KEY, number INTEGER, owner TEXT, qty INTEGER, price TEXT, at REAL,
listed REAL); CREATE TABLE IF NOT EXISTS faults (number INTEGER PRIMARY KEY, method TEXT, path TEXT, kind TEXT, seconds
REAL); CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT); CREATE TABLE IF NOT EXISTS requests
(number INTEGER PRIMARY KEY, method TEXT, path TEXT, at REAL);
"""
QUOTES = {"AAPL": {"bp": 189.98, "bs": 3, "ap": 190.02, "as": 2}, "BRK.B": {"bp": 410.1, "bs": 1, "ap": 410.3, "as": 1}}


OFFSET = float(sys.argv[3]) if __name__ == "__main__" else 0.0
"""Seconds by which its clock is ahead of this machine's: a session must be open, whatever day it is."""


def now() -> float:
    """Its clock: seconds since 1970."""
    return time.time() + OFFSET


def stamp(at: float | None) -> str | None:
    """A time as Alpaca writes it, with nine decimals."""
    if at is None:
        return None
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


class Wrong(Exception):
    """An error answer."""

    def __init__(self, status: int, code: int | None, message: str) -> None:
        self.status = status
        self.body = {"message": message} if code is None else {"code": code, "message": message}
        super().__init__(message)


class Book:
    """Orders and fills, in one transaction a request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        with self.open() as connection:
            connection.executescript(TABLES)

    def open(self) -> Any:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")  # it must outlive its process, not the machine
        connection.row_factory = sqlite3.Row
        return closing(connection)

    def setting(self, connection: Any, name: str, default: Any) -> Any:
        row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row["value"])

    def fault(self, method: str, path: str) -> tuple[str, float]:
        """The next fault that is meant for this request; it is used up."""
        with self.lock, self.open() as connection:
            connection.execute("INSERT INTO requests (method, path, at) VALUES (?, ?, ?)", (method, path, now()))
            row = connection.execute(
                "SELECT * FROM faults WHERE method = ? AND ? LIKE path || '%' ORDER BY number", (method, path)
            ).fetchone()
            if row is None:
                return "", 0.0
            connection.execute("DELETE FROM faults WHERE number = ?", (row["number"],))
            return row["kind"], row["seconds"]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        with self.lock, self.open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                found = self.route(connection, method, path, query, body)
            except Wrong as wrong:
                found = wrong.status, wrong.body
            connection.execute("COMMIT")
            return found

    def route(self, connection: Any, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        match method, path.split("/")[2:]:
            case "POST", ["orders"]:
                return 200, self.submit(connection, body)
            case "GET", ["orders:by_client_order_id"]:
                return 200, self.order(connection, "client", query.get("client_order_id", ""))
            case "GET", ["orders"]:
                return 200, self.orders(connection, query)
            case "GET", ["orders", name]:
                return 200, self.order(connection, "id", name)
            case "DELETE", ["orders", name]:
                return self.cancel(connection, name)
            case "GET", ["positions"]:
                return 200, self.positions(connection)
            case "GET", ["account", "activities", "FILL"]:
                return 200, self.activities(connection, query)
            case "GET", ["account"]:
                cash = self.setting(connection, "buying_power", "1000000")
                return 200, {
                    "id": str(uuid.UUID(int=1)),
                    "account_number": "PA1",
                    "status": "ACTIVE",
                    "currency": "USD",
                    "buying_power": cash,
                }
            case "GET", ["clock"]:
                ahead = {"next_open": stamp(now() + 64_800), "next_close": stamp(now() + 3_600)}
                return 200, {"timestamp": stamp(now()), "is_open": True, **ahead}
            case "GET", ["stocks", "quotes", "latest"]:
                quotes = self.setting(connection, "quotes", QUOTES)
                if not query.get("symbols", "").replace(".", "").isalnum():
                    raise Wrong(400, None, f"invalid symbol: {query.get('symbols')}")
                named = {name: quotes[name] for name in query["symbols"].split(",") if name in quotes}
                extra = {"ax": "V", "bx": "V", "c": ["R"], "z": "C"}
                at = stamp(now() + self.setting(connection, "quote_age", -0.01))
                return 200, {"quotes": {name: {"t": at, **extra, **quote} for name, quote in named.items()}}
        raise Wrong(404, 40410000, "endpoint not found")

    # ------------------------------------------------------------------------------------------------------ orders

    def submit(self, connection: Any, body: Any) -> dict[str, Any]:
        symbol, qty, client = body["symbol"], Decimal(str(body["qty"])), body["client_order_id"]
        price = None if body.get("limit_price") is None else Decimal(str(body["limit_price"]))
        quote = self.setting(connection, "quotes", QUOTES).get(symbol)
        if connection.execute("SELECT 1 FROM orders WHERE client = ?", (client,)).fetchone():
            raise Wrong(422, 40010001, "client_order_id must be unique")
        if quote is None:
            raise Wrong(422, 42210000, f'asset "{symbol}" not found')
        if price is not None and price >= 1 and price != round(price, 2):
            raise Wrong(
                422,
                42210000,
                f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria",
            )
        buys, at_now = body["side"] == "buy", now()
        far = Decimal(str(quote["ap" if buys else "bp"]))
        if buys and qty * (price or far) > Decimal(self.setting(connection, "buying_power", "1000000")):
            raise Wrong(403, 40310000, "insufficient buying power")
        order_id = str(uuid.uuid4())
        tif = body["time_in_force"]
        marketable = price is None or (price >= far if buys else price <= far)
        at_once = tif in ("day", "ioc")
        plan = self.setting(connection, "plan", None)
        fills = [(int(qty), far)] if plan is None else [(shares, Decimal(at)) for shares, at in plan]
        fills = fills if marketable and at_once else []
        status = self.setting(connection, "status", "")
        ended = at_now + 0.001 if tif == "ioc" and sum(shares for shares, _ in fills) < qty else None
        connection.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (order_id, client, symbol, body["side"], body["type"], tif, int(qty), None if price is None else str(price),
             at_now, ended, status),
        )  # fmt: skip
        delay, lag = self.setting(connection, "delay", 0.0), self.setting(connection, "lag", 0.0)
        for number, (shares, at) in enumerate(fills):
            when = at_now + delay * (number + 1) + 0.0001 * number
            name = dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y%m%d%H%M%S%f")[:17]
            connection.execute(
                "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?)",
                (f"{name}::{uuid.uuid4()}", number, order_id, shares, str(at), when, when + lag),
            )
        found = self.order(connection, "id", order_id)
        # Alpaca answers before anything is traded.
        return {**found, "status": status or "pending_new", "filled_qty": "0", "filled_avg_price": None}

    def order(self, connection: Any, column: str, value: str) -> dict[str, Any]:
        row = connection.execute(f"SELECT * FROM orders WHERE {column} = ?", (value,)).fetchone()
        if row is None:
            raise Wrong(404, 40410000, f"order not found for {value}")
        return self.shown(connection, row)

    def shown(self, connection: Any, row: Any) -> dict[str, Any]:
        moment = now()
        fills = connection.execute("SELECT * FROM fills WHERE owner = ? AND at <= ?", (row["id"], moment)).fetchall()
        filled = sum(fill["qty"] for fill in fills)
        ended = row["ended"] if row["ended"] is not None and row["ended"] <= moment else None
        if row["status"]:
            status = row["status"]
        elif filled == row["qty"]:
            status = "filled"
        elif ended is not None:
            status = "canceled"
        else:
            status = "partially_filled" if filled else "new"
        paid = sum(fill["qty"] * Decimal(fill["price"]) for fill in fills)
        times = {"created_at": row["submitted"], "submitted_at": row["submitted"], "updated_at": row["submitted"]}
        times |= {"filled_at": fills[-1]["at"] if status == "filled" else None, "canceled_at": ended}
        empty = dict.fromkeys(("expired_at", "failed_at", "replaced_at", "replaced_by", "replaces", "notional", "legs"))
        return {
            "id": row["id"],
            "client_order_id": row["client"],
            **{name: stamp(at) for name, at in times.items()},
            **empty,
            "asset_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, row["symbol"])),
            "symbol": row["symbol"],
            "asset_class": "us_equity",
            "qty": None if self.setting(connection, "notional", False) else str(row["qty"]),
            "filled_qty": str(filled),
            "filled_avg_price": str(paid / filled) if filled else None,
            "order_class": "",
            "order_type": row["type"],
            "type": row["type"],
            "side": row["side"],
            "time_in_force": row["tif"],
            "limit_price": row["price"],
            "stop_price": None,
            "status": status,
            "extended_hours": False,
        }

    def orders(self, connection: Any, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = connection.execute("SELECT * FROM orders ORDER BY submitted").fetchall()
        shown = [self.shown(connection, row) for row in rows]
        closed = ("filled", "canceled", "expired", "rejected", "replaced")
        wanted = query.get("status", "open")
        if wanted != "all":
            shown = [order for order in shown if (order["status"] in closed) == (wanted == "closed")]
        if query.get("after"):
            after = dt.datetime.fromisoformat(query["after"])
            shown = [order for order in shown if dt.datetime.fromisoformat(order["submitted_at"]) > after]
        if query.get("direction", "desc") == "desc":
            shown.reverse()
        return shown[: min(int(query.get("limit", "50")), 500)]

    def cancel(self, connection: Any, name: str) -> tuple[int, Any]:
        order = self.order(connection, "id", name)
        if order["status"] in ("filled", "canceled", "rejected"):
            raise Wrong(422, 42210000, f'order is already in "{order["status"]}" state')
        moment = now()
        connection.execute("DELETE FROM fills WHERE owner = ? AND at > ?", (name, moment))
        connection.execute("UPDATE orders SET ended = ? WHERE id = ?", (moment, name))
        return 204, None

    def positions(self, connection: Any) -> list[dict[str, Any]]:
        held: dict[str, int] = dict(self.setting(connection, "positions", {}))
        rows = connection.execute(
            "SELECT symbol, side, fills.qty AS qty FROM fills JOIN orders ON owner = orders.id WHERE at <= ?",
            (now(),),
        )
        for row in rows:
            held[row["symbol"]] = held.get(row["symbol"], 0) + row["qty"] * (1 if row["side"] == "buy" else -1)
        return [
            {
                "asset_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, symbol)),
                "symbol": symbol,
                "exchange": "NASDAQ",
                "asset_class": "us_equity",
                "avg_entry_price": "190.02",
                "qty": str(qty),
                "side": "long" if Decimal(qty) > 0 else "short",
                "cost_basis": str(Decimal(qty) * Decimal("190.02")),
            }
            for symbol, qty in held.items()
            if Decimal(qty)
        ]

    def activities(self, connection: Any, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = connection.execute(
            "SELECT fills.*, symbol, side, orders.qty AS ordered FROM fills JOIN orders ON owner = orders.id "
            "WHERE listed <= ? ORDER BY fills.id",
            (now(),),
        ).fetchall()
        shown, done = [], dict[str, int]()
        for row in rows:
            done[row["owner"]] = done.get(row["owner"], 0) + row["qty"]
            leaves = row["ordered"] - done[row["owner"]]
            shown.append(
                {
                    "activity_type": "FILL",
                    "id": row["id"],
                    "order_id": row["owner"],
                    "symbol": row["symbol"],
                    "side": row["side"],
                    "price": row["price"],
                    "qty": str(row["qty"]),
                    "cum_qty": str(done[row["owner"]]),
                    "leaves_qty": str(leaves),
                    "transaction_time": stamp(row["at"]),
                    "type": "partial_fill" if leaves else "fill",
                    "order_status": "partially_filled" if leaves else "filled",
                }
            )
        if query.get("after"):
            after = dt.datetime.fromisoformat(query["after"])
            shown = [row for row in shown if dt.datetime.fromisoformat(row["transaction_time"]) > after]
        if query.get("direction", "desc") == "desc":
            shown.reverse()
        token = query.get("page_token")
        if token:
            places = [place for place, row in enumerate(shown) if row["id"] == token]
            shown = shown[places[0] + 1 :] if places else []
        return shown[: min(int(query.get("page_size", "100")), 100)]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    book: Book

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_PUT(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with self.book.lock, self.book.open() as connection:
            for name, value in given.get("settings", {}).items():
                connection.execute("REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))
            for fault in given.get("faults", []):
                connection.execute("INSERT INTO faults (method, path, kind, seconds) VALUES (?, ?, ?, ?)", fault)
            rows = connection.execute("SELECT method, path FROM requests").fetchall()
        self.say(200, [[row["method"], row["path"]] for row in rows])

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        kind, seconds = self.book.fault(self.command, parts.path)
        if kind == "hang":
            time.sleep(seconds)
            self.close_connection = True
            return
        if kind == "late":  # it lies in a queue until after everybody has given up
            time.sleep(seconds)
        if kind in ("429", "500", "401"):
            message = {"429": "rate limit exceeded.", "500": "internal server error occurred", "401": "unauthorized."}
            code = {"429": 42910000, "500": 50010000, "401": 40110000}[kind]
            headers = {"Retry-After": f"{seconds:g}"} if kind == "429" else {}
            self.say(int(kind), {"code": code, "message": message[kind]}, headers)
            return
        if (self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY")) != (KEY, SECRET):
            self.say(401, {"code": 40110000, "message": "request is not authorized"})
            return
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        status, answer = self.book.answer(self.command, parts.path, query, json.loads(body) if body else None)
        if kind == "hang_after":
            time.sleep(seconds)
            self.close_connection = True
        elif kind == "drop_after":
            self.close_connection = True
        elif kind == "500_after":
            self.say(500, {"code": 50010000, "message": "internal server error occurred"})
        elif kind == "422_after":
            self.say(422, {"code": 42210000, "message": "unprocessable"})
        elif kind == "html_after":
            self.text(200, b"<html><body>Just a moment...</body></html>", "text/html")
        elif kind == "502_html":
            self.text(502, b"<html><body>Bad gateway</body></html>", "text/html")
        elif kind == "other_after":
            self.say(200, {**answer, "client_order_id": "somebody-elses"})
        elif kind == "qty_after":
            self.say(200, {**answer, "qty": "1"})
        else:
            self.say(status, answer)

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_DELETE(self) -> None:
        self.serve()

    def say(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        self.text(status, b"" if answer is None else json.dumps(answer).encode(), "application/json", headers)

    def text(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server:
    """The running process. Use :meth:`control` to make it misbehave."""

    def __init__(self, folder: Path, offset: float = 0.0) -> None:
        self.file = folder / "alpaca.db"
        self.offset = offset
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.file), str(self.port), str(self.offset)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """End it, at once."""
        self._process.kill()
        self._process.communicate(timeout=30)

    def clock(self) -> int:
        """Its clock: nanoseconds since 1970 (UTC)."""
        return time.time_ns() + int(self.offset * 1e9)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, *faults: tuple[str, str, str, float], **settings: Any) -> list[list[str]]:
        """Lay out faults (method, beginning of the path, kind, seconds) and settings; the requests so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("PUT", "/control", json.dumps({"faults": faults, "settings": settings}))
            found: list[list[str]] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def clear(self, *tables: str) -> None:
        """Forget everything, or what is in some tables."""
        with closing(sqlite3.connect(self.file, timeout=30)) as connection:
            for table in tables or ("orders", "fills", "faults", "settings", "requests"):
                connection.execute(f"DELETE FROM {table}")
            connection.commit()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What is in its file."""
        with closing(sqlite3.connect(self.file, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def main() -> None:
    """Serve."""
    path, port = Path(sys.argv[1]), int(sys.argv[2])
    Handler.book = Book(path)

    class Here(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def server_bind(self) -> None:  # without a look-up of the machine's name
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()

    server = Here(("127.0.0.1", port), Handler)
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    print(server.server_address[1], flush=True)  # noqa: T201 (the test waits for it)
    server.serve_forever()


if __name__ == "__main__":
    main()
