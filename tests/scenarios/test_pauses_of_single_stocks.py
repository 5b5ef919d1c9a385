"""Pauses of single stocks: they emerge from bars under the rules of the day, at the right moments."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.orders.halts.luld import Monitor, Stock
from quantdesk.orders.rulebook import bundled
from quantdesk.scenarios.pauses import StockBars, _one_by_one, pauses

NY = ZoneInfo("America/New_York")
DAY = dt.date(2021, 6, 1)
BOOK = bundled()
MINUTE = 60 * SECOND


def clock(text: str, day: dt.date = DAY) -> int:
    return nanoseconds(dt.datetime.fromisoformat(f"{day} {text}").replace(tzinfo=NY))


def bars(prices, *, day: dt.date = DAY, begins: str = "10:00", length: int = MINUTE, tier: int = 1) -> StockBars:
    """Bars that close at these prices, each opening where the one before closed; the first one at the first price."""
    close = np.asarray(prices, dtype=float)
    starts = clock(begins, day) + length * np.arange(len(close))
    opens = np.concatenate([close[:1], close[:-1]])
    return StockBars("ABC", day, 100.0, tier, starts, starts + length, opens, close, clock("16:00", day))


def test_a_bar_that_closes_beyond_a_band_pauses_the_stock_from_its_end_for_five_minutes() -> None:
    given_bars = bars([100.0] * 10 + [94.0] * 10)
    (pause,), bands = pauses(given_bars, BOOK)
    assert (pause.begins, pause.ends, pause.code) == (clock("10:11"), clock("10:16"), "LUDP")
    assert dict(pause.numbers) == {"reference": 100.0, "lower": 95.0, "upper": 105.0, "price": 94.0}
    before, after = bands[0], bands[-1]
    assert before == (95_000_000, 105_000_000, clock("10:00"), clock("10:11"))
    assert after[:3] == (89_300_000, 98_700_000, clock("10:16"))  # around the price of the reopening


def test_up_as_well_as_down() -> None:
    (pause,), _ = pauses(bars([100.0] * 5 + [105.0] * 10), BOOK)
    assert (pause.begins, dict(pause.numbers)["upper"]) == (clock("10:06"), 105.0)


def test_what_closes_within_the_bands_goes_on() -> None:
    assert pauses(bars([100.0] * 5 + [95.01] * 3), BOOK)[0] == []


def test_the_second_tier_may_go_further() -> None:
    assert pauses(bars([100.0] * 5 + [91.0] * 3, tier=2), BOOK)[0] == []
    assert len(pauses(bars([100.0] * 5 + [90.0] * 3, tier=2), BOOK)[0]) == 1


def test_outside_of_the_collar_it_does_not_reopen_and_the_collar_widens() -> None:
    # The collar goes from the lower band of 95.00 down by 5 % of it, 4.75, and once more with each extension.
    (pause,), bands = pauses(bars([100.0] * 5 + [86.0] * 20), BOOK)
    assert (pause.begins, pause.ends) == (clock("10:06"), clock("10:16"))
    assert "did not reopen" in pause.cause
    assert bands[-1][2] == clock("10:16")


def test_in_the_last_ten_minutes_only_the_closing_auction_is_left() -> None:
    # In the last 25 minutes the bands are twice as wide.
    (pause,), _ = pauses(bars([100.0] * 2 + [89.0] * 8, begins="15:50"), BOOK)
    assert (pause.begins, pause.ends) == (clock("15:53"), clock("16:00"))


def test_a_pause_that_reaches_the_last_ten_minutes_does_not_end() -> None:
    (pause,), _ = pauses(bars([100.0] * 3 + [80.0] * 15, begins="15:42"), BOOK)
    assert (pause.begins, pause.ends) == (clock("15:46"), clock("16:00"))


def test_bars_of_five_seconds_need_fifteen_seconds_at_the_band() -> None:
    short = 5 * SECOND
    assert pauses(bars([100.0] * 20 + [95.0] * 2 + [97.0] * 20, length=short), BOOK)[0] == []
    (pause,), _ = pauses(bars([100.0] * 20 + [95.0] * 20, length=short), BOOK)
    assert pause.begins == clock("10:00") + 20 * short + 15 * SECOND


def test_a_pause_ends_within_a_bar_where_bars_are_uneven() -> None:
    # The pause ends at 10:08:00, within the bar that goes to 10:08:30: it reopens on the way between open and close.
    lengths = np.array([60] * 3 + [90] + [60] * 4 + [61] * 3) * SECOND
    ends = clock("10:00") + np.cumsum(lengths)
    close = np.array([100.0] * 2 + [94.0] + [94.0] * 8)
    opens = np.concatenate([[100.0], close[:-1]])
    (pause,), bands = pauses(StockBars("ABC", DAY, 100.0, 1, ends - lengths, ends, opens, close, clock("16:00")), BOOK)
    assert (pause.begins, pause.ends) == (clock("10:03"), clock("10:08"))
    assert bands[-1][2] == clock("10:08")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0002, 0.004), st.sampled_from([5, 20, 60, 73]))
def test_the_fast_way_and_the_monitor_fed_bar_by_bar_agree(seed, deviation, seconds) -> None:
    rng = np.random.default_rng(seed)
    given_bars = bars(100 * np.exp(np.cumsum(deviation * rng.standard_normal(60))), length=seconds * SECOND)
    slow = _one_by_one(Monitor(Stock("ABC", 100.0, 1, DAY), BOOK), given_bars, BOOK)
    assert pauses(given_bars, BOOK) == slow


def test_from_june_2010_a_tenth_within_five_minutes_paused_a_stock() -> None:
    day = dt.date(2011, 8, 8)
    (pause,), bands = pauses(bars([100.0] * 5 + [95.0, 90.0] + [90.0] * 10, day=day), BOOK)
    assert (pause.begins, pause.ends, pause.code) == (clock("10:07", day), clock("10:12", day), "T5")
    assert bands == []
    slowly = np.linspace(100, 80, 30)
    assert pauses(bars(slowly, day=day), BOOK) == ([], [])


def test_what_happened_before_a_pause_does_not_count_after_it() -> None:
    day = dt.date(2011, 8, 8)
    found, _ = pauses(bars([100.0] * 5 + [90.0] * 6 + [85.0] * 5, day=day), BOOK)
    assert [pause.begins for pause in found] == [clock("10:06", day)]


@pytest.mark.parametrize("day", [dt.date(2008, 10, 15), dt.date(2010, 5, 6)])
def test_before_june_2010_nothing_paused(day) -> None:
    assert pauses(bars([100.0, 60.0, 1.0, 100.0], day=day), BOOK) == ([], [])


def test_no_bars_no_pause() -> None:
    assert pauses(bars([]), BOOK) == ([], [])
