"""Value at risk and expected shortfall against numpy, scipy and numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from quantdesk.backtest import exceedances, mean_correlation, risk_table, rolling_var, tail_risk
from quantdesk.errors import BadInput, BadParameter, UnknownName


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975, 0.99])
def test_historical_is_the_quantile_and_the_mean_beyond_it(returns, confidence):
    found = tail_risk(returns, "historical", confidence)
    values = np.sort(returns.to_numpy())
    assert found.var == pytest.approx(-np.percentile(values, 100 * (1 - confidence)), rel=1e-12)
    position = (len(values) - 1) * (1 - confidence)
    beyond = values[: math.floor(position + 1e-9) + 1]
    assert found.es == pytest.approx(-beyond.mean(), rel=1e-12)
    assert found.es >= found.var


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_normal_is_scipys_normal(returns, confidence):
    found = tail_risk(returns, "normal", confidence)
    law = stats.norm(returns.mean(), returns.std(ddof=1))
    assert found.var == pytest.approx(-law.ppf(1 - confidence), rel=1e-9)
    beyond = law.expect(lambda x: x, lb=-np.inf, ub=law.ppf(1 - confidence), conditional=True)
    assert found.es == pytest.approx(-beyond, rel=1e-6)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_cornish_fisher_is_its_quantile_and_the_integral_of_it(confidence):
    z = stats.norm.ppf((np.arange(1, 4000) - 0.5) / 3999)
    mild = pd.Series(0.01 * (z - 0.01 * z**2 + 0.03 * z**3) + 0.0005)
    skew, kurt = float(stats.skew(mild)), float(stats.kurtosis(mild))
    mean, deviation = float(mean_of(mild)), float(mild.std(ddof=1))

    def quantile(level: float) -> float:
        z = stats.norm.ppf(level)
        expansion = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurt / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
        return mean + deviation * expansion

    found = tail_risk(mild, "cornish_fisher", confidence)
    assert found.valid
    assert found.var == pytest.approx(-quantile(1 - confidence), rel=1e-9)
    area, _ = integrate.quad(quantile, 0, 1 - confidence)
    assert found.es == pytest.approx(-area / (1 - confidence), rel=1e-6)
    assert found.es > found.var


def mean_of(values: pd.Series) -> float:
    return math.fsum(values) / len(values)


def test_cornish_fisher_is_the_normal_when_there_is_no_skew_or_fat_tail():
    z = stats.norm.ppf((np.arange(1, 20001) - 0.5) / 20000)
    straight = pd.Series(z * 0.01)
    assert tail_risk(straight, "cornish_fisher", 0.99).var == pytest.approx(
        tail_risk(straight, "normal", 0.99).var, rel=0.01
    )


def test_cornish_fisher_says_when_it_is_no_quantile(returns):
    wild = returns.copy()
    wild.iloc[5] = -0.6
    assert not tail_risk(wild, "cornish_fisher", 0.95).valid
    table = risk_table(wild)
    assert table.loc[("95%", "cornish-fisher"), "usable"] == "no: returns too wild"
    assert (table.loc[("95%", "historical"), "usable"]) == "yes"
    assert table.shape == (6, 3)
    assert table.loc[("99%", "cornish-fisher"), "VaR, %"] == "–"
    assert table.loc[("99%", "historical"), "ES, %"] == f"{100 * tail_risk(wild, 'historical', 0.99).es:.2f}"


@pytest.mark.parametrize("skew", np.linspace(-2, 2, 9))
@pytest.mark.parametrize("kurt", [-1.0, 0.0, 1.0, 4.0, 9.0, 30.0])
def test_the_validity_rule_equals_looking_at_the_slope_everywhere(skew, kurt):
    from quantdesk.backtest.risk import _increasing

    grid = np.concatenate([np.linspace(-90, -10, 2000), np.linspace(-10, 10, 40_000), np.linspace(10, 90, 2000)])
    slope = 1 + grid * skew / 3 + (grid**2 - 1) * kurt / 8 - (6 * grid**2 - 5) * skew**2 / 36
    assert _increasing(skew, kurt) == bool((slope > 0).all())


def test_rolling_var_uses_only_what_was_known(returns):
    known = rolling_var(returns, 0.95, 250)
    for place in (0, 100, -1):
        when = known.index[place]
        row = returns.index.get_loc(when)
        past = returns.iloc[row - 250 : row]
        assert known.iloc[place] == pytest.approx(-np.quantile(past, 0.05), rel=1e-9)
    other = returns.copy()
    other.iloc[1000:] *= -3
    cut = returns.index[1000]
    pd.testing.assert_series_equal(rolling_var(other, 0.95, 250)[:cut], known[:cut])


def test_kupiec_counts_exceedances():
    """Kupiec's statistic for 21 exceedances in 255 sessions at 95 %, worked out by hand from the likelihoods."""
    index = pd.RangeIndex(255)
    moves = pd.Series(np.where(index < 21, -0.03, 0.01), index)
    found = exceedances(moves, pd.Series(0.02, index), 0.95)
    assert (found.observed, found.sessions, found.expected) == (21, 255, pytest.approx(12.75))
    rate = 21 / 255
    expected = -2 * (21 * math.log(0.05 / rate) + 234 * math.log(0.95 / (1 - rate)))
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, 1))
    none = exceedances(pd.Series(0.01, index), pd.Series(0.02, index), 0.95)
    assert none.observed == 0
    assert none.p_value < 0.001


def test_bad_questions_are_refused(returns):
    with pytest.raises(BadParameter, match=r"confidence is 1\.5"):
        tail_risk(returns, "normal", 1.5)
    with pytest.raises(UnknownName, match="Unknown method 'normel'"):
        tail_risk(returns, "normel")
    with pytest.raises(BadInput, match=r"There are 50 returns\. At least 100"):
        tail_risk(returns.iloc[:50], "historical", 0.99)
    with pytest.raises(BadInput, match="window of 10 sessions"):
        rolling_var(returns, 0.95, 10)
    with pytest.raises(BadParameter, match="confidence"):
        rolling_var(returns, 0.2, 100)
    with pytest.raises(BadInput, match="sessions that the returns do not have"):
        exceedances(returns.iloc[10:], pd.Series(0.1, returns.index))


def test_mean_correlation_is_the_mean_of_pandas_pairs(panel):
    moves = panel.pct_change().iloc[1:]
    moves.iloc[100:120, 1] = np.nan
    found = mean_correlation(moves, 60, 7)
    for end, value in found.items():
        row = moves.index.get_loc(end) + 1
        table = moves.iloc[row - 60 : row].dropna(axis=1).corr().to_numpy()
        assert value == pytest.approx(table[np.triu_indices(len(table), 1)].mean(), rel=1e-9)
    assert found.index[0] == moves.index[59]
    alone = moves[["S0", "S1"]].assign(S1=0.0)
    assert mean_correlation(alone, 60).isna().all()
    for bad in (moves[["S0"]], moves.iloc[:30]):
        with pytest.raises(BadInput, match="hold no correlation"):
            mean_correlation(bad, 60)
