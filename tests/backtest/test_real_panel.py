"""The whole chain on the real 20-stock panel: its numbers agree with libraries that share no code with ours."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from quantdesk import backtest, signals
from quantdesk.features import FeatureStore
from quantdesk.market import MarketStore

pytestmark = pytest.mark.xdist_group("panel")

with warnings.catch_warnings():  # these libraries warn about their own dependencies when they are imported
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats
    import statsmodels.api as sm

PANEL = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM".split()  # noqa: SIM905
FACTORS = ["SPX", "MTUM", "QUAL", "SIZE", "USMV", "VLUE"]
START, END = "2005-01-03", "2022-12-28"


@pytest.fixture(scope="module")
def market(prepared) -> MarketStore:
    return MarketStore(prepared.market())


@pytest.fixture(scope="module")
def frame(market, prepared):
    store = FeatureStore(root=prepared.features(), market=market)
    return store.get_historical_features(PANEL, ["mom_12_1", "sma_50", "sma_200", "ret_1d", "beta_252d"], START, END)


@pytest.fixture(scope="module")
def prices(market) -> pd.DataFrame:
    return market.panel(PANEL, start=START, end=END)


@pytest.fixture(scope="module")
def features(frame, prices) -> pd.DataFrame:
    filed = signals.at_sessions(frame, prices.index)
    pd.testing.assert_frame_equal(filed, frame.by_session(), check_freq=False)  # closes are known within the day
    return filed


@pytest.fixture(scope="module")
def result(frame, features, prices):
    assert frame.is_pit_validated
    weights = signals.momentum_alpha(features)
    return backtest.run(prices, weights, setup=backtest.Setup(labels=frame.labels.words))


def test_momentum_is_what_pandas_says_it_is(features, market):
    levels = market.panel(PANEL)
    expected = (levels.shift(21) / levels.shift(252) - 1).loc[START:END]
    found = signals.wide(features, "mom_12_1")
    np.testing.assert_allclose(found, expected[found.columns], rtol=1e-9)


def test_the_winners_are_bought_one_session_later_at_its_close(features, prices, result):
    scores = signals.wide(features, "mom_12_1")
    first = scores.index[signals.rebalance_rows(scores.index, "monthly")]
    assert len(first) == 18 * 12
    for when in first[[0, 50, 150]]:
        following = prices.index[prices.index.get_loc(when) + 1]
        held = result.positions.loc[following]
        assert set(held[held > 0].index) == set(scores.loc[when].nlargest(5).index)
        traded = result.fills[result.fills["timestamp"] == following]
        assert [prices.loc[following, name] for name in traded["symbol"]] == list(traded["reference"])


def test_the_result_agrees_with_empyrical_and_quantstats(result):
    numbers = backtest.summary(result.returns)
    moves = result.returns
    assert numbers.sharpe == pytest.approx(empyrical.sharpe_ratio(moves), rel=1e-9)
    assert numbers.sortino == pytest.approx(empyrical.sortino_ratio(moves), rel=1e-9)
    assert numbers.max_drawdown == pytest.approx(empyrical.max_drawdown(moves), rel=1e-9)
    assert numbers.cagr == pytest.approx(empyrical.annual_return(moves), rel=1e-9)
    assert numbers.sharpe == pytest.approx(float(quantstats.stats.sharpe(moves.tz_localize(None))), rel=1e-9)


def test_the_equal_weight_account_is_the_mean_of_returns_when_set_back_daily(features, prices):
    weights = signals.equal_weight(features, "ret_1d", rebalance="daily")
    free = backtest.run(prices, weights, backtest.FREE)
    expected = prices.pct_change(fill_method=None).mean(axis=1).loc[free.returns.index[1:]]
    np.testing.assert_allclose(free.returns.iloc[1:], expected, atol=1e-12)


def test_exposures_and_betas_agree_with_statsmodels(features, market, prices, result):
    moves = market.panel(FACTORS, start="2014-01-02", end=END).pct_change(fill_method=None).dropna()
    ours = backtest.factor_model(result.returns, moves)
    both = pd.concat([result.returns, moves], axis=1, join="inner")
    theirs = sm.OLS(both["return"], sm.add_constant(both[FACTORS])).fit(cov_type="HAC", cov_kwds={"maxlags": ours.lags})
    np.testing.assert_allclose(ours.table["beta"], theirs.params, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(ours.table["t"], theirs.tvalues, rtol=1e-6, atol=1e-8)

    beta = signals.wide(features, "beta_252d")["XOM"]
    when = beta.index[3000]
    both = market.panel(["XOM", "SPX"]).pct_change(fill_method=None).loc[:when].iloc[-252:]
    slope = sm.OLS(both["XOM"], sm.add_constant(both["SPX"])).fit().params["SPX"]
    assert beta[when] == pytest.approx(slope, rel=1e-9)


def test_the_future_of_the_real_panel_does_not_matter(features, prices, result):
    cut = prices.index[len(prices) // 2]
    known = features[features.index.get_level_values(0) <= cut]
    again = backtest.run(prices.loc[:cut], signals.momentum_alpha(known))
    pd.testing.assert_series_equal(again.equity, result.equity.loc[:cut])


def test_attribution_sums_on_the_real_panel_and_labels_travel(frame, features, prices, result):
    setup = backtest.Setup(labels=frame.labels.words)
    even = backtest.run(prices, signals.equal_weight(features, "ret_1d"), setup=setup)
    found = backtest.attribute(result, even, backtest.sectors_of(PANEL))
    growth = (result.equity.iloc[-1] - even.equity.iloc[-1]) / 1e6
    assert found.table["total"].sum() + found.trading == pytest.approx(growth, abs=1e-9)
    assert found.labels == ("real", "adjusted_with_hindsight", "survivors_only")


def test_correlation_rises_in_a_crisis(prices):
    moves = prices.pct_change(fill_method=None).iloc[1:]
    together = backtest.mean_correlation(moves, 63)
    calm, crisis = together.loc["2017"].mean(), together.loc["2008-10":"2008-12"].mean()
    assert calm < 0.25 < 0.55 < crisis
