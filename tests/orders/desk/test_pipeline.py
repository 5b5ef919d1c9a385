"""One pipeline: what an order meets on its way, and what is written down of it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders import Order
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk import DeskConfig, Facts, known
from quantdesk.orders.guardrails import LimitChange
from quantdesk.orders.ledger import EntryKind, rebuild
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.result import OrderStatus


def kinds(desk: Any, order_id: str) -> list[str]:
    return [str(stored.kind) for stored in desk.ledger.entries(order_id=order_id)]


def test_a_market_order_is_split_filled_and_written_down(room: Any) -> None:
    desk = room.desk()
    result = desk.execute(Order("AAPL", "buy", 250))
    assert (result.status, result.filled_shares, result.average_price) == (OrderStatus.FILLED, 250, Decimal(100))
    assert result.venues == ("Nasdaq", "IEX")
    assert result.commission == sum((child.commission for child in result.children), Decimal(0))
    assert (result.arrival_bid, result.arrival_ask, result.arrival_midpoint) == (
        Decimal("99.99"),
        Decimal(100),
        Decimal("99.995"),
    )
    assert result.slippage_bps == pytest.approx(1e4 * 0.005 / 99.995)
    assert result.slippage_nbbo_bps == 0.0
    assert result.execution_time_ms > 0
    assert result.routing_time_us > 0
    assert result.execution_mode == "simulated"
    assert "100 shares to IEX" in result.reasoning
    assert set(result.venue_scores) == {"Nasdaq", "IEX", "NYSE Arca", "NYSE"}
    assert kinds(desk, result.order_id) == ["order", "decision", "receipt", *["sent"] * 2, *["execution"] * 4, "result"]
    assert desk.portfolio.positions == {"AAPL": 250}
    assert desk.portfolio.cash == room.config.cash - 250 * 100 * MICRO - int(result.commission * MICRO)
    assert desk.result(result.order_id).to_dict() == result.to_dict()
    assert desk.ledger.verify()


def test_running_and_rebuilt_accounts_are_equal(room: Any) -> None:
    desk = room.desk()
    for order in (Order("AAPL", "buy", 300), Order("MSFT", "sell_short", 200), Order("AAPL", "sell", 120)):
        desk.execute(order)
    desk.execute(Order("MSFT", "buy", 50, order_type="limit", limit_price="49.50"))
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio
    assert room.desk().portfolio == desk.portfolio


def test_what_guardrails_block_is_a_result_and_is_sent_nowhere(room: Any) -> None:
    desk = room.desk()
    result = desk.execute(Order("AAPL", "buy", 999_999))
    assert result.status is OrderStatus.REJECTED
    assert "MAX_SHARES" in {violation.code for violation in result.violations if violation.severity == "blocking"}
    assert result.children == ()
    assert EntryKind.SENT not in kinds(desk, result.order_id)
    assert desk.portfolio.positions == {}


def test_a_repeated_request_is_answered_and_not_executed(room: Any) -> None:
    desk = room.desk()
    order = Order("AAPL", "buy", 100, user_id="ann", idempotency_key="k-1")
    first, again = desk.execute(order), desk.execute(order)
    assert (first.was_known, again.was_known) == (False, True)
    assert {**again.to_dict(), "was_known": False} == first.to_dict()
    assert desk.portfolio.positions == {"AAPL": 100}
    assert desk.find("ann", "k-1").order_id == first.order_id
    assert desk.find("bob", "k-1") is None
    with pytest.raises(BadInput, match="k-1"):
        desk.execute(Order("AAPL", "buy", 200, user_id="ann", idempotency_key="k-1"))
    assert room.desk().execute(order).was_known  # another process


@pytest.mark.parametrize("key", ["stop:O00000001-S1", "replace:O00000001"])
def test_the_keys_of_the_desk_are_not_for_callers(room: Any, key: str) -> None:
    with pytest.raises(BadInput, match="one of the desk's own"):
        room.desk().execute(Order("AAPL", "buy", 1, idempotency_key=key))


def test_an_unknown_order_is_named(room: Any) -> None:
    with pytest.raises(UnknownName, match="O00000099"):
        room.desk().result("O00000099")


def test_nothing_trades_while_it_is_halted(room: Any) -> None:
    desk = room.desk()
    room.halts.halt("AAPL", room.market.now(), code="T1")
    result = desk.execute(Order("AAPL", "buy", 100))
    assert result.status is OrderStatus.REJECTED
    assert "SYMBOL_HALTED" in {violation.code for violation in result.violations}
    room.halts.halt_market(room.market.now(), code="MWC1")
    other = desk.execute(Order("MSFT", "buy", 100))
    assert "CIRCUIT_BREAKER" in {violation.code for violation in other.violations}
    assert desk.portfolio.positions == {}


def test_a_limit_order_rests_and_is_cancelled(room: Any) -> None:
    desk = room.desk()
    resting = desk.execute(Order("AAPL", "buy", 100, order_type="limit", limit_price="99.50"))
    assert (resting.status, resting.filled_shares) == (OrderStatus.OPEN, 0)
    assert desk.portfolio.position("AAPL").buying == 100
    assert desk.poll() == ()
    done = desk.cancel(resting.order_id)
    assert (done.status, done.filled_shares) == (OrderStatus.CANCELLED, 0)
    assert desk.portfolio.position("AAPL").buying == 0
    assert desk.cancel(resting.order_id).status is OrderStatus.CANCELLED
    assert not room.market.open_children()


def test_ioc_leaves_nothing_open(room: Any) -> None:
    desk = room.desk()
    result = desk.execute(Order("AAPL", "buy", 500, order_type="ioc", limit_price="100.00"))
    assert (result.status, result.filled_shares) == (OrderStatus.PARTIALLY_FILLED, 300)
    assert not room.market.open_children()


def test_a_replacement_keeps_what_was_filled(room: Any) -> None:
    desk = room.desk()
    old = desk.execute(Order("AAPL", "buy", 500, order_type="limit", limit_price="100.00"))
    assert (old.status, old.filled_shares) == (OrderStatus.OPEN, 300)
    with pytest.raises(BadInput, match="300 shares filled"):
        desk.replace(old.order_id, shares=300)
    new = desk.replace(old.order_id, shares=450, limit_price="99.90")
    assert (new.shares, new.status) == (150, OrderStatus.OPEN)
    assert desk.result(old.order_id).status is OrderStatus.PARTIALLY_FILLED
    assert desk.portfolio.position("AAPL").buying == 150
    assert desk.replace(old.order_id, shares=900).order_id == old.order_id  # it is finished


def test_a_stop_order_waits_for_its_price(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 100))
    stop = desk.execute(Order("AAPL", "sell", 100, order_type="stop", stop_price="98.00"))
    assert (stop.status, stop.children) == (OrderStatus.OPEN, ())
    assert desk.poll() == ()
    room.move(AAPL={"Nasdaq": ("97.90", 500, "97.95", 500)})
    desk = room.desk()  # it is alive after a restart
    desk.poll()
    done = desk.result(stop.order_id)
    assert (done.status, done.average_price) == (OrderStatus.FILLED, Decimal("97.90"))
    assert desk.portfolio.positions == {}


def test_a_short_sale_is_restricted_after_a_fall_of_ten_percent(room: Any) -> None:
    facts = known({"AAPL": Facts(previous_close=120 * MICRO, average_daily_volume=10**6, daily_volatility=0.02)})
    desk = room.desk(facts=facts)
    result = desk.execute(Order("AAPL", "sell_short", 100, order_type="limit", limit_price="99.99"))
    assert "SHORT_SALE_RESTRICTION" in {violation.code for violation in result.violations}
    assert result.status is OrderStatus.REJECTED
    above = desk.execute(Order("AAPL", "sell_short", 100, order_type="limit", limit_price="100.05"))
    assert above.status is OrderStatus.OPEN
    again = room.desk(facts=facts)  # and a restart knows, without another fall
    assert again.execute(Order("AAPL", "sell_short", 100)).status is OrderStatus.REJECTED


def test_borrowing_is_charged_once_a_day(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("MSFT", "sell_short", 300))
    with pytest.raises(BadInput, match="MSFT"):
        desk.charge_borrowing({})
    mark = desk.portfolio.position("MSFT").mark
    assert desk.charge_borrowing({"MSFT": 0.036}) == round(300 * mark * 0.036 / 360)
    assert desk.charge_borrowing({"MSFT": 0.036}) == 0
    assert room.desk().charge_borrowing({"MSFT": 0.036}) == 0
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio


def test_a_kill_switch_cancels_and_lets_only_risk_out(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 200))
    resting = desk.execute(Order("MSFT", "buy", 100, order_type="limit", limit_price="49.00"))
    desk.kill("all", by="risk officer", why="runaway strategy")
    assert desk.result(resting.order_id).status is OrderStatus.CANCELLED
    assert desk.execute(Order("AAPL", "buy", 10)).status is OrderStatus.REJECTED
    desk = room.desk()  # still thrown after a restart
    assert desk.execute(Order("MSFT", "buy", 10)).status is OrderStatus.REJECTED
    assert desk.execute(Order("AAPL", "sell", 200)).status is OrderStatus.FILLED
    desk.unkill("all", by="risk officer", why="found it")
    assert desk.execute(Order("MSFT", "buy", 20)).status is OrderStatus.FILLED
    with pytest.raises(BadInput, match="not thrown"):
        desk.unkill("all", by="risk officer", why="again")


def test_positions_from_elsewhere_are_taken_over(room: Any) -> None:
    desk = room.desk()
    desk.transfer({"AAPL": (500, 90 * MICRO)})
    assert desk.portfolio.positions == {"AAPL": 500}
    assert desk.execute(Order("AAPL", "sell", 500)).filled_shares > 0
    assert room.desk().portfolio == desk.portfolio


def test_the_loss_of_the_day_blocks_new_risk(room: Any) -> None:
    room.config = DeskConfig(cash=room.config.cash)
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 800))
    before = desk.portfolio.day_pnl
    room.move(AAPL={"Nasdaq": ("20.00", 900, "20.01", 900)})
    desk = room.desk()
    desk.execute(Order("AAPL", "sell", 1))
    assert desk.portfolio.day_pnl < before - 60_000 * 799 * MICRO // 1000
    assert desk.portfolio.day == dt.date(2026, 11, 23)


def test_a_reconciliation_names_what_differs_and_writes_it_down(room: Any) -> None:
    desk = room.desk()
    order = Order("AAPL", "buy", 100, order_type="limit", limit_price="99.50")
    resting = desk.execute(order)
    assert desk.reconcile() == ()
    venue = resting.children[0].venue
    room.market.send(Child("somebody-1", venue, "AAPL", Action.BUY, 100, 99 * MICRO, time_in_force=TimeInForce.DAY))
    (found,) = desk.reconcile()
    assert (str(found.subject), str(found.fault), found.name) == ("order", "missing_here", "somebody-1")
    told = [entry.payload["differences"] for entry in desk.ledger.entries(kinds=[EntryKind.RECONCILED])]
    assert told == [[], [found.to_dict()]]


def test_a_limit_is_another_one_for_a_while(room: Any) -> None:
    desk = room.desk()
    big = Order("AAPL", "buy", 600, order_type="limit", limit_price="99.00")
    now = room.market.now()
    until = now + 2_000_000_000

    def changed(value: int, field: str = "shares") -> LimitChange:
        return LimitChange("MAX_SHARES", field, value, until, by="risk officer", why="a test of the close", at=now)

    with pytest.raises(BadInput):
        desk.change_limit(changed(10**9))  # beyond the hard bound
    with pytest.raises(BadInput):
        desk.change_limit(changed(500, field="no_such_limit"))
    assert not list(desk.ledger.entries(kinds=[EntryKind.LIMIT_CHANGE]))
    desk.change_limit(changed(500))
    assert [one.code for one in desk.execute(big).violations if one.severity == "blocking"] == ["MAX_SHARES"]
    desk = room.desk()  # it is alive after a restart
    (told,) = desk.ledger.entries(kinds=[EntryKind.LIMIT_CHANGE])
    assert (told.payload["why"], told.user_id) == ("a test of the close", "risk officer")
    small = Order("MSFT", "buy", 501, order_type="limit", limit_price="49.00")
    assert desk.execute(small).status is OrderStatus.REJECTED
    room.market.advance(until)
    assert desk.execute(Order("MSFT", "buy", 502, order_type="limit", limit_price="49.00")).status is OrderStatus.OPEN
    assert (
        room.desk().execute(Order("MSFT", "buy", 503, order_type="limit", limit_price="48.99")).status
        is OrderStatus.OPEN
    )
