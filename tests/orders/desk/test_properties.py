"""Whatever is sent: nothing overfills, nothing fills in a halt, cash and shares add up, memory and ledger agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.orders import Order
from quantdesk.orders.desk.state import DeskState
from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.ledger import EntryKind, execution_of, rebuild
from quantdesk.orders.result import OrderStatus

MANY = {"AAPL": ("99.50", "99.99", "100.00", "100.01", "100.50"), "MSFT": ("49.00", "49.99", "50.00", "50.01", "50.50")}


@st.composite
def orders(draw: Any) -> Order:
    symbol = draw(st.sampled_from(sorted(MANY)))
    action = draw(st.sampled_from(["buy", "sell", "sell_short"]))
    kind = draw(st.sampled_from(["market", "limit", "ioc", "stop", "midpoint_peg"]))
    price = draw(st.sampled_from(MANY[symbol]))
    low, high = ("10.00", "900.00")
    return Order(
        symbol,
        action,
        draw(st.integers(1, 900)),
        order_type=kind,
        limit_price=price if kind in ("limit", "ioc") else None,
        stop_price=price if kind == "stop" else None,
        stop_loss_price=draw(st.sampled_from([None, low if action == "buy" else high])),
        urgency=draw(st.sampled_from(["low", "normal", "high"])),
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), orders()),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(1, 3_000_000_000)),
        st.tuples(st.just("halt"), st.sampled_from(sorted(MANY))),
        st.tuples(st.just("poll"), st.none()),
    ),
    max_size=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps)
def test_what_must_hold(rooms: Any, script: list[tuple[str, Any]]) -> None:
    room = rooms()
    room.url = "sqlite:///:memory:"
    desk = room.desk()
    sent: list[Any] = []
    halted: dict[str, tuple[int, int]] = {}
    for what, given_ in script:
        now = room.market.now()
        match what:
            case "send":
                sent.append(desk.execute(given_))
            case "cancel" if sent:
                desk.cancel(sent[given_ % len(sent)].order_id)
            case "wait":
                room.market.advance(now + given_)
            case "halt" if given_ not in halted:
                # What was sent before is at its venue by then, and what was traded there is told already.
                halted[given_] = (now + 5_000_000, now + 2_000_000_000)
                room.halts.halt(given_, *halted[given_])
            case "poll":
                desk.poll()
            case _:
                pass
    desk.poll()

    fills: list[tuple[str, int, Execution]] = []
    for stored in desk.ledger.entries(kinds=[EntryKind.EXECUTION]):
        report = execution_of(stored)
        if report.kind is Kind.FILL:
            side = 1 if stored.payload["action"] == "buy" else -1
            fills.append((stored.payload["symbol"], side, report))
    # No order trades more than it asked for, whatever its parts say.
    for order_id, order in desk.ledger.orders().items():
        result = desk.result(order_id)
        assert 0 <= result.filled_shares <= order.shares
        assert (result.status is OrderStatus.FILLED) == (result.filled_shares == order.shares)
        assert sum(child.filled_shares for child in result.children) == result.filled_shares
    # Nothing trades in a halt.
    for symbol, _, report in fills:
        since, until = halted.get(symbol, (0, 0))
        assert not since <= report.at < until
    # Cash and shares are what the fills make them.
    cash = room.config.cash - sum(side * one.shares * one.price + one.fee for _, side, one in fills)
    shares = Counter()
    for symbol, side, one in fills:
        shares[symbol] += side * one.shares
    assert desk.portfolio.cash == cash
    assert desk.portfolio.positions == {symbol: held for symbol, held in shares.items() if held}
    # The memory is a fold of the ledger.
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio
    again = DeskState(desk.mode, room.config.cash)
    again.take(desk.ledger.entries())
    assert again.portfolio == desk.portfolio
    assert {one.stop_id: one.shares for one in again.standing()} == {one.stop_id: one.shares for one in desk.stops}
    # A stop protects what is held, and no more.
    for symbol, position in desk.portfolio.positions.items():
        assert sum(stop.shares for stop in desk.stops if stop.symbol == symbol) <= abs(position)
    desk.ledger.verify()
    room.close()
