"""The market-wide breakers of every era against what was published, and the four halts of March 2020."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput
from quantdesk.market import bundled
from quantdesk.orders.halts.breakers import levels, replay

NY = ZoneInfo("America/New_York")


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NY)


def test_published_levels_are_truncated() -> None:
    found = levels(2711.02, dt.date(2020, 3, 16))
    assert (found.level_1, found.level_2, found.level_3) == (2521.24, 2358.58, 2168.81)


def test_points_of_the_first_eras() -> None:
    assert levels(2000, dt.date(1989, 1, 3)).level_1 == 1750
    assert levels(2000, dt.date(1989, 1, 3)).level_2 == 1600
    assert levels(2000, dt.date(1989, 1, 3)).level_3 is None
    assert levels("7715.41", dt.date(1997, 10, 27)).level_1 == 7365.41


def test_from_1998_the_points_are_rounded_to_fifty() -> None:
    found = levels(11000, dt.date(2008, 1, 2), quarter_base=13400)
    assert (found.level_1, found.level_2, found.level_3) == (11000 - 1350, 11000 - 2700, 11000 - 4000)
    assert levels(13400, dt.date(2008, 1, 2)) == levels(13400, dt.date(2008, 1, 2), quarter_base=13400)


@pytest.mark.parametrize(
    ("close", "fell", "resumed"),
    [
        (2972.37, "2020-03-09 09:34:13", "2020-03-09 09:49:13"),
        (2741.38, "2020-03-12 09:35:44", "2020-03-12 09:50:44"),
        (2711.02, "2020-03-16 09:30:01", "2020-03-16 09:45:01"),
        (2529.19, "2020-03-18 12:56:17", "2020-03-18 13:11:17"),
    ],
)
def test_the_four_halts_of_march_2020(close: float, fell: str, resumed: str) -> None:
    day = at(fell).date()
    first = levels(close, day).level_1
    opens = at(f"{day} 09:30:00")
    path = [(opens, first + 0.01), (at(fell), first), (at(fell) + dt.timedelta(minutes=10), first - 500)]
    (halt,) = replay(path, close)
    assert (halt.level, halt.at, halt.resumes, halt.proxy) == (1, at(fell), at(resumed), False)
    assert halt.value == halt.threshold == first


def test_since_2013_daily_prices_reach_a_level_on_those_four_days_alone() -> None:
    """Days and levels from the bundled S&P 500; the minutes are the published ones."""
    (source,) = (one for one in bundled() if one.name == "vega-datasets")
    (series,) = source.series()
    bars = series.frame.set_index("session")
    previous = bars["close"].shift()
    since = bars[(bars.index >= "2013-04-08") & previous.notna()]
    reached = {
        str(session.date()): [n for n in (1, 2, 3) if low <= getattr(found, f"level_{n}")]
        for session, low in since["low"].items()
        if low <= (found := levels(previous[session], session.date())).level_1
    }
    assert reached == {"2020-03-09": [1], "2020-03-12": [1], "2020-03-16": [1], "2020-03-18": [1]}
    days = [dt.date.fromisoformat(day) for day in reached]
    assert [round(float(previous[day.isoformat()]), 2) for day in days] == [2972.37, 2741.38, 2711.02, 2529.19]


@pytest.mark.parametrize(
    ("when", "minutes"),
    [("15:24:59", 15), ("15:25:00", 15), ("15:25:00.000001", 0), ("15:59", 0), ("09:30", 15)],
)
def test_until_when_a_first_level_stops_the_market(when: str, minutes: int) -> None:
    (halt,) = replay([(at(f"2024-06-03 {when}"), 4600.0)], 5000)
    assert halt.resumes == at(f"2024-06-03 {when}") + dt.timedelta(minutes=minutes)
    assert halt.stops is (minutes > 0)


def test_on_an_early_close_the_boundary_moves() -> None:
    (before,) = replay([(at("2020-11-27 12:25"), 4600.0)], 5000)
    (after,) = replay([(at("2020-11-27 12:25:01"), 4600.0)], 5000)
    assert (before.stops, after.stops) == (True, False)


def test_the_third_level_ends_the_day_at_any_time() -> None:
    found = replay([(at("2024-06-03 15:59"), 3900.0), (at("2024-06-03 15:59:30"), 5000.0)], 5000)
    assert [(halt.level, halt.resumes) for halt in found][-1] == (3, None)


def test_each_level_counts_once_a_day_and_not_while_trading_is_stopped() -> None:
    path = [
        (at("2024-06-03 10:00"), 4640.0),
        (at("2024-06-03 10:10"), 4300.0),  # stopped: nobody trades on it
        (at("2024-06-03 10:15"), 4500.0),
        (at("2024-06-03 11:00"), 4640.0),  # the first level again: once a day
        (at("2024-06-03 12:00"), 4350.0),
    ]
    assert [(halt.level, halt.at) for halt in replay(path, 5000)] == [(1, path[0][0]), (2, path[4][0])]


def test_october_1997_stopped_twice_and_did_not_open_again() -> None:
    path = [
        (at("1997-10-27 14:35"), 7365.41),
        (at("1997-10-27 15:05"), 7360.0),
        (at("1997-10-27 15:30"), 7161.15),
        (at("1997-10-27 15:59"), 7000.0),
    ]
    first, second = replay(path, "7715.41", index="DJIA")
    assert (first.level, first.resumes) == (1, at("1997-10-27 15:05"))
    assert (second.level, second.resumes) == (2, None)
    assert not first.proxy


def test_2008_and_2010_fire_nothing_under_their_own_rules() -> None:
    # 2008-10-15, the worst day of that autumn, and the minute of 6 May 2010, in points of the Dow Jones.
    assert replay([(at("2008-10-15 15:59"), 8577.91)], 9310.99, index="DJIA", quarter_base=11000) == ()
    assert replay([(at("2010-05-06 14:47"), 9869.62)], 10868.12, index="DJIA", quarter_base=10850) == ()


def test_another_index_is_said_to_stand_in() -> None:
    (halt,) = replay([(at("2000-04-14 11:00"), 1200.0)], 1440, index="SPX")
    assert (halt.index, halt.proxy) == ("DJIA", True)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([(at("2024-06-02 12:00"), 1.0)], "closed on 2024-06-02"),
        ([(at("2024-06-03 09:00"), 1.0)], "outside of the session"),
        ([(at("2024-06-03 12:00"), 5000.0), (at("2024-06-03 11:00"), 5000.0)], "comes after"),
        ([(at("2024-06-03 12:00").replace(tzinfo=None), 5000.0)], "no time zone"),
        ([(at("1987-10-19 12:00"), 5000.0)], "no market-wide breakers"),
        ([(at("2024-06-03 12:00"), 5000.0), (at("2024-06-04 12:00"), 5000.0)], "outside of the session"),
    ],
)
def test_bad_paths_are_refused(path: list[tuple[dt.datetime, float]], words: str) -> None:
    with pytest.raises(BadDates, match=words):
        replay(path, 5000)


def test_values_must_be_prices() -> None:
    with pytest.raises(BadInput, match="nan"):
        replay([(at("2024-06-03 12:00"), float("nan"))], 5000)
    with pytest.raises(BadInput, match="previous close 0"):
        levels(0, dt.date(2024, 6, 3))


def test_an_empty_path_stops_nothing() -> None:
    assert replay([], 5000) == ()


@given(st.integers(1, 10_000_00), st.dates(dt.date(2013, 4, 8), dt.date(2026, 11, 20)))
def test_levels_lie_below_the_close_and_never_above_their_percentage(cents: int, on: dt.date) -> None:
    close = Decimal(cents) / 100
    found = levels(close, on)
    assert found.level_3 is not None
    assert 0 <= found.level_3 <= found.level_2 <= found.level_1 < float(close)
    for level, fall in zip((found.level_1, found.level_2, found.level_3), ("0.07", "0.13", "0.20"), strict=True):
        exact = close * (1 - Decimal(fall))
        assert 0 <= exact - Decimal(str(level)) < Decimal("0.01")


@given(st.lists(st.floats(0.5, 1.1), min_size=1, max_size=40))
def test_a_path_stops_no_earlier_than_it_reaches_a_level(moves: list[float]) -> None:
    begin = at("2024-06-03 09:30")
    path = [(begin + dt.timedelta(minutes=9 * n), 5000 * move) for n, move in enumerate(moves)]
    found = replay(path, 5000)
    assert [halt.level for halt in found] == sorted({halt.level for halt in found})
    assert all(halt.value <= halt.threshold for halt in found)
    if not found:
        assert min(value for _, value in path) > levels(5000, begin.date()).level_1
