"""Values between published ones: hit where published, by the formula between, and nowhere else."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.replay.levels import is_stale
from quantdesk.scenarios.replay.reconstruction import REACH, bridge, slope_of

DAYS = pd.bdate_range("2020-03-02", periods=21, unit="ns")
NONE = pd.Series(dtype=float, index=pd.DatetimeIndex([]))


def on(place: int) -> dt.date:
    return DAYS[place].date()


def test_prices_grow_by_one_factor_a_session() -> None:
    made = bridge("commodity", DAYS, NONE, {on(2): 50.0, on(6): 20.0})
    np.testing.assert_allclose(made.values, [50.0 * (20.0 / 50.0) ** (k / 4) for k in range(5)], rtol=1e-13)
    assert made.method == "log-linear between 2 published closes"


def test_rates_and_prices_below_zero_lie_on_a_line() -> None:
    assert bridge("rate", DAYS, NONE, {on(0): 1.0, on(4): 3.0}).values.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    oil = bridge("commodity", DAYS, NONE, {on(0): 18.0, on(2): -36.0})
    assert oil.values.tolist() == [18.0, -9.0, -36.0]


def test_nothing_is_carried_before_the_first_or_after_the_last() -> None:
    made = bridge("rate", DAYS, NONE, {on(5): 1.0, on(8): 2.0})
    assert made.values.index.tolist() == DAYS[5:9].tolist()


def test_one_waypoint_alone_is_one_value() -> None:
    made = bridge("rate", DAYS, NONE, {on(5): 1.0})
    assert made.values.to_dict() == {DAYS[5]: 1.0}
    assert made.method == "linear between 1 published close"


def test_without_waypoints_nothing_is_made() -> None:
    real = pd.Series([1.0, 2.0], DAYS[[0, 4]])
    made = bridge("rate", DAYS, real, {})
    assert made.values.empty
    assert made.method == ""


def test_a_real_value_goes_before_a_waypoint_and_is_an_anchor() -> None:
    real = pd.Series([1.0], DAYS[[3]])
    made = bridge("rate", DAYS, real, {on(3): 9.0, on(5): 3.0})
    assert made.values.to_dict() == {DAYS[4]: 2.0, DAYS[5]: 3.0}


def test_a_hole_between_two_real_values_stays_one() -> None:
    real = pd.Series([1.0, 2.0], DAYS[[0, 4]])
    made = bridge("rate", DAYS, real, {on(6): 3.0})
    assert made.values.index.tolist() == DAYS[[5, 6]].tolist()


def test_a_real_value_far_away_is_no_anchor() -> None:
    days = pd.bdate_range("2020-01-01", "2020-04-30", unit="ns")
    near, far = days[days.get_loc(pd.Timestamp("2020-03-31")) - 10], days[0]
    point = {dt.date(2020, 3, 31): 2.0}
    assert len(bridge("rate", days, pd.Series([1.0], [far]), point).values) == 1
    assert len(bridge("rate", days, pd.Series([1.0], [near]), point).values) == 10
    assert far < pd.Timestamp("2020-03-31") - REACH < near


def test_sessions_count_and_not_days() -> None:
    """A closed week between two anchors is no time at all."""
    open_days = DAYS.delete(range(5, 10))
    made = bridge("rate", open_days, NONE, {on(4): 1.0, on(11): 4.0})
    assert made.values.to_dict() == {DAYS[4]: 1.0, DAYS[10]: 2.5, DAYS[11]: 4.0}


def test_a_waypoint_on_a_day_without_a_session_is_refused() -> None:
    with pytest.raises(BadInput, match="2020-03-07 is on a day without a session"):
        bridge("rate", DAYS, NONE, {dt.date(2020, 3, 7): 1.0})


def test_a_volatility_is_positive() -> None:
    with pytest.raises(BadInput, match="-1 on 2020-03-02 is no volatility"):
        bridge("volatility", DAYS, NONE, {on(0): -1.0})


def index(seed: int = 0) -> pd.Series:
    moves = np.random.default_rng(seed).standard_normal(len(DAYS)) * 0.02
    return pd.Series(3000 * np.exp(np.cumsum(moves)), DAYS)


POINTS = {on(0): 15.0, on(4): 25.0, on(9): 40.0, on(12): 30.0, on(20): 20.0}


def test_the_slope_is_that_of_least_squares_through_zero() -> None:
    published = pd.Series(POINTS)
    published.index = pd.DatetimeIndex(published.index)
    driver = index()
    y = np.diff(np.log(published.to_numpy()))
    x = np.diff(np.log(driver.reindex(published.index).to_numpy()))
    want = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert slope_of(published, driver) == pytest.approx(min(want, 0.0))
    falling = pd.Series(3000.0 * (published / 15.0) ** -0.25)
    assert slope_of(published, falling) == pytest.approx(-4.0)


def test_no_slope_can_be_told_from_few_points_or_a_market_that_goes_along() -> None:
    published = pd.Series([10.0, 20.0, 30.0], DAYS[:3])
    assert slope_of(published, index()) == 0.0
    assert slope_of(published, None) == 0.0
    up = pd.Series([10.0, 20.0, 30.0, 40.0], DAYS[:4])
    assert slope_of(up, up * 100) == 0.0
    assert slope_of(up, pd.Series(100.0, DAYS)) == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_volatility_hits_its_waypoints_whatever_the_index_did(seed: int) -> None:
    made = bridge("volatility", DAYS, NONE, POINTS, index(seed))
    for day, value in POINTS.items():
        assert made.values[pd.Timestamp(day)] == pytest.approx(value, rel=1e-12)
    assert (made.values > 0).all()
    assert len(made.values) == len(DAYS)


def test_between_waypoints_a_volatility_follows_the_index_off_its_line() -> None:
    driver = index(3)
    driver.iloc[[0, 4, 9, 12, 20]] = [3000.0, 2700.0, 2400.0, 2500.0, 2800.0]
    published = pd.Series(POINTS)
    published.index = pd.DatetimeIndex(published.index)
    slope = slope_of(published, driver)
    assert slope < 0
    made = bridge("volatility", DAYS, NONE, POINTS, driver)
    s = np.log(driver.to_numpy())
    want = []
    for k in range(5):
        line = np.log(15.0) + (np.log(25.0) - np.log(15.0)) * k / 4
        want.append(np.exp(line + slope * (s[k] - (s[0] + (s[4] - s[0]) * k / 4))))
    np.testing.assert_allclose(made.values.iloc[:5], want, rtol=1e-12)
    assert f"moved by {slope:.2f} times the log S&P 500" in made.method


def test_where_the_index_lacks_a_day_the_bridge_is_log_linear() -> None:
    driver = index().drop(DAYS[2])
    made = bridge("volatility", DAYS, NONE, {on(0): 15.0, on(4): 25.0}, driver)
    np.testing.assert_allclose(made.values, 15.0 * (25.0 / 15.0) ** (np.arange(5) / 4), rtol=1e-13)
    assert made.method == "log-linear between 2 published closes"


@settings(max_examples=25, deadline=None)
@given(a=st.floats(0.01, 1e4), b=st.floats(0.01, 1e4), kind=st.sampled_from(["rate", "commodity", "fx"]))
def test_a_bridge_never_leaves_the_span_of_its_ends(a: float, b: float, kind: str) -> None:
    values = bridge(kind, DAYS, NONE, {on(0): a, on(20): b}).values.to_numpy()
    assert (values >= min(a, b) * (1 - 1e-12)).all()
    assert (values <= max(a, b) * (1 + 1e-12)).all()
    assert (np.diff(values) * (b - a) >= -1e-9 * max(a, b)).all()


def test_an_open_that_repeats_the_close_is_stale() -> None:
    close = index()
    copied = pd.DataFrame({"close": close, "open": close.shift()})
    fresh = pd.DataFrame({"close": close, "open": close.shift() * (close / close.shift()) ** 0.6})
    assert is_stale(copied)
    assert not is_stale(fresh)
