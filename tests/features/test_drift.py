"""Drift that was planted is found, drift that is not there is not, and a handful of rows proves nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp
from statsmodels.stats.multitest import multipletests

from quantdesk.errors import BadInput
from quantdesk.features.drift import FEWEST, Sample, Verdict, adjusted, drift, ks, noise, psi

VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def one(before: np.ndarray, after: np.ndarray):  # type: ignore[no-untyped-def]
    (found,) = drift({"x": Sample(before)}, {"x": Sample(after)})
    return found


@settings(deadline=None, max_examples=100)
@given(arrays(float, st.integers(2, 60), elements=VALUES), arrays(float, st.integers(2, 60), elements=VALUES))
def test_the_distance_and_its_probability_are_scipys(left: np.ndarray, right: np.ndarray) -> None:
    ours, theirs = ks(left, right), ks_2samp(left, right, method="asymp")
    assert ours[0] == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours[1] == pytest.approx(theirs.pvalue, abs=1e-9)


def test_the_index_is_what_its_formula_gives() -> None:
    """Ten bins of 10 % each; the current sample puts 20 % into the first, 0 % into the second, 10 % into the rest."""
    reference = np.arange(100_000) / 100_000
    current = np.concatenate([np.tile(0.05, 20_000), reference[20_000:]])
    share = 0.5 / 100_005
    by_hand = (0.2 - 0.1) * math.log(0.2 / 0.1) + (share - 0.1) * math.log(share / 0.1)
    assert psi(reference, current) == pytest.approx(by_hand, rel=1e-3)
    assert psi(reference, reference) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(arrays(float, st.integers(1, 80), elements=VALUES), arrays(float, st.integers(1, 80), elements=VALUES))
def test_the_index_is_never_negative_and_always_a_number(left: np.ndarray, right: np.ndarray) -> None:
    assert psi(left, right) >= 0
    assert math.isfinite(psi(left, right))


def test_what_chance_alone_gives_is_known() -> None:
    """Of samples out of one distribution, one in twenty exceeds the level: counted over a thousand pairs."""
    rng = np.random.default_rng(0)
    level = noise(400, 300)
    exceeded = sum(psi(rng.normal(size=400), rng.normal(size=300)) > level for _ in range(1000))
    assert 20 <= exceeded <= 90


def test_no_drift_is_found_where_there_is_none() -> None:
    rng = np.random.default_rng(1)
    before = {f"f{n}": Sample(rng.normal(size=3000)) for n in range(50)}
    after = {f"f{n}": Sample(rng.normal(size=2000)) for n in range(50)}
    found = drift(before, after)
    assert {one.verdict for one in found} == {Verdict.STABLE}
    assert min(one.q_value for one in found) > 0.01


@pytest.mark.parametrize(
    "change",
    [lambda x: x + 0.6, lambda x: x * 2.2, lambda x: np.abs(x), lambda x: np.where(x > 1, 5.0, x - 0.5)],
    ids=["moved", "wider", "folded", "broken"],
)
def test_planted_drift_is_found(change) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=3000), change(rng.normal(size=2000))
    found = one(before, after)
    assert found.verdict is Verdict.SHIFTED
    assert found.q_value < 1e-6
    assert found.psi > 0.25


def test_a_slow_series_does_not_pass_for_many_rows() -> None:
    """Two stretches of one slow process differ by chance; counted as independent rows they would be another."""
    rng = np.random.default_rng(3)

    def walk(size: int) -> np.ndarray:
        steps = rng.normal(size=size)
        value = np.empty(size)
        value[0] = steps[0] / math.sqrt(1 - 0.995**2)
        for place in range(1, size):
            value[place] = 0.995 * value[place - 1] + steps[place]
        return value

    for _ in range(20):
        before, after = walk(2500), walk(750)
        found = one(before, after)
        assert found.reference_independent < 60
        assert found.verdict is not Verdict.SHIFTED or found.psi > found.noise
    assert ks(before, after)[1] < 0.01 < found.p_value


def test_symbols_are_kept_apart_when_rows_are_counted() -> None:
    """Each symbol constant, each on its own level: between symbols nothing is a step in time."""
    rng = np.random.default_rng(4)
    levels = np.repeat(rng.normal(size=200), 10)
    wiggle = rng.normal(size=2000)
    symbol = np.repeat(np.arange(200), 10)
    assert Sample(levels * 100 + wiggle, symbol).independent > 1500
    assert Sample(levels * 100 + wiggle).independent < 200


def test_few_rows_are_not_judged() -> None:
    rng = np.random.default_rng(5)
    found = one(rng.normal(size=1000), rng.normal(size=FEWEST - 1) + 9)
    assert found.verdict is Verdict.TOO_FEW
    assert math.isnan(found.psi)
    assert str(FEWEST - 1) in found.says


def test_a_feature_that_went_null_has_shifted() -> None:
    rng = np.random.default_rng(6)
    before, after = rng.normal(size=1000), rng.normal(size=1000)
    empty = one(before, np.full(1000, np.nan))
    assert empty.verdict is Verdict.SHIFTED
    assert "0% to 100%" in empty.says
    after[:150] = np.nan
    some = one(before, after)
    assert some.verdict is Verdict.MODERATE
    assert (some.reference_nulls, some.current_nulls) == (0, pytest.approx(0.15))


def test_a_constant_is_compared_too() -> None:
    flat = np.ones(1000)
    assert psi(flat, flat) == pytest.approx(0, abs=1e-9)
    assert one(flat, flat).verdict is Verdict.STABLE
    assert psi(flat, flat + 1) > 0.25
    assert psi(flat, flat - 1) > 0.25


def test_adjusted_probabilities_are_statsmodels() -> None:
    rng = np.random.default_rng(7)
    given_ = rng.uniform(size=40) ** 3
    assert adjusted(given_) == pytest.approx(multipletests(given_, method="fdr_bh")[1])
    with_nan = adjusted([0.01, math.nan, 0.04])
    assert math.isnan(with_nan[1])
    assert [with_nan[0], with_nan[2]] == pytest.approx([0.02, 0.04])


def test_empty_windows_and_odd_pairs() -> None:
    nothing = one(np.zeros(0), np.zeros(0))
    assert nothing.verdict is Verdict.TOO_FEW
    assert math.isnan(ks(np.zeros(0), np.ones(3))[0])
    assert math.isnan(psi(np.zeros(0), np.ones(3)))
    with pytest.raises(BadInput, match="y"):
        drift({"x": Sample(np.ones(3))}, {"x": Sample(np.ones(3)), "y": Sample(np.ones(3))})


def test_a_result_is_json() -> None:
    found = one(np.random.default_rng(8).normal(size=200), np.random.default_rng(9).normal(size=200)).to_dict()
    assert found["verdict"] in {"stable", "unclear"}
    assert set(found) >= {"psi", "noise", "ks", "p_value", "q_value", "reference_nulls", "current_nulls", "says"}
