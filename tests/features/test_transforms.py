"""The formulas, against loops written by hand and against other libraries."""

from __future__ import annotations

import itertools

import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats
import statsmodels.api as sm
import ta
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.features import transforms as tf
from quantdesk.features.rolling import lagged, recursive_mean, rolling_beta, rolling_max, rolling_mean, rolling_std

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:ta")


def prices(seed=0, size=900):
    return 40.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0002, 0.02, size)))


@pytest.fixture
def price():
    return prices()


@pytest.fixture
def bar(price):
    rng = np.random.default_rng(1)
    high = price * (1 + rng.uniform(0, 0.03, len(price)))
    low = price * (1 - rng.uniform(0, 0.03, len(price)))
    return high, low, price


def same(mine, theirs, tolerance=1e-10):
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


# Loops that follow the text of the sources, one session after another.


def ema_by_hand(values, span):
    out = [np.nan] * (span - 1) + [sum(values[:span]) / span]
    for value in values[span:]:
        out.append(out[-1] * (1 - 2 / (span + 1)) + value * 2 / (span + 1))
    return out


def rsi_by_hand(values, n):
    gains = [max(b - a, 0) for a, b in itertools.pairwise(values)]
    losses = [max(a - b, 0) for a, b in itertools.pairwise(values)]
    gain, loss = sum(gains[:n]) / n, sum(losses[:n]) / n
    out = [np.nan] * n + [100 - 100 / (1 + gain / loss)]
    for up, down in zip(gains[n:], losses[n:], strict=True):
        gain, loss = (gain * (n - 1) + up) / n, (loss * (n - 1) + down) / n
        out.append(100 - 100 / (1 + gain / loss))
    return out


def atr_by_hand(high, low, close, n):
    ranges = [
        max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1])) for t in range(1, len(close))
    ]
    level = sum(ranges[:n]) / n
    out = [np.nan] * n + [level]
    for step in ranges[n:]:
        level = (level * (n - 1) + step) / n
        out.append(level)
    return out


def test_ema_is_the_recursion_seeded_by_a_mean(price):
    same(tf.ema(price, 12), ema_by_hand(price.tolist(), 12))
    same(tf.macd(price), np.array(ema_by_hand(price.tolist(), 12)) - np.array(ema_by_hand(price.tolist(), 26)))


def test_rsi_is_wilders(price):
    same(tf.rsi(price), rsi_by_hand(price.tolist(), 14))


def test_atr_is_wilders(bar):
    same(tf.atr(*bar), atr_by_hand(*(values.tolist() for values in bar), 14))


def test_wilders_own_worked_example():
    """The table of section VI as StockCharts published it: 14-session RSI of QQQQ, first values 70.53 and 66.32."""
    closes = [44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
              46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439]  # fmt: skip
    found = tf.rsi(np.array(closes))
    assert np.isnan(found[:14]).all()
    assert found[14:].round(2).tolist() == [70.53, 66.32, 66.55, 69.41, 66.36, 57.97]


def test_ta_agrees_once_its_other_seed_has_faded(price, bar):
    """`ta` starts its recursions at the first price, not at a mean: after 400 sessions the difference is gone."""
    close = pd.Series(price)
    high, low = (pd.Series(values) for values in bar[:2])
    late = slice(500, None)
    same(tf.rsi(price)[late], ta.momentum.RSIIndicator(close, 14).rsi()[late], 1e-8)
    same(tf.macd(price)[late], ta.trend.MACD(close).macd()[late], 1e-8)
    same(tf.ema(price, 26)[late], ta.trend.EMAIndicator(close, 26).ema_indicator()[late], 1e-8)
    theirs = ta.volatility.AverageTrueRange(high, low, close, 14).average_true_range()
    same(tf.atr(*bar)[late], theirs[late], 1e-8)


def test_bollinger_bands_of_ta_are_at_two(price):
    bands = ta.volatility.BollingerBands(pd.Series(price), 20, 2)
    upper, middle = bands.bollinger_hband(), bands.bollinger_mavg()
    same(tf.bollinger_z(price), 2 * (price - middle) / (upper - middle), 1e-7)
    same(tf.sma(price, 20), middle)


@pytest.mark.parametrize("window", [20, 50, 200])
def test_sma_is_pandas(price, window):
    same(tf.sma(price, window), pd.Series(price).rolling(window).mean())


@pytest.mark.parametrize("window", [1, 5, 21])
def test_returns_are_pandas(price, window):
    same(tf.returns(price, window), pd.Series(price).pct_change(window))


def test_momentum_skips_the_latest_month(price):
    expected = [np.nan] * 252 + [price[t - 21] / price[t - 252] - 1 for t in range(252, len(price))]
    same(tf.momentum(price), expected)


@pytest.mark.parametrize("window", [21, 63])
def test_volatility_is_empyricals_on_each_window(price, window):
    daily = pd.Series(price).pct_change()
    found = tf.volatility(price, window)
    for t in range(window, len(price), 37):
        same(found[t], empyrical.annual_volatility(daily[t - window + 1 : t + 1]), 1e-10)
    assert np.isnan(found[:window]).all()


def test_beta_is_the_slope_of_statsmodels():
    own, benchmark = prices(3), prices(4) + 5
    found = tf.beta(own, benchmark)
    mine, theirs = (pd.Series(values).pct_change() for values in (own, benchmark))
    assert np.isnan(found[:252]).all()
    for t in range(252, len(own), 61):
        window = slice(t - 251, t + 1)
        fit = sm.OLS(mine[window].to_numpy(), sm.add_constant(theirs[window].to_numpy())).fit()
        same(found[t], fit.params[1])
        same(found[t], empyrical.beta(mine[window], theirs[window]), 1e-8)


def test_drawdown_is_quantstats_on_each_window(price):
    found = tf.drawdown(price)
    for t in range(251, len(price), 53):
        window = pd.Series(price[t - 251 : t + 1], index=pd.date_range("2020-01-01", periods=252))
        same(found[t], quantstats.stats.to_drawdown_series(window.pct_change().fillna(0.0)).iloc[-1], 1e-9)


def test_amihud_and_dollar_volume_are_their_definitions(price):
    volume = np.random.default_rng(5).uniform(1e6, 9e6, len(price))
    illiquid, traded = tf.amihud(price, price, volume), tf.dollar_volume(price, volume)
    for t in range(21, len(price), 47):
        days = range(t - 20, t + 1)
        same(traded[t], sum(price[d] * volume[d] for d in days) / 21)
        same(illiquid[t], 1e6 * sum(abs(price[d] / price[d - 1] - 1) / (price[d] * volume[d]) for d in days) / 21)


# What has no value.


def test_a_constant_price_has_no_score_and_no_strength():
    flat = np.full(60, 0.1)  # 0.1 has no exact binary form: a naive variance is not zero
    assert np.isnan(tf.bollinger_z(flat)).all()
    assert np.isnan(tf.rsi(flat)).all()
    assert (tf.volatility(flat, 21)[21:] == 0).all()
    assert np.isnan(tf.beta(prices(0, 300), np.full(300, 7.0))).all()


def test_a_price_that_only_rises_has_strength_100():
    assert (tf.rsi(np.arange(1.0, 40.0))[14:] == 100.0).all()
    assert (tf.rsi(np.arange(40.0, 1.0, -1.0))[14:] == 0.0).all()


def test_a_return_from_nothing_is_null():
    price = np.array([1.0, 0.0, 2.0, -1.0, 3.0, 3.3])
    assert np.isnan(tf.returns(price, 1)[:5]).all()
    assert tf.returns(price, 1)[5] == pytest.approx(0.1)


def test_a_session_without_trade_makes_illiquidity_null():
    price, volume = prices(0, 60), np.full(60, 1e6)
    volume[30] = 0
    found = tf.amihud(price, price, volume)
    assert np.isnan(found[30:51]).all()
    assert not np.isnan(found[51:]).any()


@pytest.mark.parametrize(
    ("function", "window"),
    [
        (lambda p: tf.sma(p, 20), 20),
        (lambda p: tf.ema(p, 12), 12),
        (lambda p: tf.rsi(p), 15),
        (lambda p: tf.atr(p * 1.01, p * 0.99, p), 15),
        (lambda p: tf.bollinger_z(p), 20),
        (lambda p: tf.volatility(p, 21), 22),
        (lambda p: tf.drawdown(p, 40), 40),
        (lambda p: tf.beta(p, p + 1, 30), 31),
    ],
)
def test_a_gap_is_null_for_as_long_as_a_window_holds_it(function, window):
    price = prices(0, 200)
    price[100] = np.nan
    found = function(price)
    assert np.isnan(found[: window - 1]).all()
    assert np.isnan(found[100 : 100 + window]).all()
    assert not np.isnan(found[window - 1 : 100]).any()
    assert not np.isnan(found[100 + window :]).any()


@pytest.mark.parametrize("size", [0, 1, 5, 11])
def test_a_history_shorter_than_the_window_is_all_null(size):
    price = prices(0, size)
    short = (
        tf.sma(price, 12),
        tf.ema(price, 12),
        tf.bollinger_z(price),
        tf.drawdown(price),
        tf.momentum(price),
        tf.volatility(price, 21),
        tf.beta(price, price),
        tf.rsi(price),
        tf.atr(price, price, price),
    )
    for found in short:
        assert len(found) == size
        assert np.isnan(found).all()


def test_nobody_can_look_forward():
    with pytest.raises(ValueError, match="into the future"):
        lagged(prices(), -1)


# pandas in, pandas out.


def test_series_and_tables_come_back_as_they_came(price):
    index = pd.date_range("2020-01-01", periods=len(price), tz="UTC")
    series = pd.Series(price, index, name="A")
    found = tf.rsi(series)
    assert found.index.equals(index)
    assert found.name == "A"
    same(found, tf.rsi(price))
    table = pd.DataFrame({"A": price, "B": prices(2)}, index)
    wide = tf.beta(table, series)
    assert list(wide.columns) == ["A", "B"]
    same(wide["B"], tf.beta(prices(2), price))
    with pytest.raises(ValueError, match="different indices"):
        tf.beta(series, series.iloc[1:])


# Properties of the building blocks.

finite = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite | st.just(float("nan")), min_size=1, max_size=40), st.integers(1, 8))
def test_windows_are_those_of_pandas(values, window):
    array, series = np.array(values), pd.Series(values)
    same(rolling_max(array, window), series.rolling(window).max(), 1e-12)
    np.testing.assert_allclose(rolling_mean(array, window), series.rolling(window).mean(), rtol=1e-9, atol=1e-6)
    for t in range(window - 1, len(values)):
        part = array[t - window + 1 : t + 1]
        np.testing.assert_allclose(rolling_std(array, window, ddof=0)[t], part.std(), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite | st.just(float("nan")), max_size=40), st.integers(1, 6), st.integers(1, 39))
def test_a_recursion_never_reads_ahead(values, window, cut):
    array = np.array(values)
    whole, part = recursive_mean(array, window, 0.2), recursive_mean(array[:cut], window, 0.2)
    np.testing.assert_array_equal(whole[:cut], part)


def test_values_depend_on_their_window_alone(price):
    """Where history starts does not matter to a window, to the last bit."""
    late = price[300:]
    np.testing.assert_array_equal(tf.sma(price, 50)[349:], tf.sma(late, 50)[49:])
    np.testing.assert_array_equal(tf.volatility(price, 63)[363:], tf.volatility(late, 63)[63:])
    other = price[::-1].copy()
    np.testing.assert_array_equal(rolling_beta(price, other, 20)[319:], rolling_beta(late, other[300:], 20)[19:])
