"""The breakers followed value by value, the day that is over, and other indices that stand in for the Dow Jones."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput
from quantdesk.market import bundled
from quantdesk.orders.halts.breakers import Watch, levels, replay

NY = ZoneInfo("America/New_York")


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NY)


@pytest.fixture(scope="module")
def daily() -> pd.DataFrame:
    """The bundled S&P 500 by session, with the close of the session before."""
    (source,) = (one for one in bundled() if one.name == "vega-datasets")
    (series,) = source.series()
    bars = series.frame.set_index("session")
    return bars.assign(previous=bars["close"].shift()).dropna(subset=["previous"])


def test_a_level_is_told_when_it_is_reached_and_the_day_can_be_over() -> None:
    watch = Watch(5000)
    assert watch.value(at("2024-06-03 10:00"), 4700.0) == ()
    (first,) = watch.value(at("2024-06-03 10:01"), 4650.0)
    assert (first.level, first.stops, watch.is_over) == (1, True, False)
    assert watch.value(at("2024-06-03 10:05"), 3000.0) == (), "nobody trades on it"
    second, third = watch.value(at("2024-06-03 10:16"), 3900.0)
    assert (second.level, third.level, third.resumes) == (2, 3, None)
    assert watch.is_over
    assert watch.value(at("2024-06-03 15:59"), 100.0) == ()
    assert [halt.level for halt in watch.halts] == [1, 2, 3]


def test_a_bad_value_changes_nothing() -> None:
    watch = Watch(5000)
    watch.value(at("2024-06-03 10:00"), 4700.0)
    for when, value, error in (
        ("2024-06-03 09:59", 4000.0, BadDates),
        ("2024-06-03 17:00", 4000.0, BadDates),
        ("2024-06-03 10:01", float("nan"), BadInput),
        ("2024-06-03 10:01", -1.0, BadInput),
    ):
        with pytest.raises(error):
            watch.value(at(when), value)
    assert watch.halts == ()
    assert [halt.level for halt in watch.value(at("2024-06-03 10:01"), 4650.0)] == [1]


@given(st.lists(st.floats(0.5, 1.1), min_size=1, max_size=30))
def test_value_by_value_is_the_path(moves: list[float]) -> None:
    path = [(at("2024-06-03 09:30") + dt.timedelta(minutes=12 * n), 5000 * move) for n, move in enumerate(moves)]
    watch = Watch(5000)
    found = [halt for when, value in path for halt in watch.value(when, value)]
    assert tuple(found) == watch.halts == replay(path, 5000)


def test_the_four_days_of_march_2020_from_daily_prices_and_the_published_minutes(daily: pd.DataFrame) -> None:
    """Days and levels from daily lows; times as published; each resumes a quarter of an hour later."""
    published = {"03-09": "09:34:13", "03-12": "09:35:44", "03-16": "09:30:01", "03-18": "12:56:17"}
    fired = {}
    for session, bar in daily.loc["2020-02-20":"2020-04-30"].iterrows():  # type: ignore[misc]
        day = session.strftime("%m-%d")  # type: ignore[attr-defined]
        when = at(f"2020-{day} {published.get(day, '12:00:00')}")
        for halt in replay([(when, float(bar["low"]))], float(bar["previous"])):
            fired[day] = (halt.level, halt.at, halt.resumes)
            assert halt.threshold == levels(float(bar["previous"]), when.date()).level_1
    assert fired == {
        day: (1, at(f"2020-{day} {time}"), at(f"2020-{day} {time}") + dt.timedelta(minutes=15))
        for day, time in published.items()
    }


def test_no_day_from_1998_to_2013_fires_under_its_own_rules(daily: pd.DataFrame) -> None:
    """The S&P 500 as a proxy, with the low of each day at the strictest time: 2008 and 2010 stop nothing."""
    years = daily.loc["1998-04-15":"2013-04-07"]  # type: ignore[misc]
    assert {2008, 2010} <= set(years.index.year)
    falls = years["low"] / years["previous"] - 1
    assert falls.min() > -0.10
    for session in falls.nsmallest(10).index:
        bar = years.loc[session]
        when = at(f"{session:%Y-%m-%d} 10:00")
        assert replay([(when, float(bar["low"]))], float(bar["previous"])) == ()


def test_points_of_the_dow_jones_need_its_close_where_another_index_stands_in() -> None:
    path = [(at("1997-10-27 14:35"), 898.0)]
    with pytest.raises(BadInput, match="points of the DJIA, and the path is of the SPX"):
        replay(path, 941.64)
    with pytest.raises(BadInput, match="base of the quarter is one of the DJIA"):
        replay([(at("2008-01-02 10:00"), 1300.0)], 1400, quarter_base=13400)
    (halt,) = replay(path, 941.64, watched_close="7715.41")
    assert (halt.level, halt.proxy, halt.index) == (1, True, "DJIA")
    assert halt.threshold == pytest.approx(941.64 * (1 - 350 / 7715.41))


def test_a_proxy_with_the_close_of_the_dow_jones_has_its_rounded_points() -> None:
    # Base 13400: 10 % are 1340 points, rounded to 1350; of 11000 that is 12.27 %.
    path = [(at("2008-01-02 10:00"), 1400 * (1 - 0.125))]
    (halt,) = replay(path, 1400, watched_close=11000, quarter_base=13400)
    assert halt.threshold == pytest.approx(1400 * (1 - 1350 / 11000))
    assert replay([(at("2008-01-02 10:00"), 1400 * 0.88)], 1400, watched_close=11000, quarter_base=13400) == ()
