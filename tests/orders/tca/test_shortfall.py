"""Implementation shortfall: worked examples, and the sum that must be exact whatever the numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.tca import Fill, OrderFacts, Quote, shortfall


def an_order(side=1, shares=1000, decision=(99_990_000, 100_010_000), arrival=(100_090_000, 100_110_000), end=None):
    return OrderFacts(
        "o", "AAA", side, shares, Quote(0, *decision), Quote(1, *arrival), None if end is None else Quote(9, *end)
    )


def a_fill(shares, price, fee=0, side=1):
    return Fill("o", "AAA", side, shares, price, fee, "remove", "XNYS", 5)


def test_a_worked_example():
    """Decided at 100.00, arrived at 100.10; 600 at 100.12 and 200 at 100.15 for 2.40; 200 left when it was 100.30."""
    order = an_order(end=(100_290_000, 100_310_000))
    cost = shortfall(order, [a_fill(600, 100_120_000, 1_800_000), a_fill(200, 100_150_000, 600_000)])
    assert cost.delay == Decimal("80")  # 800 * 0.10
    assert cost.execution == Decimal("22")  # 600 * 0.02 + 200 * 0.05
    assert cost.opportunity == Decimal("60")  # 200 * 0.30
    assert cost.fees == Decimal("2.4")
    assert cost.total == Decimal("164.4")
    assert cost.paper == Decimal("100000")
    assert cost.bps == pytest.approx(16.44)
    assert cost.why == ""
    assert cost.to_dict()["total"] == "164.4000000"


def test_perolds_own_definition_gives_the_same_total():
    """Paper minus real: the paper account buys all at the decision; both are valued at the end."""
    order = an_order(end=(100_290_000, 100_310_000))
    fills = [a_fill(600, 100_120_000, 1_800_000), a_fill(200, 100_150_000, 600_000)]
    paper = 1000 * (Decimal("100.30") - Decimal("100.00"))
    real = (
        600 * (Decimal("100.30") - Decimal("100.12")) + 200 * (Decimal("100.30") - Decimal("100.15")) - Decimal("2.4")
    )
    assert shortfall(order, fills).total == paper - real


def test_a_sale_into_a_fall_costs():
    order = an_order(side=-1, decision=(100_000_000, 100_000_000), arrival=(99_900_000, 99_900_000))
    cost = shortfall(order, [a_fill(1000, 99_850_000, side=-1)])
    assert (cost.delay, cost.execution, cost.opportunity, cost.total) == (100, 50, 0, 150)


def test_a_middle_on_half_a_micro_dollar_stays_exact():
    order = an_order(shares=1, decision=(10, 11), arrival=(10, 11))
    assert shortfall(order, [a_fill(1, 11)]).total == Decimal("0.0000005")


def test_what_is_not_known_is_none_and_said():
    filled = [a_fill(1000, 100_120_000, 7)]
    assert shortfall(an_order(), filled).total is not None  # nothing is left: the end does not matter
    open_order = shortfall(an_order(), [a_fill(10, 100_120_000)])
    assert (open_order.opportunity, open_order.total, open_order.bps) == (None, None, None)
    assert open_order.execution is not None
    assert open_order.why == "the order is open"
    blind = shortfall(an_order(end=(0, 100_000_000)), [])
    assert (blind.opportunity, blind.why) == (None, "no quote at the end")
    for quotes, why in (
        ({"decision": (0, 0)}, "no quote at the decision"),
        ({"arrival": (5, 4)}, "no quote at the arrival"),
    ):
        cost = shortfall(an_order(**quotes), filled)
        assert (cost.delay, cost.execution, cost.total, cost.why) == (None, None, None, why)
        assert cost.fees == Decimal("0.000007")


def test_an_order_that_never_traded_costs_its_opportunity():
    cost = shortfall(an_order(end=(101_000_000, 101_000_000)), [])
    assert (cost.delay, cost.execution, cost.fees) == (0, 0, 0)
    assert cost.total == cost.opportunity == 1000


MICROS = st.integers(1, 900_000_000_000)
QUOTES = st.tuples(MICROS, st.integers(0, 5_000_000)).map(lambda pair: (pair[0], sum(pair)))
FILLS = st.lists(
    st.tuples(st.integers(1, 1_000_000_000), MICROS, st.integers(-(10**12), 10**12)), min_size=0, max_size=6
)


@settings(max_examples=100, deadline=None)
@given(
    side=st.sampled_from([1, -1]), decision=QUOTES, arrival=QUOTES, end=QUOTES, fills=FILLS, more=st.integers(0, 10**9)
)
def test_the_components_add_up_to_the_difference_of_paper_and_real(side, decision, arrival, end, fills, more):
    """Exactly, by an account that is kept in whole halves of a micro-dollar."""
    shares = sum(size for size, _, _ in fills) + more
    if shares == 0:
        return
    order = an_order(side, shares, decision, arrival, end)
    cost = shortfall(order, [a_fill(size, price, fee, side) for size, price, fee in fills])
    assert cost.delay + cost.execution + cost.opportunity + cost.fees == cost.total
    paper = side * shares * (sum(end) - sum(decision))
    real = sum(side * size * (sum(end) - 2 * price) - 2 * fee for size, price, fee in fills)
    assert cost.total * 2_000_000 == paper - real


@settings(max_examples=60, deadline=None)
@given(decision=QUOTES, arrival=QUOTES, end=QUOTES, fills=FILLS, more=st.integers(1, 10**9))
def test_a_sale_in_the_mirrored_market_costs_the_same(decision, arrival, end, fills, more):
    axis = 2_000_000_000_000

    def mirror(pair):
        return axis - pair[1], axis - pair[0]

    shares = sum(size for size, _, _ in fills) + more
    bought = shortfall(an_order(1, shares, decision, arrival, end), [a_fill(*fill, side=1) for fill in fills])
    sold = shortfall(
        an_order(-1, shares, mirror(decision), mirror(arrival), mirror(end)),
        [a_fill(size, axis - price, fee, side=-1) for size, price, fee in fills],
    )
    for name in ("delay", "execution", "opportunity", "fees", "total"):
        assert getattr(bought, name) == getattr(sold, name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"side": 0}, "side of o is 0"),
        ({"shares": 0}, "of 0 shares"),
        ({"shares": -5}, "of -5 shares"),
        ({"decision": (-1, 5)}, "negative"),
    ],
)
def test_orders_that_cannot_be_are_refused(changes, said):
    with pytest.raises(BadInput, match=said):
        an_order(**changes)


def test_times_in_the_wrong_order_are_refused():
    with pytest.raises(BadInput, match="before it was decided"):
        OrderFacts("o", "AAA", 1, 1, Quote(5), Quote(4))
    with pytest.raises(BadInput, match="before it arrived"):
        OrderFacts("o", "AAA", 1, 1, Quote(5), Quote(6), Quote(5))


@pytest.mark.parametrize(("shares", "price", "liquidity", "said"), [
    (0, 5, "add", "0 shares"), (-1, 5, "add", "-1 shares"), (1, 0, "add", "at 0"), (1, 1, "maker", "'maker'"),
])  # fmt: skip
def test_fills_that_cannot_be_are_refused(shares, price, liquidity, said):
    with pytest.raises(BadInput, match=said):
        Fill("o", "AAA", 1, shares, price, 0, liquidity, "XNYS", 1)
