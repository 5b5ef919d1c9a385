"""Walks through the corners of a bar: exact, inside, and free of what other symbols do."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantdesk.scenarios.intraday.bridge import bars_of, between, is_bar, stream, through, volumes, walks
from quantdesk.scenarios.intraday.grid import STEPS, minutes, volume_shape

DAY = dt.date(2020, 3, 10)
PRICES = st.floats(0.01, 1e6, allow_nan=False)


@st.composite
def corners(draw) -> tuple[float, float, float, float]:
    low, high = sorted([draw(PRICES), draw(PRICES)])
    inside = st.one_of(st.just(low), st.just(high), st.floats(low, high))
    return draw(inside), high, low, draw(inside)


@settings(max_examples=150, deadline=None)
@given(corners(), st.integers(1, 60), st.integers(0, 2**32))
def test_a_walk_hits_all_four_corners_exactly_and_never_leaves_the_bar(bar, size, seed) -> None:
    weights = np.full(size * STEPS, 1 / (size * STEPS))
    points = through(bar, walks(weights, np.random.default_rng(seed), 8))
    made = bars_of(points)
    assert (made.open[0], made.high.max(), made.low.min(), made.close[-1]) == bar
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.open[1:] == made.close[:-1]).all()


@settings(max_examples=50, deadline=None)
@given(corners(), st.integers(0, 2**32))
def test_the_extremes_lie_where_bars_are_open(bar, seed) -> None:
    assume(bar[1] > bar[2])
    weights = np.full(20 * STEPS, 1 / (20 * STEPS))
    shut = np.zeros(20, dtype=bool)
    shut[5:15] = True
    steps = np.repeat(~shut, STEPS)
    visible = np.concatenate([steps, [False]]) | np.concatenate([[False], steps])
    made = bars_of(through(bar, walks(weights, np.random.default_rng(seed), 8), visible))
    assert (made.high[~shut].max(), made.low[~shut].min()) == bar[1:3]


def test_a_walk_that_stands_still_goes_straight_from_corner_to_corner() -> None:
    points = through((10.0, 12.0, 9.0, 11.0), np.zeros((1, 41)))
    assert (points[0], points.max(), points.min(), points[-1]) == (10.0, 12.0, 9.0, 11.0)


def test_a_bar_without_a_range_stays_where_it_is() -> None:
    assert set(through((7.0, 7.0, 7.0, 7.0), np.ones((2, 9)))) == {7.0}


@pytest.mark.parametrize(
    "bar", [(1.0, 2.0, 1.5, 1.7), (1.7, 1.6, 1.5, 1.6), (0.5, 1.0, 0.0, 0.5), (np.nan, 2.0, 1.0, 1.5)]
)
def test_what_is_no_bar(bar) -> None:
    assert not is_bar(bar)


def test_bridges_have_the_moments_of_brownian_bridges() -> None:
    weights = np.full(100, 0.01)
    drawn = walks(weights, np.random.default_rng(1), 20_000)
    clock = np.linspace(0, 1, 101)
    assert (drawn[:, 0] == 0).all()
    assert np.abs(drawn[:, -1]).max() < 1e-9
    np.testing.assert_allclose(drawn.var(axis=0), clock * (1 - clock), atol=0.01)


def test_between_closes_the_night_has_its_part_of_the_way_and_the_end_is_exact() -> None:
    opens = np.array([between(0.1, 0.02, np.full(40, 0.02), np.random.default_rng(n), 0.2)[0] for n in range(4000)])
    assert opens.mean() == pytest.approx(0.1 * 0.2, abs=0.001)
    assert opens.std() == pytest.approx(0.02 * np.sqrt(0.2 * 0.8), rel=0.05)
    assert between(0.1, 0.02, np.full(40, 0.02), np.random.default_rng(0), 0.2)[-1] == 0.1


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.integers(0, 2**53).map(float), st.floats(0, 1e12)),
    st.integers(0, 2**32),
    st.sets(st.integers(0, 389), max_size=380),
)
def test_volumes_add_up_exactly_and_nothing_trades_where_it_is_shut(total, seed, shut) -> None:
    grid = minutes(DAY)
    assert grid is not None
    shares = volume_shape(grid)
    shares[list(shut)] = 0.0
    rng = np.random.default_rng(seed)
    parts = volumes(total, shares, rng.random(len(grid)), rng)
    assert parts.sum() == total
    assert (parts >= 0).all()
    assert (parts[list(shut)] == 0).all()


def test_volume_is_u_shaped() -> None:
    grid = minutes(DAY)
    assert grid is not None
    shape = volume_shape(grid)
    assert shape.sum() == pytest.approx(1)
    assert shape[:30].sum() > 1.5 * shape[180:210].sum() < shape[-30:].sum()


def test_chance_is_the_symbols_and_the_days_own() -> None:
    def first(*who) -> float:
        return float(stream(*who).random())

    assert first(1, DAY, "AAPL") == first(1, DAY, "AAPL")
    others = {
        first(2, DAY, "AAPL"),
        first(1, dt.date(2020, 3, 11), "AAPL"),
        first(1, DAY, "MSFT"),
        first(1, DAY, "", 1),
    }
    assert len(others | {first(1, DAY, "AAPL")}) == 5


def test_early_closes_and_holidays() -> None:
    early = minutes(dt.date(2019, 11, 29))
    assert early is not None
    assert len(early) == 210
    assert minutes(dt.date(2019, 11, 28)) is None
    full = minutes(DAY)
    assert full is not None
    assert len(full) == 390
    cut = minutes(DAY, [int(full.begins[3]) + 13_000_000_000, 0])
    assert cut is not None
    assert len(cut) == 391
    assert cut.bar_of(int(full.begins[3]) + 13_000_000_000) == 4
    assert cut.weights.sum() == pytest.approx(1)
