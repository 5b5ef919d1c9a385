"""A crash at every step of an order loses no fill and doubles none.

A desk dies before or after every single thing that it does outside of itself: an entry in the ledger, a child that is
sent, a question to a venue. The venues and the ledger live on. A new desk goes on with them, and the request is made
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantdesk.orders import Order
from quantdesk.orders.executions import Kind
from quantdesk.orders.ledger import EntryKind, execution_of, rebuild
from quantdesk.orders.result import OrderStatus
from quantdesk.orders.venues import FaultyGateway, random_faults


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Counts what is done, and ends the process at one place: before or after the thing itself."""

    def __init__(self, place: int | None) -> None:
        self.place = place
        self.count = 0

    def through(self, call: Callable[[], Any]) -> Any:
        before, after = self.count, self.count + 1
        self.count += 2
        if before == self.place:
            raise Crash
        done = call()
        if after == self.place:
            raise Crash
        return done


class Fused:
    """A ledger or a gateway behind a fuse."""

    def __init__(self, inner: Any, fuse: Fuse, names: tuple[str, ...]) -> None:
        self._inner, self._fuse, self._names = inner, fuse, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found
        return lambda *given, **more: self._fuse.through(lambda: found(*given, **more))


def fused(room: Any, fuse: Fuse) -> Any:
    return room.desk(
        ledger=Fused(room.ledger(), fuse, ("receive", "append")),
        gateway=Fused(room.market, fuse, ("send", "cancel", "executions")),
    )


def check(room: Any, desk: Any) -> None:
    """What the venues did is in the ledger, once; and the account is what the ledger says."""
    told = Counter()
    for stored in desk.ledger.entries(kinds=[EntryKind.EXECUTION]):
        told[execution_of(stored)] += 1
    assert set(told.values()) <= {1}
    fills = {one for one in told if one.kind is Kind.FILL}
    done = {
        one for name in room.market.reports.children for one in room.market.reports.of(name) if one.kind is Kind.FILL
    }
    assert fills == done
    assert rebuild(desk.ledger.entries(), room.config.cash, desk.mode) == desk.portfolio
    desk.ledger.verify()


SCRIPTS: dict[str, list[Order]] = {
    "market": [Order("AAPL", "buy", 250, idempotency_key="a", stop_loss_price="98.00")],
    "limit": [Order("AAPL", "buy", 500, order_type="limit", limit_price="100.00", idempotency_key="a")],
    "round": [
        Order("AAPL", "buy", 200, idempotency_key="a", stop_loss_price="98.00"),
        Order("AAPL", "sell", 150, idempotency_key="b"),
    ],
    "blocked": [Order("AAPL", "buy", 999_999, idempotency_key="a")],
}


def play(desk: Any, orders: list[Order]) -> list[Any]:
    return [desk.execute(order) for order in orders]


SLOW = ("limit", "round", "blocked")


@pytest.mark.parametrize(
    "script", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SCRIPTS]
)
def test_a_crash_at_every_step(rooms: Callable[[], Any], script: str) -> None:
    orders = SCRIPTS[script]
    whole = Fuse(None)
    room = rooms()
    desk = fused(room, whole)
    expected = [result.to_dict(measured=False) for result in play(desk, orders)]
    positions, stops = desk.portfolio.positions, sum(stop.shares for stop in desk.stops)
    assert whole.count > 4
    for place in range(whole.count):
        room = rooms()
        with pytest.raises(Crash):
            play(fused(room, Fuse(place)), orders)
        again = room.desk()
        found = [result.to_dict(measured=False) for result in play(again, orders)]
        check(room, again)
        assert again.portfolio.positions == positions, place
        assert sum(stop.shares for stop in again.stops) == stops, place
        for one, wanted in zip(found, expected, strict=True):
            assert (one["status"], one["filled_shares"]) == (wanted["status"], wanted["filled_shares"]), place
        assert room.desk().portfolio == again.portfolio
        room.close()


@pytest.mark.slow
def test_a_crash_while_a_stop_goes_off(rooms: Callable[[], Any]) -> None:
    def ready() -> Any:
        room = rooms()
        room.desk().execute(Order("AAPL", "buy", 200, stop_loss_price="98.00"))
        room.move(AAPL={"Nasdaq": ("97.00", 1000, "97.05", 1000)})
        return room

    whole = Fuse(None)
    fused(ready(), whole).poll()
    assert whole.count > 4
    for place in range(whole.count):
        room = ready()
        with pytest.raises(Crash):
            fused(room, Fuse(place)).poll()
        desk = room.desk()
        desk.poll()
        assert desk.portfolio.positions == {}, place
        assert desk.stops == ()
        sold = [order.shares for order in desk.ledger.orders().values() if order.action == "sell"]
        assert sold == [200], place
        room.close()


@pytest.mark.slow
def test_a_crash_while_an_order_is_replaced(rooms: Callable[[], Any]) -> None:
    def ready() -> tuple[Any, str]:
        room = rooms()
        order = Order("AAPL", "buy", 500, order_type="limit", limit_price="99.50")
        return room, room.desk().execute(order).order_id

    whole = Fuse(None)
    room, order_id = ready()
    fused(room, whole).replace(order_id, shares=400, limit_price="99.60")
    for place in range(whole.count):
        room, order_id = ready()
        with pytest.raises(Crash):
            fused(room, Fuse(place)).replace(order_id, shares=400, limit_price="99.60")
        desk = room.desk()
        check(room, desk)
        buying = desk.portfolio.position("AAPL").buying
        assert buying in (500, 400), place  # before the intent was written, or after
        assert len(room.market.open_children()) >= 1
        room.close()


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 40))])
def test_a_gateway_that_fails_in_every_way(rooms: Callable[[], Any], seed: int) -> None:
    room = rooms()
    rng = np.random.default_rng(seed)
    desk = room.desk(gateway=FaultyGateway(room.market, random_faults(rng, 0.4)))
    keys = [f"k{n}" for n in range(6)]
    orders = [
        Order("AAPL", "buy" if rng.random() < 0.6 else "sell_short", int(rng.integers(1, 200)), idempotency_key=key)
        for key in keys
    ]
    for order in orders:
        result = desk.execute(order)
        assert result.filled_shares <= order.shares
        if result.status is OrderStatus.PENDING_UNKNOWN:
            assert any(child.status == "unknown" for child in result.children)
    sound = room.desk()  # the line is sound again
    sound.poll()
    for order in orders:
        assert sound.execute(order).was_known
    assert not any(result.status is OrderStatus.PENDING_UNKNOWN for result in map(sound.execute, orders))
    check(room, sound)
