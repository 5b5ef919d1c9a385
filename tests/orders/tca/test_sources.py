"""Facts from a real ledger, from results, and from the tapes of simulated sessions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest

from quantdesk.errors import BadDates, DataError
from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.halts.hours import regular_hours
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.order import Child, Order
from quantdesk.orders.result import ChildResult, OrderResult, OrderStatus
from quantdesk.orders.tca import Fill, Quote, Routed, Tape, analyse, facts_from_ledger, facts_from_results, market_tapes
from quantdesk.orders.venues.prints import Trades
from quantdesk.orders.venues.tape import Tape as MarketTape

SECOND = 1_000_000_000
NOON = nanoseconds(dt.datetime(2026, 3, 2, 17, tzinfo=dt.UTC))
NBBO = {"bid": 10_000_000, "ask": 10_020_000, "bid_size": 100, "ask_size": 100}
SIMULATED = ExecutionMode.SIMULATED


@pytest.fixture
def ledger():
    with Ledger.open("sqlite:///:memory:") as opened:
        yield opened


def receive(ledger, order, at=NOON, mode=SIMULATED):
    return ledger.receive(order, at, mode).order_id


def route(ledger, order_id, order, parts, at=NOON, nbbo=NBBO):
    """A receipt, and parts of (venue, shares) as they are sent."""
    ledger.append(Entry(EntryKind.RECEIPT, at, order_id, payload={"nbbo": nbbo}))
    children = [
        Child(f"{order_id}.{at}-{number}", venue, order.symbol, order.action, shares)
        for number, (venue, shares) in enumerate(parts, start=1)
    ]
    ledger.append(*(Entry.sent(child, at, order_id) for child in children))
    return children


def report(ledger, child, shares, price, fee, at, kind=Kind.FILL, liquidity="remove"):
    execution = Execution(
        f"{child.client_id}:{at}", child.client_id, kind, at, child.venue, shares, price, fee, liquidity
    )
    ledger.append(Entry.executed(execution, at))


def test_an_order_as_the_ledger_has_it(ledger):
    order = Order("AAPL", "sell_short", 300, order_type="limit", limit_price="10.00", urgency="high")
    name = receive(ledger, order)
    first, second = route(ledger, name, order, [("NYSE", 200), ("Nasdaq", 100)])
    report(ledger, first, 200, 0, 0, NOON + 5, Kind.ACCEPTED)
    report(ledger, first, 150, 10_010_000, 450_000, NOON + 10)
    report(ledger, first, 50, 0, 0, NOON + 20, Kind.CANCELLED)
    report(ledger, second, 60, 10_000_000, -120_000, NOON + 30, liquidity="add")
    ledger.append(Entry(EntryKind.RESULT, NOON + 50, name, payload={"status": "partially_filled", "reason": ""}))
    tape = Tape("AAPL", [NOON - 5, NOON + 40], [9_990_000, 9_980_000], [10_030_000, 10_000_000], [(0, NOON + 100)])
    found = facts_from_ledger(ledger.entries(), [tape])
    (facts,) = found.orders
    assert (facts.symbol, facts.side, facts.shares, facts.short) == ("AAPL", -1, 300, True)
    assert (facts.order_type, facts.limit, facts.urgency, facts.mode) == ("limit", 10_000_000, "high", "simulated")
    assert facts.arrival == facts.decision == Quote(NOON, 10_000_000, 10_020_000)
    assert facts.end == Quote(NOON + 30, 9_990_000, 10_030_000)  # what the venues said last, whenever the desk heard
    assert found.fills == (
        Fill(name, "AAPL", -1, 150, 10_010_000, 450_000, "remove", "NYSE", NOON + 10),
        Fill(name, "AAPL", -1, 60, 10_000_000, -120_000, "add", "Nasdaq", NOON + 30),
    )
    assert found.routed == (Routed(name, "NYSE", 200), Routed(name, "Nasdaq", 100))
    cost = analyse(found.orders, found.fills, [tape], routed=found.routed).shortfalls[name]
    # Sold 150 at the middle and 60 a cent below it; 90 are left, and the middle is where it was.
    assert (cost.execution, cost.opportunity, cost.fees) == (Decimal("0.6"), Decimal("0"), Decimal("0.33"))


def test_an_order_ends_with_its_session_not_when_the_desk_hears_of_it(ledger):
    order = Order("AAPL", "buy", 200, order_type="limit", limit_price="9.50")
    name = receive(ledger, order)
    (child,) = route(ledger, name, order, [("NYSE", 200)])
    close, tomorrow = NOON + 4 * 3600 * SECOND, NOON + 20 * 3600 * SECOND
    report(ledger, child, 200, 0, 0, close, Kind.CANCELLED)
    ledger.append(Entry(EntryKind.RESULT, tomorrow, name, payload={"status": "cancelled", "reason": ""}))
    tape = Tape("AAPL", [NOON, close - 5], [10_000_000, 10_500_000], [10_020_000, 10_520_000], [(NOON, close)])
    facts = facts_from_ledger(ledger.entries(), [tape])
    cost = analyse(facts.orders, facts.fills, [tape]).shortfalls[name]
    assert cost.opportunity == cost.total == Decimal(100)


def test_a_second_round_keeps_the_first_arrival(ledger):
    order = Order("AAPL", "buy", 200)
    name = receive(ledger, order)
    (first,) = route(ledger, name, order, [("NYSE", 200)])
    report(ledger, first, 100, 10_020_000, 0, NOON + 10)
    (again,) = route(ledger, name, order, [("Nasdaq", 100)], NOON + 20, {"bid": 1, "ask": 2})
    report(ledger, again, 100, 10_030_000, 0, NOON + 30)
    (facts,) = facts_from_ledger(ledger.entries()).orders
    assert facts.arrival == Quote(NOON, 10_000_000, 10_020_000)
    assert facts.end == Quote(NOON + 30)  # filled: it ended with its last fill, whether or not a result was written


def test_what_was_never_sent_is_no_execution(ledger):
    blocked = receive(ledger, Order("AAPL", "buy", 100))
    ledger.append(
        Entry(EntryKind.RESULT, NOON, blocked, payload={"status": "rejected", "reason": "Guardrails blocked it."})
    )
    found = facts_from_ledger(ledger.entries())
    assert (found.orders, found.fills, found.not_sent) == ((), (), (blocked,))


def test_an_open_order_has_no_end(ledger):
    order = Order("AAPL", "buy", 200)
    name = receive(ledger, order)
    route(ledger, name, order, [("NYSE", 200)])
    ledger.append(Entry(EntryKind.RESULT, NOON, name, payload={"status": "open", "reason": ""}))
    (facts,) = facts_from_ledger(ledger.entries()).orders
    assert facts.end is None
    assert analyse([facts], []).shortfalls[name].why == "the order is open"


def test_a_stop_order_arrives_when_it_is_routed(ledger):
    order = Order("AAPL", "sell", 100, order_type="stop", stop_price="9.50")
    name = receive(ledger, order)
    (child,) = route(ledger, name, order, [("NYSE", 100)], NOON + 3600 * SECOND)
    report(ledger, child, 100, 10_000_000, 0, NOON + 3600 * SECOND + 7)
    found = facts_from_ledger(ledger.entries())
    assert found.orders[0].arrival.at == NOON + 3600 * SECOND
    assert analyse(found.orders, found.fills).fills.iloc[0]["elapsed_s"] == pytest.approx(7e-9)


def test_an_order_that_waited_is_not_measured_against_a_later_quote(ledger):
    """It came in a halt and was routed after it: what is known of its arrival is what the tape says."""
    order = Order("AAPL", "buy", 100)
    name = receive(ledger, order)
    route(ledger, name, order, [("NYSE", 100)], NOON + 300 * SECOND)
    (facts,) = facts_from_ledger(ledger.entries()).orders
    assert facts.arrival == Quote(NOON)
    tape = Tape(
        "AAPL", [NOON - 9], [1_000_000], [1_020_000], [(0, NOON + 500 * SECOND)], [(NOON - 5, NOON + 200 * SECOND)]
    )
    (facts,) = facts_from_ledger(ledger.entries(), [tape]).orders
    assert facts.arrival == Quote(NOON)
    assert name in analyse([facts], [], [tape]).shortfalls


def test_decisions_of_the_desk_are_taken_over(ledger):
    order = Order("AAPL", "buy", 100)
    name = receive(ledger, order)
    (child,) = route(ledger, name, order, [("NYSE", 100)])
    report(ledger, child, 100, 10_020_000, 0, NOON + 1)
    decided = Quote(NOON - SECOND, 9_950_000, 9_970_000)
    (facts,) = facts_from_ledger(ledger.entries(), decisions={name: decided}).orders
    assert facts.decision == decided
    cost = analyse([facts], facts_from_ledger(ledger.entries()).fills).shortfalls[name]
    assert (cost.delay, cost.execution) == (Decimal(5), Decimal(1))


def test_a_ledger_with_a_hole_is_refused(ledger):
    order = Order("AAPL", "buy", 100)
    name = receive(ledger, order)
    (child,) = route(ledger, name, order, [("NYSE", 100)])
    report(ledger, child, 100, 10_020_000, 0, NOON + 1)
    entries = [stored for stored in ledger.entries() if stored.kind is not EntryKind.ORDER]
    with pytest.raises(DataError, match=f"order '{name}', which is not there"):
        facts_from_ledger(entries)


def a_result(**changes):
    child = ChildResult("c-1", "NYSE", 200, 150, Decimal("10.012345"), Decimal("0.45"), "cancelled")
    quiet = ChildResult("c-2", "Nasdaq", 100, 0, None, Decimal(0), "cancelled")
    values = {
        "order_id": "o", "symbol": "AAPL", "action": "buy", "order_type": "market",
        "status": OrderStatus.PARTIALLY_FILLED, "shares": 300, "filled_shares": 150,
        "average_price": Decimal("10.012345"), "commission": Decimal("0.45"), "venues": ("NYSE",), "venue_scores": {},
        "arrival_midpoint": Decimal("10.01"), "arrival_bid": Decimal("10.00"), "arrival_ask": Decimal("10.02"),
        "slippage_bps": 2.342657, "slippage_nbbo_bps": None, "execution_time_ms": 12.5, "routing_time_us": 30.0,
        "reasoning": "", "execution_mode": ExecutionMode.MOCK, "children": (child, quiet),
    }  # fmt: skip
    return OrderResult(**(values | changes))


def test_results_give_one_fill_a_part():
    refused = a_result(order_id="r", children=(), status=OrderStatus.REJECTED)
    still = a_result(order_id="s", action="sell_short", status=OrderStatus.OPEN, arrival_bid=None)
    found = facts_from_results([(a_result(), NOON), (refused, NOON), (still, NOON)])
    assert found.not_sent == ("r",)
    first, second = found.orders
    assert first.arrival == Quote(NOON, 10_000_000, 10_020_000)
    assert first.end == Quote(NOON + 12_500_000)
    assert (second.side, second.short, second.end, second.arrival.bid) == (-1, True, None, 0)
    assert found.fills[0] == Fill("o", "AAPL", 1, 150, 10_012_345, 450_000, "", "NYSE", NOON + 12_500_000)
    assert [part.shares for part in found.routed] == [200, 100] * 2
    done = analyse(found.orders, found.fills)
    assert done.modes == ("mock",)
    assert done.orders.loc["o", "slippage_bps"] == pytest.approx(2.342657, abs=1e-6)


def a_tape(symbol, day, *rows):
    opens = nanoseconds(regular_hours(day).opens)
    at, bid, ask = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    nothing = np.zeros(1, np.int64)
    trades = Trades(nothing + opens + 1, nothing, nothing + 1, nothing + 5, nothing + 100)
    return MarketTape(symbol, at + opens, bid, ask, trades, ("NYSE",), "simulated")


def test_tapes_of_simulated_sessions_become_one():
    monday, tuesday = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
    found = market_tapes(
        [a_tape("B", tuesday, (0, 3, 4)), a_tape("A", monday, (0, 1, 2)), a_tape("B", monday, (0, 1, 2), (9, 2, 3))]
    )
    assert [tape.symbol for tape in found.tapes] == ["A", "B"]
    opens, closes = (nanoseconds(getattr(regular_hours(monday), name)) for name in ("opens", "closes"))
    tape = found.tapes[1]
    assert tape.quote(opens + 10) == Quote(opens + 10, 2, 3)
    assert tape.quote(closes) == Quote(closes, 2, 3)
    assert tape.quote(closes + 1) == Quote(closes + 1)
    assert found.prints[1].vwap([opens], [closes]).tolist() == [5]
    assert len(found.prints[1].at) == 2
    halted = market_tapes([a_tape("A", monday, (0, 1, 2))], {"A": [(opens + 5, 0)]}).tapes[0]
    assert halted.quote(opens + 6).bid == 0
    with pytest.raises(BadDates, match="closed"):
        market_tapes([a_tape_on_sunday()])


def a_tape_on_sunday():
    at = np.array([nanoseconds(dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC))])
    return MarketTape(
        "A", at, at * 0 + 1, at * 0 + 2, Trades(at, at * 0, at * 0, at * 0 + 1, at * 0 + 1), ("NYSE",), ""
    )
