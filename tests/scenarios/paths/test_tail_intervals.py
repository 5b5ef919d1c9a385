"""VaR and expected shortfall: the right numbers, and intervals that hold them as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantdesk.backtest import tail_risk
from quantdesk.errors import BadInput, BadParameter
from quantdesk.scenarios.paths import Drawn, StudentT, tail_of


def closed_form(nu: float, confidence: float) -> tuple[float, float]:
    """VaR and ES of a variance of 1: normal or Student t (McNeil, Frey and Embrechts 2015, section 2.3.4)."""
    tail = 1 - confidence
    if math.isinf(nu):
        z = stats.norm.ppf(tail)
        return -z, stats.norm.pdf(z) / tail
    z, scale = stats.t(nu).ppf(tail), math.sqrt((nu - 2) / nu)
    return -z * scale, scale * stats.t(nu).pdf(z) / tail * (nu + z * z) / (nu - 1)


@given(st.integers(0, 2**31), st.integers(400, 5000), st.sampled_from([0.9, 0.95]))
@settings(max_examples=40, deadline=None)
def test_the_numbers_are_those_of_the_backtest(seed, count, confidence):
    returns = np.random.default_rng(seed).standard_t(4, count) * 0.01
    ours, theirs = tail_of(returns, confidence), tail_risk(pd.Series(returns), "historical", confidence)
    assert ours.var == pytest.approx(theirs.var, rel=1e-12)
    assert ours.es == pytest.approx(theirs.es, rel=1e-12)
    assert ours.var_interval[0] <= ours.var <= ours.var_interval[1]
    assert ours.es_interval[0] <= ours.es <= ours.es_interval[1]
    assert ours.es >= ours.var


@pytest.mark.parametrize("nu", [4.0, 10.0, math.inf])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_a_book_of_a_million_paths_has_the_closed_form(nu, confidence):
    covariance = np.array([[1.0, 0.3], [0.3, 2.0]]) * 1e-4
    book = {"A": 200.0, "B": -100.0}
    drawn = Drawn(StudentT(("A", "B"), np.array([0.001, 0.0]), covariance, nu), 1, 1_000_000, seed=8)
    found = tail_of(drawn.pnl(book), confidence, interval=0.9999)
    deviation = math.sqrt(np.array([200, -100]) @ covariance @ [200, -100])
    var, es = (deviation * value - 0.2 for value in closed_form(nu, confidence))
    assert found.var_interval[0] < var < found.var_interval[1]
    assert found.es_interval[0] < es < found.es_interval[1]
    assert found.var == pytest.approx(var, rel=0.02)
    assert found.es == pytest.approx(es, rel=0.03)


def test_the_interval_of_var_is_that_of_the_binomial_ranks():
    losses = np.random.default_rng(3).permutation(np.arange(1, 1001)).astype(float)
    found = tail_of(-losses, 0.95, interval=0.9)
    low, high = (round(1001 - bound) for bound in found.var_interval[::-1])
    inside = stats.binom.cdf(high - 1, 1000, 0.05) - stats.binom.cdf(low - 1, 1000, 0.05)
    assert inside >= 0.9
    narrower = stats.binom.cdf(high - 2, 1000, 0.05) - stats.binom.cdf(low, 1000, 0.05)
    assert narrower < 0.9


def coverage(nu: float, paths: int, confidence: float, times: int) -> tuple[float, float]:
    """How often each interval holds the true number."""
    rng = np.random.default_rng(12)
    var, es = closed_form(nu, confidence)
    scale = 1.0 if math.isinf(nu) else math.sqrt((nu - 2) / nu)
    hits = np.zeros(2)
    for _ in range(times):
        sample = rng.standard_normal(paths) if math.isinf(nu) else rng.standard_t(nu, paths) * scale
        found = tail_of(sample, confidence)
        for place, (truth, bounds) in enumerate(((var, found.var_interval), (es, found.es_interval))):
            hits[place] += bounds[0] <= truth <= bounds[1]
    return tuple(hits / times)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    in_var, in_es = coverage(math.inf, 4000, 0.95, 300)
    assert 0.91 < in_var <= 1
    assert 0.90 < in_es <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nu", "paths", "confidence"), [(math.inf, 10_000, 0.99), (5.0, 10_000, 0.99), (5.0, 5000, 0.95)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(nu, paths, confidence):
    in_var, in_es = coverage(nu, paths, confidence, 4000)
    assert 0.94 < in_var < 0.97
    assert 0.91 < in_es < 0.97  # a fat tail of few paths: a little short


def test_tails_that_cannot_be_measured_are_refused():
    values = np.random.default_rng(0).normal(size=2000)
    assert tail_of(values, 0.99).paths == 2000
    with pytest.raises(BadInput, match="2,000"):
        tail_of(values[:1999], 0.99)
    with pytest.raises(BadInput, match="shape"):
        tail_of(values.reshape(2, -1))
    with pytest.raises(BadInput, match="path 5 is not finite"):
        tail_of(np.where(np.arange(2000) == 5, np.nan, values))
    for wrong in ({"confidence": 0.5}, {"confidence": 1.0}, {"interval": 0.0}, {"interval": math.nan}):
        with pytest.raises(BadParameter):
            tail_of(values, **wrong)
    few = tail_of(values[:400], 0.95, interval=1 - 1e-12)
    assert few.var_interval[1] == math.inf
