"""The regression against statsmodels, and parts that sum to the whole."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.backtest import factor_attribution, factor_model
from quantdesk.backtest.factors import newey_west_lags
from quantdesk.errors import BadInput, BadParameter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import statsmodels.api as sm


@pytest.fixture(scope="module")
def factors(returns) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    market = rng.standard_t(4, len(returns)) * 0.007
    return pd.DataFrame(
        {
            "SPX": market,
            "MTUM": 0.8 * market + rng.normal(0, 0.004, len(returns)),
            "SIZE": rng.normal(0, 0.005, len(returns)),
        },
        returns.index,
    )


@pytest.fixture(scope="module")
def followed(returns, factors) -> pd.Series:
    return 0.6 * factors["SPX"] - 0.3 * factors["SIZE"] + returns * 0.5


@pytest.mark.parametrize("lags", [0, 1, 7, 30])
def test_betas_and_errors_equal_statsmodels(followed, factors, lags):
    ours = factor_model(followed, factors, lags)
    theirs = sm.OLS(followed, sm.add_constant(factors)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    np.testing.assert_allclose(ours.table["beta"], theirs.params, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.table["se"], theirs.bse, rtol=1e-8)
    np.testing.assert_allclose(ours.table["t"], theirs.tvalues, rtol=1e-7)
    np.testing.assert_allclose(ours.table["p"], theirs.pvalues, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(ours.table[["low", "high"]], theirs.conf_int(), rtol=1e-6, atol=1e-9)
    assert ours.r_squared == pytest.approx(theirs.rsquared, rel=1e-9)


def test_only_common_sessions_without_gaps_are_used(followed, factors):
    holes = factors.copy()
    holes.iloc[5:9, 1] = np.nan
    model = factor_model(followed.iloc[100:], holes, labels=("real",))
    assert model.sessions == len(followed) - 100
    assert factor_model(followed, holes).sessions == len(followed) - 4
    assert model.start == followed.index[100]
    assert model.labels == ("real",)
    assert model.lags == newey_west_lags(model.sessions) == int(4 * (model.sessions / 100) ** (2 / 9))
    assert model.annual_alpha == pytest.approx(model.table.loc["alpha", "beta"] * 252)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), sessions=st.integers(40, 400), count=st.integers(1, 3))
def test_contributions_sum_to_the_compounded_return(seed, sessions, count):
    rng = np.random.default_rng(seed)
    index = pd.date_range("2010-01-04", periods=sessions, freq="B", tz="UTC")
    factors = pd.DataFrame(rng.normal(0, 0.02, (sessions, count)), index, [f"F{i}" for i in range(count)])
    returns = pd.Series(factors.sum(axis=1) * 0.5 + rng.normal(0.001, 0.02, sessions), index)
    split = factor_attribution(returns, factors, factor_model(returns, factors))
    total = float(np.prod(1 + returns) - 1)
    assert split.total == pytest.approx(total, abs=1e-12)
    assert float(split.contributions.sum()) == pytest.approx(total, abs=1e-10)
    np.testing.assert_allclose(split.cumulative.iloc[-1], split.contributions, atol=1e-12)


def test_a_portfolio_that_is_one_factor_is_attributed_to_it(factors):
    model = factor_model(factors["SPX"], factors[["SPX"]])
    split = factor_attribution(factors["SPX"], factors[["SPX"]], model)
    assert split.contributions["SPX"] == pytest.approx(split.total, abs=1e-10)
    assert model.table.loc["SPX", "beta"] == pytest.approx(1.0)


def test_bad_factors_are_refused(followed, factors):
    with pytest.raises(BadInput, match="no factor"):
        factor_model(followed, factors[[]])
    with pytest.raises(BadInput, match="linear combinations"):
        factor_model(followed, factors.assign(TWICE=factors["SPX"] * 2))
    with pytest.raises(BadInput, match="linear combinations"):
        factor_model(followed, factors.assign(ZERO=0.0))
    with pytest.raises(BadInput, match="share 20 sessions"):
        factor_model(followed.iloc[:20], factors)
    with pytest.raises(BadParameter, match="lags is -1"):
        factor_model(followed, factors, -1)
    with pytest.raises(BadInput, match="fitted on"):
        factor_attribution(followed.iloc[5:], factors, factor_model(followed, factors))
    lost = followed.copy()
    lost.iloc[3] = -1.0
    with pytest.raises(BadInput, match="lost 100% in one session"):
        factor_attribution(lost, factors, factor_model(lost, factors))
