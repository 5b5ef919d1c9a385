"""Alerts about orders fire when so much has happened, and know since when."""

from __future__ import annotations

import pytest

from quantdesk.orders.executions import Kind
from quantdesk.orders.ledger import EntryKind


def decisions(log, blocked, allowed, start=0.0):
    for number in range(blocked + allowed):
        log.decided(start + number, log.order(start + number), allowed=number >= blocked)


def test_guardrails_that_block_half_of_ten_orders(log, watch_of, seen, told):
    decisions(log, blocked=4, allowed=6)
    watch = watch_of("GUARDRAIL_BLOCKS")
    assert told(watch, [seen(10, entries=log.fresh())]) == []
    decisions(log, blocked=2, allowed=0, start=10)  # 6 of 12, and before that 5 of 11
    assert told(watch, [seen(13, entries=log.fresh())]) == [("", 13, 11, 0.5)]
    assert told(watch, [seen(100)]) == []
    assert told(watch, [seen(311)]) == [], "they are older than five minutes"
    assert len(watch.resolved) == 1


def test_nine_blocked_orders_are_too_few_to_say(log, watch_of, seen, told):
    decisions(log, blocked=9, allowed=0)
    assert told(watch_of("GUARDRAIL_BLOCKS"), [seen(10, entries=log.fresh())]) == []


def rejected(log, start, count):
    for number in range(count):
        order = log.order(start + number)
        log.sent(start + number, order, f"c{start + number}")
        log.told(start + number, f"c{start + number}", Kind.REJECTED)


def test_venues_that_refuse_five_children(log, watch_of, seen, told):
    rejected(log, 0, 4)
    watch = watch_of("ORDER_REJECTS")
    assert told(watch, [seen(4, entries=log.fresh())]) == []
    rejected(log, 4, 1)
    assert told(watch, [seen(9, entries=log.fresh())]) == [("", 9, 4, 5)]


def test_refusals_that_lie_too_far_apart(log, watch_of, seen, told):
    rejected(log, 0, 1)
    rejected(log, 300, 4)
    assert told(watch_of("ORDER_REJECTS"), [seen(400, entries=log.fresh())]) == []


def test_what_happened_between_two_looks_far_apart_is_told_at_the_second(log, watch_of, seen, told):
    rejected(log, 10, 6)
    watch = watch_of("ORDER_REJECTS")
    assert told(watch, [seen(0), seen(10_000, entries=log.fresh())]) == [("", 10_000, 14, 6)]
    assert told(watch, [seen(10_001)]) == []
    assert len(watch.resolved) == 1


@pytest.mark.parametrize(("orders", "fires"), [(299, 0), (300, 1)])
def test_a_flood_of_orders(orders, fires, log, watch_of, seen, told):
    for number in range(orders):
        log.order(number * 0.1)
    found = told(watch_of("ORDER_FLOOD"), [seen(30, entries=log.fresh())])
    assert found == [("", 30, pytest.approx(29.9), 300)] * fires


@pytest.mark.parametrize(("delay", "fires"), [(0.249, 0), (0.25, 1)])
def test_reports_that_come_late(delay, fires, log, watch_of, seen, told):
    for number in range(3):
        log.sent(number, log.order(number), f"c{number}")
        log.told(number + delay, f"c{number}")
    found = told(watch_of("LATENCY"), [seen(4, entries=log.fresh())])
    assert found == [("", 4, pytest.approx(2 + delay), pytest.approx(250))] * fires


def test_only_the_first_report_tells_how_late_it_is(log, watch_of, seen, told):
    for number in range(4):
        log.sent(number, log.order(number), f"c{number}")
        log.told(number + 0.1, f"c{number}", Kind.ACCEPTED)
        log.told(number + 30, f"c{number}")
    assert told(watch_of("LATENCY"), [seen(40, entries=log.fresh())]) == []


def test_an_order_that_is_open_for_ten_minutes(log, watch_of, seen, told):
    order = log.order(5)
    log.sent(5, order, "c")
    log.told(5, "c", shares=40)
    watch = watch_of("UNFILLED")
    assert told(watch, [seen(604.9, entries=log.fresh())]) == []
    assert told(watch, [seen(620)]) == [("AAPL", 620, 605, 615)]
    assert watch.active[0].numbers["shares"] == 60
    log.ended(630, order, "partially_filled")
    assert told(watch, [seen(631, entries=log.fresh()), seen(632)]) == []
    assert [alert.symbol for alert in watch.resolved] == ["AAPL"]


def test_an_order_that_was_open_too_long_between_two_looks(log, watch_of, seen, told):
    log.ended(700, log.order(0), "cancelled")
    log.ended(200, log.order(0, "MSFT"), "cancelled")
    assert told(watch_of("UNFILLED"), [seen(5000, entries=log.fresh())]) == [("AAPL", 5000, 600, 700)]


def ends(log, start, filled, count=5):
    for number in range(count):
        name, order = f"c{start + number}", log.order(start + number)
        log.decided(start + number, order, allowed=True)
        log.sent(start + number, order, name)
        log.told(start + number, name, shares=filled)
        log.ended(start + number, order, "partially_filled")


@pytest.mark.parametrize(("filled", "fires"), [(51, 0), (50, 1)])
def test_half_of_the_shares_are_not_filled(filled, fires, log, watch_of, seen, told):
    ends(log, 0, filled)
    found = told(watch_of("UNFILLED_VOLUME"), [seen(5, entries=log.fresh())])
    assert found == [("", 5, 4, 0.5)] * fires


def test_orders_that_guardrails_blocked_are_no_unfilled_volume(log, watch_of, seen, told):
    ends(log, 0, 100, count=4)
    for number in range(4, 20):
        order = log.order(number)
        log.decided(number, order, allowed=False)
        log.ended(number, order, "rejected")
    watch = watch_of("UNFILLED_VOLUME")
    assert told(watch, [seen(20, entries=log.fresh())]) == []


def test_a_child_of_which_nothing_is_heard(log, watch_of, seen, told):
    log.sent(1, log.order(1), "c")
    watch = watch_of("VENUE_DOWN")
    assert told(watch, [seen(5.9, entries=log.fresh())]) == []
    assert told(watch, [seen(6)]) == [("", 6, 1, 5)]
    log.told(7, "c")
    assert told(watch, [seen(8, entries=log.fresh()), seen(9)]) == []
    assert watch.active == ()


def test_a_child_that_was_silent_between_two_looks(log, watch_of, seen, told):
    log.sent(1, log.order(1), "c")
    log.told(11, "c")
    assert told(watch_of("VENUE_DOWN"), [seen(60, entries=log.fresh())]) == [("", 60, 1, 10)]


def test_a_child_that_never_arrived(log, watch_of, seen, told):
    log.sent(1, log.order(1), "c")
    log.told(1, "c", Kind.REJECTED, execution="c:unsent")
    watch, rejects = watch_of("VENUE_DOWN"), watch_of("ORDER_REJECTS", limit={"window_s": 300, "children": 1})
    entries = log.fresh()
    assert told(watch, [seen(2, entries=entries)]) == [("", 2, 1, None)]
    assert told(rejects, [seen(2, entries=entries)]) == [], "no venue refused it"
    assert told(watch, [seen(60)]) == []
    assert len(watch.active) == 1
    assert told(watch, [seen(61)]) == []
    assert watch.active == ()
    log.sent(200, log.order(200), "d")
    log.told(200, "d", Kind.REJECTED, execution="d:unsent")
    assert told(watch, [seen(201, entries=log.fresh())]) == [("", 201, 200, None)], "another failure, another beginning"


def test_quotes_that_cannot_be_had(watch_of, seen, told):
    watch = watch_of("VENUE_DOWN")
    assert told(watch, [seen(0), seen(1, down="no quotes of AAPL."), seen(2)]) == [("", 1, 1, None)]
    assert watch.active == ()


def test_kill_switches(log, watch_of, seen, told):
    watch = watch_of("KILLED")
    for scope, name in (("all", ""), ("user", "ada"), ("symbol", "AAPL")):
        log.note(1, EntryKind.KILL, scope=scope, name=name, why="a drill", by="risk")
    found = told(watch, [seen(3, entries=log.fresh())])
    assert found == [("", 3, 1, None), ("user ada", 3, 1, None), ("AAPL", 3, 1, None)]
    assert watch.active[0].message == "risk stopped all orders: a drill"
    log.note(5, EntryKind.UNKILL, scope="all", name="", why="over", by="risk")
    assert told(watch, [seen(6, entries=log.fresh())]) == []
    assert [alert.symbol for alert in watch.active] == ["user ada", "AAPL"]


def test_a_kill_switch_that_was_thrown_and_lifted_between_two_looks(log, watch_of, seen, told):
    watch = watch_of("KILLED")
    log.note(1, EntryKind.KILL, scope="all", name="", why="a drill", by="risk")
    log.note(2, EntryKind.UNKILL, scope="all", name="", why="over", by="risk")
    assert told(watch, [seen(3, entries=log.fresh()), seen(4)]) == [("", 3, 1, None)]
    assert watch.active == ()


def test_a_reconciliation_with_differences(log, watch_of, seen, told):
    watch = watch_of("RECONCILIATION_BREAK")
    log.note(1, EntryKind.RECONCILED, since=0, differences=[])
    assert told(watch, [seen(1, entries=log.fresh())]) == []
    log.note(2, EntryKind.RECONCILED, since=0, differences=[{}, {}])
    assert told(watch, [seen(3, entries=log.fresh()), seen(4)]) == [("", 3, 2, 2)]
    log.note(5, EntryKind.RECONCILED, since=0, differences=[])
    assert told(watch, [seen(6, entries=log.fresh())]) == []
    assert len(watch.resolved) == 1


def test_stops_that_go_off(log, watch_of, seen, told):
    order = log.order(0)
    for name in ("S1", "S2", "S3"):
        log.note(1, EntryKind.STOP_PLACED, order, name, symbol="AAPL", action="sell", shares=10, price=1)
    log.note(2, EntryKind.STOP_CANCELLED, order, "S3", held=0)
    log.ended(2, order)
    watch = watch_of("STOP_TRIGGERED")
    assert told(watch, [seen(2, entries=log.fresh())]) == []
    log.note(3, EntryKind.STOP_TRIGGERED, order, "S1")
    log.note(4, EntryKind.STOP_TRIGGERED, order, "S2")
    other = log.order(4, "MSFT")
    log.note(5, EntryKind.STOP_TRIGGERED, other)
    assert told(watch, [seen(6, entries=log.fresh())]) == [("AAPL", 6, 3, 2), ("MSFT", 6, 5, 1)]
    assert told(watch, [seen(7)]) == []
    assert watch.active == ()
