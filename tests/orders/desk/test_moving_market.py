"""Orders, stops, cancels, replacements and restarts over a market that moves and a line that fails: nothing is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantdesk.errors import BadInput
from quantdesk.orders import Order
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.desk.state import DeskState
from quantdesk.orders.executions import Kind
from quantdesk.orders.ledger import EntryKind, execution_of
from quantdesk.orders.result import OrderStatus
from quantdesk.orders.venues import FaultyGateway, SimulatedMarket, random_faults


def books(rng: np.random.Generator) -> dict[str, dict[str, tuple[str, int, str, int]]]:
    middle = 100 + float(rng.normal(0, 3))
    near, far = [int(size) * 100 for size in rng.integers(1, 6, 2)]
    return {
        "AAPL": {
            "Nasdaq": (f"{middle - 0.01:.2f}", near, f"{middle:.2f}", far),
            "NYSE": (f"{middle - 0.02:.2f}", 300, f"{middle + 0.01:.2f}", 300),
        }
    }


def drawn(rng: np.random.Generator, market: Any, number: int) -> Order:
    best = market.quotes("AAPL").nbbo
    price = best.midpoint / 1e6 or 100.0
    action = str(rng.choice(["buy", "sell", "sell_short"]))
    kind, side = str(rng.choice(["market", "limit", "stop", "ioc"])), 1 if action == "buy" else -1
    limit = f"{price - side * float(rng.uniform(-0.02, 2)):.2f}"
    return Order(
        "AAPL",
        action,
        int(rng.integers(1, 5)) * 100,
        order_type=kind,
        limit_price=limit if kind in ("limit", "ioc") else None,
        stop_price=f"{price + side * float(rng.uniform(0.3, 4)):.2f}" if kind == "stop" else None,
        stop_loss_price=f"{price - side * float(rng.uniform(2.1, 5)):.2f}" if rng.random() < 0.6 else None,
        idempotency_key=f"k{number}",
    )


def remembered(state: DeskState) -> Any:
    """All that a desk decides by."""
    orders = {
        name: (order.filled, order.leaves, order.cancel_requested, order.triggered, len(order.receipts))
        for name, order in state.orders.items()
        if order.status is None
    }
    stops = {name: (stop.shares, stop.price, stop.triggered) for name, stop in state.stops.items()}
    return state.portfolio.to_dict(), orders, stops, state.stops_placed, dict(state.replacing)


def check(room: Any, desk: Any) -> None:
    folded = DeskState(desk.mode, room.config.cash)
    folded.take(desk.ledger.entries())
    assert remembered(folded) == remembered(desk._state)
    position = desk.portfolio.position("AAPL").shares
    assert sum(stop.shares for stop in desk.stops) <= abs(position)
    assert all(stop.side * position < 0 for stop in desk.stops)


@pytest.mark.parametrize("seed", [0, 1, 86, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 60))])
def test_what_the_venues_did_is_what_the_desk_knows(rooms: Callable[[], Any], seed: int) -> None:
    room, rng = rooms(), np.random.default_rng(seed)
    begin, first = room.market.now(), books(rng)
    later = [(begin + number * 3 * SECOND, books(rng)) for number in range(1, 41)]
    market = room.market = SimulatedMarket.static(first, begin, later=later, halts=room.halts)
    line = FaultyGateway(market, random_faults(rng, (0.0, 0.2, 0.4)[seed % 3]))
    desk, sent = room.desk(gateway=line), []
    for number in range(40):
        what = rng.random()
        with contextlib.suppress(BadInput):  # a replacement by fewer shares than are filled
            if what < 0.35:
                sent.append(desk.execute(drawn(rng, market, number)).order_id)
            elif what < 0.45 and sent:
                desk.cancel(str(rng.choice(sent)))
            elif what < 0.55 and sent:
                sent.append(desk.replace(str(rng.choice(sent)), shares=int(rng.integers(1, 6)) * 100).order_id)
            elif what < 0.75:
                market.advance(market.now() + int(rng.integers(1, 4 * SECOND)))
            elif what < 0.9:
                desk.poll()
            elif what < 0.95:
                desk = room.desk(gateway=line)
            elif what < 0.97:
                desk.kill("all", by="risk officer", why="a drill")
                desk.unkill("all", by="risk officer", why="it is over")
        check(room, desk)
    desk = room.desk()  # the line is sound again
    for _ in range(3):
        desk.poll()
    check(room, desk)
    told = [execution_of(one) for one in desk.ledger.entries(kinds=[EntryKind.EXECUTION])]
    fills = [one for one in told if one.kind is Kind.FILL]
    done = {one for name in market.reports.children for one in market.reports.of(name) if one.kind is Kind.FILL}
    assert len(fills) == len(done)
    assert set(fills) == done
    for name, order in desk.ledger.orders().items():
        result = desk.result(name)
        assert result.filled_shares <= order.shares
        assert result.status is not OrderStatus.PENDING_UNKNOWN
    ours = {child.child.client_id for order in desk._state.unfinished() for child in order.open_children}
    assert ours == set(market.open_children())
    assert not desk._state.replacing
    desk.ledger.verify()
