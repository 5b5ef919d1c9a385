"""The client against a real HTTP server: never twice, never lost, a mock only with proof."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.orders.client import Fallback, SorClient, SorConfig, get_sor_client
from quantdesk.orders.client.client import _drive
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation
from quantdesk.orders.ledger import Ledger, rebuild
from quantdesk.orders.order import Order
from quantdesk.orders.result import OrderStatus

from .conftest import awaited  # isort: skip

ORDER = {"symbol": "AAPL", "action": "buy", "shares": 100, "user_id": "ada", "idempotency_key": "k-1"}


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Both forms of the same call."""

    def call(client: SorClient, **more: Any) -> dict[str, Any]:
        order = {**ORDER, **more}
        if request.param == "sync":
            return client.route_and_execute_sync(**order)
        return awaited(client.route_and_execute(**order))

    return call


@pytest.fixture
def client(router: Any, config: SorConfig, quotes: Any) -> SorClient:
    return SorClient(router.url, fallback=Fallback(quotes), config=config)


def ripe(config: SorConfig) -> None:
    """Make every entry of the journal old enough to be reconciled."""
    with sqlite3.connect(config.journal_path) as connection:
        connection.execute("UPDATE orders SET at = at - 3600000000000")
    connection.close()


# ----------------------------------------------------------------------------------------------------- when all is well


def test_an_order_goes_to_the_remote_desk(run: Any, client: SorClient, desk: Any) -> None:
    result = run(client)
    assert result == desk.known["ada", "k-1"].to_dict()
    assert (result["status"], result["filled_shares"], result["average_price"]) == ("filled", 100, "100.5")
    assert [order.to_dict() for order in desk.executed] == [Order(**ORDER).to_dict()]


def test_a_repeated_request_is_answered_with_the_first(run: Any, client: SorClient, desk: Any, router: Any) -> None:
    first = run(client)
    again = run(client)
    assert again == {**first, "was_known": True}
    assert router.posts() == 1
    assert len(desk.executed) == 1


def test_the_key_of_another_order_is_refused(run: Any, client: SorClient, desk: Any) -> None:
    run(client)
    with pytest.raises(BadInput, match="belongs to another order"):
        run(client, shares=7)
    assert len(desk.executed) == 1


def test_orders_without_a_key_are_different_orders(run: Any, client: SorClient, desk: Any) -> None:
    assert run(client, idempotency_key=None)["order_id"] != run(client, idempotency_key=None)["order_id"]
    assert len({order.idempotency_key for order in desk.executed}) == 2


@pytest.mark.parametrize(
    ("user", "key"),
    [(None, "k"), ("-", "k"), ("a/../b", "..%2F?x=1#y"), (".", ".."), ("ünï côdé", "~"), ("~x", "a b+c%20d")],
)
def test_users_and_keys_are_quoted(client: SorClient, desk: Any, router: Any, user: str | None, key: str) -> None:
    router.fail("dies")
    result = client.route_and_execute_sync(**{**ORDER, "user_id": user, "idempotency_key": key})
    assert result["status"] == "filled"  # found by its key
    assert set(desk.known) == {(user, key)}
    assert router.requests[-1][1].isascii()


def test_an_order_that_rests_is_asked_for_again(run: Any, client: SorClient, desk: Any, router: Any) -> None:
    desk.status = OrderStatus.OPEN
    assert run(client)["status"] == "open"
    desk.status, desk.known = OrderStatus.FILLED, {}
    desk.execute(Order(**ORDER))
    again = run(client)
    assert (again["status"], again["was_known"]) == ("filled", True)
    assert router.posts() == 1


def test_the_last_known_result_of_an_order_that_rests(client: SorClient, desk: Any, router: Any) -> None:
    desk.status = OrderStatus.OPEN
    client.route_and_execute_sync(**ORDER)
    router.fail("html_404", path="/orders/by-key")
    assert client.route_and_execute_sync(**ORDER)["status"] == "open"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"shares": -5}, "-5"),
        ({"shares": 1.5}, "1.5"),
        ({"symbol": "../x"}, "../x"),
        ({"order_type": "limit"}, "no limit price"),
        ({"limit_price": 100.0}, "limit price"),
        ({"order_type": "limit", "limit_price": float("nan")}, "nan"),
        ({"urgency": "yes"}, "urgency"),
        ({"order_type": "limit", "limit_price": 100, "stop_loss_price": 101}, "stop loss"),
        ({"user_id": ""}, "user_id"),
        ({"idempotency_key": "x" * 129}, "idempotency_key"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    run: Any, client: SorClient, router: Any, given: dict[str, Any], what: str
) -> None:
    with pytest.raises(BadInput) as caught:
        run(client, **given)
    assert what in str(caught.value)
    assert router.requests == []


def test_what_the_remote_refuses_is_bad_input_too(run: Any, client: SorClient, desk: Any) -> None:
    for _ in range(2):
        with pytest.raises(BadInput, match="Unknown symbol 'NOPE'"):
            run(client, symbol="NOPE")
    assert run(client)["status"] == "filled"  # the key may be used again, as nothing was taken


def test_arguments_that_are_none(client: SorClient) -> None:
    with pytest.raises(BadInput, match="venue"):
        client.route_and_execute_sync(**ORDER, venue="XNAS")


# ------------------------------------------------------------------------------------------------------- when it is not


def test_a_router_that_is_not_there(run: Any, config: SorConfig, quotes: Any, closed_port: int) -> None:
    client = SorClient(f"http://127.0.0.1:{closed_port}", fallback=Fallback(quotes), config=config)
    result = run(client)
    assert (result["status"], result["execution_mode"], result["filled_shares"]) == ("filled", "mock", 100)
    assert result["average_price"] == "100.024000"  # 60 at 100.02 and 40 at 100.03
    assert "Mock execution" in result["reasoning"]
    assert "No guardrails were asked" in result["reasoning"]


def test_a_mock_stands_when_the_router_is_back(
    run: Any, config: SorConfig, quotes: Any, closed_port: int, router: Any, desk: Any
) -> None:
    away = SorClient(f"http://127.0.0.1:{closed_port}", fallback=Fallback(quotes), config=config)
    first = run(away)
    back = SorClient(router.url, fallback=Fallback(quotes), config=config)
    assert run(back) == {**first, "was_known": True}
    assert desk.executed == []


@pytest.mark.parametrize("fault", ["dies", "slow", "drips", "endless", "html", "fails"])
def test_an_order_whose_answer_is_lost_is_asked_for(
    run: Any, client: SorClient, desk: Any, router: Any, fault: str
) -> None:
    router.fail(fault)
    result = run(client)
    assert (result["status"], result["execution_mode"]) == ("filled", "simulated")
    assert len(desk.executed) == 1
    assert router.posts() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"filled_shares": 101},
        {"filled_shares": 99},
        {"filled_shares": "100"},
        {"filled_shares": 100.0},
        {"filled_shares": True},
        {"average_price": None},
        {"average_price": "NaN"},
        {"average_price": "-1"},
        {"average_price": 100.5},
        {"slippage_bps": float("nan")},
        {"commission": "Infinity"},
        {"symbol": "MSFT"},
        {"action": "sell"},
        {"shares": 200},
        {"order_type": "limit"},
        {"idempotency_key": "k-2"},
        {"user_id": "eve"},
        {"order_id": ""},
        {"status": "done"},
        {"status": "rejected"},
        {"execution_mode": "real"},
        {"children": [{"client_id": "c"}]},
        {"venues": "XNAS"},
        {"result": None},
    ],
)
def test_answers_that_cannot_be_true_are_not_believed(
    client: SorClient, desk: Any, router: Any, changed: Any, fields: dict[str, Any]
) -> None:
    router.faults = [("/orders", changed(**fields))]
    result = client.route_and_execute_sync(**ORDER)
    assert result == desk.known["ada", "k-1"].to_dict()  # asked for by its key, and there it was right
    assert router.requests[-1][1].endswith("/void")


@pytest.mark.parametrize("fault", ["late", "hang", "html_404", "redirects", "no_json_404"])
def test_a_mock_needs_the_word_of_the_router(run: Any, client: SorClient, desk: Any, router: Any, fault: str) -> None:
    router.fail(fault)
    result = run(client)
    assert (result["status"], result["execution_mode"]) == ("filled", "mock")
    router.settle()  # what lay in a queue is read now, and refused: its key was given up
    assert desk.executed == []
    assert run(client) == {**result, "was_known": True}
    assert desk.executed == []


@pytest.mark.parametrize("second", ["hang", "html", "html_404", "no_json_404", "fails", "in_progress"])
@pytest.mark.parametrize("first", ["late", "dies"])
def test_without_proof_it_stays_unknown_until_it_is_reconciled(
    client: SorClient, config: SorConfig, quotes: Any, desk: Any, router: Any, first: str, second: str
) -> None:
    router.fail(first)
    router.fail(second, path="/orders/by-key")
    result = client.route_and_execute_sync(**ORDER)
    assert (result["status"], result["filled_shares"], result["execution_mode"]) == ("pending_unknown", 0, "simulated")
    assert "k-1" in result["reasoning"]
    router.settle()
    # Another process, after a restart: it waits until the first cannot be under way any more.
    other = SorClient(router.url, fallback=Fallback(quotes), config=config)
    assert other.reconcile() == []
    ripe(config)
    (found,) = other.reconcile()
    assert (found.user_id, found.idempotency_key) == ("ada", "k-1")
    assert len(desk.executed) <= 1
    if desk.executed:
        assert found.result.to_dict()["status"] == "filled"
        assert str(found.result.execution_mode) == "simulated"
    else:
        assert found.result.to_dict()["status"] == "rejected"
    assert other.reconcile() == []
    again = client.route_and_execute_sync(**ORDER)
    assert again == {**found.to_dict()["result"], "was_known": True}
    assert router.posts() == 1


def test_a_router_that_is_killed_after_it_took_the_order(
    run: Any, client: SorClient, config: SorConfig, desk: Any, router: Any, make_router: Any
) -> None:
    def killed(here: Any, answer: Any) -> None:
        answer()
        router.server.shutdown()
        router.server.server_close()
        here.close_connection = True

    router.faults = [("/orders", killed)]
    assert run(client)["status"] == "pending_unknown"  # the question could not even be sent, and proves nothing
    assert run(client)["status"] == "pending_unknown"
    ripe(config)
    back = SorClient(make_router(desk).url, config=config)
    (found,) = back.reconcile()
    assert str(found.result.status) == "filled"
    assert len(desk.executed) == 1


def test_an_unknown_order_is_never_sent_again(run: Any, client: SorClient, desk: Any, router: Any) -> None:
    router.fail("dies")
    router.fail("fails", "fails", path="/orders/by-key")
    assert run(client)["status"] == "pending_unknown"
    assert run(client)["status"] == "pending_unknown"
    assert run(client)["status"] == "filled"
    assert router.posts() == 1


def test_a_repeated_request_leaves_the_key_to_one_that_is_under_way(
    client: SorClient, config: SorConfig, desk: Any, router: Any
) -> None:
    client._parts.journal.begin(Order(**ORDER), time.time_ns())
    assert client.route_and_execute_sync(**ORDER)["status"] == "pending_unknown"
    assert [path.rpartition("/")[2] for _, path, _ in router.requests] == ["~k-1"]  # not /void
    ripe(config)
    assert client.route_and_execute_sync(**ORDER)["execution_mode"] == "mock"


def test_reconciling_what_the_remote_cannot_say(client: SorClient, config: SorConfig, router: Any) -> None:
    client._parts.journal.begin(Order(**ORDER), time.time_ns())
    ripe(config)
    router.fail("fails", path="/orders/by-key")
    (found,) = awaited(client.reconcile_async())
    assert str(found.result.status) == "pending_unknown"
    (found,) = awaited(client.reconcile_async())
    assert str(found.result.status) == "rejected"


# ----------------------------------------------------------------------------------------------------------- live mode


def test_live_mode_never_mocks(run: Any, config: SorConfig, quotes: Any, closed_port: int) -> None:
    client = SorClient(f"http://127.0.0.1:{closed_port}", mode="live", fallback=Fallback(quotes), config=config)
    result = run(client)
    assert (result["status"], result["execution_mode"], result["filled_shares"]) == ("rejected", "live", 0)
    assert result["violations"][0]["code"] == "ROUTER_UNREACHABLE"
    assert "In live mode nothing is executed as a mock" in result["reasoning"]


def test_in_live_mode_an_order_that_never_left_may_be_sent_again(
    run: Any, config: SorConfig, closed_port: int, router: Any, desk: Any
) -> None:
    away = SorClient(f"http://127.0.0.1:{closed_port}", mode="live", config=config)
    assert run(away)["status"] == "rejected"
    assert run(SorClient(router.url, mode="live", config=config))["status"] == "filled"
    assert len(desk.executed) == 1


def test_in_live_mode_a_late_order_is_given_up(
    run: Any, config: SorConfig, quotes: Any, router: Any, desk: Any
) -> None:
    router.fail("late")
    client = SorClient(router.url, mode="live", fallback=Fallback(quotes), config=config)
    assert run(client)["status"] == "rejected"
    router.settle()
    assert desk.executed == []


# ---------------------------------------------------------------------------------------------------------- the breaker


def test_the_breaker_opens_and_half_opens(run: Any, client: SorClient, desk: Any, router: Any) -> None:
    router.fail(*["html_404"] * 3)
    for number in range(3):
        assert run(client, idempotency_key=f"f-{number}")["execution_mode"] == "mock"
    asked = len(router.requests)
    held = run(client, idempotency_key="held")
    assert held["execution_mode"] == "mock"
    assert "left alone" in held["reasoning"]
    assert len(router.requests) == asked  # nothing went out
    time.sleep(1.05)
    router.fail("html_404")
    assert run(client, idempotency_key="half-open")["execution_mode"] == "mock"  # one try, which failed
    assert run(client, idempotency_key="open-again")["reasoning"].startswith("The remote router failed too often")
    time.sleep(1.05)
    assert run(client, idempotency_key="better")["execution_mode"] == "simulated"
    assert run(client, idempotency_key="good")["execution_mode"] == "simulated"
    assert len(desk.executed) == 2


# ------------------------------------------------------------------------------------------------------- mock execution


@pytest.mark.parametrize(
    ("given", "status", "filled", "says"),
    [
        ({"symbol": "MSFT"}, "rejected", 0, "there is no quote of MSFT"),
        ({"symbol": "DOWN"}, "rejected", 0, "There are no quotes today."),
        ({"shares": 1000}, "partially_filled", 560, "560 shares"),
        ({"order_type": "limit", "limit_price": "100.02"}, "partially_filled", 60, "rest is cancelled"),
        ({"order_type": "limit", "limit_price": "99"}, "cancelled", 0, "0 shares"),
        ({"order_type": "stop", "stop_price": "105"}, "rejected", 0, "and a mock cannot"),
        ({"time_in_force": "closing"}, "rejected", 0, "and a mock cannot"),
        ({"stop_loss_price": "90"}, "filled", 100, "No protective stop"),
    ],
)
def test_what_a_mock_can_and_cannot_do(
    config: SorConfig, quotes: Any, closed_port: int, given: dict[str, Any], status: str, filled: int, says: str
) -> None:
    client = SorClient(f"http://127.0.0.1:{closed_port}", fallback=Fallback(quotes), config=config)
    result = client.route_and_execute_sync(**{**ORDER, **given})
    assert (result["status"], result["filled_shares"], result["execution_mode"]) == (status, filled, "mock")
    assert says in result["reasoning"]


def test_without_quotes_nothing_is_made_up(run: Any, config: SorConfig, closed_port: int) -> None:
    result = run(SorClient(f"http://127.0.0.1:{closed_port}", config=config))
    assert (result["status"], result["average_price"]) == ("rejected", None)
    assert "No quotes are at hand" in result["reasoning"]


def test_guardrails_are_asked_before_a_mock(run: Any, config: SorConfig, quotes: Any, closed_port: int) -> None:
    def check(order: Order) -> Decision:
        severity = "blocking" if order.shares > 50 else "warning"
        return Decision((GuardrailViolation("SYMBOL_HALTED", "It is halted.", severity),), "test", ("SYMBOL_HALTED",))

    client = SorClient(f"http://127.0.0.1:{closed_port}", fallback=Fallback(quotes, check), config=config)
    blocked = run(client)
    assert (blocked["status"], blocked["violations"][0]["code"]) == ("rejected", "SYMBOL_HALTED")
    warned = run(client, shares=10, idempotency_key="k-2")
    assert (warned["status"], len(warned["violations"])) == ("filled", 1)
    assert "No guardrails" not in warned["reasoning"]


# ---------------------------------------------------------------------------------------------------- the embedded desk


def test_without_a_url_the_desk_in_this_process_executes(run: Any, desk: Any, config: SorConfig) -> None:
    client = SorClient(desk=desk, config=config)
    assert run(client)["status"] == "filled"
    assert not config.journal_path.exists()
    assert client.reconcile() == []


def test_an_embedded_desk_does_not_hold_up_the_event_loop(desk: Any, config: SorConfig) -> None:
    execute, turns = desk.execute, 0

    def slowly(order: Order) -> Any:
        time.sleep(0.2)
        return execute(order)

    desk.execute = slowly

    async def main() -> dict[str, Any]:
        nonlocal turns
        task = asyncio.create_task(SorClient(desk=desk, config=config).route_and_execute(**ORDER))
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        return await task

    assert awaited(main())["status"] == "filled"
    assert turns > 5


def test_what_a_desk_raises_is_raised(run: Any, desk: Any, config: SorConfig) -> None:
    with pytest.raises(BadInput, match="NOPE"):
        run(SorClient(desk=desk, config=config), symbol="NOPE")


def test_many_orders_at_once(client: SorClient, desk: Any, config: SorConfig) -> None:
    async def main() -> list[dict[str, Any]]:
        orders = [client.route_and_execute(**{**ORDER, "idempotency_key": f"k-{number % 5}"}) for number in range(10)]
        return await asyncio.gather(*orders)

    results = awaited(main())
    assert {result["status"] for result in results} <= {"filled", "pending_unknown"}
    assert len(desk.executed) == 5


# ------------------------------------------------------------------------------------------------------ crash, cancel


PROGRAM = """
    import os, signal, sys
    from quantdesk.orders.client import SorClient, SorConfig
    from pathlib import Path
    url, journal, at = sys.argv[1:]
    client = SorClient(url, config=SorConfig(journal=Path(journal)))
    journal = client._parts.journal
    def die(*arguments, **more):
        os.kill(os.getpid(), signal.SIGKILL)
    if at == "before":
        client._remote = die
    else:
        journal.finish = die
    client.route_and_execute_sync(symbol="AAPL", action="buy", shares=100, user_id="ada", idempotency_key="k-1")
"""


@pytest.mark.parametrize("at", ["before", "after"])
def test_a_client_that_is_killed(at: str, client: SorClient, config: SorConfig, desk: Any, router: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), router.url, str(config.journal_path), at],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "platform")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    ripe(config)
    (found,) = client.reconcile()
    assert str(found.result.status) == ("rejected" if at == "before" else "filled")
    assert len(desk.executed) == (at == "after")


def test_a_cancelled_call_is_reconciled(client: SorClient, config: SorConfig, desk: Any, router: Any) -> None:
    router.fail("slow")

    async def main() -> None:
        task = asyncio.create_task(client.route_and_execute(**ORDER))
        while not desk.executed:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    awaited(main())
    router.settle()
    ripe(config)
    (found,) = client.reconcile()
    assert str(found.result.status) == "filled"
    assert len(desk.executed) == 1


def test_a_journal_that_cannot_be_written_sends_nothing(
    run: Any, config: SorConfig, router: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    client = SorClient(router.url, config=config.model_copy(update={"journal": tmp_path / "file" / "sor.db"}))
    with pytest.raises(EnvironmentProblem, match="journal"):
        run(client)
    (tmp_path / "no.db").write_text("this is no database, and longer than a header of one is: " * 20)
    client = SorClient(router.url, config=config.model_copy(update={"journal": tmp_path / "no.db"}))
    with pytest.raises(DataError, match="no journal"):
        run(client)
    assert router.requests == []


def test_an_entry_that_cannot_be_read(client: SorClient, config: SorConfig) -> None:
    client._parts.journal.begin(Order(**ORDER), 0)
    with sqlite3.connect(config.journal_path) as connection:
        connection.execute("UPDATE orders SET given = '{}'")
    connection.close()
    with pytest.raises(DataError):
        client.reconcile()


def test_an_execution_that_cannot_be_written_down_is_told_all_the_same(
    run: Any, client: SorClient, desk: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **more: Any) -> Any:
        raise EnvironmentProblem("No disk space is left.")

    monkeypatch.setattr(client._parts.journal, "finish", full)
    assert run(client)["status"] == "filled"
    assert "could not be written down" in caplog.text
    monkeypatch.undo()
    assert run(client)["status"] == "filled"
    assert len(desk.executed) == 1


# -------------------------------------------------------------------------------------------------- settings, secrets


def test_secrets_are_never_shown(
    run: Any, config: SorConfig, router: Any, caplog: pytest.LogCaptureFixture, closed_port: int
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "t0ken-of-the-desk"
    client = SorClient(router.url, config=config)
    shown = [repr(client), repr(config)]
    router.fail("fails", "html", "dies", "hang", "redirects")
    router.fail(*["fails"] * 5, path="/orders/by-key")
    shown += [json.dumps(run(client, idempotency_key=f"k-{number}")) for number in range(6)]
    assert all(headers["Authorization"] == f"Bearer {token}" for _, _, headers in router.requests)
    shown.append(json.dumps(run(SorClient(f"http://127.0.0.1:{closed_port}", config=config), idempotency_key="away")))
    # A line break would put it into an error of the HTTP library, and into its log.
    with pytest.raises(BadInput) as caught:
        SorClient(router.url, config=config.model_copy(update={"token": SorConfig(token=f"{token}\nX: y").token}))
    shown.append(str(caught.value))
    text = "\n".join([*shown, caplog.text])
    assert token not in text


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "ftp://x",
        "http://",
        "http://u:s3cret@host",  # pragma: allowlist secret
        "http://h:x",
        "http://" + "ü" * 80,
        "http://[::1",
        "http://h?a=s3cret",
    ],
)
def test_urls_that_are_none(url: str, config: SorConfig) -> None:
    with pytest.raises(BadInput) as caught:
        SorClient(url, config=config)
    assert "s3cret" not in str(caught.value)


def test_a_client_has_one_place_to_send_to(desk: Any, config: SorConfig) -> None:
    for given in ({}, {"url": "http://h", "desk": desk}):
        with pytest.raises(BadInput):
            SorClient(**given, config=config)
    with pytest.raises(BadInput, match="mode"):
        SorClient(desk=desk, mode="real", config=config)
    assert "simulated" in repr(SorClient(desk=desk, config=config))


def test_the_client_of_the_process(monkeypatch: pytest.MonkeyPatch, router: Any, tmp_path: Path, desk: Any) -> None:
    get_sor_client.cache_clear()
    monkeypatch.setenv("QUANTDESK_SOR_URL", router.url + "/")
    monkeypatch.setenv("QUANTDESK_SOR_MODE", "paper")
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    try:
        assert get_sor_client() is get_sor_client()
        assert awaited(get_sor_client().route_and_execute(**ORDER))["status"] == "filled"
        assert (tmp_path / "orders" / "sor.db").exists()
    finally:
        get_sor_client.cache_clear()


def test_steps_are_driven_to_their_end() -> None:
    def steps() -> Any:
        try:
            yield lambda: 1 / 0
        except ZeroDivisionError:
            return (yield lambda: "mended")

    assert _drive(steps(), None) == "mended"


def test_a_server_that_never_accepts(config: SorConfig, quotes: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:  # connects, and nobody ever reads
        client = SorClient(f"http://127.0.0.1:{listener.getsockname()[1]}", fallback=Fallback(quotes), config=config)
        result = client.route_and_execute_sync(**ORDER)
    assert result["status"] == "pending_unknown"


@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_mock_is_in_the_ledger_in_an_account_of_its_own(
    closed_port: int, quotes: Any, config: SorConfig, tmp_path: Path, form: str
) -> None:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        url = f"http://127.0.0.1:{closed_port}"
        client = SorClient(url, fallback=Fallback(quotes), config=config, ledger=ledger)
        for _ in range(2):  # asked again, it is the same mock
            order = Order(**ORDER)
            result = client.execute(order) if form == "sync" else awaited(client.execute_async(order))
            assert (result.status, result.execution_mode) == (OrderStatus.FILLED, "mock")
        entries = list(ledger.entries())
        assert {one.mode for one in entries} == {ExecutionMode.MOCK}
        assert [str(one.kind) for one in entries].count("order") == 1
        assert rebuild(entries, 0, ExecutionMode.MOCK).positions == {"AAPL": 100}
        for mode in (ExecutionMode.SIMULATED, ExecutionMode.PAPER, ExecutionMode.LIVE):
            assert rebuild(entries, 0, mode).positions == {}
        ledger.verify()
