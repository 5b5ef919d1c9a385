"""The gateway to Alpaca, against a server that speaks its API: nothing lost, nothing sent twice, nothing made up."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.brokers import AlpacaConfig, AlpacaGateway, Statement, compare
from quantdesk.orders.executions import Execution, ExecutionMode, GatewayDown, Kind
from quantdesk.orders.order import Action, Child, TimeInForce

POST = ("POST", "/v2/orders")


def child(client_id: str = "order-1", shares: int = 100, **more: Any) -> Child:
    given = {"venue": "ALPACA", "symbol": "AAPL", "action": Action.BUY, "time_in_force": TimeInForce.DAY, **more}
    return Child(client_id, shares=shares, **given)


def kinds(told: Any) -> list[str]:
    return [str(report.kind) for report in told]


def filled(told: Any) -> int:
    return sum(report.shares for report in told if report.kind is Kind.FILL)


@pytest.fixture
def gateway(alpaca_config: AlpacaConfig) -> AlpacaGateway:
    return AlpacaGateway(alpaca_config)


def posts(alpaca: Any) -> int:
    return sum(method == "POST" for method, _ in alpaca.control())


def test_a_market_order_is_sent_and_its_fill_is_told(alpaca: Any, gateway: AlpacaGateway) -> None:
    told = gateway.send(child())
    assert kinds(told) == ["accepted", "fill"]
    fill = told[1]
    assert (fill.client_id, fill.venue, fill.shares, fill.price, fill.fee) == ("order-1", "ALPACA", 100, 190_020_000, 0)
    assert gateway.mode is ExecutionMode.PAPER
    assert abs(fill.at - gateway.now()) < 60 * 10**9
    (order,) = alpaca.rows("orders")
    assert (order["client"], order["qty"], order["side"], order["tif"], order["type"]) == (
        "order-1",
        100,
        "buy",
        "day",
        "market",
    )


def test_the_same_reports_come_each_time(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(plan=[[30, "190.01"], [70, "190.02"]])
    first = gateway.send(child())
    assert gateway.executions("order-1") == first == gateway.executions("order-1")
    assert len({report.execution_id for report in first}) == 3


def test_a_limit_order_rests_and_is_cancelled(alpaca: Any, gateway: AlpacaGateway) -> None:
    told = gateway.send(child(limit=189_500_000))
    assert kinds(told) == ["accepted"]
    assert gateway.open_children() == ["order-1"]
    told = gateway.cancel("order-1")
    assert kinds(told) == ["accepted", "cancelled"]
    assert told[-1].shares == 100
    assert gateway.open_children() == []
    assert gateway.cancel("order-1") == told
    assert alpaca.rows("orders")[0]["price"] == "189.5"


def test_partial_fills_come_one_by_one(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(plan=[[30, "190.01"], [20, "190.02"]])
    told = gateway.send(child(limit=190_050_000))
    assert kinds(told) == ["accepted"]  # it rests: nobody waits
    told = gateway.executions("order-1")
    assert [(report.shares, report.price) for report in told[1:]] == [(30, 190_010_000), (20, 190_020_000)]
    told = gateway.cancel("order-1")
    assert kinds(told) == ["accepted", "fill", "fill", "cancelled"]
    assert told[-1].shares == 50


def test_what_an_ioc_order_leaves_is_cancelled(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(plan=[[30, "190.01"]])
    told = gateway.send(child(limit=190_050_000, time_in_force=TimeInForce.IOC))
    assert kinds(told) == ["accepted", "fill", "cancelled"]
    assert told[-1].shares == 70


def test_fills_that_come_a_little_later_are_waited_for(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(plan=[[60, "190.01"], [40, "190.02"]], delay=0.1)
    assert filled(gateway.send(child())) == 100


def test_an_end_is_told_only_with_all_its_fills(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(plan=[[30, "190.01"]], lag=2.0)
    told = gateway.send(child(limit=190_050_000, time_in_force=TimeInForce.IOC))
    assert kinds(told) == ["accepted"]  # cancelled with 30 filled, says the order; of the 30 nothing is listed yet
    time.sleep(2.0)
    assert kinds(gateway.executions("order-1")) == ["accepted", "fill", "cancelled"]


def test_a_short_sale_is_a_sale(alpaca: Any, gateway: AlpacaGateway) -> None:
    gateway.send(child(action=Action.SELL_SHORT))
    assert alpaca.rows("orders")[0]["side"] == "sell"
    assert gateway.statement(0).positions == {"AAPL": -100}


@pytest.mark.parametrize(("time_in_force", "sent"), [("opening", "opg"), ("closing", "cls")])
def test_auctions(alpaca: Any, gateway: AlpacaGateway, time_in_force: str, sent: str) -> None:
    assert kinds(gateway.send(child(time_in_force=TimeInForce(time_in_force)))) == ["accepted"]
    assert alpaca.rows("orders")[0]["tif"] == sent


def test_the_server_speaks_as_alpaca_does(alpaca: Any, gateway: AlpacaGateway) -> None:
    """Its answers fit the models of Alpaca's own library, which the gateway does not use."""
    from quantdesk.orders.brokers.sdk import TradingClient

    module = sys.modules["alpacaserver"]
    library = TradingClient(module.KEY, module.SECRET, url_override=alpaca.url)
    gateway.send(child())
    gateway.send(child("order-2", limit=180_000_000))
    assert {str(order.status.value) for order in library.get_orders()} == {"new"}
    order = library.get_order_by_client_id("order-1")
    assert (order.qty, order.filled_qty, order.filled_avg_price) == ("100", "100", "190.02")
    assert library.get_all_positions()[0].qty == "100"
    assert library.get_clock().is_open
    assert library.get_account().buying_power == "1000000"


def test_orders_that_somebody_else_sent(alpaca: Any, gateway: AlpacaGateway) -> None:
    gateway.send(child(limit=180_000_000))
    alpaca.control(notional=True)  # of a sum of money: they have no number of shares
    assert gateway.open_children() == ["order-1"]
    with pytest.raises(GatewayDown, match="sum of money"):
        gateway.statement(0)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("given", "settings", "why"),
    [
        ({"shares": 1000}, {"buying_power": "100"}, "insufficient buying power"),
        ({"symbol": "NOPE"}, {}, 'asset "NOPE" not found'),
        ({"limit": 190_123_456}, {}, "sub-penny"),
        ({"peg": True}, {}, "no midpoint pegs"),
    ],
)
def test_a_refusal_is_a_report_with_its_reason(
    alpaca: Any, gateway: AlpacaGateway, given: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    alpaca.control(**settings)
    (told,) = gateway.send(child(**given))
    assert told.kind is Kind.REJECTED
    assert why in told.text
    assert alpaca.rows("orders") == []
    assert gateway.executions("order-1") is None


def test_an_order_that_is_rejected_later(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(status="rejected")
    assert kinds(gateway.send(child())) == ["rejected"]


def test_a_repeated_client_id_is_not_taken_twice(alpaca: Any, gateway: AlpacaGateway) -> None:
    first = gateway.send(child())
    assert gateway.send(child()) == first
    assert len(alpaca.rows("orders")) == 1


def test_a_client_id_of_another_order_is_no_answer(alpaca: Any, gateway: AlpacaGateway) -> None:
    gateway.send(child(shares=50))
    with pytest.raises(GatewayDown, match="another order") as caught:
        gateway.send(child())
    assert caught.value.sent


def test_a_refusal_that_took_the_order_after_all(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control((*POST, "422_after", 0))
    assert kinds(gateway.send(child())) == ["accepted", "fill"]


def test_wrong_keys_prove_that_nothing_was_taken(alpaca: Any, alpaca_config: AlpacaConfig) -> None:
    gateway = AlpacaGateway(alpaca_config.model_copy(update={"secret": alpaca_config.key}))
    with pytest.raises(GatewayDown, match="keys") as caught:
        gateway.send(child())
    assert not caught.value.sent
    with pytest.raises(GatewayDown):
        gateway.executions("order-1")


# ----------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("fault", ["hang_after", "drop_after", "500_after", "html_after", "other_after", "qty_after"])
def test_an_order_whose_answer_is_lost_is_found_by_its_client_id(
    alpaca: Any, gateway: AlpacaGateway, fault: str
) -> None:
    alpaca.control((*POST, fault, 2.0))
    with pytest.raises(GatewayDown) as caught:
        gateway.send(child())
    assert caught.value.sent
    assert filled(gateway.executions("order-1")) == 100
    assert filled(gateway.send(child())) == 100
    assert len(alpaca.rows("orders")) == 1


@pytest.mark.parametrize("fault", ["hang", "500", "429"])
def test_an_order_that_was_not_taken_is_known_not_to_be(alpaca: Any, gateway: AlpacaGateway, fault: str) -> None:
    alpaca.control((*POST, fault, 2.0))
    with pytest.raises(GatewayDown) as caught:
        gateway.send(child())
    assert caught.value.sent
    assert posts(alpaca) == 1  # alpaca-py itself would have sent it four times
    assert gateway.executions("order-1") is None


def test_no_such_order_counts_only_when_the_lost_one_can_be_under_way_no_longer(
    alpaca: Any, alpaca_config: AlpacaConfig
) -> None:
    gateway = AlpacaGateway(alpaca_config.model_copy(update={"settle": 4.0, "timeout": 0.2}))
    alpaca.control((*POST, "late", 1.5))
    with pytest.raises(GatewayDown):
        gateway.send(child())
    assert alpaca.rows("orders") == []  # it lies in a queue
    assert filled(gateway.executions("order-1")) == 100


def test_a_new_process_waits_as_well(alpaca: Any, alpaca_config: AlpacaConfig) -> None:
    alpaca.control((*POST, "late", 0.5))
    with pytest.raises(GatewayDown):
        AlpacaGateway(alpaca_config.model_copy(update={"timeout": 0.1})).send(child())
    assert filled(AlpacaGateway(alpaca_config.model_copy(update={"settle": 4.0})).executions("order-1")) == 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "https://127.0.0.1:{alpaca}"]
)
def test_what_never_left(alpaca: Any, alpaca_config: AlpacaConfig, url: str) -> None:
    where = url.format(port=free_port(), alpaca=alpaca.port)
    gateway = AlpacaGateway(alpaca_config.model_copy(update={"url": where}))
    with pytest.raises(GatewayDown) as caught:
        gateway.send(child())
    # Of a failed handshake only a refused certificate is proof; this server does not speak TLS at all.
    assert caught.value.sent == where.startswith("https")
    assert alpaca.rows("orders") == []


def test_a_refused_certificate_proves_that_nothing_left(
    tmp_path: Path, alpaca_config: AlpacaConfig, tls_port: int
) -> None:
    gateway = AlpacaGateway(alpaca_config.model_copy(update={"url": f"https://127.0.0.1:{tls_port}"}))
    with pytest.raises(GatewayDown) as caught:
        gateway.send(child())
    assert not caught.value.sent


def test_reads_wait_as_long_as_they_are_told(alpaca: Any, gateway: AlpacaGateway) -> None:
    gateway.send(child())
    alpaca.control(("GET", "/v2/orders:by", "429", 1))
    before = time.monotonic()
    assert filled(gateway.executions("order-1")) == 100
    assert time.monotonic() - before >= 1


def test_reads_do_not_wait_for_ever(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(*[("GET", "/v2/orders:by", "429", 0)] * 4)
    with pytest.raises(GatewayDown, match="rate limit"):
        gateway.executions("order-1")


@pytest.mark.parametrize("fault", ["hang", "500", "502_html", "html_after"])
def test_reads_that_fail_say_so(alpaca: Any, gateway: AlpacaGateway, fault: str) -> None:
    for path, ask in (
        ("/v2/orders:by", lambda: gateway.executions("order-1")),
        ("/v2/orders", gateway.open_children),
        ("/v2/positions", lambda: gateway.statement(0)),
        ("/v2/stocks", lambda: gateway.quotes("AAPL")),
        ("/v2/orders:by", lambda: gateway.cancel("order-1")),
    ):
        alpaca.control(("GET", path, fault, 2.0))
        with pytest.raises(GatewayDown):
            ask()


def test_an_order_is_accepted_even_if_its_fills_cannot_be_read(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(("GET", "/v2/orders:by", "500", 0), delay=0.1)
    assert kinds(gateway.send(child())) == ["accepted"]
    assert filled(gateway.executions("order-1")) == 100


def test_a_cancel_that_is_refused(alpaca: Any, gateway: AlpacaGateway) -> None:
    assert gateway.cancel("never-sent") == ()
    gateway.send(child(limit=180_000_000))
    alpaca.control(("DELETE", "/v2/orders", "500", 0))
    with pytest.raises(GatewayDown):
        gateway.cancel("order-1")
    assert gateway.open_children() == ["order-1"]


def test_a_cancel_that_crosses_a_fill(alpaca: Any, gateway: AlpacaGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    alpaca.control(delay=0.15)
    gateway.send(child(limit=190_050_000))
    look = gateway._find

    def look_and_wait(client_id: str) -> Any:
        found = look(client_id)
        time.sleep(0.2)  # it is filled between the look and the cancel
        return found

    monkeypatch.setattr(gateway, "_find", look_and_wait)
    assert kinds(gateway.cancel("order-1")) == ["accepted", "fill"]


PROGRAM = """
    import os, signal, sys
    from quantdesk.orders.brokers import AlpacaConfig, AlpacaGateway
    from quantdesk.orders.brokers import alpaca as module
    from quantdesk.orders.order import Action, Child, TimeInForce
    config = AlpacaConfig(key=sys.argv[2], secret=sys.argv[3], url=sys.argv[1], data_url=sys.argv[1])
    gateway = AlpacaGateway(config)
    real = gateway._trading.submit_order
    def submit(request):
        answer = real(request)  # the broker has taken it; the desk dies before it can write that down
        os.kill(os.getpid(), signal.SIGKILL)
    gateway._trading.submit_order = submit
    gateway.send(Child("order-1", "ALPACA", "AAPL", Action.BUY, 100, time_in_force=TimeInForce.DAY))
"""


def test_a_desk_that_is_killed_between_send_and_record_finds_its_order(
    alpaca: Any, alpaca_config: AlpacaConfig, gateway: AlpacaGateway
) -> None:
    module = sys.modules["alpacaserver"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), alpaca.url, module.KEY, module.SECRET],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "platform")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert filled(gateway.executions("order-1")) == 100
    assert filled(gateway.send(child())) == 100
    assert len(alpaca.rows("orders")) == 1


def test_the_broker_itself_is_restarted(alpaca: Any, gateway: AlpacaGateway) -> None:
    gateway.send(child(limit=180_000_000))
    alpaca.stop()
    try:
        with pytest.raises(GatewayDown) as caught:
            gateway.send(child("order-2"))
        assert not caught.value.sent
    finally:
        alpaca.start()
    assert gateway.open_children() == ["order-1"]


# ------------------------------------------------------------------------------------------------- ids, pages, lists


@pytest.mark.parametrize(
    "client_id", ["../../positions", "a&client_order_id=order-1", "a b%2Fc?d#e", "' OR 1=1 --", "ö" * 60]
)
def test_client_ids_are_quoted(alpaca: Any, gateway: AlpacaGateway, client_id: str) -> None:
    gateway.send(child("order-1", shares=7))
    assert gateway.executions(client_id) is None
    assert filled(gateway.send(child(client_id))) == 100
    told = gateway.executions(client_id)
    assert told
    assert {report.client_id for report in told} == {client_id}
    routes = {"/v2/orders", "/v2/orders:by_client_order_id", "/v2/account/activities/FILL"}
    assert {path for _, path in alpaca.control()} <= routes


@pytest.mark.parametrize("client_id", ["", "x" * 129])
def test_client_ids_that_alpaca_does_not_take(alpaca: Any, gateway: AlpacaGateway, client_id: str) -> None:
    with pytest.raises(BadInput, match="client id"):
        gateway.send(child(client_id))
    assert posts(alpaca) == 0


def test_many_fills_and_orders_are_read_page_by_page(
    alpaca: Any, gateway: AlpacaGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantdesk.orders.brokers.alpaca._PAGE", 3)
    alpaca.control(plan=[[1, "190.01"]] * 250)
    told = gateway.send(child(shares=250))
    assert filled(told) == 250
    assert len({report.execution_id for report in told}) == 251
    sent = [f"resting-{number}" for number in range(8)]
    for client_id in sent:
        gateway.send(child(client_id, limit=180_000_000))
    assert gateway.open_children() == sent


def test_a_statement_beside_the_ledger(alpaca: Any, gateway: AlpacaGateway) -> None:
    start = gateway.now() - 10**9
    alpaca.control(plan=[[30, "190.01"]])
    told = gateway.send(child(limit=190_050_000))
    told = gateway.executions("order-1")
    assert told
    there = gateway.statement(start)
    fill = told[1]
    here = Statement({"order-1": 70}, {"AAPL": 30}, {fill.execution_id: ("order-1", 30, 190_010_000)})
    assert compare(here, there) == ()
    wrong = compare(Statement({"order-9": 5}, {"AAPL": 40}, {}), there)
    assert [(str(one.subject), str(one.fault), one.name) for one in wrong] == [
        ("order", "missing_here", "order-1"),
        ("order", "missing_there", "order-9"),
        ("position", "other_quantity", "AAPL"),
        ("fill", "missing_here", fill.execution_id),
    ]
    assert gateway.statement(gateway.now() + 10**9).fills == {}


def test_fractions_of_shares_are_not_rounded_away(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(positions={"AAPL": "1.5"})
    with pytest.raises(GatewayDown, match=r"1\.5"):
        gateway.statement(0)


# ----------------------------------------------------------------------------------------------------------- quotes


def test_quotes_are_one_venue(alpaca: Any, gateway: AlpacaGateway) -> None:
    quotes = gateway.quotes("brk b")
    assert (quotes.symbol, quotes.venues) == ("BRK.B", ("ALPACA",))
    assert (quotes.nbbo.bid, quotes.nbbo.bid_size, quotes.nbbo.ask, quotes.nbbo.ask_size) == (
        410_100_000,
        100,
        410_300_000,
        100,
    )
    assert int(quotes.quoted_at[0]) <= quotes.at


def test_a_quote_of_a_clock_that_is_ahead(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(quote_age=30)
    quotes = gateway.quotes("AAPL")
    assert quotes.at == int(quotes.quoted_at[0])


def test_a_one_sided_quote(alpaca: Any, gateway: AlpacaGateway) -> None:
    alpaca.control(quotes={"AAPL": {"bp": 190.0, "bs": 1, "ap": 0, "as": 0}})
    assert not gateway.quotes("AAPL").nbbo.is_two_sided


@pytest.mark.parametrize(
    "quote",
    [
        {"bp": 191.0, "bs": 1, "ap": 190.0, "as": 1},
        {"bp": "NaN", "bs": 1, "ap": 190.0, "as": 1},
        {"bp": -1, "bs": 1, "ap": 190.0, "as": 1},
        {"bp": 189.0, "bs": 1.5, "ap": 190.0, "as": 1},
        {"bp": 189.0, "bs": 1, "ap": 190.0},
    ],
)
def test_quotes_that_cannot_be(alpaca: Any, gateway: AlpacaGateway, quote: dict[str, Any]) -> None:
    alpaca.control(quotes={"AAPL": quote})
    with pytest.raises(GatewayDown):
        gateway.quotes("AAPL")


def test_symbols_without_a_quote(alpaca: Any, gateway: AlpacaGateway) -> None:
    with pytest.raises(UnknownName):
        gateway.quotes("NOPE")
    with pytest.raises(BadInput):
        gateway.quotes("AAPL/../x")


# ---------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("paper", {"key": None}),
        ("paper", {"key": "password\n"}),
        ("paper", {"secret": ""}),
        ("paper", {"live": True}),
        ("live", {}),
        ("live", {"live": True, "url": "https://paper-api.alpaca.markets"}),
        ("paper", {"url": "https://api.alpaca.markets"}),
        ("simulated", {}),
        ("paper", {"url": "https://user:password@paper-api.alpaca.markets"}),  # pragma: allowlist secret
        ("paper", {"url": "ftp://127.0.0.1"}),
        ("paper", {"url": "http://[::1"}),
    ],
)
def test_settings_that_do_not_fit(mode: str, given: dict[str, Any]) -> None:
    config = AlpacaConfig(**{"key": "k", "secret": "s", "url": None, **given})
    with pytest.raises(BadInput) as caught:
        AlpacaGateway(config, ExecutionMode(mode))
    assert "password" not in str(caught.value).replace("user, password or", "")


def test_live_is_said_twice() -> None:
    config = AlpacaConfig(key="k", secret="s", live=True)
    gateway = AlpacaGateway(config, ExecutionMode.LIVE)
    assert gateway.mode is ExecutionMode.LIVE
    assert gateway._trading._base_url == "https://api.alpaca.markets"
    assert AlpacaGateway(AlpacaConfig(key="k", secret="s"))._trading._base_url == "https://paper-api.alpaca.markets"


def test_secrets_are_never_shown(
    alpaca: Any, alpaca_config: AlpacaConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = sys.modules["alpacaserver"]
    monkeypatch.setenv("QUANTDESK_ALPACA_KEY", module.KEY)
    monkeypatch.setenv("QUANTDESK_ALPACA_SECRET", module.SECRET)
    monkeypatch.setenv("QUANTDESK_ALPACA_URL", alpaca.url)
    caplog.set_level(logging.DEBUG)
    gateway = AlpacaGateway()
    shown = [repr(gateway), repr(AlpacaConfig.from_env()), str(AlpacaConfig.from_env().model_dump())]
    gateway.send(child())
    for fault in ("500_after", "401", "html_after", "drop_after"):
        alpaca.control((*POST, fault, 0))
        with pytest.raises(GatewayDown) as caught:
            gateway.send(child(fault))
        shown += [str(caught.value), repr(caught.value)]
    text = "\n".join([*shown, caplog.text])
    assert module.SECRET not in text
    assert module.KEY not in text


def test_executions_are_values(gateway: AlpacaGateway) -> None:
    (accepted, fill) = gateway.send(child())
    assert Execution(**{**fill.to_dict(), "kind": Kind(fill.to_dict()["kind"])}) == fill
    assert accepted.at <= fill.at
