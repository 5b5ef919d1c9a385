"""The monitor's three forms: one event by a method, a chunk, a whole day. The same bits in every form.

What the monitor must do is held by test_monitor.py against a plain oracle; here long flows show that runs of quiet
events, which the loop takes with a short cut, leave exactly what event by event leaves.
"""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates
from quantdesk.orders.halts.luld import Events, Monitor, Stock, Trading, machine, replay

NY = ZoneInfo("America/New_York")
DAY = dt.date(2026, 11, 24)
OPENS = round(dt.datetime(2026, 11, 24, 9, 30, tzinfo=NY).timestamp()) * 10**9


def flow(seed: int, n: int, seconds: float, wild: float) -> Events:
    """A session of random trades and quotes: jumps through bands, crossed and missing quotes, pauses, reopenings."""
    rng = np.random.default_rng(seed)
    at = OPENS + np.sort(rng.integers(0, int(seconds * 1e9), n))
    at[0] = OPENS
    price = 1_000_000 * np.exp(np.cumsum(rng.normal(0, wild, n)))
    grid = (100, 10_000, 50_000)[seed % 3]  # on a coarse one, quotes stand at a band exactly
    price = np.maximum(price // grid * grid, 100).astype(np.int64)
    spread = rng.integers(-1, 6, n) * 100
    drawn = rng.random(n)
    kind = np.select(
        [drawn < 0.3, drawn < 0.98, drawn < 0.985, drawn < 0.993, drawn < 0.994],
        [machine.TRADE, machine.QUOTE, machine.CLOCK, machine.REOPEN, machine.PAUSE],
        machine.QUOTE,
    )
    kind[0] = machine.OPEN
    quote = kind == machine.QUOTE
    size = np.where(quote, rng.integers(0, 3, n) * 100, rng.integers(0, 2, n))
    bid = np.where(quote & (rng.random(n) < 0.02), 0, price)
    ask = np.where(quote & (rng.random(n) > 0.02), price + spread, 0)
    return Events(kind, at, bid, size, ask, np.where(quote, rng.integers(0, 3, n) * 100, 0))


def parts(events: Events, bounds: Any) -> list[Events]:
    columns = (events.kind, events.at, events.price, events.size, events.other, events.other_size)
    return [Events(*(one[begin:end] for one in columns)) for begin, end in pairwise(bounds)]


def same(one: Monitor, other: Monitor) -> None:
    for name in ("_state", "_sums", "_counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(400, 60.0), (1000, 2000.0), (600, 23_500.0)]),
    st.sampled_from([0.0002, 0.003, 0.02]),
    st.sampled_from([("100", 1), ("100", 2), ("2.5", 2), ("0.60", 1)]),
)
def test_runs_of_quiet_events_leave_what_event_by_event_leaves(
    seed: int, shape: tuple[int, float], wild: float, kind: tuple[str, int]
) -> None:
    stock = Stock("ABC", kind[0], kind[1], DAY)
    events = flow(seed, *shape, wild)
    whole, single, chunked = Monitor(stock), Monitor(stock), Monitor(stock)
    changes = whole.feed(events)
    one_by_one = [change for part in parts(events, range(len(events) + 1)) for change in single.feed(part)]
    in_chunks = [c for part in parts(events, [*range(0, len(events), 97), len(events)]) for c in chunked.feed(part)]
    told = [(c.at, c.before, c.after, c.why, c.code, c.reference, c.lower, c.upper) for c in changes]
    assert told == [(c.at, c.before, c.after, c.why, c.code, c.reference, c.lower, c.upper) for c in one_by_one]
    assert told == [(c.at, c.before, c.after, c.why, c.code, c.reference, c.lower, c.upper) for c in in_chunks]
    same(whole, single)
    same(whole, chunked)


def test_those_flows_reach_every_state() -> None:
    reached = set()
    for seed in range(9):
        for wild in (0.0002, 0.003, 0.02):
            reached |= {c.after for c in replay(Stock("A", 100, 1, DAY), flow(seed, 1500, 2000.0, wild))}
    assert reached >= {Trading.NORMAL, Trading.LIMIT, Trading.STRADDLE, Trading.PAUSED, Trading.REOPENING}


def test_methods_and_arrays_are_one(  # datetimes, whole nanoseconds, and an array
) -> None:
    events = flow(3, 1500, 5000.0, 0.003)
    stock = Stock("ABC", 100, 1, DAY)
    by_int, by_datetime, by_array = Monitor(stock), Monitor(stock), Monitor(stock)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    rows = zip(
        *(getattr(events, name).tolist() for name in ("kind", "at", "price", "size", "other", "other_size")),
        strict=True,
    )
    told: list[list[Any]] = [[], []]
    for kind, at, price, size, other, other_size in rows:
        at_us = at // 1000 * 1000
        moments: tuple[Any, Any] = (at_us, epoch + dt.timedelta(microseconds=at_us // 1000))
        for monitor, now, out in zip((by_int, by_datetime), moments, told, strict=True):
            dollars = price / 10_000 or None
            if kind == machine.TRADE:
                out += monitor.trade(now, dollars or 1.0, 100 if size else 99)
            elif kind == machine.QUOTE:
                out += monitor.quote(now, dollars, other / 10_000 or None, size, other_size)
            elif kind == machine.CLOCK:
                out += monitor.clock(now)
            elif kind == machine.REOPEN:
                out += monitor.reopens(now, dollars)
            elif kind == machine.PAUSE:
                out += monitor.pauses(now)
            else:
                out += monitor.opens(now, dollars)
    columns = [getattr(events, name) for name in ("kind", "price", "size", "other", "other_size")]
    changes = by_array.feed(Events(columns[0], events.at // 1000 * 1000, *columns[1:]))
    assert len(changes) > 20
    for out in told:
        assert [(c.at, c.why, c.lower) for c in out] == [(c.at, c.why, c.lower) for c in changes]
    same(by_int, by_array)
    same(by_datetime, by_array)


def test_time_alone_can_change_more_than_sixteen_times_in_one_event() -> None:
    monitor = Monitor(Stock("ABC", 100, 1, DAY))
    monitor.opens(OPENS, 100.0)
    monitor.pauses(OPENS + 10**9)
    changes = monitor.clock(OPENS + 23_400 * 10**9 + 1)
    extensions = [change for change in changes if change.after is Trading.REOPENING]
    assert len(extensions) == 75, "every five minutes until ten minutes before the close"
    assert [change.after for change in changes[75:]] == [Trading.CLOSE_ONLY, Trading.CLOSED]
    assert all(later.at > sooner.at for sooner, later in pairwise(changes))


def test_each_change_says_why_with_the_numbers() -> None:
    at, second = OPENS, 10**9
    monitor = Monitor(Stock("ABC", 98, 1, DAY))
    told = [*monitor.opens(at, 100.0)]
    told += monitor.trade(at + second, 102.0, 100)
    told += monitor.clock(at + 31 * second)
    told += monitor.quote(at + 40 * second, 96.8, 96.9, 100, 200)
    told += monitor.clock(at + 400 * second)
    told += monitor.reopens(at + 500 * second, 97.0)
    told += monitor.clock(OPENS + 22_000 * second)
    assert [change.why for change in told] == [
        "the primary opened at $100.0000",
        "the mean of five minutes moved the reference from $100.0000 to $102.0000",
        "the best offer stands at the lower band (200 shares)",
        "the limit state at $96.9000 lasted too long: trading pauses (LUDP)",
        "the primary has not reopened: the pause goes on until 09:40:55, the collar widens",
        "the primary reopened at $97.0000",
        "the parameters double in this part of the session: $87.3000 to $106.7000",
    ]
    on_a_quote = Monitor(Stock("ABC", 98, 1, DAY))
    (change,) = on_a_quote.opens(at, None)
    assert change.why == "the primary opened on a quote: the previous close of $98.0000 is the reference"


def test_an_earlier_event_is_refused_in_every_form() -> None:
    monitor = Monitor(Stock("ABC", 100, 1, DAY))
    monitor.opens(OPENS, 100.0)
    before = monitor._memory.copy()
    for call in (
        lambda: monitor.clock(OPENS - 1),
        lambda: monitor.feed(Events([machine.CLOCK], [OPENS - 1], [0], [0], [0], [0])),
    ):
        with pytest.raises(BadDates, match="earlier"):
            call()
    np.testing.assert_array_equal(monitor._memory, before)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["100", "3", "0.70"]), st.sampled_from([1, 2]))
def test_bands_enclose_the_reference_all_day(seed: int, close: str, tier: int) -> None:
    monitor = Monitor(Stock("ABC", close, tier, DAY))
    for part in parts(flow(seed, 300, 23_300.0, 0.01), range(0, 301, 60)):
        for change in monitor.feed(part):
            if change.after in (Trading.NORMAL, Trading.LIMIT, Trading.STRADDLE):
                assert change.lower <= change.reference <= change.upper
        bands = monitor.band_micros
        if bands is not None:
            assert bands[0] <= round(monitor.reference * 1e6) <= bands[1]
            assert bands == tuple(round(band * 1e6) for band in monitor.bands)
            assert bands[0] % 10_000 == bands[1] % 10_000 == 0, "to the cent"
