"""A gateway that fails as it is told to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.executions import ExecutionMode, Gateway, GatewayDown
from quantdesk.orders.order import Child
from quantdesk.orders.venues import Fault, FaultyGateway, SimulatedMarket, random_faults

Make = Callable[..., Child]


def test_without_faults_it_is_the_gateway(still: SimulatedMarket, order: Make) -> None:
    gateway: Gateway = FaultyGateway(still, {})
    child = order("buy", 50, 10_000 * 9_990, ioc=False)
    assert gateway.mode is ExecutionMode.SIMULATED
    assert gateway.now() == still.now()
    assert gateway.send(child) == still.executions(child.client_id) == gateway.executions(child.client_id)
    assert gateway.open_children() == (child.client_id,)
    assert gateway.quotes("ABC").to_dict() == still.quotes("ABC").to_dict()
    assert [str(one.kind) for one in gateway.cancel(child.client_id)] == ["cancelled"]
    assert gateway.executions("never") is None


@pytest.mark.parametrize(
    ("fault", "sent", "arrived"),
    [(Fault.DROP_BEFORE, False, False), (Fault.LOST, True, False), (Fault.DROP_AFTER, True, True)],
)
def test_who_does_not_answer_may_have_acted(
    still: SimulatedMarket, order: Make, fault: Fault, sent: bool, arrived: bool
) -> None:
    gateway = FaultyGateway(still, {"send": [Fault.NONE, fault]})
    gateway.send(order("buy", 10))
    child = order("buy", 10)
    with pytest.raises(GatewayDown) as caught:
        gateway.send(child)
    assert caught.value.sent is sent
    assert (still.executions(child.client_id) is not None) is arrived
    assert len(gateway.send(child)) == 2  # all is well again; it is executed once
    assert still.quotes("ABC").ask_size[0, 0] == 180


def test_answers_come_late_twice_or_make_no_sense(still: SimulatedMarket, order: Make) -> None:
    gateway = FaultyGateway(still, {"send": [Fault.DELAY, Fault.DUPLICATE, Fault.NONSENSE]})
    late = order("buy", 10)
    assert gateway.send(late) == ()
    assert len(gateway.executions(late.client_id) or ()) == 2
    twice = gateway.send(order("buy", 10))
    assert len(twice) == 4
    assert len({one.execution_id for one in twice}) == 2
    strange = gateway.send(order("buy", 10))
    assert any(one.shares < 0 or one.price < 0 for one in strange)
    assert any(one.client_id == "somebody else's" for one in strange)


@pytest.mark.parametrize("name", ["cancel", "executions", "quotes", "open_children"])
def test_every_call_can_fail(still: SimulatedMarket, name: str) -> None:
    gateway = FaultyGateway(still, {name: [Fault.LOST]})
    argument = {"quotes": ("ABC",), "open_children": ()}.get(name, ("o-1",))
    with pytest.raises(GatewayDown, match=name):
        getattr(gateway, name)(*argument)
    getattr(gateway, name)(*argument)


def test_faults_are_drawn_by_chance() -> None:
    drawn = random_faults(np.random.default_rng(1), 0.3, calls=2000)
    assert drawn == random_faults(np.random.default_rng(1), 0.3, calls=2000)
    failed = [fault for fault in drawn["send"] if fault is not Fault.NONE]
    assert len(failed) / 2000 == pytest.approx(0.3, abs=0.04)
    assert set(failed) == set(Fault) - {Fault.NONE}
    with pytest.raises(BadInput, match="probability"):
        random_faults(np.random.default_rng(1), 1.2)


def test_only_calls_of_a_gateway_can_fail(still: SimulatedMarket) -> None:
    with pytest.raises(UnknownName, match="call"):
        FaultyGateway(still, {"sent": [Fault.LOST]})
