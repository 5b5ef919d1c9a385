"""What Alpaca says, as reports; and its list beside the ledger. Values in, values out."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantdesk.orders.brokers as brokers
from quantdesk.orders.brokers import Statement, compare
from quantdesk.orders.brokers.latest import book
from quantdesk.orders.brokers.reconcile import Fault
from quantdesk.orders.brokers.reports import BrokerFill, BrokerOrder, BrokerPosition, Unreadable, read, reports
from quantdesk.orders.executions import Kind

START = dt.datetime(2026, 3, 2, 15, tzinfo=dt.UTC)


def order(**more: Any) -> BrokerOrder:
    given = {
        "id": "904837e3-3b76-47ec-b432-046db621571b",
        "client_order_id": "o-1",
        "symbol": "AAPL",
        "side": "buy",
        "status": "new",
        "qty": "100",
        "filled_qty": "0",
        "submitted_at": "2026-03-02T15:00:00.123456789Z",
        "canceled_at": "2026-03-02T15:01:00Z",
        **more,
    }
    return read(BrokerOrder, [given])[0]


def fill(number: int, qty: str = "10", **more: Any) -> BrokerFill:
    given = {
        "id": f"2026030215000{number}::fill",
        "order_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": "AAPL",
        "side": "buy",
        "qty": qty,
        "cum_qty": str(10 * (number + 1)),
        "price": "190.02",
        "transaction_time": (START + dt.timedelta(seconds=number)).isoformat(),
        **more,
    }
    return read(BrokerFill, [given])[0]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 30), max_size=6),
    st.integers(0, 50),
    st.randoms(use_true_random=False),
    st.sampled_from(["partially_filled", "canceled", "expired", "filled"]),
    st.integers(0, 6),
)
def test_reports_add_up_however_the_fills_come(sizes: list[int], left: int, rng: Any, status: str, listed: int) -> None:
    total = sum(sizes)
    left = 0 if status == "filled" else left
    if not total + left:
        return
    given = order(qty=str(total + left), filled_qty=str(total), status=status)
    fills = [fill(number, str(size)) for number, size in enumerate(sizes)][:listed]
    shuffled = [*fills, *fills, fill(9, order_id="another", qty="999")]  # told twice, and another order's
    rng.shuffle(shuffled)
    told = reports(given, shuffled)
    assert told == reports(given, fills)
    assert told[0].kind is Kind.ACCEPTED
    traded = [report for report in told if report.kind is Kind.FILL]
    assert [report.shares for report in traded] == sizes[:listed]
    assert len({report.execution_id for report in told}) == len(told)
    ended = [report for report in told if report.kind is Kind.CANCELLED]
    # The end is told when, and only when, every fill before it is.
    assert bool(ended) == (status in ("canceled", "expired") and sum(sizes[:listed]) == total)
    assert sum(report.shares for report in ended) == (left if ended else 0)


@pytest.mark.parametrize(
    ("given", "fills"),
    [
        ({"status": "vanished"}, []),
        ({"qty": "1.5"}, []),
        ({"qty": None}, []),
        ({}, [fill(0, "0.5")]),
        ({}, [fill(0, "101")]),
        ({}, [fill(0, side="sell")]),
        ({"status": "rejected", "filled_qty": "10"}, [fill(0)]),
        ({}, [fill(0, price="190.0000001")]),
    ],
)
def test_what_contradicts_itself(given: dict[str, Any], fills: list[BrokerFill]) -> None:
    with pytest.raises(Unreadable):
        reports(order(**given), fills)


@pytest.mark.parametrize(
    "change",
    [
        {"qty": "NaN"},
        {"qty": "-1"},
        {"side": "hold"},
        {"submitted_at": "2026-03-02T15:00:00"},
        {"submitted_at": None},
        {"id": ""},
        {"filled_qty": "lots"},
    ],
)
def test_orders_that_are_none(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        order(**change)
    assert next(iter(change)) in str(caught.value)


@pytest.mark.parametrize(
    "answer", [None, {}, "x", [1], [{"symbol": "AAPL"}], [{"symbol": "A", "qty": "1", "side": "x"}]]
)
def test_lists_that_are_none(answer: Any) -> None:
    with pytest.raises(Unreadable):
        read(BrokerPosition, answer)


@pytest.mark.parametrize("answer", [None, [], {}, {"quotes": []}, {"quotes": {"AAPL": []}}])
def test_quotes_that_are_none(answer: Any) -> None:
    with pytest.raises(Unreadable):
        book("AAPL", answer, 100, 0)


statements = st.builds(
    Statement,
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)),
    st.dictionaries(st.sampled_from("XYZ"), st.integers(-2, 2)),
    st.dictionaries(st.sampled_from("fgh"), st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(1, 2))),
)


@settings(max_examples=150, deadline=None)
@given(statements, statements)
def test_every_difference_is_found(here: Statement, there: Statement) -> None:
    assert compare(here, here) == ()
    found = compare(here, there)
    wanted = set()
    for subject, ours, theirs in (
        ("order", here.open_orders, there.open_orders),
        ("position", here.positions, there.positions),
        ("fill", here.fills, there.fills),
    ):
        for name in {*ours, *theirs}:
            a, b = ours.get(name), theirs.get(name)
            if subject == "position":
                a, b = a or None, b or None
            if a != b:
                wanted.add((subject, name, a, b))
    assert {(str(one.subject), one.name, one.here, one.there) for one in found} == wanted
    opposite = {Fault.MISSING_HERE: Fault.MISSING_THERE, Fault.MISSING_THERE: Fault.MISSING_HERE}
    assert [(one.name, opposite.get(one.fault, one.fault)) for one in found] == [
        (one.name, one.fault) for one in compare(there, here)
    ]
    for one in found:
        assert one.name in str(one)
        assert json.loads(json.dumps(one.to_dict()))["name"] == one.name


def test_a_difference_in_words() -> None:
    (one,) = compare(Statement(positions={"AAPL": 30}), Statement(positions={"AAPL": 40}))
    assert str(one) == "position AAPL: 30 shares here, 40 shares at the broker"
    (one,) = compare(Statement(), Statement(fills={"f": ("o-1", 10, 190_020_000)}))
    assert str(one) == "fill f: nothing here, 10 shares at 190020000 micro-dollars of o-1 at the broker"


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        brokers.Nothing  # noqa: B018
