"""The deflated Sharpe ratio against the numbers printed by its authors, and against simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from quantdesk.backtest import deflated_sharpe, expected_best_sharpe, probabilistic_sharpe
from quantdesk.errors import BadInput, BadParameter

# Bailey and Lopez de Prado (2014), "A numerical example": 5 years of daily returns, 250 a year, annual ratio 2.5,
# skewness -3, kurtosis 10 (excess 7), variance of the trials' annual ratios 1/2.
PAPER = {"sharpe": 2.5 / math.sqrt(250), "sessions": 1250, "skew": -3.0, "excess_kurtosis": 7.0}


def test_the_papers_example_with_100_trials():
    hurdle = expected_best_sharpe(100, 0.5 / 250)
    assert hurdle == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(benchmark=hurdle, **PAPER) == pytest.approx(0.9004, abs=5e-5)


def test_the_papers_example_with_46_trials_passes_95_percent():
    hurdle = expected_best_sharpe(46, 0.5 / 250)
    assert probabilistic_sharpe(benchmark=hurdle, **PAPER) == pytest.approx(0.9505, abs=5e-5)


def test_the_papers_example_with_normal_returns_and_88_trials():
    normal = {**PAPER, "skew": 0.0, "excess_kurtosis": 0.0}
    hurdle = expected_best_sharpe(88, 0.5 / 250)
    assert probabilistic_sharpe(benchmark=hurdle, **normal) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize("trials", [5, 20, 100])
def test_the_hurdle_is_the_mean_maximum_of_that_many_normals(trials):
    draws = np.random.default_rng(0).normal(0, 0.3, (40_000, trials)).max(axis=1)
    assert expected_best_sharpe(trials, 0.09) == pytest.approx(draws.mean(), rel=0.03)


def test_one_trial_has_no_hurdle_and_more_trials_raise_it():
    assert expected_best_sharpe(1, 1.0) == 0.0
    heights = [expected_best_sharpe(n, 1.0) for n in range(2, 200)]
    assert all(low < high for low, high in itertools.pairwise(heights))


def test_half_when_the_ratio_equals_the_hurdle_and_symmetric_for_normal_returns():
    assert probabilistic_sharpe(0.1, 0.1, 500, -1.0, 5.0) == 0.5
    above, below = probabilistic_sharpe(0.1, 0.05, 500, 0, 0), probabilistic_sharpe(0.1, 0.15, 500, 0, 0)
    assert above + below == pytest.approx(1.0)


def test_the_best_of_many_useless_strategies_is_called_luck():
    """A hundred strategies of pure noise, many times over: the 95 % verdict is wrong in about one case in twenty."""
    rng = np.random.default_rng(11)
    passed = 0
    for _ in range(200):
        noise = rng.normal(0, 0.01, (500, 30))
        ratios = noise.mean(axis=0) / noise.std(axis=0, ddof=1) * math.sqrt(252)
        best = pd.Series(noise[:, int(np.argmax(ratios))])
        passed += deflated_sharpe(best, ratios).probability >= 0.95
    assert passed <= 20
    undeflated = deflated_sharpe(best, ratios[:1] * 0 + ratios.max())
    assert undeflated.hurdle == 0.0
    assert undeflated.probability == undeflated.probability_above_zero


def test_the_verdict_is_computed_from_the_numbers():
    rng = np.random.default_rng(1)
    good = pd.Series(rng.normal(0.002, 0.01, 2000))
    found = deflated_sharpe(good, [3.1, 0.2, 0.1], labels=("real",))
    assert found.sharpe == pytest.approx(good.mean() / good.std() * math.sqrt(252))
    assert "better than the number of trials explains" in found.verdict()
    weak = deflated_sharpe(pd.Series(rng.normal(0.0001, 0.01, 500)), [0.5, -0.3, 0.1, 0.9])
    assert "not distinguishable from luck" in weak.verdict()
    assert "best of 4 trials" in weak.verdict()
    assert found.labels == ("real",)


def test_bad_questions_are_refused(returns):
    with pytest.raises(BadParameter, match="do not go with"):
        probabilistic_sharpe(1.0, 0.0, 100, 5.0, 0.0)
    with pytest.raises(BadParameter, match="at least 2 sessions"):
        probabilistic_sharpe(0.1, 0.0, 1, 0.0, 0.0)
    with pytest.raises(BadParameter, match="0 trials"):
        expected_best_sharpe(0, 1.0)
    with pytest.raises(BadInput, match="finite one for every trial"):
        deflated_sharpe(returns, [1.0, float("nan")])
    with pytest.raises(BadInput, match="do not vary"):
        deflated_sharpe(pd.Series([0.0] * 50), [1.0])
