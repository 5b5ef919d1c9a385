"""What the desk once lost, doubled, sent though it should not, or could not recover from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.orders import Order
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.client.commands import route
from quantdesk.orders.client.embedded import EmbeddedDesk
from quantdesk.orders.desk import DeskConfig, open_desk, work
from quantdesk.orders.executions import Execution, ExecutionMode, GatewayDown, Kind
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.ledger import EntryKind, rebuild
from quantdesk.orders.order import Child
from quantdesk.orders.result import OrderStatus
from quantdesk.orders.routing.schedules import Slice
from quantdesk.orders.venues import SimulatedMarket

FALL = {"Nasdaq": ("97.00", 1000, "97.05", 1000)}
LOW = {"order_type": "limit", "limit_price": "99.50"}


class Deaf:
    """A gateway some of whose calls get no answer, while it is deaf."""

    def __init__(self, inner: Any, *names: str) -> None:
        self._inner, self._names, self.deaf = inner, names, False

    def __getattr__(self, name: str) -> Any:
        if self.deaf and name in self._names:
            return self._down
        return getattr(self._inner, name)

    def _down(self, *_: Any) -> Any:
        raise GatewayDown("no answer", sent=True)


class Torn:
    """A ledger whose connection breaks once, right after a commit."""

    def __init__(self, inner: Any, place: int, name: str) -> None:
        self._inner, self._place, self._name, self._count = inner, place, name, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._name:
            return found

        def call(*given: Any, **more: Any) -> Any:
            done = found(*given, **more)
            self._count += 1
            if self._count == self._place:
                raise EnvironmentProblem("The connection broke.", "Look before you write again.")
            return done

        return call


# ------------------------------------------------------------------------------------------------- protective stops


def test_two_equal_stops_go_off_together(room: Any) -> None:
    desk = room.desk()
    for key in ("a", "b"):
        desk.execute(Order("AAPL", "buy", 100, stop_loss_price="98.00", idempotency_key=key))
        room.market.advance(room.market.now() + 2_000_000_000)
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}


def test_a_key_of_a_caller_takes_no_stop_away(room: Any) -> None:
    desk = room.desk()
    bought = desk.execute(Order("AAPL", "buy", 100, stop_loss_price="98.00"))
    (stop,) = bought.stop_loss_ids
    desk.execute(Order("MSFT", "buy", 10, idempotency_key=stop))
    assert [one.stop_id for one in desk.stops] == [stop]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("left", [-200, -50, 0])
def test_a_stop_without_its_order_goes_off_later_for_what_is_still_held(
    room: Any, monkeypatch: pytest.MonkeyPatch, left: int, restart: bool
) -> None:
    room.desk().execute(Order("AAPL", "sell_short", 200, stop_loss_price="102.00"))
    room.move(AAPL={"Nasdaq": ("102.95", 1000, "103.00", 1000)})
    desk = room.desk()
    with monkeypatch.context() as patch:

        def full(*_: Any) -> Any:
            raise EnvironmentProblem("The disk is full.", "Make room.")

        patch.setattr(desk.ledger, "receive", full)
        with pytest.raises(EnvironmentProblem):
            desk.poll()
    if left > -200:
        desk.transfer({"AAPL": (200 + left, 100 * MICRO)})
    if restart:
        desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}
    assert desk.stops == ()
    bought = [order.shares for order in desk.ledger.orders().values() if order.action == "buy"]
    assert bought == ([-left] if left else [])
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio


def test_stops_shrink_when_shares_are_handed_over(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 200, stop_loss_price="98.00"))
    desk.transfer({"aapl": (-150, 100 * MICRO)})
    assert desk.portfolio.positions == {"AAPL": 50}
    assert [stop.shares for stop in desk.stops] == [50]


@pytest.mark.parametrize("given", [{"AAPL": (10.5, MICRO)}, {"AAPL": (10, 1.5)}, {"AAPL": (10, -1)}, {"?": (1, MICRO)}])
def test_a_transfer_that_cannot_be_is_refused_before_it_is_written(room: Any, given: Any) -> None:
    desk = room.desk()
    with pytest.raises(BadInput):
        desk.transfer(given)
    assert not list(desk.ledger.entries())
    room.desk()  # and the ledger can be read


def test_no_stop_goes_off_outside_of_the_session(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 100, stop_loss_price="98.00"))
    own = desk.execute(Order("AAPL", "sell", 50, order_type="stop", stop_price="97.50"))
    room.move(AAPL=FALL)  # what somebody quotes at night
    room.halts.set_phase(Phase.CLOSED, 0, room.market.now() + 500_000_000)
    desk = room.desk()
    assert desk.poll() == ()
    assert sum(stop.shares for stop in desk.stops) == 100
    assert desk.result(own.order_id).children == ()
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    ("enter", "leave", "target", "moved"),
    [
        ("buy", "sell", "104.00", {"Nasdaq": ("97.00", 1000, "97.05", 1000)}),
        ("sell_short", "buy", "96.00", {"Nasdaq": ("102.95", 1000, "103.00", 1000)}),
    ],
)
def test_what_rests_for_the_same_shares_makes_way_for_a_stop(
    room: Any, enter: str, leave: str, target: str, moved: Any, answers: bool
) -> None:
    desk = room.desk()
    stop_loss = "98.00" if enter == "buy" else "102.00"
    desk.execute(Order("AAPL", enter, 200, stop_loss_price=stop_loss))
    profit = desk.execute(Order("AAPL", leave, 200, order_type="limit", limit_price=target))
    other = desk.execute(Order("MSFT", "buy", 10, order_type="limit", limit_price="49.00"))
    assert profit.status is OrderStatus.OPEN
    room.market.advance(room.market.now() + 2_000_000_000)
    gateway = Deaf(room.market, "cancel", "executions")
    later = SimulatedMarket.static({"AAPL": moved}, room.market.now())
    gateway.quotes = lambda symbol: (later if symbol == "AAPL" else room.market).quotes(symbol)
    gateway.send = later.send
    gateway.deaf = not answers
    desk.world.gateway = gateway
    desk.poll()
    if answers:
        assert desk.portfolio.positions == {}
        assert desk.stops == ()
        assert desk.result(profit.order_id).status is OrderStatus.CANCELLED
    else:  # it may have traded already, and then the stop would open a position
        assert abs(desk.portfolio.position("AAPL").shares) == 200
        assert [stop.shares for stop in desk.stops] == [200]
        gateway.deaf = False
        desk.poll()
        desk.poll()
        assert desk.portfolio.positions == {}
    assert desk.result(other.order_id).status is OrderStatus.OPEN


def test_a_stop_for_a_part_leaves_orders_for_the_rest_alone(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 200))
    desk.execute(Order("AAPL", "buy", 100, stop_loss_price="98.00"))
    profit = desk.execute(Order("AAPL", "sell", 200, order_type="limit", limit_price="104.00"))
    later = SimulatedMarket.static({"AAPL": FALL}, room.market.now())
    gateway = Deaf(room.market)
    gateway.quotes, gateway.send = later.quotes, later.send
    desk.world.gateway = gateway
    desk.poll()
    assert desk.portfolio.positions == {"AAPL": 200}
    assert desk.result(profit.order_id).status is OrderStatus.OPEN


# ----------------------------------------------------------------------------------------------------- guardrails


def test_a_short_sale_that_a_fall_sets_off_meets_the_restriction_of_that_fall(room: Any) -> None:
    desk = room.desk()
    stop = desk.execute(Order("AAPL", "sell_short", 100, order_type="stop", stop_price="89.00"))
    assert stop.status is OrderStatus.OPEN
    room.move(AAPL={"Nasdaq": ("88.00", 500, "88.02", 500)})  # 12 % below the close before
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}


@pytest.mark.parametrize("given", [("symbol", ""), ("all", "AAPL"), ("desk", "x"), ("symbol", "?")])
def test_a_kill_switch_that_cannot_be_is_refused_before_it_is_written(room: Any, given: Any) -> None:
    desk = room.desk()
    with pytest.raises(BadInput):
        desk.kill(*given, by="risk officer", why="runaway strategy")
    with pytest.raises(BadInput):
        desk.kill("all", by="", why="")
    assert not list(desk.ledger.entries())
    room.desk()  # and the ledger can be read


def test_a_kill_switch_knows_a_symbol_in_any_form(room: Any) -> None:
    desk = room.desk()
    resting = desk.execute(Order("AAPL", "buy", 100, **LOW))
    desk.kill("symbol", "aapl", by="risk officer", why="runaway strategy")
    assert desk.result(resting.order_id).status is OrderStatus.CANCELLED


def test_an_order_that_was_blocked_was_not_sent(room: Any) -> None:
    desk = room.desk()
    order = Order("AAPL", "buy", 100)
    desk.kill("all", by="risk officer", why="a drill")
    assert desk.execute(order).status is OrderStatus.REJECTED
    desk.unkill("all", by="risk officer", why="it is over")
    assert desk.execute(order).status is OrderStatus.FILLED


@pytest.mark.parametrize("days", [0, -3])
def test_borrowing_never_pays(room: Any, days: int) -> None:
    desk = room.desk()
    desk.execute(Order("MSFT", "sell_short", 300))
    with pytest.raises(BadInput, match=str(days)):
        desk.charge_borrowing({"MSFT": 0.036}, days)


# ------------------------------------------------------------------------------------------- cancelling, replacing


@pytest.mark.parametrize("way", ["cancel", "replace", "kill"])
def test_a_fill_that_nobody_asked_about_is_not_lost_with_a_cancel(room: Any, way: str) -> None:
    begin = room.market.now()
    later = [(begin + 10**9, {"AAPL": {"Nasdaq": ("99.40", 100, "99.50", 100)}})]
    room.market = SimulatedMarket.static({"AAPL": {"Nasdaq": ("99.99", 300, "100.00", 200)}}, begin, later=later)
    desk = room.desk()
    order = desk.execute(Order("AAPL", "buy", 300, stop_loss_price="98.00", **LOW)).order_id
    room.market.advance(begin + 2 * 10**9)  # 100 shares of it trade
    if way == "cancel":
        desk.cancel(order)
    elif way == "replace":
        assert desk.replace(order, shares=150).shares == 50
    else:
        desk.kill("all", by="risk officer", why="a drill")
    done = desk.result(order)
    assert (done.status, done.filled_shares) == (OrderStatus.PARTIALLY_FILLED, 100)
    assert desk.portfolio.positions == {"AAPL": 100}
    assert [stop.shares for stop in desk.stops] == [100]


def replacing(room: Any) -> tuple[Any, Any, str]:
    """A desk that waits for the cancel of an order which is to be replaced."""
    gateway = Deaf(room.market, "cancel", "executions")
    desk = room.desk(gateway=gateway)
    old = desk.execute(Order("AAPL", "buy", 200, **LOW)).order_id
    gateway.deaf = True
    assert desk.replace(old, shares=150).order_id == old
    gateway.deaf = False
    return desk, gateway, old


def test_a_replacement_goes_on_when_the_venue_answers(room: Any) -> None:
    desk, _, old = replacing(room)
    desk.poll()
    assert desk.result(old).status is OrderStatus.CANCELLED
    assert desk.portfolio.position("AAPL").buying == 150
    desk.poll()
    assert desk.portfolio.position("AAPL").buying == 150


@pytest.mark.parametrize("restart", [False, True])
def test_a_replacement_that_was_cancelled_is_not_sent(room: Any, restart: bool) -> None:
    desk, gateway, old = replacing(room)
    gateway.deaf = True
    desk.cancel(old)
    gateway.deaf = False
    if restart:
        desk = room.desk()
    desk.poll()
    assert desk.result(old).status is OrderStatus.CANCELLED
    assert desk.portfolio.position("AAPL").buying == 0
    assert not room.market.open_children()


def test_a_slice_that_may_still_trade_is_not_sent_again_with_the_next_one(room: Any) -> None:
    gateway = Deaf(room.market, "cancel", "executions")
    desk = room.desk(gateway=gateway)
    begin = room.market.now()
    slices = [Slice(begin + number * 10**9, 100) for number in range(4)]

    def wait(at: int) -> None:
        room.market.advance(at)
        gateway.deaf = at == slices[1].at

    order = Order("AAPL", "buy", 400, idempotency_key="big", **LOW)
    results = work(desk, order, slices, wait)
    assert [one.shares for one in results] == [100, 100, 300, 400]
    assert desk.portfolio.position("AAPL").buying == 400


# ---------------------------------------------------------------------------------------------------- day orders


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("kind", ["waiting", "stop"])
def test_a_day_order_that_was_not_sent_ends_with_its_day(room: Any, restart: bool, kind: str) -> None:
    gateway = Deaf(room.market, "quotes")
    desk = room.desk(gateway=gateway)
    gateway.deaf = kind == "waiting"
    if kind == "waiting":
        order = Order("AAPL", "buy", 100, order_type="limit", limit_price="99.99")
    else:
        order = Order("AAPL", "buy", 100, order_type="stop", stop_price="101.00")
    waiting = desk.execute(order)
    assert (waiting.status, waiting.children) == (OrderStatus.OPEN, ())
    later = room.market.now() + 24 * 3600 * 10**9
    room.market = SimulatedMarket.static({"AAPL": {"Nasdaq": ("101.00", 500, "101.02", 500)}}, later, halts=room.halts)
    if restart:
        desk = room.desk()
    else:
        desk.world.gateway = room.market
    desk.poll()
    done = desk.result(waiting.order_id)
    assert (done.status, done.filled_shares) == (OrderStatus.CANCELLED, 0)
    assert "Its day is over" in done.reasoning


# ------------------------------------------------------------------------------------------------------ the ledger


@pytest.mark.parametrize(("name", "place"), [("receive", 1), *(("append", place) for place in range(1, 5))])
def test_a_connection_that_breaks_after_the_commit_loses_and_doubles_nothing(room: Any, name: str, place: int) -> None:
    desk = room.desk(ledger=Torn(room.ledger(), place, name))
    order = Order("AAPL", "buy", 100, idempotency_key="k", stop_loss_price="98.00")
    try:
        desk.execute(order)
    except EnvironmentProblem:
        done = desk.execute(order)  # the same desk goes on
        assert (done.status, done.filled_shares) == (OrderStatus.FILLED, 100)
    assert desk.portfolio.positions == {"AAPL": 100}
    assert [stop.shares for stop in desk.stops] == [100]
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio


# ---------------------------------------------------------------------------------------------------------- a broker


class Refusing:
    """A broker that refuses every order."""

    mode = ExecutionMode.PAPER

    def __init__(self, market: Any) -> None:
        self._market = market
        self.sent: list[Child] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    def send(self, child: Child) -> Sequence[Execution]:
        self.sent.append(child)
        name = f"{child.client_id}:rejected"
        return [Execution(name, child.client_id, Kind.REJECTED, self.now(), "ALPACA", text="insufficient buying power")]


def test_what_a_broker_refuses_is_not_sent_again(room: Any) -> None:
    broker = Refusing(room.market)
    desk = room.desk(gateway=broker, config=DeskConfig(cash=room.config.cash, broker="ALPACA"))
    for kind in ({}, LOW):
        broker.sent.clear()
        done = desk.execute(Order("AAPL", "buy", 100, **kind))
        assert (done.status, len(broker.sent)) == (OrderStatus.REJECTED, 1)


def test_a_report_that_cannot_be_true_is_noted_once(room: Any) -> None:
    class Lying(Refusing):
        def executions(self, client_id: str) -> Sequence[Execution]:
            told = self._market.executions(client_id)
            return [*told, Execution("lie", client_id, Kind.FILL, self.now(), "Nasdaq", 10_000, MICRO)]

        def send(self, child: Child) -> Sequence[Execution]:
            return list(self._market.send(child))

    gateway = Lying(room.market)
    gateway.mode = ExecutionMode.SIMULATED
    desk = room.desk(gateway=gateway)
    desk.execute(Order("AAPL", "buy", 100, **LOW))
    for _ in range(3):
        desk.poll()
    assert len([one for one in desk.ledger.entries(kinds=[EntryKind.NOTE]) if "execution_id" in one.payload]) == 1


# ------------------------------------------------------------------------------------------------------- the edges


def test_a_store_without_bars_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    for opened in (open_desk, lambda: EmbeddedDesk().desk):
        with pytest.raises(DataError, match="quantdesk data load"):
            opened()


@pytest.mark.parametrize("given", [{"on": dt.date(2017, 6, 1)}, {"seed": 7}])
def test_an_order_for_simulated_exchanges_never_goes_to_a_broker(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    monkeypatch.setenv("QUANTDESK_DESK_GATEWAY", "alpaca")
    monkeypatch.setattr("quantdesk.orders.client.commands.open_desk", lambda *_: pytest.fail("a desk was opened"))
    with pytest.raises(BadInput, match="alpaca"):
        route(Order("AAPL", "buy", 1), **given)
