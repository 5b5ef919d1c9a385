"""A service that is told to end answers what is under way, for as long as its settings say, and takes nothing new."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

HELD_S = 2.5
"""Longer than the shorter of the two settings, shorter than the longer one."""


class SlowHub(ThreadingHTTPServer):
    """Keeps who asks for a user waiting until it is let go of."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: SlowHub

    def do_GET(self) -> None:
        self.server.asked.set()
        self.server.let_go.wait(60)
        body = json.dumps({"kind": "user", "name": "ana", "groups": [], "scopes": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[SlowHub]:
    with SlowHub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


def started(hub: SlowHub, folder: Path, drain: int) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
    env |= {
        "QUANTDESK_STATE": str(folder),
        "QUANTDESK_SERVICE_PORT": str(port),
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_SERVICE_TOKEN": "t" * 48,
        "QUANTDESK_SERVICE_HUB_API": f"http://127.0.0.1:{hub.server_address[1]}/hub/api",
        "QUANTDESK_SERVICE_DESK_URL": "http://127.0.0.1:9",
        "QUANTDESK_SERVICE_DESK_TOKEN": "d" * 48,
        "QUANTDESK_SERVICE_DRAIN_SECONDS": str(drain),
    }
    line = [sys.executable, "-P", "-m", "quantdesk.hub.app"]
    process = subprocess.Popen(line, env=env, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/services/quantdesk"
    for _ in range(600):
        try:
            httpx.get(f"{url}/healthz", trust_env=False)
            break
        except httpx.HTTPError:
            assert process.poll() is None
            time.sleep(0.1)
    return process, url


@pytest.mark.parametrize(("drain", "answered"), [(30, True), pytest.param(1, False, marks=pytest.mark.slow)])
def test_what_is_under_way_is_answered_for_so_long(hub: SlowHub, tmp_path: Path, drain: int, answered: bool) -> None:
    process, url = started(hub, tmp_path, drain)
    got: list[int] = []

    def ask() -> None:
        try:
            head = {"Authorization": f"token {'a' * 32}"}
            got.append(httpx.get(f"{url}/api/v1/reports", headers=head, timeout=60, trust_env=False).status_code)
        except httpx.HTTPError:
            got.append(0)

    asking = threading.Thread(target=ask)
    try:
        asking.start()
        assert hub.asked.wait(30)
        process.send_signal(signal.SIGTERM)
        time.sleep(HELD_S)
        hub.let_go.set()
        asking.join(60)
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    assert (got == [403]) is answered, got
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
