"""Daily bars into minutes: exact where the bar is known, labelled where it is not, and nobody else's business."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.scenarios import Asset, Grade, Path
from quantdesk.scenarios.intraday import by_minute
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.scenario import AssetEntry, Intraday, Scenario

NY = ZoneInfo("America/New_York")
REAL, MADE, SIMULATED, MISSING, CLOSED = (GRADES.index(grade) for grade in Grade)
ASSETS = (
    Asset("SPX", "index"),
    Asset("FULL", "equity"),
    Asset("ONLY", "equity"),
    Asset("UST10Y", "rate", unit="percent"),
    Asset("EURUSD", "fx"),
)


def daily(seed: int = 0, *, days: int = 90, window: int = 6, first: dt.date = dt.date(2019, 7, 25)) -> Path:
    """A window after a history: an index and a stock with whole bars, a stock with closes, a yield, a currency."""
    rng = np.random.default_rng(seed)
    market = 0.012 * rng.standard_normal(days + window)
    own = 0.01 * rng.standard_normal((days + window, len(ASSETS)))
    betas = np.array([1.0, 1.3, 0.7, 0.0, 0.0])
    close = np.array([3000.0, 40.0, 90.0, 2.0, 1.1]) * np.exp(np.cumsum(np.outer(market, betas) + 0.5 * own, axis=0))
    close[:, 0] = 3000 * np.exp(np.cumsum(market))
    opens = close * np.exp(0.004 * rng.standard_normal(close.shape))
    spread = np.exp(np.abs(0.006 * rng.standard_normal((2, *close.shape))))
    high, low = np.maximum(opens, close) * spread[0], np.minimum(opens, close) / spread[1]
    volume = np.floor(1e6 + 1e6 * rng.random(close.shape))
    for table in (opens, high, low, volume):
        table[:, 2:] = np.nan
    sessions = sessions_between("XNYS", first, first + dt.timedelta(days=2 * (days + window)))[: days + window]
    begins, ends = (times("XNYS", sessions).as_unit("ns").asi8.copy() for times in (open_times, event_times))
    grades = np.zeros(close.shape, dtype=np.int8)
    whole = Path("made", ASSETS, begins, ends, close, grades, open=opens, high=high, low=low, volume=volume)
    return replace(whole.cut(days, days + window), history=whole.cut(0, days))


def scenario(path: Path, **more) -> Scenario:
    first, last = (path.sessions[place].date() for place in (0, -1))
    plan = {"first": first, "last": last, **more}
    return Scenario(
        name="made", title="m", summary="m", start=first, end=last, sources=("test",),
        assets=tuple(AssetEntry(symbol=symbol) for symbol in path.symbols), intraday=Intraday(**plan),
    )  # fmt: skip


def by_day(path: Path, table, day) -> np.ndarray:
    return table[path.sessions == day]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_whole_bars_are_hit_exactly_and_closes_too(which, seed) -> None:
    path = daily(which)
    made = by_minute(path, scenario(path), seed=seed)
    assert len(made.ends) == 390 * 6
    for row, day in enumerate(path.sessions):
        opens, high, low, close, volume = (
            by_day(made, getattr(made, name), day) for name in ("open", "high", "low", "close", "volume")
        )
        np.testing.assert_array_equal(opens[0, :2], path.open[row, :2])
        np.testing.assert_array_equal(high[:, :2].max(axis=0), path.high[row, :2])
        np.testing.assert_array_equal(low[:, :2].min(axis=0), path.low[row, :2])
        np.testing.assert_array_equal(close[-1], path.close[row])
        np.testing.assert_array_equal(volume[:, :2].sum(axis=0), path.volume[row, :2])
        assert np.isnan(volume[:, 2:]).all()
        assert (low <= np.minimum(opens, close)).all()
        assert (high >= np.maximum(opens, close)).all()
    assert set(np.unique(made.grades)) == {MADE}
    assert made.labels == ("minutes_reconstructed",)


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    path = daily()
    first, again, other = (by_minute(path, scenario(path), seed=seed).sha256 for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("kept", [[0, 1], [2, 0], [0, 4, 3]])
def test_a_symbols_minutes_depend_on_nothing_but_its_own_bars_and_the_index(kept) -> None:
    path = daily()
    whole = by_minute(path, scenario(path), seed=5)

    def only(some: Path) -> Path:
        tables = {name: getattr(some, name)[:, kept] for name in ("close", "grades", "open", "high", "low", "volume")}
        history = None if some.history is None else only(some.history)
        return replace(some, assets=tuple(ASSETS[n] for n in kept), history=history, **tables)

    part = only(path)
    made = by_minute(part, scenario(part), seed=5)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(made, name), getattr(whole, name)[:, kept])


def test_minutes_do_not_look_at_later_days() -> None:
    path = daily()
    early = path.cut(0, 2)
    whole, part = by_minute(path, scenario(path), seed=3), by_minute(early, scenario(early), seed=3)
    np.testing.assert_array_equal(whole.close[:780], part.close)


def test_stocks_with_closes_go_with_the_index_and_yields_do_not() -> None:
    path = daily()
    made = by_minute(path, scenario(path), seed=1)
    day = made.sessions == path.sessions[0]
    returns = np.diff(np.log(made.close[day]), axis=0)
    correlations = np.corrcoef(returns.T)[0]
    assert correlations[1] > 0.5
    assert correlations[2] > 0.3
    assert abs(correlations[3]) < 0.25
    assert "beta 0.7" in made.methods["ONLY"] or "beta 0.6" in made.methods["ONLY"]
    assert "its open, high and low are reconstructed" in made.methods["ONLY"]
    assert "through its daily open, high, low and close" in made.methods["FULL"]
    assert made.methods["SPX"] == "minutes: a Brownian bridge through its daily open, high, low and close"


def test_without_a_history_beta_is_one_for_shares_and_nothing_for_the_rest() -> None:
    path = replace(daily(), history=None)
    made = by_minute(path, scenario(path), seed=1)
    assert "beta 1 for want of a history" in made.methods["ONLY"]
    assert "with the index" not in made.methods["EURUSD"]
    np.testing.assert_array_equal(made.close[389], path.close[0])


def test_without_an_index_each_goes_its_own_way() -> None:
    path = daily()
    part = replace(
        path, assets=ASSETS[2:4], close=path.close[:, 2:4], grades=path.grades[:, 2:4], open=None, high=None, low=None,
        volume=None, history=None,
    )  # fmt: skip
    made = by_minute(part, scenario(part), seed=1)
    np.testing.assert_array_equal(made.close[389::390], part.close)
    assert "index" not in made.methods["ONLY"]


def test_an_index_with_closes_alone_is_bridged_from_close_to_close() -> None:
    path = daily()
    path = replace(path, open=None, high=None, low=None)
    made = by_minute(path, scenario(path), seed=1)
    np.testing.assert_array_equal(made.close[389:1560:390], path.close[:4])
    assert made.methods["SPX"] == "minutes: a Brownian bridge from the close before to its close"
    np.testing.assert_array_equal(made.volume[:390, 0].sum(), path.volume[0, 0])


def test_a_bar_whose_close_lies_outside_of_it_counts_as_a_close_alone() -> None:
    path = daily()
    high = path.high.copy()
    high[0, 1] = path.close[0, 1] * 0.9
    broken = replace(path, high=high)
    made = by_minute(broken, scenario(broken), seed=1)
    assert "its open, high and low are reconstructed" in made.methods["FULL"]
    np.testing.assert_array_equal(made.close[389], path.close[0])


def test_an_open_that_is_not_known_is_drawn_within_the_bar_and_said_to_be() -> None:
    path = daily()
    opens = path.open.copy()
    opens[0] = np.nan
    for some in (replace(path, open=opens), replace(path, open=None)):
        made = by_minute(some, scenario(some), seed=1)
        assert (made.open[0, :2] >= path.low[0, :2]).all()
        assert (made.open[0, :2] <= path.high[0, :2]).all()
        np.testing.assert_array_equal(made.high[:390, :2].max(axis=0), path.high[0, :2])
        np.testing.assert_array_equal(made.low[:390, :2].min(axis=0), path.low[0, :2])
        assert "the open is drawn" in made.methods["SPX"]
        assert "the open is drawn" in made.methods["FULL"]
        assert "the open is drawn" not in made.methods["ONLY"]


def test_a_day_that_does_not_move_stays() -> None:
    path = daily()
    tables = {name: getattr(path, name).copy() for name in ("open", "high", "low", "close")}
    for table in tables.values():
        table[0, 0] = 3000.0
    still = replace(path, **tables)
    made = by_minute(still, scenario(still), seed=1)
    assert set(made.close[:390, 0]) == {3000.0}


def test_missing_closed_and_simulated_stay_what_they_are() -> None:
    path = daily()
    close, grades = path.close.copy(), path.grades.copy()
    close[0, 2], grades[0, 2] = np.nan, MISSING
    close[0, 4], grades[0, 4] = np.nan, CLOSED
    grades[0, 1] = SIMULATED
    made = by_minute(replace(path, close=close, grades=grades), scenario(path), seed=1)
    assert made.grades[0].tolist() == [MADE, SIMULATED, MISSING, MADE, CLOSED]
    assert np.isnan(made.close[:390, [2, 4]]).all()
    assert np.isnan(made.open[:390, [2, 4]]).all()
    assert not np.isnan(made.close[390:]).any()


def test_an_index_that_is_missing_on_a_day_leaves_the_others_to_themselves() -> None:
    path = daily()
    close, grades = path.close.copy(), path.grades.copy()
    close[0, 0], grades[0, 0] = np.nan, MISSING
    made = by_minute(replace(path, close=close, grades=grades), scenario(path), seed=1)
    assert np.isnan(made.close[:390, 0]).all()
    np.testing.assert_array_equal(made.close[389, 1:], path.close[0, 1:])


def test_a_price_below_nothing_is_bridged_in_dollars() -> None:
    path = daily()
    assets = (*ASSETS[:4], Asset("WTI", "commodity"))
    close = path.close.copy()
    close[:, 4] = [20.0, 18.0, -37.0, 10.0, 13.0, 15.0]
    grades = path.history.close * np.array([1, 1, 1, 1, 20.0])
    path = replace(path, assets=assets, close=close, history=replace(path.history, assets=assets, close=grades))
    made = by_minute(path, scenario(path), seed=1)
    np.testing.assert_array_equal(made.close[389::390, 4], close[:, 4])
    third = made.close[780:1170, 4]
    assert -60 < third.min() < 0 < third.max() < 40
    assert 0.01 < np.diff(third).std() < 1  # dollars: a usual day of oil at 20 is about half of one


def test_early_closes_have_fewer_minutes() -> None:
    path = daily(days=87, window=6)  # until the Friday after Thanksgiving 2019
    days = [day.date() for day in path.sessions]
    assert dt.date(2019, 11, 29) in days
    made = by_minute(path, scenario(path), seed=1)
    assert (made.sessions == "2019-11-29").sum() == 210


def test_the_history_is_that_of_the_path_and_the_days_before_the_first_minute() -> None:
    path = daily()
    made = by_minute(path, scenario(path, first=path.sessions[2].date()), seed=1)
    assert made.history is not None
    np.testing.assert_array_equal(made.history.close, np.concatenate([path.history.close, path.close[:2]]))
    np.testing.assert_array_equal(made.history.open, np.concatenate([path.history.open, path.open[:2]]))
    assert made.history.ends[-1] <= made.begins[0]
    alone = replace(path, history=None)
    shorter = by_minute(alone, scenario(path, first=path.sessions[2].date()), seed=1).history
    assert shorter is not None
    np.testing.assert_array_equal(shorter.close, path.close[:2])
    assert by_minute(alone, scenario(path), seed=1).history is None


def test_a_run_of_so_many_minutes_starts_when_the_scenario_says() -> None:
    path = daily()
    plan = scenario(path, starts=dt.time(14, 30))
    whole = by_minute(path, plan, seed=1)
    some = by_minute(path, plan, bars=120, seed=1)
    assert len(some.ends) == 120
    assert some.begins[0] == nanoseconds(dt.datetime.combine(path.sessions[0], dt.time(14, 30), NY))
    np.testing.assert_array_equal(some.close, whole.close[300:420])
    at = dt.datetime.combine(path.sessions[1].date(), dt.time(11), NY)
    np.testing.assert_array_equal(by_minute(path, plan, first=at, bars=5, seed=1).close, whole.close[480:485])
    np.testing.assert_array_equal(by_minute(path, plan, first=at.date(), bars=5, seed=1).close, whole.close[390:395])


def test_what_cannot_be_had_is_refused_with_the_value() -> None:
    path = daily()
    plan = scenario(path)
    with pytest.raises(BadInput, match=r"3000 minutes .* there are 2340"):
        by_minute(path, plan, bars=3000, seed=1)
    for bars in (0, -1, True):
        with pytest.raises(BadInput, match="minutes"):
            by_minute(path, plan, bars=bars, seed=1)
    with pytest.raises(BadInput, match="no minutes"):
        by_minute(path, plan.model_copy(update={"intraday": None}), seed=1)
    with pytest.raises(BadInput, match="several bars a day"):
        by_minute(by_minute(path, plan, seed=1), plan, seed=1)
    with pytest.raises(BadDates, match="2001-01-02"):
        by_minute(path, plan, first=dt.date(2001, 1, 2), seed=1)
    with pytest.raises(BadDates, match="2030-01-02"):
        by_minute(path, plan, first=dt.date(2030, 1, 2), seed=1)
    with pytest.raises(BadDates, match="no time zone"):
        by_minute(path, plan, first=dt.datetime.fromisoformat("2019-12-02 10:00"), seed=1)
    late = dt.datetime.combine(path.sessions[-1].date(), dt.time(17), NY)
    with pytest.raises(BadInput, match="there are 0"):
        by_minute(path, plan, first=late, seed=1)


def test_bars_follow_each_other_and_are_a_minute_long() -> None:
    path = daily()
    made = by_minute(path, scenario(path), seed=1)
    assert set(made.ends - made.begins) == {60 * SECOND}
    assert made.is_intraday
