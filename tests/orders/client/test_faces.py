"""A notebook, a program and HTTP: one order gives one result, whichever face it comes through."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError
from quantdesk.orders.client import SorClient, SorConfig
from quantdesk.orders.client.embedded import EmbeddedDesk
from quantdesk.orders.desk import Desk
from quantdesk.orders.desk.embedded import simulated_desk

from .conftest import awaited  # isort: skip

ON = dt.date(2024, 3, 4)
ORDERS: tuple[dict[str, Any], ...] = (
    {"symbol": "AAPL", "action": "buy", "shares": 300, "idempotency_key": "a", "stop_loss_price": 90},
    {"symbol": "AAPL", "action": "sell", "shares": 100, "order_type": "limit", "limit_price": "90", "user_id": "ada",
     "idempotency_key": "b"},
    {"symbol": "AAPL", "action": "buy", "shares": 300, "idempotency_key": "a", "stop_loss_price": 90},
    {"symbol": "AAPL", "action": "buy", "shares": 1_000_000_000, "idempotency_key": "c"},
)  # fmt: skip


def simulated() -> Desk:
    days = pd.date_range("2024-02-01", ON, freq="B", tz="America/New_York")
    close = 100 + np.arange(len(days)) * 0.1
    frame = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close}, index=days)
    return simulated_desk({"AAPL": frame.assign(volume=5_000_000.0)}, ON)


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """Without the time that the machine took, and without who had known it first: the desk or the client's journal."""
    return {name: value for name, value in result.items() if name not in ("routing_time_us", "was_known")}


def test_every_face_gives_the_same(make_router: Any, config: SorConfig) -> None:
    with simulated() as embedded, simulated() as served, simulated() as direct:
        here = SorClient(desk=embedded, config=config)
        there = SorClient(make_router(served).url, config=config.model_copy(update={"timeout": 20.0}))
        for order in ORDERS:
            a = here.route_and_execute_sync(**order)
            b = awaited(there.route_and_execute(**order))
            assert plain(a) == plain(b)
            assert a["execution_mode"] == "simulated"
        assert [plain(SorClient(desk=direct).route_and_execute_sync(**order)) for order in ORDERS][-1] == plain(a)
        assert embedded.portfolio == served.portfolio == direct.portfolio


def test_a_desk_that_was_away_and_is_asked_by_its_key(make_router: Any, config: SorConfig) -> None:
    with simulated() as desk:
        router = make_router(desk)
        router.fail("dies")
        client = SorClient(router.url, config=config.model_copy(update={"timeout": 20.0}))
        result = client.route_and_execute_sync(**ORDERS[0])
        assert (result["status"], result["filled_shares"]) == ("filled", 300)
        assert desk.portfolio.positions == {"AAPL": 300}


def test_the_desk_of_the_process_is_opened_at_its_first_order(
    monkeypatch: pytest.MonkeyPatch, config: SorConfig
) -> None:
    desk = EmbeddedDesk()
    client = SorClient(desk=desk, config=config)
    assert "EmbeddedDesk" in repr(client)
    opened: list[Desk] = []
    monkeypatch.setattr("quantdesk.orders.desk.embedded.open_desk", lambda: opened.append(simulated()) or opened[0])
    for _ in range(2):
        assert client.route_and_execute_sync(**ORDERS[0])["status"] == "filled"
    assert len(opened) == 1
    opened[0].close()


def test_a_desk_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: SorConfig) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    client = SorClient(desk=EmbeddedDesk(), config=config)
    with pytest.raises(DataError, match="quantdesk data load"):
        client.route_and_execute_sync(**ORDERS[0])
    monkeypatch.setenv("QUANTDESK_DESK_GATEWAY", "alpaca")
    monkeypatch.delenv("QUANTDESK_ALPACA_KEY", raising=False)
    with pytest.raises(BadInput, match="keys of Alpaca"):
        client.route_and_execute_sync(**ORDERS[0])
