"""Orders of a trial: drawn from the seed alone, within the session, of every kind, and valid at any quote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.order import OrderType, TimeInForce
from quantdesk.orders.quotes import Nbbo
from quantdesk.orders.tca import OrderFacts, Quote
from quantdesk.orders.tca.rule605 import category
from quantdesk.orders.tca.trial import KINDS, agenda, trial

SECOND = 1_000_000_000
SESSIONS = [(10**18, 10**18 + 23_400 * SECOND), (10**18 + 86_400 * SECOND, 10**18 + 109_800 * SECOND)]


def test_the_same_seed_gives_the_same_orders():
    one = trial(SESSIONS, {"BBB": 500, "AAA": 2000}, 20, 3)
    assert one == trial(SESSIONS, {"AAA": 2000, "BBB": 500}, 20, 3)
    assert one != trial(SESSIONS, {"AAA": 2000, "BBB": 500}, 20, 4)
    assert [wish.number for wish in one] == list(range(80))


def test_they_lie_within_their_session_and_end_in_time():
    wishes = trial(SESSIONS, {"AAA": 2000}, 200, 1, patience_s=60)
    assert [wish.arrives_at for wish in wishes] == sorted(wish.arrives_at for wish in wishes)
    for wish in wishes:
        assert any(opens < wish.decided_at < wish.arrives_at < wish.ends_at <= closes - 360 * SECOND
                   for opens, closes in SESSIONS)  # fmt: skip
        assert wish.ends_at - wish.arrives_at == 60 * SECOND
    assert {wish.kind for wish in wishes} == set(KINDS)
    assert len({wish.action for wish in wishes}) == 2
    sizes = sorted(wish.shares for wish in wishes)
    assert sizes[0] >= 100
    assert sizes[-1] <= 10_000
    assert all(size % 100 == 0 for size in sizes)
    assert 500 < sizes[len(sizes) // 2] < 2500


def test_the_agenda_begins_and_ends_each_order_once_in_time():
    wishes = trial(SESSIONS, {"AAA": 2000, "BBB": 100}, 30, 2)
    steps = list(agenda(wishes))
    assert [at for at, _, _ in steps] == sorted(at for at, _, _ in steps)
    assert sorted(wish.number for _, wish, begins in steps if begins) == list(range(120))
    begun = set()
    for at, wish, begins in steps:
        if begins:
            begun.add(wish.number)
            assert at == wish.arrives_at
        else:
            assert wish.number in begun
            assert at == wish.ends_at


@settings(max_examples=60, deadline=None)
@given(bid=st.integers(100, 1_000_000), wide=st.integers(1, 50), seed=st.integers(0, 9))
def test_their_orders_are_what_their_kind_says(bid, wide, seed):
    nbbo = Nbbo(bid * 10_000, 100, (bid + wide) * 10_000, 100)
    expected = {
        "market": "market",
        "marketable limit": "marketable limit",
        "immediate or cancel": "marketable limit",
        "limit inside": "inside the quote" if wide > 1 else "at the quote",
        "limit at the quote": "at the quote",
        "midpoint peg": "",
    }
    for wish in trial(SESSIONS, {"AAA": 2000}, 10, seed):
        order = wish.order(nbbo)
        now = Quote(wish.arrives_at, nbbo.bid, nbbo.ask)
        facts = OrderFacts("o", "AAA", order.side, order.shares, now, now, None, order.order_type, order.limit)
        assert category(facts)[0] == expected[wish.kind]
        assert (order.time_in_force is TimeInForce.IOC) == (wish.kind == "immediate or cancel")
        assert order.limit % 10_000 == 0


def test_without_quotes_they_are_market_orders():
    for wish in trial(SESSIONS, {"AAA": 2000}, 20, 5):
        order = wish.order(Nbbo(0, 0, 10_000, 5))
        assert order.order_type is (OrderType.MIDPOINT_PEG if wish.kind == "midpoint peg" else OrderType.MARKET)


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match="too short"):
        trial([(0, 60 * SECOND)], {"AAA": 100}, 1, 0)
    with pytest.raises(BadInput, match="-1 orders"):
        trial(SESSIONS, {"AAA": 100}, -1, 0)
    with pytest.raises(BadInput, match="0}"):
        trial(SESSIONS, {"AAA": 0}, 1, 0)
    assert trial(SESSIONS, {"AAA": 100}, 0, 0) == ()
    assert trial([], {"AAA": 100}, 5, 0) == ()
