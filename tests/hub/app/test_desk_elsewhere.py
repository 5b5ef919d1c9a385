"""A desk with a port of its own, for several services: who may ask it, and what they are told when they may not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops import Loop
from quantdesk.errors import BadParameter, EnvironmentProblem
from quantdesk.hub.app.__main__ import commands
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.desk import DeskClient, desk_app

TOKEN = "a-secret-of-desk-and-service-0123456789"
READER = "what-prometheus-shows-0123456789-0123456789"


class Remembering:
    """Knows no order, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []

    def execute(self, order: Any) -> Any:
        raise AssertionError("no order was sent")

    def result(self, order_id: str) -> Any:
        raise AssertionError("no order was asked for by its id")

    def find(self, user_id: str | None, idempotency_key: str) -> None:
        self.asked.append((user_id, idempotency_key))


def asked(desk: Any, shown: str, expects: str = TOKEN) -> Any:
    config = ServiceConfig(desk_url="http://desk:8081", desk_token=shown)

    async def ask() -> Any:
        client = DeskClient(config, httpx.ASGITransport(desk_app(desk, expects)))
        try:
            return await client.ask("GET", "/orders/by-key/~ana/~k1")
        finally:
            await client.close()

    with Loop() as loop:
        return loop.run(ask())


def test_who_shows_the_token_is_answered() -> None:
    desk = Remembering()
    status, found = asked(desk, TOKEN)
    assert (status, found["error"]["code"]) == (404, "NOT_KNOWN")
    assert desk.asked == [("ana", "k1")]


@pytest.mark.parametrize("shown", [TOKEN[:-1] + "8", TOKEN + "x", "x" * 32])
def test_another_token_reaches_nothing_and_the_service_is_told_that_nothing_was_sent(shown: str) -> None:
    desk = Remembering()
    with pytest.raises(EnvironmentProblem, match="nothing was sent"):
        asked(desk, shown)
    assert desk.asked == []


@pytest.mark.parametrize("token", ["", "short", "ä" * 40])
def test_a_desk_elsewhere_needs_a_token_worth_the_name(token: str) -> None:
    with pytest.raises(BadParameter, match="32 characters or more"):
        asked(Remembering(), token)


def test_a_service_with_a_desk_elsewhere_starts_none(tmp_path: Path) -> None:
    names = [one.name for one in commands(ServiceConfig(folder=tmp_path, workers=1), 3, tmp_path)]
    assert names == ["desk", "runner", "web-0"]
    there = ServiceConfig(folder=tmp_path, workers=1, desk_url="http://qd-desk:8081")
    assert [one.name for one in commands(there, 3, tmp_path)] == ["runner", "web-0"]


NAMED = "http://user:password@desk"  # pragma: allowlist secret


@pytest.mark.parametrize("address", [NAMED, "desk:8081", "http://desk/path", "ftp://desk"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadParameter, match="desk_url"):
        ServiceConfig.from_env(desk_url=address)


def test_the_process_of_the_chart_answers_probes_and_nobody_without_the_token(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
    env |= {
        "QUANTDESK_STATE": str(tmp_path),
        "QUANTDESK_SERVICE_PORT": str(port),
        "QUANTDESK_SERVICE_DESK_TOKEN": TOKEN,
        "QUANTDESK_SERVICE_METRICS_TOKEN": READER,
    }
    line = [sys.executable, "-P", "-m", "quantdesk.hub.app.desk"]
    desk = subprocess.Popen(line, env=env, stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(600):
                try:
                    answer = client.get("/healthz")
                    break
                except httpx.ConnectError:
                    assert desk.poll() is None, desk.stderr and desk.stderr.read()
                    time.sleep(0.1)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN[:-1]}):
                refused = client.post("/orders", json={}, headers=headers)
                assert refused.status_code == 401
                assert refused.json()["error"]["code"] == "UNKNOWN_CALLER"
            known = client.post("/orders", content=b"no json", headers={"Authorization": f"Bearer {TOKEN}"})
            assert known.status_code == 422
            for refused in (TOKEN, f"{READER}x"):
                assert client.get("/metrics", headers={"Authorization": f"Bearer {refused}"}).status_code == 401
            reader = {"Authorization": f"Bearer {READER}"}
            assert client.get("/orders/1", headers=reader).status_code == 401, "Prometheus reads figures alone"
            told = client.get("/metrics", headers=reader).text
            assert 'quantdesk_desk_orders_total{outcome="bad_input"} 1.0' in told
            assert 'quantdesk_desk_orders_total{outcome="internal"} 0.0' in told
            assert "quantdesk_desk_order_seconds_count 1.0" in told
    finally:
        desk.terminate()
        desk.wait(30)
        assert desk.stderr
        desk.stderr.close()


def test_the_process_does_not_start_without_a_token(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
    env |= {"QUANTDESK_STATE": str(tmp_path), "QUANTDESK_SERVICE_PORT": "8081"}
    line = [sys.executable, "-P", "-m", "quantdesk.hub.app.desk"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "QUANTDESK_SERVICE_DESK_TOKEN" in done.stderr
