"""How many requests the service answers, with two workers, by themselves and while scenarios are computed.

    python benchmarks/reports_service.py [--seconds 5] [--clients 8] [--runs 1000] [--market state/market]

The service is started as it runs beside a hub (``python -m quantdesk.hub.app``). In the hub's place stands a server
that says whose a token is, so that the hub's own speed is not measured. Requests come from processes of their own, each
over connections that it keeps. With a market store, reads are measured once more while scenarios are computed. Prints
one row of JSON for each measurement.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCOPES = ["access:services!service=quantdesk", *(f"custom:quantdesk:{right}" for right in ("read", "run"))]
PREFIX = "/services/quantdesk"


class Hub(BaseHTTPRequestHandler):
    """Says of every token that it is ana's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer ``/hub/api/user``."""
        body = json.dumps({"kind": "user", "name": "ana", "scopes": SCOPES, "session_id": None}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, int]:
    """One request: its status and how many bytes came."""
    connection.request("GET", PREFIX + path, headers={"Authorization": "Bearer " + "t" * 32})
    answer = connection.getresponse()
    return answer.status, len(answer.read())


def load(port: int, path: str, seconds: float, threads: int, into: Any) -> None:
    """One process of clients: the seconds that each request took."""
    times: list[list[float]] = [[] for _ in range(threads)]
    ends = time.perf_counter() + seconds

    def client(mine: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < ends:
            begun = time.perf_counter()
            status, _ = ask(connection, path)
            assert status == 200, status
            mine.append(time.perf_counter() - begun)

    working = [threading.Thread(target=client, args=(mine,)) for mine in times]
    for one in working:
        one.start()
    for one in working:
        one.join()
    into.put([took for mine in times for took in mine])


def measured(port: int, path: str, seconds: float, clients: int) -> dict[str, Any]:
    """Ask one address for some seconds."""
    into: Any = multiprocessing.Queue()
    halves = [multiprocessing.Process(target=load, args=(port, path, seconds, clients // 2, into)) for _ in range(2)]
    begun = time.perf_counter()
    for one in halves:
        one.start()
    times = sorted(took for _ in halves for took in into.get())
    spent = time.perf_counter() - begun
    for one in halves:
        one.join()
    middle, last = times[len(times) // 2], times[int(len(times) * 0.99)]
    return {
        "requests": len(times),
        "per_second": round(len(times) / spent, 1),
        "median_ms": round(middle * 1000, 2),
        "p99_ms": round(last * 1000, 2),
        "p99_over_median": round(last / middle, 2),
    }


def fill(runs: int) -> None:
    """A ledger with so many runs."""
    from datetime import UTC, datetime, timedelta

    from quantdesk.reports.ledger import Order, RunLedger, State
    from quantdesk.reports.runs import new_id

    start = datetime(2026, 1, 1, tzinfo=UTC)
    with RunLedger.open() as ledger:
        for number in range(runs):
            at = start + timedelta(hours=number)
            order = Order(new_id("risk", at), "risk", "Daily risk", {"window": number}, "ana")
            record = {"started": at.isoformat(), "ended": (at + timedelta(seconds=2)).isoformat()}
            ledger.queue.note(order, record, State.COMPLETED, metrics={"var": (float(number), "USD")})


def until_up(port: int) -> None:
    """Wait until the service answers."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            if ask(connection, "/api/v1/runs?limit=1")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    raise SystemExit("the service does not answer")


def scenario(port: int, stop: threading.Event) -> None:
    """Have scenarios computed, one after the other."""
    seed = 0
    while not stop.is_set():
        seed += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        body = json.dumps({"scenario_name": "covid_2020", "portfolio": {"cash": 1_000_000, "AAPL": 500}, "seed": seed})
        head = {"Authorization": "Bearer " + "t" * 32, "Content-Type": "application/json"}
        connection.request("POST", f"{PREFIX}/simulation/run-scenario", body, head)
        connection.getresponse().read()
        connection.close()


def main() -> None:
    """Measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--runs", type=int, default=1000)
    options.add_argument("--market", type=Path, help="a market store, for scenarios beside the reads")
    given = options.parse_args()
    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        os.environ["QUANTDESK_STATE"] = folder
        if given.market:
            Path(folder, "market").symlink_to(given.market.resolve())
        fill(given.runs)
        env = os.environ | {
            "QUANTDESK_SERVICE_PORT": str(port),
            "QUANTDESK_SERVICE_HUB_API": f"http://127.0.0.1:{hub.server_address[1]}/hub/api",
            "QUANTDESK_SERVICE_WORKERS": "2",
            "QUANTDESK_SERVICE_READ_RATE": "1000000/second",
            "QUANTDESK_SERVICE_RUN_RATE": "1000000/second",
            "QUANTDESK_HALTS_FEEDS": "false",
        }
        with Path(folder, "log").open("wb") as log:
            service = subprocess.Popen([sys.executable, "-m", "quantdesk.hub.app"], env=env, stdout=log, stderr=log)
        try:
            until_up(port)
            paths = {
                "healthz": "/healthz",
                "one run of 1,000": "/api/v1/runs?limit=1",
                "50 runs of 1,000": "/api/v1/runs?limit=50",
                "halts": "/api/v1/halts/AAPL",
            }
            for name, path in paths.items():
                measured(port, path, min(1.0, given.seconds), given.clients)  # what is read once is read
                print(json.dumps({"what": name, **measured(port, path, given.seconds, given.clients)}), flush=True)
            if given.market:
                stop = threading.Event()
                beside = threading.Thread(target=scenario, args=(port, stop))
                beside.start()
                time.sleep(2.0)
                found = measured(port, paths["one run of 1,000"], given.seconds, given.clients)
                print(json.dumps({"what": "one run of 1,000, while scenarios are computed", **found}), flush=True)
                stop.set()
                beside.join()
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)
            hub.shutdown()


if __name__ == "__main__":
    main()
