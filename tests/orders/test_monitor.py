"""The monitor of limit up / limit down: what must happen, step by step; and against a plain oracle, event by event."""

from __future__ import annotations

import datetime as dt
import importlib.util
import math
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.halts.luld import Events, Monitor, Stock, Trading, bands, machine, replay

NY = ZoneInfo("America/New_York")
DAY = dt.date(2026, 3, 2)
_spec = importlib.util.spec_from_file_location("plain_luld", Path(__file__).with_name("plain_luld.py"))
assert _spec is not None
assert _spec.loader is not None
plain_luld = importlib.util.module_from_spec(_spec)
import sys  # noqa: E402

sys.modules["plain_luld"] = plain_luld
_spec.loader.exec_module(plain_luld)


def at(text: str, day: dt.date = DAY) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day} {text}").replace(tzinfo=NY)


@pytest.fixture
def opened() -> Monitor:
    monitor = Monitor(Stock("ABC", 100, 1, DAY))
    monitor.opens(at("09:30"), 100.0)
    return monitor


def test_the_first_reference_is_the_opening_price() -> None:
    monitor = Monitor(Stock("ABC", 98, 1, DAY))
    assert monitor.trading is Trading.WAITING
    assert math.isnan(monitor.reference)
    (change,) = monitor.opens(at("09:30:07"), 100.0)
    assert (change.before, change.after, change.reference) == (Trading.WAITING, Trading.NORMAL, 100.0)
    assert monitor.bands == (95.0, 105.0)


def test_opening_on_a_quote_takes_the_previous_close() -> None:
    monitor = Monitor(Stock("ABC", 98, 1, DAY))
    monitor.opens(at("09:30:07"), None)
    assert monitor.reference == 98.0


def test_a_stock_that_has_not_opened_by_935_gets_the_mean() -> None:
    monitor = Monitor(Stock("ABC", 98, 1, DAY))
    monitor.trade(at("09:31"), 99.0, 100)
    monitor.trade(at("09:34:59"), 101.0, 100)
    assert monitor.trading is Trading.WAITING
    (change,) = monitor.clock(at("09:35"))
    assert (change.reference, change.why) == (
        100.0,
        "the primary has not opened: the mean of 2 trades is the reference",
    )


def test_the_reference_moves_by_one_percent_and_after_thirty_seconds(opened: Monitor) -> None:
    assert opened.trade(at("09:30:10"), 101.0, 100) == (), "1 %, but not yet 30 s"
    (change,) = opened.clock(at("09:30:30"))
    assert change.reference == 101.0
    assert opened.trade(at("09:31:30"), 102.0, 100) == (), "the mean of 101 and 102 is not 1 % away"
    assert opened.reference == 101.0


def test_trades_leave_the_mean_after_five_minutes(opened: Monitor) -> None:
    opened.trade(at("09:31:00"), 100.0, 100)
    opened.trade(at("09:33:00"), 101.5, 100)
    assert opened.reference == 100.0, "mean 100.75"
    (change,) = opened.clock(at("09:36:00"))
    assert change.reference == 101.5, "the trade of 09:31 has left"


@pytest.mark.parametrize(("shares", "conditions"), [(99, ""), (100, "I"), (500, "@4"), (100, "TI")])
def test_odd_lots_and_trades_that_may_not_set_the_last_sale_do_not_count(
    opened: Monitor, shares: int, conditions: str
) -> None:
    opened.trade(at("09:31"), 104.0, shares, conditions)
    assert opened.clock(at("09:32")) == ()


def test_the_round_lot_of_an_expensive_stock_is_smaller() -> None:
    monitor = Monitor(Stock("ABC", 500, 1, DAY))
    monitor.opens(at("09:30"), 500.0)
    (change,) = monitor.trade(at("09:31"), 510.0, 40)
    assert change.reference == 510.0


def test_a_limit_state_that_clears_within_fifteen_seconds(opened: Monitor) -> None:
    (into,) = opened.quote(at("10:00:00"), 94.9, 95.0, 300, 200)
    assert (into.after, into.why) == (Trading.LIMIT, "the best offer stands at the lower band (200 shares)")
    assert opened.clock(at("10:00:14.999999")) == ()
    (out,) = opened.quote(at("10:00:14.999999"), 95.5, 96.0, 100, 100)
    assert (out.after, out.why) == (
        Trading.NORMAL,
        "the quotes at the band were executed or cancelled after 15.000 s",
    )


def test_a_limit_state_that_lasts_becomes_a_pause_when_it_was_due(opened: Monitor) -> None:
    opened.quote(at("10:00:00"), 94.9, 95.0, 300, 200)
    (pause,) = opened.clock(at("10:00:40"))
    assert (pause.after, pause.code, pause.at) == (Trading.PAUSED, "LUDP", at("10:00:15"))
    assert opened.trading.is_halted
    assert opened.collar == (90.25, 105.0), "outwards by 5 % of the lower band"


def test_bands_are_frozen_in_a_limit_state(opened: Monitor) -> None:
    opened.trade(at("09:59:59"), 96.0, 100)
    opened.quote(at("10:00:00"), 91.0, bands(96, 100, 1, at("10:00")).lower, 100, 100)
    before = opened.bands
    opened.trade(at("10:00:05"), 91.2, 10_000)
    assert opened.bands == before


def test_a_pause_goes_on_until_the_primary_reopens_and_the_collar_widens(opened: Monitor) -> None:
    opened.quote(at("10:00:00"), 105.0, 105.1, 300, 200)
    opened.clock(at("10:00:15"))
    assert opened.collar == (95.0, 110.25)
    (early,) = opened.reopens(at("10:03"), 104.0)
    assert (early.after, early.why) == (Trading.PAUSED, "a reopening before the end of the pause does not count")
    changes = opened.clock(at("10:10:16"))
    assert [(change.at, change.after) for change in changes] == [
        (at("10:05:15"), Trading.REOPENING),
        (at("10:10:15"), Trading.REOPENING),
    ]
    assert opened.collar == (95.0, 120.75)
    (reopened,) = opened.reopens(at("10:11"), 108.0)
    assert (reopened.after, opened.reference) == (Trading.NORMAL, 108.0)


def test_earlier_trades_leave_the_mean_at_a_reopening(opened: Monitor) -> None:
    opened.trade(at("10:00:00"), 104.0, 100)
    opened.quote(at("10:00:01"), 109.2, 109.3, 300, 200)
    opened.clock(at("10:00:16"))
    opened.reopens(at("10:05:16"), 110.0)
    assert opened.clock(at("10:06:00")) == ()
    assert opened.reference == 110.0


def test_a_reopening_at_the_end_of_the_pause_needs_no_extension(opened: Monitor) -> None:
    opened.quote(at("10:00:00"), 105.0, 105.1, 300, 200)
    opened.clock(at("10:00:15"))
    opened.quote(at("10:05:00"), 99.0, 101.0, 100, 100)
    (reopened,) = opened.reopens(at("10:05:15"), None)
    assert (reopened.after, reopened.reference) == (Trading.NORMAL, 100.0)


def test_a_pause_in_the_last_ten_minutes_does_not_reopen(opened: Monitor) -> None:
    low = bands(100, 100, 1, at("15:50")).lower
    assert low == 90.0, "the parameters double"
    opened.quote(at("15:50:00"), 89.9, low, 300, 200)
    (pause,) = (change for change in opened.clock(at("15:50:15")) if change.code)
    assert pause.after is Trading.CLOSE_ONLY
    assert opened.reopens(at("15:55:30"), 95.0) == ()
    (closed,) = opened.clock(at("16:00:01"))
    assert (closed.after, closed.at) == (Trading.CLOSED, at("16:00"))


def test_an_extension_into_the_last_ten_minutes_does_not_reopen_either(opened: Monitor) -> None:
    opened.quote(at("15:46:00"), 89.9, 90.0, 300, 200)
    opened.clock(at("15:46:15"))
    assert opened.trading is Trading.PAUSED
    (change,) = opened.clock(at("15:52"))
    assert (change.after, change.at) == (Trading.CLOSE_ONLY, at("15:51:15"))


def test_on_an_early_close_everything_ends_three_hours_earlier() -> None:
    day = dt.date(2020, 11, 27)
    monitor = Monitor(Stock("ABC", 100, 1, day))
    monitor.opens(at("09:30", day), 100.0)
    monitor.clock(at("12:35", day))
    assert monitor.bands == (90.0, 110.0)
    monitor.quote(at("12:50", day), 89.0, 90.0, 100, 100)
    assert monitor.clock(at("12:50:15", day))[0].after is Trading.CLOSE_ONLY
    assert monitor.clock(at("13:00:00.000001", day))[0].after is Trading.CLOSED


def test_a_straddle_and_the_pause_that_the_primary_may_call(opened: Monitor) -> None:
    (into,) = opened.quote(at("10:00"), 94.99, 101.0, 100, 100)
    assert (into.after, into.why) == (Trading.STRADDLE, "a best quote at $94.9900 stands beyond a band")
    (pause,) = opened.pauses(at("10:01"))
    assert (pause.after, pause.code) == (Trading.PAUSED, "LUDS")
    assert opened.collar == (90.25, 110.25)


def test_crossed_and_missing_quotes_are_no_limit_state(opened: Monitor) -> None:
    assert opened.quote(at("10:00"), 95.01, 95.0, 100, 100) == (), "crossed"
    assert opened.quote(at("10:01"), None, None) == ()
    assert opened.quote(at("10:02"), None, 95.0, 0, 0) == (), "nothing is displayed at the band"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.trade(at("10:00"), -1.0, 100), BadInput, "trade price -1.0"),
        (lambda m: m.trade(at("10:00"), float("nan"), 100), BadInput, "nan"),
        (lambda m: m.trade(at("10:00"), 1.0, 0), BadInput, "0 shares"),
        (lambda m: m.trade(at("10:00"), 1.0, 1.5), BadInput, "1.5 shares"),
        (lambda m: m.trade(at("10:00"), 1.0, True), BadInput, "True shares"),
        (lambda m: m.quote(at("10:00"), float("inf"), 1.0), BadInput, "bid inf"),
        (lambda m: m.clock(at("09:29")), BadDates, "earlier"),
        (lambda m: m.clock(at("10:00").replace(tzinfo=None)), BadDates, "no time zone"),
    ],
)
def test_bad_events_are_refused_and_change_nothing(
    opened: Monitor, call: Any, error: type[Exception], words: str
) -> None:
    opened.clock(at("09:30:01"))
    before = opened._state.copy()
    with pytest.raises(error) as raised:
        call(opened)
    assert words in str(raised.value)
    np.testing.assert_array_equal(opened._state, before)


@pytest.mark.parametrize(
    ("stock", "error", "words"),
    [
        (Stock("A", 0, 1, DAY), BadInput, "previous close 0"),
        (Stock("A", 1, 4, DAY), BadInput, "tier 4"),
        (Stock("A", 1, 1, dt.date(2026, 3, 1)), BadDates, "closed"),
        (Stock("A", 1, 1, dt.date(2012, 3, 1)), BadDates, "no limit up"),
    ],
)
def test_bad_stocks_are_refused(stock: Stock, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Monitor(stock)


def test_events_must_be_in_order_and_whole() -> None:
    with pytest.raises(BadDates, match="Event 1 is earlier"):
        Events([0, 0], [2, 1], [0, 0], [0, 0], [0, 0], [0, 0])
    with pytest.raises(BadInput, match="price"):
        Events([0, 0], [1, 2], [0], [0, 0], [0, 0], [0, 0])


KINDS = {"clock": machine.CLOCK, "trade": machine.TRADE, "quote": machine.QUOTE, "opens": machine.OPEN,
         "reopens": machine.REOPEN, "pauses": machine.PAUSE}  # fmt: skip
NAMES = {state.value: state.name for state in Trading}
starts = st.sampled_from(["09:30:00", "09:34:50", "12:00:00", "15:34:50", "15:49:30", "15:58:00"])
gaps = st.one_of(
    st.integers(0, 3 * 10**9),
    st.sampled_from([0, 10**9, 15 * 10**9, 30 * 10**9, 299 * 10**9, 300 * 10**9, 301 * 10**9]),
    st.integers(0, 400 * 10**9),
)
offsets = st.one_of(st.sampled_from([-1000, -500, -501, -499, 0, 499, 500, 501, 1000]), st.integers(-1200, 1200))
steps = st.tuples(st.sampled_from(["clock", "trade", "trade", "quote", "quote", "quote", "reopens", "pauses", "opens"]),
                  gaps, offsets, offsets, st.integers(0, 2), st.booleans())  # fmt: skip


def told(monitor: Monitor, changes: Any) -> list[tuple[int, str, str]]:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return [
        (round((change.at - epoch) / dt.timedelta(microseconds=1)) * 1000, change.before.name, change.after.name)
        for change in changes
        if change.before is not change.after or change.after is Trading.REOPENING
    ]


@settings(max_examples=200, deadline=None)
@given(starts, st.sampled_from([("100", 1), ("100", 2), ("2.00", 2), ("0.50", 1)]), st.lists(steps, max_size=40))
def test_single_events_chunks_and_the_whole_day_agree_with_the_oracle(
    start: str, kind_of_stock: tuple[str, int], given_steps: list[Any]
) -> None:
    close, tier = kind_of_stock
    stock = Stock("ABC", close, tier, DAY)
    single, chunked = Monitor(stock), Monitor(stock)
    rule = single._rule
    oracle = plain_luld.Plain(
        Fraction(int(rule[machine.R_PPM]), 10**6),
        Fraction(int(rule[machine.R_DOLLARS]), 10**4) or None,
        Fraction(close),
        *(int(rule[place]) for place in (machine.R_OPENS, machine.R_CLOSES)),
        *(int(rule[place]) for place in (machine.R_DOUBLE_UNTIL, machine.R_DOUBLE_FROM)),
    )
    now = round(at(start).timestamp()) * 10**9
    base = round(float(close) * 10_000)
    rows = [(KINDS["opens"], now, base, 0, 0, 0)]
    oracle.event(now, "opens", Fraction(base, 10_000))
    single.feed(Events(*(np.array([value]) for value in rows[-1])))
    for kind, gap, one, other, size, late in given_steps:
        now += gap // 1000 * 1000
        price, ask = (max(100, round(base * (1 + move / 10_000) / 100) * 100) for move in (one, other))
        if kind == "trade":
            rows.append((KINDS[kind], now, price, size > 0, 0, 0))
            oracle.event(now, "trade" if size > 0 else "clock", Fraction(price, 10_000))
        elif kind == "quote":
            if late and not math.isnan(single.reference):
                price, ask = int(oracle.bands[1] * 10_000), int(oracle.bands[0] * 10_000)
                price, ask = (price, price + 100) if one > 0 else (max(ask - 100, 100), ask)
            rows.append((KINDS[kind], now, price, size, ask, size))
            oracle.event(now, "quote", (Fraction(price, 10_000), size), (Fraction(ask, 10_000), size))
        else:
            rows.append((KINDS[kind], now, price if kind in ("opens", "reopens") else 0, 0, 0, 0))
            oracle.event(now, kind, Fraction(price, 10_000))
        single.feed(Events(*(np.array([value]) for value in rows[-1])))
        assert single.trading.name == oracle.state
        if oracle.reference is not None:
            assert single.reference == float(oracle.reference)
            if oracle.state in ("NORMAL", "STRADDLE", "LIMIT"):
                assert single.bands == tuple(map(float, oracle.bands))
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    whole = replay(stock, Events(*arrays))
    half = len(rows) // 2
    chunks = [Events(*(column[part] for column in arrays)) for part in (slice(0, half), slice(half, None))]
    in_chunks = [change for chunk in chunks for change in chunked.feed(chunk)]
    assert [(c.at, c.after, c.why, c.lower) for c in whole] == [(c.at, c.after, c.why, c.lower) for c in in_chunks]
    assert told(single, whole) == oracle.told


def test_more_changes_than_there_was_room_for_are_all_told() -> None:
    stock = Stock("ABC", 100, 1, DAY)
    begin = round(at("10:00").timestamp()) * 10**9
    n = 4000
    bids = np.where(np.arange(n) % 2, 949_000, 990_000)
    kinds = np.full(n + 1, machine.QUOTE)
    kinds[0] = machine.OPEN
    times = begin + np.arange(n + 1) * 1_000_000
    events = Events(
        kinds,
        times,
        np.r_[1_000_000, bids],
        np.r_[0, np.full(n, 100)],
        np.r_[0, np.full(n, 1_001_000)],
        np.full(n + 1, 1),
    )
    changes = replay(stock, events)
    assert len(changes) == n
    assert [change.event for change in changes][:3] == [0, 2, 3]


def test_memory_does_not_grow_with_events(opened: Monitor) -> None:
    sizes = [array.nbytes for array in (opened._state, opened._sums, opened._counts)]
    begin = round(at("10:00").timestamp()) * 10**9
    n = 200_000
    events = Events(
        np.full(n, machine.TRADE),
        begin + np.arange(n) * 10**6,
        np.full(n, 1_000_000),
        np.ones(n),
        np.zeros(n),
        np.zeros(n),
    )
    opened.feed(events)
    assert [array.nbytes for array in (opened._state, opened._sums, opened._counts)] == sizes
