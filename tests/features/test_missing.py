"""Every null says why."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest

from quantdesk.features import missing
from quantdesk.features.asof import Outcome
from quantdesk.features.definitions import VIEWS
from quantdesk.features.sentiment import Breadth, Calm, Panel, Scores, sentiment_table
from quantdesk.features.tables import hours, sheet, symbol_table

from .conftest import OHLCV, bars_of, describe, ohlcv, walk


def tables(bars, benchmark=None):
    own = sheet(bars)
    against = sheet(benchmark) if benchmark is not None else None
    found = {}
    for view in (VIEWS["technical"], VIEWS["market_model"]):
        table = symbol_table(view, own, against)
        for name in table.values:
            assert (np.isnan(table.values[name]) == np.array([code is not None for code in table.reasons[name]])).all()
            found[name] = table.reasons[name]
    return found


def codes(array):
    return {code for code in array if code is not None}


@pytest.fixture(scope="module")
def spx(sessions):
    frame = pd.DataFrame({"session": sessions, "close": walk(9, len(sessions))})
    return bars_of(frame, describe("SPX", "made", kind="index", fields=("close",)))


def close_only(sessions, values=None, **changes):
    frame = pd.DataFrame({"session": sessions, "close": walk(1, len(sessions)) if values is None else values})
    return bars_of(frame, describe("X", "made", fields=("close",), **changes))


def test_missing_inputs_are_named(sessions, spx):
    found = tables(close_only(sessions), spx)
    assert codes(found["atr_14"]) == {"missing_input:high,low"}
    assert codes(found["dollar_volume_21d"]) == {"missing_input:volume"}
    frame = pd.DataFrame({"session": sessions, "adj_close": walk(1, len(sessions))})
    adjusted = tables(bars_of(frame, describe("X", "made")), spx)
    assert codes(adjusted["atr_14"]) == {"missing_input:close,high,low"}
    assert codes(adjusted["amihud_21d"]) == {"missing_input:close,volume"}


def test_warm_up_says_how_long(sessions, spx):
    found = tables(bars_of(ohlcv(1, sessions), describe("X", "made", fields=OHLCV)), spx)
    for name, look_back in {"sma_200": 200, "rsi_14": 15, "atr_14": 15, "ret_1d": 2, "mom_12_1": 253, "vol_21d": 22,
                            "beta_252d": 253, "drawdown_252d": 252, "amihud_21d": 22, "macd": 26}.items():  # fmt: skip
        assert found[name][: look_back - 1].tolist() == [f"warm_up:{look_back}"] * (look_back - 1), name
        assert codes(found[name][look_back - 1 :]) == set(), name


def test_a_hole_in_the_data_is_a_gap(sessions, spx):
    bars = close_only(sessions)
    holey = bars_of(bars.frame.reset_index(drop=True).drop(index=[300]), bars.series)
    found = tables(holey, spx)
    assert codes(found["sma_20"][300:320]) == {"input_gap"}
    assert codes(found["sma_20"][320:]) == set()
    # A return reads two prices only: the session without a price, and the one that follows it.
    assert [place for place, code in enumerate(found["ret_1d"]) if code == "input_gap"] == [300, 301]
    assert [place for place, code in enumerate(found["ret_5d"]) if code == "input_gap"] == [300, 305]
    assert codes(found["beta_252d"][300:554]) == {"input_gap"}


def test_what_has_no_meaning_says_so(sessions, spx):
    rate = tables(close_only(sessions, kind="rate"), spx)
    assert codes(rate["ret_1d"]) == {"undefined:not_a_price"}
    assert codes(rate["beta_252d"]) == {"undefined:not_a_stock"}
    assert codes(rate["sma_20"][19:]) == set()
    frame = ohlcv(1, sessions).drop(columns="adj_close")
    fields = tuple(name for name in OHLCV if name != "adj_close")
    index = tables(bars_of(frame, describe("X", "made", kind="index", fields=fields)), spx)
    assert codes(index["dollar_volume_21d"]) == {"undefined:not_traded"}
    dividends = tables(bars_of(frame, describe("X", "made", fields=fields, adjustment="splits and dividends")), spx)
    assert codes(dividends["dollar_volume_21d"]) == {"undefined:not_as_traded"}
    assert codes(dividends["atr_14"][14:]) == set()


def test_a_monthly_average_has_no_daily_features(spx):
    months = pd.bdate_range("2018-01-31", "2020-06-30", freq="BME")
    bars = bars_of(
        pd.DataFrame({"session": months, "close": 4.0}),
        describe("Y", "made", kind="rate", calendar="MONTHLY-US", frequency="monthly", fields=("close",)),
    )
    assert codes(tables(bars, spx)["sma_20"]) == {"undefined:not_daily"}


def test_formulas_without_a_value_say_so(sessions, spx):
    size = len(sessions)
    flat = tables(close_only(sessions, np.full(size, 10.0)), spx)
    assert codes(flat["rsi_14"][14:]) == {"undefined:no_price_change"}
    assert codes(flat["bollinger_z_20"][19:]) == {"undefined:zero_variance"}
    sunk = walk(2, size)
    sunk[400:410] = -5.0
    below = tables(close_only(sessions, sunk), spx)
    assert codes(below["ret_1d"][1:]) == {"undefined:non_positive_price"}
    assert codes(below["beta_252d"][252:]) == {"undefined:non_positive_price"}
    frame = ohlcv(1, sessions)
    frame.loc[100, "volume"] = 0.0
    idle = tables(bars_of(frame, describe("X", "made", fields=OHLCV)), spx)
    assert codes(idle["amihud_21d"][100:121]) == {"undefined:zero_volume"}
    assert codes(idle["dollar_volume_21d"][20:]) == set()


def test_the_benchmark_has_to_be_there(sessions, spx):
    late = bars_of(spx.frame.reset_index(drop=True)[100:500], spx.series)
    found = tables(close_only(sessions), late)["beta_252d"]
    assert codes(found[:100]) == {"no_history:SPX"}
    assert codes(found[100:352]) == {"warm_up:253"}
    assert codes(found[352:500]) == set()
    assert codes(found[500:]) == {"no_history:SPX"}
    assert codes(tables(close_only(sessions))["beta_252d"]) == {"no_history:SPX"}


def test_a_fixing_in_frankfurt_has_no_beta_to_new_york(spx):
    days = pd.bdate_range("2018-01-02", "2020-06-30")
    days = hours("ECB", days[0].date(), days[-1].date()).session
    bars = close_only(days, calendar="ECB", kind="etf")
    assert codes(tables(bars, spx)["beta_252d"]) == {"undefined:other_hours"}


def test_outcomes_of_the_join_have_codes():
    found = [missing.of_outcome(outcome, dt.timedelta(days=15)) for outcome in Outcome]
    assert found == [None, "no_history", "not_yet_known", "expired:15d"]


def test_every_code_is_in_the_table_of_the_module(sessions, spx):
    words = {re.split("[:<]", code)[0] for code in re.findall(r"^``([^`]+)``", str(missing.__doc__), re.MULTILINE)}
    assert words == {
        "missing_input",
        "undefined",
        "warm_up",
        "no_history",
        "input_gap",
        "not_yet_known",
        "expired",
        "withdrawn",
        "null_in_source",
    }


# The mood of the market.


def panel_of(sessions, columns=4):
    prices = pd.DataFrame({f"P{seed}": walk(seed, len(sessions)) for seed in range(columns)}, index=sessions)
    times = hours("XNYS", sessions[0].date(), sessions[-1].date())
    return Panel(times.event, times.event + pd.Timedelta("15min"), times.session, prices)


def test_sentiment_is_the_mean_of_two_scores(sessions):
    panel = panel_of(sessions)
    found = sentiment_table(panel)
    above = (panel.prices > panel.prices.rolling(50).mean()).mean(axis=1)[panel.prices.index[49] :]
    swings = (panel.prices.pct_change().rolling(21).std() * np.sqrt(252)).median(axis=1)

    def z(series):
        return (series - series.rolling(252).mean()) / series.rolling(252).std()

    expected = (z(above).reindex(panel.prices.index) + z(-swings)) / 2
    np.testing.assert_allclose(found.values["sentiment_z"], expected, rtol=1e-8, atol=1e-8)
    assert codes(found.reasons["sentiment_z"]) == {"warm_up:301"}
    assert np.isfinite(found.values["sentiment_z"][300:]).all()


def test_a_news_score_plugs_in_with_its_own_publication_times(sessions):
    panel = panel_of(sessions)

    class News:
        name, look_back = "news", 1

        def scores(self, given):
            values = np.sin(np.arange(len(given.session)) / 9.0)
            values[:100] = np.nan  # the archive starts later than the prices
            created = given.created.to_series().reset_index(drop=True)
            created[400] += pd.Timedelta(days=3)  # one score came out late
            return Scores(values, pd.DatetimeIndex(created))

    market, both = sentiment_table(panel), sentiment_table(panel, (Breadth(), Calm(), News()))
    assert not np.allclose(market.values["sentiment_z"][500:], both.values["sentiment_z"][500:])
    # What uses the late score is known no earlier than the score.
    assert both.created[400] == panel.created[400] + pd.Timedelta(days=3)
    assert both.created[401] == both.created[400]
    assert (both.created >= panel.created).all()
    assert both.created[410] == panel.created[410]


def test_sentiment_without_a_source_or_with_a_hole_says_why(sessions):
    panel = panel_of(sessions)

    class Late:
        name, look_back = "news", 1

        def scores(self, given):
            values = np.sin(np.arange(len(given.session)) / 9.0)
            values[:330] = np.nan
            return Scores(values, given.created)

    found = sentiment_table(panel, (Breadth(), Calm(), Late())).reasons["sentiment_z"]
    assert codes(found[300:330]) == {"no_history:news"}
    thin = panel_of(sessions)
    thin.prices.iloc[400, :3] = np.nan
    gap = sentiment_table(thin).reasons["sentiment_z"]
    assert codes(gap[400:]) == {"input_gap"}
    flat = panel_of(sessions)
    flat.prices.loc[:] = 10.0
    assert codes(sentiment_table(flat).reasons["sentiment_z"][300:]) == {"undefined:zero_variance"}
