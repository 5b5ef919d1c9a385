"""What was sent lately, against a list that forgets nothing; and that the memory is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.orders.guardrails import recent
from quantdesk.orders.guardrails.recent import HORIZON, Recent
from quantdesk.orders.order import Order

ORDERS = [Order("AAPL", "buy", shares, user_id=user) for shares in (100, 200) for user in (None, "alice")]


@settings(max_examples=100, deadline=None)
@given(
    notes=st.lists(st.tuples(st.sampled_from(ORDERS), st.integers(0, 50)), max_size=30),
    asked=st.sampled_from(ORDERS),
    later=st.integers(0, 100),
    span=st.integers(1, 100),
    most=st.integers(0, 10),
)
def test_it_remembers_as_a_plain_list_does(
    notes: list[tuple[Order, int]], asked: Order, later: int, span: int, most: int
) -> None:
    memory, now, plain = Recent(), 0, []
    for order, step in notes:
        now += step
        memory.note(order, now)
        plain.append((order, now))
    at = now + later
    mine = [time for order, time in plain if order.user_id == asked.user_id]
    equal = [time for order, time in plain if order == asked]
    assert memory.since_same(asked, at) == (at - equal[-1] if equal else None)
    count = sum(time > at - span for time in mine)
    assert memory.count(asked.user_id, at - span) == count
    assert memory.has_sent(asked.user_id, most, at - span) is (count >= most)


def test_what_makes_orders_equal() -> None:
    order = Order("AAPL", "buy", 100, "limit", limit_price="10")
    memory = Recent()
    memory.note(order, 0)
    assert memory.since_same(Order("aapl", "buy", 100, "limit", limit_price="10.00", idempotency_key="other"), 5) == 5
    for other in (
        Order("MSFT", "buy", 100, "limit", limit_price="10"),
        Order("AAPL", "sell", 100, "limit", limit_price="10"),
        Order("AAPL", "buy", 101, "limit", limit_price="10"),
        Order("AAPL", "buy", 100, "limit", limit_price="10.01"),
        Order("AAPL", "buy", 100),
        Order("AAPL", "buy", 100, "limit", limit_price="10", time_in_force="ioc"),
        Order("AAPL", "buy", 100, "limit", limit_price="10", user_id="alice"),
    ):
        assert memory.since_same(other, 5) is None


def test_a_clock_that_goes_backwards_forgets_nothing() -> None:
    memory = Recent()
    memory.note(ORDERS[0], 1000)
    memory.note(ORDERS[0], 10)
    assert memory.count(None, 999) == 2
    assert memory.since_same(ORDERS[0], 5) == 0
    assert memory.has_sent(None, 2, 999)


def test_a_cancel_is_a_message_and_no_order() -> None:
    memory = Recent()
    memory.note_message("alice", 10)
    assert memory.count("alice", 0) == 1
    assert memory.since_same(ORDERS[1], 10) is None


def test_the_memory_is_bounded(monkeypatch: object) -> None:
    memory = Recent()
    for number in range(recent.MESSAGES + 50):
        memory.note(Order("AAPL", "buy", number + 1), number)
    assert memory.count(None, -1) == recent.MESSAGES
    assert memory.since_same(Order("AAPL", "buy", 50), recent.MESSAGES) is None  # the oldest are gone
    assert memory.since_same(Order("AAPL", "buy", recent.MESSAGES + 50), recent.MESSAGES + 49) == 0
    for number in range(recent.USERS):
        memory.note_message(f"user {number}", 10**6)
    assert memory.count(None, -1) == 0  # silent for longest
    assert memory.count("user 0", -1) == 1


def test_an_hour_is_forgotten() -> None:
    memory = Recent()
    memory.note(ORDERS[0], 0)
    assert memory.since_same(ORDERS[0], HORIZON) == HORIZON
    assert memory.since_same(ORDERS[0], HORIZON + 1) is None
    memory.note(ORDERS[2], HORIZON + 1)
    assert memory.count(None, -1) == 1
