"""The four halts of March 2020: at the published time, from real daily corners, and found again in the bars."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from quantdesk.orders.halts.breakers import levels
from quantdesk.scenarios import Grade, Path
from quantdesk.scenarios.intraday import by_minute
from quantdesk.scenarios.intraday.march_2020 import HALTED, METHOD
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.scenario import AssetEntry, Intraday, Scenario
from quantdesk.scenarios.stopped import emergent

NY = ZoneInfo("America/New_York")
CLOSED = GRADES.index(Grade.CLOSED)
SYMBOLS = ("SPX", "AAPL", "JPM", "KO", "EURUSD", "UST10Y")
FIRST, LAST = dt.date(2020, 3, 9), dt.date(2020, 3, 18)


@pytest.fixture(scope="module")
def plan() -> Scenario:
    return Scenario(
        name="march_2020", title="m", summary="m", start=dt.date(2020, 2, 19), end=dt.date(2020, 3, 23),
        assets=tuple(AssetEntry(symbol=symbol) for symbol in SYMBOLS), sources=("test",),
        intraday=Intraday(first=FIRST, last=LAST, model="halts_2020"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def daily(plan, store) -> Path:
    return replay(plan, store)


@pytest.fixture(scope="module", params=[0, 1, 2])
def made(request, plan, daily) -> Path:
    return by_minute(daily, plan, seed=request.param)


def rows_of(path: Path, day: dt.date) -> np.ndarray:
    return np.flatnonzero(path.sessions == np.datetime64(day))


def test_the_corners_of_every_day_are_hit_in_bars_that_are_open(made, daily) -> None:
    for day in daily.sessions[(daily.sessions >= str(FIRST)) & (daily.sessions <= str(LAST))]:
        (row,), rows = rows_of(daily, day), rows_of(made, day)
        for name, of in (("open", lambda x: x[0]), ("high", np.nanmax), ("low", np.nanmin), ("close", lambda x: x[-1])):
            assert of(getattr(made, name)[rows, 0]) == getattr(daily, name)[row, 0]
        assert np.nansum(made.volume[rows, 0]) == daily.volume[row, 0]
        np.testing.assert_array_equal(made.close[rows[-1], :4], daily.close[row, :4])


@pytest.mark.parametrize("day", HALTED)
def test_the_level_is_reached_at_the_published_time_and_not_before(made, daily, day) -> None:
    rows = rows_of(made, day)
    previous = daily.close[rows_of(daily, day)[0] - 1, 0]
    level = levels(previous, day).level_1
    ends = [dt.datetime.fromtimestamp(end / 1e9, NY).time() for end in made.ends[rows]]
    first = int(np.flatnonzero(made.low[rows, 0] <= level)[0])
    assert ends[first] == HALTED[day]
    if made.open[rows[0], 0] > level:
        assert made.close[rows[first], 0] == level
    shut = np.flatnonzero(made.grades[rows, 0] == CLOSED)
    np.testing.assert_array_equal(shut, np.arange(first + 1, first + 17))  # 15 minutes, the first and last one cut
    assert made.ends[rows[shut[-1]]] - made.begins[rows[shut[0]]] == 900 * 10**9
    assert (made.grades[rows[shut]][:, :4] == CLOSED).all()
    assert (made.grades[rows[shut]][:, 4:] != CLOSED).all()  # currencies and bonds go on


def test_the_bars_set_off_the_four_halts_again_and_nothing_else(made) -> None:
    found = emergent(made)
    assert [(met.symbol, met.code) for met in found.met] == [("*", "MWC1")] * 4
    assert {dt.datetime.fromtimestamp(met.begins / 1e9, NY).replace(tzinfo=None) for met in found.met} == {
        dt.datetime.combine(day, time) for day, time in HALTED.items()
    }
    assert all(met.ends - met.begins == 900 * 10**9 for met in found.met)
    np.testing.assert_array_equal(found.path.close, made.close)


def test_the_method_says_what_is_published_and_what_is_drawn(made) -> None:
    assert METHOD in made.methods["SPX"]
    assert "published time" in METHOD
    assert "drawn" in METHOD


def test_other_days_and_bars_without_the_level_are_bridged(plan, daily) -> None:
    high = np.full_like(daily.close, np.nan)
    for table in ("open", "high", "low"):
        assert getattr(daily, table).shape == high.shape
    from dataclasses import replace

    flat = replace(daily, open=None, high=None, low=None)
    found = by_minute(flat, plan, seed=1)
    assert not (found.grades[:, 0] == CLOSED).any()
    calm = replace(daily, low=np.minimum(daily.open, daily.close), close=daily.close.copy())
    calm.close[rows_of(daily, dt.date(2020, 3, 18)), 0] = 2450.0
    calm.low[rows_of(daily, dt.date(2020, 3, 18)), 0] = 2430.0  # type: ignore[index]
    quiet = by_minute(calm, plan, seed=1)
    assert not (quiet.grades[rows_of(quiet, dt.date(2020, 3, 18)), 0] == CLOSED).any()
