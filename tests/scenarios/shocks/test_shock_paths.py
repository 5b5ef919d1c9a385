"""Shocked assets move as asked, the rest by the regression formula, and nothing looks ahead."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, BadParameter, UnknownName
from quantdesk.scenarios.path import Grade
from quantdesk.scenarios.shocks import Era, Method, Shock, Shocks, by_session, covariance, generate, moves
from quantdesk.scenarios.shocks.moves import betas, closes_of, root

STILL = Method(noise=0.0, highest_volatility=math.inf)
STOCKS = ["AAPL", "MSFT", "JPM", "BAC", "XOM"]


def logs(result, symbol: str) -> np.ndarray:
    return np.log(result.path.closes([symbol]).to_numpy()[:, 0])


@pytest.fixture(scope="module")
def crash(base, panel):
    return generate(Shock(type="equity_crash", magnitude=0.2, unit="absolute"), base, panel=panel)


def test_a_crash_is_as_deep_as_asked_on_the_day_it_was_asked_for(crash, base):
    spx = crash.path.closes(["SPX"]).to_numpy()[:, 0]
    assert spx[0] == base.close[-1, 0]
    assert spx[5] / spx[0] == pytest.approx(0.8, abs=1e-9)
    assert np.diff(np.log(spx[:6])) == pytest.approx(np.full(5, math.log(0.8) / 5), abs=1e-9)


def test_a_magnitude_in_deviations_is_scaled_with_the_root_of_its_days(base, panel):
    result = generate(Shock(type="equity_crash", magnitude=3, duration_days=9), base, panel=panel)
    daily = np.log(by_session(panel)["SPX"]).diff().loc["2014-12-30":].std()
    assert logs(result, "SPX")[9] - logs(result, "SPX")[0] == pytest.approx(-3 * daily * 3, rel=1e-9)


def test_the_first_bar_is_real_the_others_are_simulated_and_the_past_is_the_bases(crash, base):
    assert crash.path.graded(Grade.REAL) == len(base.assets)
    assert crash.path.graded(Grade.SIMULATED) == 10 * len(base.assets)
    assert crash.path.history is not None
    assert np.array_equal(crash.path.history.close, base.close[:-1])
    assert crash.path.ends[0] == base.ends[-1]
    assert [str(day.date()) for day in crash.path.sessions[:3]] == ["2016-12-30", "2017-01-03", "2017-01-04"]
    assert crash.path.methods["SPX"].startswith("simulated: moved by equity_crash")
    assert crash.path.methods["AAPL"].startswith("simulated: normal noise and conditional mean of 2y_before")
    assert {"simulated_shock", "covariance_of:2y_before"} <= set(crash.path.labels)


@given(size=st.floats(0.02, 0.6), shape=st.sampled_from(["jump", "ramp", "V", "L"]), days=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_what_is_not_shocked_moves_by_the_regression_formula(base, panel, size, shape, days):
    # The oracle is least squares on the raw moves of the era, with means taken off.
    shock = Shock(
        type="sector_crash", magnitude=size, unit="absolute", affected_sectors=("FINANCE",), shape=shape,
        duration_days=days,
    )  # fmt: skip
    result = generate(shock, base, panel=panel, method=STILL)
    closes = by_session(panel).loc["2014-12-29":"2016-12-30", list(base.symbols)]
    rates = [name.startswith("UST") for name in closes]
    raw = np.log(closes).where([[not one for one in rates]] * len(closes), closes)
    table = raw.diff().dropna()
    table = (table - table.mean()).to_numpy()
    places = [base.symbols.index(name) for name in ("BAC", "JPM")]
    slopes = np.linalg.lstsq(table[:, places], table, rcond=None)[0]
    expected = math.log1p(-size) * slopes.sum(axis=0)
    values = np.where(rates, result.path.close, np.log(np.where(rates, 1.0, result.path.close)))
    assert values[days] - values[0] == pytest.approx(expected, abs=1e-7)
    assert values[-1] - values[0] == pytest.approx(0 * expected if shape == "V" else expected, abs=1e-7)


def test_the_residual_noise_has_the_conditional_covariance(closes):
    cov = covariance(closes[["SPX", *STOCKS]], Era("all", closes.index[1].date(), closes.index[-1].date()))
    given_places = np.array([0])
    drawn = np.random.default_rng(0).standard_normal((200_000, 6)) @ root(cov.matrix)
    left = drawn - drawn[:, :1] @ betas(cov.matrix, given_places).T
    rest = cov.matrix[1:, 1:] - np.outer(cov.matrix[1:, 0], cov.matrix[0, 1:]) / cov.matrix[0, 0]
    assert np.abs(left[:, 0]).max() < 1e-12
    scale = np.sqrt(np.diag(rest))
    assert np.cov(left[:, 1:], rowvar=False) / np.outer(scale, scale) == pytest.approx(
        rest / np.outer(scale, scale), abs=0.02
    )


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(base, panel, crash):
    shock = Shock(type="equity_crash", magnitude=0.2, unit="absolute")
    assert generate(shock, base, panel=panel).path.sha256 == crash.path.sha256
    other = generate(shock, base, panel=panel, seed=1)
    assert other.path.sha256 != crash.path.sha256
    assert np.array_equal(other.path.close[:6, 0], crash.path.close[:6, 0])


def test_the_order_of_shocks_does_not_matter(base, panel):
    parts = [
        Shock(type="equity_crash"),
        Shock(type="rate_shift", magnitude=50, unit="absolute", shape="jump"),
        Shock(type="liquidity_drought", delay_days=2),
        Shock(type="volatility_spike", affected_sectors=("TECH",)),
        Shock(type="correlation_breakdown", magnitude=0.9, unit="absolute"),
    ]
    one = generate(parts, base, panel=panel)
    other = generate(Shocks(tuple(reversed(parts))), base, panel=panel)
    assert one.path.sha256 == other.path.sha256
    assert np.array_equal(one.spread, other.spread)
    pd.testing.assert_frame_equal(one.moves, other.moves)


def test_two_shocks_of_one_asset_add_up_in_logs(base, panel):
    half = Shock(type="equity_crash", magnitude=0.1, unit="absolute")
    result = generate(half + half, base, panel=panel, method=STILL)
    assert logs(result, "SPX")[5] - logs(result, "SPX")[0] == pytest.approx(2 * math.log(0.9), abs=1e-9)


def test_an_asset_is_free_before_and_after_its_own_shock(base, panel):
    crash = Shock(type="equity_crash", magnitude=0.1, unit="absolute", duration_days=2)
    shift = Shock(type="rate_shift", magnitude=60, unit="absolute", duration_days=2, delay_days=2)
    result = generate(crash + shift, base, panel=panel, method=STILL)
    yields, spx = result.path.closes(["UST10Y"]).to_numpy()[:, 0], logs(result, "SPX")
    assert yields[2] < yields[0]  # the crash alone pulls yields with it
    assert yields[4] - yields[2] == pytest.approx(0.6, abs=1e-7)
    assert spx[4] > spx[2]  # and the rise of yields pulls stocks


@given(
    st.floats(0.01, 0.5), st.floats(0.01, 0.45), st.integers(0, 50),
    st.sampled_from(["equity_crash", "sector_crash", "market_closure"]), st.sampled_from(["jump", "ramp", "V", "L"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_a_larger_shock_never_helps_a_long_book(base, panel, small, more, seed, kind, shape):
    sectors = ("FINANCE",) if kind == "sector_crash" else ()
    values = [
        generate(
            Shock(type=kind, magnitude=size, unit="absolute", affected_sectors=sectors, shape=shape, duration_days=4),
            base, panel=panel, seed=seed,
        ).path.closes(STOCKS).to_numpy()
        for size in (small, small + more)
    ]  # fmt: skip
    traded = ~np.isnan(values[0])
    assert np.array_equal(traded, ~np.isnan(values[1]))
    assert (values[1][traded] <= values[0][traded] + 1e-7).all()
    assert (values[1][traded] < values[0][traded] - 1e-7).any()


def test_what_came_after_the_base_changes_nothing(closes, panel, path_from):
    middle = path_from(closes.iloc[400:700])
    shocks = [Shock(type="volatility_spike"), Shock(type="credit_freeze"), Shock(type="rate_shift")]
    later = panel.copy()
    later.iloc[700:] *= np.random.default_rng(0).uniform(0.5, 2, later.iloc[700:].shape)
    one, other, cut = (generate(shocks, middle, panel=given) for given in (panel, later, panel.iloc[:700]))
    assert one.path.sha256 == other.path.sha256 == cut.path.sha256
    assert one.notes == other.notes == cut.notes
    assert np.array_equal(one.spread, other.spread)


def test_an_era_after_the_start_is_labelled(closes, panel, path_from):
    middle = path_from(closes.iloc[200:400])
    result = generate(Shock(type="equity_crash"), middle, panel=panel, era="2015-06-01..2016-06-01")
    assert "era_after_start:2015-06-01..2016-06-01" in result.path.labels
    own = generate(Shock(type="equity_crash", era="2015-06-01..2016-06-01"), middle, panel=panel, era="6m_before")
    assert "era_after_start:2015-06-01..2016-06-01" in own.path.labels
    assert not any(
        "after_start" in one for one in generate(Shock(type="equity_crash"), middle, era="6m_before").path.labels
    )


def test_a_shock_counts_the_deviations_of_its_own_era(closes, base, panel):
    era = "2014-01-02..2014-06-30"
    result = generate(Shock(type="equity_crash", duration_days=1, era=era), base, panel=panel, method=STILL)
    daily = np.log(closes["SPX"]).diff().loc["2014-01-02":"2014-06-30"].std()
    assert logs(result, "SPX")[1] - logs(result, "SPX")[0] == pytest.approx(-3 * daily, rel=1e-9)
    assert result.cov.era.name == "2y_before"


def test_what_the_base_or_the_era_does_not_know_is_missing_not_invented(closes, path_from):
    holed = closes.copy()
    holed.loc["2016-12-01":, "WTI"] = np.nan
    holed.loc[:"2016-11-30", "EURTRY"] = np.nan
    holed.loc["2016-12-29":, "JPM"] = np.nan
    base = path_from(holed.iloc[-260:])
    result = generate(Shock(type="equity_crash", magnitude=3), base, era="11m_before")
    assert np.isnan(result.path.closes(["WTI", "EURTRY"]).to_numpy()[1:]).all()
    assert result.path.methods["EURTRY"].startswith("missing")
    assert "The era does not know: EURTRY" in " ".join(result.notes)
    assert list(result.moves.loc[["WTI", "EURTRY"], "role"]) == ["conditional", "missing"]
    assert np.isfinite(result.path.closes(["JPM"]).to_numpy()[1:]).all()  # two days old: still a base


def test_an_absolute_shock_of_what_the_era_does_not_know_moves_that_alone(closes, path_from):
    holed = closes.copy()
    holed.loc[:"2016-11-30", "WTI"] = np.nan
    base = path_from(holed.iloc[-260:])
    fall = Shock(type="commodity_shock", magnitude=-0.3, unit="absolute")
    result = generate(fall, base, era="11m_before", method=STILL)
    wti = result.path.closes(["WTI", "SPX"]).to_numpy()
    assert wti[5, 0] / wti[0, 0] == pytest.approx(0.7, abs=1e-8)
    assert wti[-1, 0] == wti[5, 0]
    assert wti[5, 1] == pytest.approx(wti[0, 1])
    with pytest.raises(UnknownName, match="WTI"):
        generate(replace(fall, magnitude=-3.0, unit="sd"), base, era="11m_before")


def test_a_base_without_a_panel_stands_on_its_own_history(base, closes, path_from):
    short = path_from(closes.iloc[-30:])
    whole = replace(short, history=replace(base.cut(0, 230), name="past"))
    one = generate(Shock(type="equity_crash"), whole, era="11m_before")
    other = generate(Shock(type="equity_crash"), base, era="11m_before")
    assert np.array_equal(one.path.close, other.path.close)
    assert one.path.history is not None
    assert np.array_equal(one.path.history.close, base.close[:-1])
    assert closes_of(whole).equals(closes_of(base))
    with pytest.raises(BadDates, match="29 days with moves"):
        generate(Shock(type="equity_crash"), short)


def test_noise_and_aftermath_are_set_and_checked(base, panel):
    result = generate(Shock(type="equity_crash"), base, panel=panel, method=Method(aftermath_days=1))
    assert len(result.path.ends) == 1 + 5 + 1
    for wrong in ({"noise": -1}, {"noise": math.nan}, {"aftermath_days": 0}):
        with pytest.raises(BadParameter):
            Method(**wrong)
    for seed in (-1, 1.5, True):
        with pytest.raises(BadParameter, match="seed"):
            generate(Shock(type="equity_crash"), base, seed=seed)


def test_an_intraday_base_is_refused(base):
    half = (base.begins[-1] + base.ends[-1]) // 2
    minutes = replace(
        base.cut(258, 260),
        begins=np.array([base.begins[-1], half]),
        ends=np.array([half, base.ends[-1]]),
    )
    with pytest.raises(BadInput, match="intraday"):
        generate(Shock(type="equity_crash"), minutes)


def test_ledoit_wolf_takes_more_assets_than_days_and_plain_does_not(closes):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(
        100 * np.exp(np.cumsum(0.01 * rng.standard_normal((61, 80)), axis=0)), closes.index[:61],
        [f"S{n}" for n in range(80)],
    )  # fmt: skip
    era = Era("short", closes.index[0].date(), closes.index[60].date())
    with pytest.raises(BadInput, match="ledoit_wolf"):
        covariance(wide, era)
    found = covariance(wide, era, estimator="ledoit_wolf")
    assert np.linalg.eigvalsh(found.matrix)[0] > 0
    with pytest.raises(UnknownName, match="ledoit_wolf"):
        covariance(wide, era, estimator="ledoit")


def test_a_peg_that_never_moves_is_told_and_left_out(closes):
    pegged = closes[["SPX", "AAPL"]].assign(PEG=1.0)
    era = Era("all", closes.index[0].date(), closes.index[-1].date())
    assert covariance(pegged, era).absent == ("PEG",)
    with pytest.raises(BadInput, match="did not move"):
        covariance(pegged[["PEG"]], era)
    with pytest.raises(BadInput, match="not above zero"):
        covariance(pegged.assign(PEG=np.linspace(-1, 1, len(pegged))), era)


def test_moves_are_logs_of_prices_and_differences_of_rates(closes):
    found = moves(closes[["SPX", "UST2Y"]], {"UST2Y": "rate"})
    assert found["SPX"].to_numpy() == pytest.approx(np.log(closes["SPX"]).diff().to_numpy()[1:])
    assert found["UST2Y"].to_numpy() == pytest.approx(closes["UST2Y"].diff().to_numpy()[1:])
    with pytest.raises(BadInput, match="no rows"):
        by_session(pd.DataFrame({"A": [1.0]}))
