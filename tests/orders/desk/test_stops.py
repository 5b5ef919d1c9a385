"""Protective stops: placed with each fill, sized to it, gone with the position, alive after a restart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quantdesk.orders import Order
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk import Stop
from quantdesk.orders.desk.stops import reached, surplus
from quantdesk.orders.guardrails import LimitChange
from quantdesk.orders.ledger import EntryKind
from quantdesk.orders.quotes import Nbbo
from quantdesk.orders.result import OrderStatus

FALL = {"Nasdaq": ("97.00", 1000, "97.05", 1000)}


def shares(desk: Any) -> list[int]:
    return [stop.shares for stop in desk.stops]


def test_a_stop_stands_for_the_shares_that_were_filled(room: Any) -> None:
    desk = room.desk()
    result = desk.execute(Order("AAPL", "buy", 500, order_type="limit", limit_price="100.00", stop_loss_price="98.00"))
    assert result.filled_shares == 300
    assert sum(shares(desk)) == 300
    assert result.stop_loss_ids == tuple(stop.stop_id for stop in desk.stops)
    assert {(stop.symbol, stop.action, stop.price) for stop in desk.stops} == {("AAPL", "sell", 98 * MICRO)}


def test_it_goes_off_once_and_after_a_restart(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 200, stop_loss_price="98.00", user_id="ann"))
    assert desk.poll() == ()
    room.move(AAPL=FALL)
    desk = room.desk()
    assert sum(shares(desk)) == 200
    assert desk.poll()
    assert desk.portfolio.positions == {}
    assert desk.stops == ()
    assert desk.poll() == ()
    assert room.desk().portfolio == desk.portfolio
    sold = [order for order in desk.ledger.orders().values() if order.action == "sell"]
    assert [(order.shares, order.user_id) for order in sold] == [(200, "ann")]


def test_two_equal_stops_go_off_at_once(room: Any) -> None:
    desk = room.desk()
    for limit in ("100.00", "100.01"):
        desk.execute(
            Order("AAPL", "buy", 100, order_type="limit", limit_price=limit, stop_loss_price="98.00", user_id="ann")
        )
    assert shares(desk) == [100, 100]
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}  # the second is no duplicate of the first
    assert desk.stops == ()


def test_it_is_cancelled_when_the_position_is_sold(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 300, stop_loss_price="98.00"))
    desk.execute(Order("AAPL", "sell", 100))
    assert sum(shares(desk)) == 200
    desk.execute(Order("AAPL", "sell", 200))
    assert desk.stops == ()
    room.move(AAPL=FALL)
    assert room.desk().poll() == ()


def test_of_a_short_position_it_buys(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("MSFT", "sell_short", 200, stop_loss_price="52.00"))
    room.move(MSFT={"NYSE": ("52.00", 500, "52.10", 500)})
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}


def test_it_does_not_go_off_in_a_halt(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 200, stop_loss_price="98.00"))
    room.move(AAPL=FALL)
    room.halts.halt("AAPL", room.market.now(), room.market.now() + 500_000_000)
    desk = room.desk()
    assert desk.poll() == ()
    assert sum(shares(desk)) == 200
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}


def test_what_it_could_not_trade_stays_protected(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 300, stop_loss_price="98.00"))
    room.move(AAPL={"Nasdaq": ("97.00", 100, "97.05", 100)})
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {"AAPL": 200}
    assert sum(shares(desk)) == 200
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    assert desk.portfolio.positions == {}
    assert desk.stops == ()


def test_its_fill_is_an_order_with_a_result(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("AAPL", "buy", 100, stop_loss_price="98.00"))
    room.move(AAPL=FALL)
    desk = room.desk()
    desk.poll()
    triggered = list(desk.ledger.entries(kinds=[EntryKind.STOP_TRIGGERED]))
    assert [entry.payload for entry in triggered] == [{"bid": 97 * MICRO, "ask": 97 * MICRO + 50_000}]
    found = desk.find(None, f"stop:{triggered[0].client_id}")
    assert (found.status, found.average_price) == (OrderStatus.FILLED, Decimal(97))


@given(price=st.integers(1, 10**9), bid=st.integers(0, 10**9), spread=st.integers(1, 10**6))
def test_a_stop_to_sell_is_reached_exactly_when_the_bid_is_there(price: int, bid: int, spread: int) -> None:
    nbbo = Nbbo(bid, 100 if bid else 0, bid + spread if bid else 0, 100 if bid else 0)
    assert reached(-1, price, nbbo) == (0 < bid <= price)
    assert reached(1, price, nbbo) == (bid > 0 and bid + spread >= price)


@given(st.lists(st.tuples(st.sampled_from(["sell", "buy"]), st.integers(1, 500))), st.integers(-2000, 2000))
def test_stops_never_stand_for_more_than_is_held(given_stops: list[tuple[str, int]], position: int) -> None:
    stops = [Stop(f"S{n}", "O1", "AAPL", action, size, MICRO) for n, (action, size) in enumerate(given_stops)]
    changed = {stop.stop_id: kept for stop, kept in surplus(stops, position)}
    left = {side: sum(changed.get(s.stop_id, s.shares) for s in stops if s.action == side) for side in ("sell", "buy")}
    asked = {side: sum(s.shares for s in stops if s.action == side) for side in ("sell", "buy")}
    assert left == {"sell": min(asked["sell"], max(position, 0)), "buy": min(asked["buy"], max(-position, 0))}


def test_a_stop_is_not_kept_back_by_a_limit_of_size(room: Any) -> None:
    desk = room.desk()
    desk.execute(Order("MSFT", "sell_short", 300, stop_loss_price="52.00"))
    now = room.market.now()
    until = now + 3_600_000_000_000
    desk.change_limit(LimitChange("MAX_SHARES", "shares", 100, until, by="risk officer", why="a test", at=now))
    room.move(MSFT={"NYSE": ("52.00", 500, "52.10", 500)})
    desk = room.desk()
    assert desk.execute(Order("AAPL", "buy", 150)).status is OrderStatus.REJECTED
    desk.poll()
    assert desk.portfolio.positions == {}
    (sold,) = [name for name, one in desk.ledger.orders().items() if (one.symbol, one.action) == ("MSFT", "buy")]
    assert [(said.code, said.severity) for said in desk.result(sold).violations if said.code == "MAX_SHARES"] == [
        ("MAX_SHARES", "warning")
    ]
