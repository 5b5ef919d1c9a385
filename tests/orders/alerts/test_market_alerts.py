"""Alerts about the market and its feeds."""

from __future__ import annotations

import pytest

from quantdesk.orders.alerts import Shown
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.quotes import Quotes

NOON = 1_700_000_000 * SECOND


def shown(bid=99_990_000, ask=100_010_000, second=0.0):
    return {"AAPL": Shown(bid, ask, NOON + round(second * SECOND))}


def halt(status, symbol="AAPL"):
    return HaltStatus(symbol, status, "T1", "It says so.", "declared", 0.0)


MARKET = HaltStatus("*", Status.HALTED, "MWC1", "The whole market is halted.", "declared", 0.0)
HELD = {"positions": {"AAPL": 5}, "marks": {"AAPL": MICRO}}
CASES = {
    "STALE_QUOTES": ({"shown": shown(second=-4.999)}, {"shown": shown(second=-5)}, 0, 5.0),
    "WIDE_SPREAD": (
        {"shown": shown(99_850_000, 100_149_998), "normal_spreads": {"AAPL": 10.0}},
        {"shown": shown(99_850_000, 100_150_000), "normal_spreads": {"AAPL": 10.0}},
        0,
        30.0,
    ),
    "NO_QUOTES": ({"shown": shown(1, 2)}, {"shown": shown(0, 2)}, 0, None),
    "FEED_UNKNOWN": ({"halts": {"AAPL": halt(Status.TRADING)}}, {"halts": {"AAPL": halt(Status.UNKNOWN)}}, 0, None),
    "HALTED": ({"halts": {"AAPL": halt(Status.HALTED)}}, {"halts": {"AAPL": halt(Status.HALTED)}, **HELD}, 0, None),
}


@pytest.mark.parametrize("rule", CASES)
def test_it_fires_at_its_limit_and_not_just_below(rule, watch_of, seen, told):
    below, reached, since, value = CASES[rule]
    watch = watch_of(rule)
    assert told(watch, [seen(0, **below)]) == []
    found = told(watch, [seen(0, **reached)] * 2)
    assert found == [("AAPL", 0, since, value if value is None else pytest.approx(value))]
    assert told(watch, [seen(0, **below)]) == []
    assert [alert.symbol for alert in watch.resolved] == ["AAPL"]


def test_the_whole_market_is_halted(watch_of, seen, told):
    watch = watch_of("MARKET_HALT")
    assert told(watch, [seen(0), seen(1, market_halt=MARKET), seen(2, market_halt=MARKET), seen(3)]) == [
        ("", 1, 1, None)
    ]
    assert watch.active == ()


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("STALE_QUOTES", shown(second=-100)),
        ("WIDE_SPREAD", shown(90 * MICRO, 100 * MICRO)),
        ("NO_QUOTES", shown(0, 0)),
    ],
)
def test_nobody_need_quote_while_nothing_trades(rule, bad, watch_of, seen, told):
    for why in ({"in_session": False}, {"market_halt": MARKET}, {"halts": {"AAPL": halt(Status.HALTED)}}):
        assert told(watch_of(rule), [seen(0, shown=bad, **why)]) == []
    assert len(told(watch_of(rule), [seen(0, shown=bad, halts={"AAPL": halt(Status.UNKNOWN)})])) == 1


def test_a_quote_is_stale_from_the_moment_at_which_it_was_too_old(watch_of, seen, told):
    assert told(watch_of("STALE_QUOTES"), [seen(60, shown=shown())]) == [("AAPL", 60, 5, 60.0)]


def test_a_narrow_spread_is_not_wide_however_many_times_the_usual_one_it_is(watch_of, seen, told):
    narrow = {"shown": shown(99_995_000, 100_004_000), "normal_spreads": {"AAPL": 0.1}}
    assert told(watch_of("WIDE_SPREAD"), [seen(0, **narrow)]) == []


def test_without_a_usual_spread_the_basis_points_decide(watch_of, seen, told):
    assert len(told(watch_of("WIDE_SPREAD"), [seen(0, shown=shown(99_950_000, 100_050_000))])) == 1
    assert told(watch_of("WIDE_SPREAD"), [seen(0, shown=shown(99_950_001, 100_050_000))]) == []


@pytest.mark.parametrize(
    ("bid", "ask", "words"),
    [(0, 0, "Nobody bids and nobody offers AAPL."), (1, 0, "Nobody offers AAPL."), (0, 1, "Nobody bids for AAPL.")],
)
def test_which_side_is_missing(bid, ask, words, watch_of, seen):
    (alert,) = watch_of("NO_QUOTES").look(seen(0, shown=shown(bid, ask)))
    assert alert.message == words


def test_what_is_shown_is_the_national_best():
    quotes = Quotes.of("AAPL", 7, {"A": (99, 1, 103, 1), "B": (100, 2, 104, 2)})
    assert Shown.of(quotes) == Shown(100, 103, 7)
    assert Shown.of(quotes).midpoint == 101
    assert Shown(0, 103, 7).midpoint == 0
