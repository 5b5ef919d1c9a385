"""The most plausible shock that breaches a limit: exact for linear books, a true local minimum for others."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.scenarios.reverse import (
    Search,
    linear_answer,
    linear_loss,
    priced_loss,
    reverse_stress,
    reverse_stresses,
)
from quantdesk.scenarios.reverse.answer import Asked, distances, nearest
from quantdesk.scenarios.shocks import Covariance, Era, covariance, moves

ERA = Era("made", dt.date(2014, 1, 2), dt.date(2016, 12, 30))
NAMES = ("SPX", "AAPL", "JPM", "UST10Y", "EURUSD")


def cov_of(seed: int, names: tuple[str, ...] = NAMES) -> Covariance:
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((len(names), len(names) + 2)) * 0.005
    parts[:, 0] += 0.008
    return Covariance(names, parts @ parts.T, ERA, 500)


@pytest.fixture(scope="module")
def cov() -> Covariance:
    return cov_of(1)


@pytest.fixture(scope="module")
def history(cov) -> pd.DataFrame:
    days = pd.bdate_range("2014-01-02", periods=400)
    drawn = np.random.default_rng(2).standard_normal((400, len(NAMES))) @ np.linalg.cholesky(cov.matrix).T
    return pd.DataFrame(drawn, days, list(NAMES))


@given(st.integers(0, 500), st.floats(0.5, 15), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_a_linear_book_has_the_answer_of_the_formula(seed, wanted, days):
    cov = cov_of(seed)
    weights = np.random.default_rng([seed, 7]).standard_normal(len(NAMES)) * 1e6
    limit = wanted * math.sqrt(days * weights @ cov.matrix @ weights)
    found = reverse_stress(
        linear_loss(dict(zip(NAMES, weights, strict=True)), cov), limit, cov, search=Search(horizon_days=days)
    )
    expected, distance = linear_answer(weights, limit, cov.matrix * days)
    assert distance == pytest.approx(wanted)
    assert found.reached
    assert found.minimal
    assert found.distance == pytest.approx(wanted, rel=1e-6)
    assert found.moves.to_numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6 * np.abs(expected).max())
    assert limit <= found.loss <= limit * (1 + 1e-6)
    assert found.chance_of_breach == pytest.approx(stats.norm.sf(wanted), rel=1e-4)


def test_a_priced_book_breaches_and_nothing_nearer_does(cov):
    book = {"SPX": 1e6, "AAPL": 4e5, "UST10Y": -1e5}
    loss = priced_loss(book, cov)
    found = reverse_stress(loss, 1.5e5, cov, search=Search(horizon_days=10))
    assert found.reached
    assert found.minimal
    assert found.loss >= 1.5e5
    matrix = 10 * cov.matrix
    assert found.distance == pytest.approx(float(distances(found.moves.to_numpy(), matrix)))
    rng = np.random.default_rng(9)  # other points than those that the search itself tried
    near = found.moves.to_numpy() + 0.05 * rng.standard_normal((3000, len(NAMES))) @ np.linalg.cholesky(matrix).T
    lost = np.array([loss(one) for one in near])
    assert (lost >= 1.5e5).sum() > 300
    assert distances(near[lost >= 1.5e5], matrix).min() >= found.distance - 1e-6


def test_a_curved_loss_is_found_on_both_sides_and_one_of_them_is_taken(cov):
    # A short straddle loses both ways: by symmetry both are as near, and the distance is known.
    found = reverse_stress(lambda x: 5e6 * x[0] ** 2, 5e3, cov)
    assert abs(found.moves["SPX"]) == pytest.approx(math.sqrt(1e-3), rel=1e-6)
    assert found.distance == pytest.approx(math.sqrt(1e-3) / cov.deviation("SPX"), rel=1e-5)


def test_the_nearer_of_two_ways_to_lose_is_taken(cov):
    # Steep below, and steeper above: the gradient at zero points the wrong way.
    deviation = cov.deviation("SPX")

    def loss(x):
        return max(-1.0 * x[0] / deviation, 4.0 * (x[0] / deviation - 1.0))

    found = reverse_stress(loss, 8.0, cov)
    assert found.distance == pytest.approx(3.0, rel=1e-4)
    assert found.moves["SPX"] > 0


def test_a_limit_out_of_reach_says_so_with_the_largest_loss(cov):
    found = reverse_stress(lambda x: 1e5 * -math.expm1(x[0]), 2e5, cov, search=Search(bound=8))
    largest = 1e5 * -math.expm1(-8 * cov.deviation("SPX"))
    assert not found.reached
    assert found.loss == pytest.approx(largest, rel=1e-4)
    assert found.distance == pytest.approx(8, rel=1e-6)
    assert "not reached within a distance of 8" in found.text()
    assert f"{found.loss:,.6g}" in found.text()


def test_a_limit_that_only_a_combination_reaches_is_reached(cov):
    # No factor, and no direction that is tried first, comes near: only the ascent does.
    target = np.linalg.cholesky(cov.matrix) @ np.array([2.0, -1.5, 1.0, 2.5, -2.0])
    inverse = np.linalg.inv(cov.matrix)

    def loss(x):
        return 100 * math.exp(-0.5 * (x - target) @ inverse @ (x - target))

    found = reverse_stress(loss, 80.0, cov, search=Search(bound=10))
    assert found.reached
    away = math.sqrt(2 * math.log(100 / 80))
    assert found.distance == pytest.approx(float(distances(target, cov.matrix)) - away, rel=1e-3)


def test_the_nearest_real_day_is_the_nearest_and_its_loss_is_its_own(cov, history):
    loss = linear_loss({"SPX": 1e6}, cov)
    limit = 1.2e6 * cov.deviation("SPX")
    found = reverse_stress(loss, limit, cov, history=history, search=Search(scanned=400))
    inverse = np.linalg.inv(cov.matrix)
    for days in (1, 5, 21):
        real = history.rolling(days).sum().dropna()
        gap = real.to_numpy() - found.moves.to_numpy()
        apart = np.sqrt(np.einsum("ij,jk,ik->i", gap, inverse, gap))
        one = next(one for one in found.nearest if one.days == days and one.what == "nearest")
        assert one.apart == pytest.approx(apart.min())
        assert one.last == real.index[apart.argmin()].date()
        assert one.first == history.index[history.index.get_loc(real.index[apart.argmin()]) - days + 1].date()
        assert one.loss == pytest.approx(-1e6 * real["SPX"].iloc[apart.argmin()])
        assert one.breaches == (one.loss >= limit)
        breach = apart[-1e6 * real["SPX"].to_numpy() >= limit]
        nearer = [one for one in found.nearest if one.days == days and one.breaches]
        assert [one.apart for one in nearer] == pytest.approx([breach.min()])
    assert "Nearest real move over 1 day" in found.text()


def test_the_horizon_is_among_the_windows_and_too_long_ones_are_left_out(cov, history):
    found = reverse_stress(
        linear_loss({"SPX": 1e6}, cov), 5e4, cov, history=history.iloc[:15], search=Search(horizon_days=3)
    )
    assert {one.days for one in found.nearest} == {1, 3, 5}
    asked = Asked(np.zeros(5), cov.matrix, lambda x: 0.0, 1.0)
    for wrong in ((), (0,)):
        with pytest.raises(BadInput, match="windows"):
            nearest(asked, history, wrong)


def test_days_with_holes_are_left_out(cov, history):
    holed = history.copy()
    holed.iloc[10:390, 2] = np.nan
    asked = Asked(history.iloc[200].to_numpy(), cov.matrix, lambda x: 0.0, 1.0)
    (whole,) = nearest(asked, history, (1,))
    (part,) = nearest(asked, holed, (1,))
    assert whole.apart == pytest.approx(0, abs=1e-12)
    assert whole.last == history.index[200].date()
    assert part.apart > 0


def test_a_singular_covariance_is_no_obstacle_and_what_it_rules_out_is_infinitely_far():
    names = ("SPX", "FUND")
    twins = Covariance(names, np.full((2, 2), 1e-4), ERA, 500)
    found = reverse_stress(linear_loss({"SPX": 1e6, "FUND": 1e6}, twins), 4e4, twins)
    assert found.moves.to_numpy() == pytest.approx([-0.02, -0.02], rel=1e-6)
    assert found.distance == pytest.approx(2, rel=1e-6)
    assert np.isinf(distances(np.array([0.01, -0.01]), twins.matrix))
    with pytest.raises(BadInput, match="no variance"):
        linear_answer(np.array([1.0, -1.0]), 1.0, twins.matrix)


def test_calm_and_crisis_are_compared_on_the_same_assets(cov, history):
    crisis = Covariance(NAMES, 9 * cov.matrix, Era("crisis", dt.date(2008, 9, 2), dt.date(2009, 3, 31)), 140)
    found = reverse_stresses(linear_loss({"SPX": 1e6}, cov), 5e4, [cov, crisis], history=history)
    assert list(found) == ["made", "crisis"]
    assert found["made"].distance == pytest.approx(3 * found["crisis"].distance, rel=1e-6)
    assert found["made"].moves.to_numpy() == pytest.approx(found["crisis"].moves.to_numpy(), rel=1e-4)
    other = cov_of(1, ("SPX", "AAPL", "JPM", "UST2Y", "EURUSD"))
    with pytest.raises(BadInput, match="different assets"):
        reverse_stresses(linear_loss({"SPX": 1e6}, cov), 5e4, {"a": cov, "b": other})


def test_the_same_call_gives_the_same_answer(cov):
    loss = priced_loss({"SPX": 1e6, "JPM": 5e5}, cov)
    one, other = (reverse_stress(loss, 1e5, cov) for _ in range(2))
    assert one.moves.equals(other.moves)
    assert one.evaluations == other.evaluations
    assert one.chance_as_far == pytest.approx(stats.chi2.sf(one.distance**2, 5))
    assert one.deviations["SPX"] == pytest.approx(one.moves["SPX"] / cov.deviation("SPX"))


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_a_limit_that_is_none_is_refused(cov, limit):
    with pytest.raises(BadInput, match="limit"):
        reverse_stress(linear_loss({"SPX": 1e6}, cov), limit, cov)


def test_a_book_that_cannot_be_asked_is_refused(cov, history):
    with pytest.raises(BadInput, match="without any move"):
        reverse_stress(lambda x: 10.0, 5.0, cov)
    with pytest.raises(BadInput, match="is nan"):
        reverse_stress(lambda x: math.nan, 5.0, cov)
    with pytest.raises(UnknownName, match="TSLA"):
        linear_loss({"TSLA": 1.0}, cov)
    for wrong in ({}, {"SPX": 0.0}, {"SPX": math.nan}):
        with pytest.raises(BadInput, match="holds nothing"):
            priced_loss(wrong, cov)
    with pytest.raises(UnknownName, match="EURUSD"):
        reverse_stress(linear_loss({"SPX": 1e6}, cov), 5e4, cov, history=history.drop(columns="EURUSD"))


@pytest.mark.parametrize("wrong", [{"horizon_days": 0}, {"bound": -1.0}, {"bound": math.nan}, {"starts": 0}])
def test_a_search_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadParameter):
        Search(**wrong)


def test_on_real_days_a_crisis_is_nearer_than_calm(store):
    names = ["SPX", "AAPL", "JPM", "XOM", "UST2Y", "UST10Y", "EURUSD", "WTI"]
    from quantdesk.scenarios.shocks import ERAS, by_session

    closes = by_session(store.panel(names))
    real = moves(closes.dropna(), {})
    covs = [covariance(closes, ERAS[era]) for era in ("calm_2014_2016", "crisis_2008")]
    book = {"SPX": 1e6, "AAPL": 3e5}
    found = reverse_stresses(priced_loss(book, covs[0]), 1e5, covs, history=real)
    assert found["calm_2014_2016"].distance > 3 * found["crisis_2008"].distance
    for one in found.values():
        assert one.reached
        assert one.minimal
        text = one.text()
        assert "If moves were normal, which have thinner tails than markets" in text
        breached = [near for near in one.nearest if near.breaches and near.days == 1]
        assert [near.last.year for near in breached] == [2008]
