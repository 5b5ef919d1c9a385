"""What each type of shock does, beside moving prices."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.liquidity import Liquidity
from quantdesk.scenarios.path import Grade
from quantdesk.scenarios.shocks import Method, Shock, generate
from quantdesk.scenarios.shocks.correlation import mean_of
from quantdesk.scenarios.shocks.credit import LEHMAN, monthly_spread, regression, spread_deviation

STILL = Method(noise=0.0, highest_volatility=math.inf)


def change(result, symbol: str, bar: int = 5) -> float:
    values = result.path.closes([symbol]).to_numpy()[:, 0]
    return float(values[bar] - values[0] if symbol.startswith("UST") else math.log(values[bar] / values[0]))


def test_a_volatility_spike_raises_vix_and_pulls_stocks_and_makes_the_affected_wilder(base, panel):
    shock = Shock(type="volatility_spike", magnitude=3, affected_sectors=("TECH",), shape="jump")
    result = generate(shock, base, panel=panel)
    still = generate(shock, base, panel=panel, method=STILL)
    calm = generate(Shock(type="feed_outage"), base, panel=panel)
    rise = 3 * result.cov.deviation("VIX") * math.sqrt(5)
    assert change(result, "VIX") == pytest.approx(rise, abs=1e-8)
    assert change(still, "SPX") < -0.02
    for symbol, factor in (("AAPL", math.exp(rise)), ("XOM", 1.0)):
        # Noise of a bar less its mean, against the noise that the same seed gives without a shock of VIX.
        noise = change(result, symbol, 1) - change(still, symbol, 1)
        slope = result.cov.matrix[result.cov.places([symbol])[0], result.cov.places(["VIX"])[0]]
        slope /= result.cov.deviation("VIX") ** 2
        free = change(calm, symbol, 1) - slope * change(calm, "VIX", 1)
        assert noise == pytest.approx(factor * free, abs=1e-8)
    assert any(f"{math.exp(rise):.2f} times" in note for note in result.notes)


def test_without_vix_a_spike_has_no_direction_and_says_so(closes, path_from, base):
    assets = tuple(asset for asset in base.assets if asset.symbol != "VIX")
    path = path_from(closes.drop(columns="VIX").iloc[-260:], "no vix", assets)
    result = generate(Shock(type="volatility_spike"), path, era="11m_before", method=STILL)
    assert change(result, "SPX") == pytest.approx(0, abs=1e-10)
    text = " ".join(result.notes)
    assert "no VIX" in text
    assert "which way" in text
    wild = generate(Shock(type="volatility_spike", magnitude=1, unit="absolute", shape="jump"), path, era="11m_before")
    calm = generate(Shock(type="feed_outage"), path, era="11m_before")
    assert change(wild, "AAPL", 1) == pytest.approx(2 * change(calm, "AAPL", 1), abs=1e-8)
    assert change(wild, "EURUSD", 1) == pytest.approx(change(calm, "EURUSD", 1), abs=1e-8)


def test_a_spike_that_the_base_cannot_show_still_drives_by_the_panels_vix(closes, panel, path_from, base):
    assets = tuple(asset for asset in base.assets if asset.symbol != "VIX")
    path = path_from(closes.drop(columns="VIX").iloc[-260:], "no vix", assets)
    shock = Shock(type="volatility_spike")
    with_driver, with_asset = (generate(shock, one, panel=panel, method=STILL) for one in (path, base))
    assert change(with_driver, "SPX") == pytest.approx(change(with_asset, "SPX"), abs=1e-8)
    assert "VIX" not in with_driver.path.symbols


@pytest.mark.parametrize(
    ("style", "expected"),
    [("parallel", [1, 1, 1, 1]), ("steepener", [0, 0, math.log(2.5) / math.log(5), 1]),
     ("inversion", [1, 1, 1 - math.log(2.5) / math.log(5), 0])],
)  # fmt: skip
def test_a_shift_of_rates_has_its_style(base, panel, style, expected):
    shock = Shock(type="rate_shift", magnitude=100, unit="absolute", style=style)
    result = generate(shock, base, panel=panel)
    moved = [change(result, name) for name in ("UST3M", "UST2Y", "UST5Y", "UST10Y")]
    assert moved == pytest.approx(expected, abs=1e-7)
    slope = [note for note in result.notes if note.startswith("Ten years less two")]
    assert len(slope) == 1
    before = base.closes(["UST10Y"]).iloc[-1, 0] - base.closes(["UST2Y"]).iloc[-1, 0]
    after = before + expected[3] - expected[1]
    assert slope[0].endswith("not inverted." if after >= 0 else ": inverted.")


def test_only_two_and_ten_years_say_something_of_the_others(base, panel):
    shock = Shock(type="rate_shift", magnitude=3)
    result = generate(shock, base, panel=panel, method=STILL)
    size = 3 * result.cov.deviation("UST10Y") * math.sqrt(5)
    places = result.cov.places(["UST2Y", "UST10Y"])
    slopes = np.linalg.solve(result.cov.matrix[np.ix_(places, places)], result.cov.matrix[places])
    expected = size * slopes.sum(axis=0)[result.cov.places(["SPX"])[0]]
    assert change(result, "SPX") == pytest.approx(expected, abs=1e-8)
    part = generate(Shock(type="rate_shift", magnitude=50, unit="absolute", symbols=("UST3M",)), base, panel=panel)
    assert list(part.moves.index[part.moves["role"] == "shocked"]) == ["UST3M"]


def test_a_freeze_of_credit_is_a_part_of_lehman(base, panel):
    result = generate(Shock(type="credit_freeze", magnitude=69.1, unit="absolute", shape="jump"), base, panel=panel)
    assert [change(result, name) for name in ("JPM", "BAC")] == pytest.approx([math.log(0.45) / 2] * 2, abs=1e-8)
    traded = [base.column(name) for name in ("SPX", "AAPL", "JPM")]
    assert result.spread[1, traded] == pytest.approx(math.sqrt(2.9), rel=1e-9)
    power = Liquidity().depth_power / Liquidity().spread_power
    assert result.depth[1, traded] == pytest.approx(math.sqrt(2.9) ** power, rel=1e-9)
    assert (result.spread[0] == 1).all()
    assert (result.spread[6:] == 1).all()
    assert (result.spread[:, base.column("EURUSD")] == 1).all()
    assert "0.50 of what it did in 2008" in result.notes[0]
    assert "was not used" in result.notes[1]


def test_a_freeze_in_deviations_counts_months_of_the_era(base, panel, closes):
    spread = (closes["BAA"] - closes["AAA"]).dropna()
    era = spread.loc["2014-12-30":"2016-12-30"].diff().dropna()
    assert spread_deviation(closes, pd.Timestamp("2014-12-30").date(), pd.Timestamp("2016-12-30").date()) == (
        pytest.approx(era.std())
    )
    result = generate(Shock(type="credit_freeze", magnitude=2, duration_days=21), base, panel=panel)
    assert change(result, "JPM", 21) == pytest.approx(LEHMAN.part(2 * era.std()).financials, abs=1e-8)
    with pytest.raises(BadInput, match="monthly changes"):
        generate(Shock(type="credit_freeze"), base, era="11m_before")


def test_the_regression_is_one(closes):
    found = regression(closes, ["JPM"])
    spread = monthly_spread(closes).diff()
    price = np.log(closes["JPM"]).groupby(closes.index.to_period("M")).mean().diff()
    slope, _ = np.polyfit(spread.dropna(), price.loc[spread.dropna().index], 1)
    assert found is not None
    assert found.slope == pytest.approx(slope)
    assert regression(closes.drop(columns="BAA"), ["JPM"]) is None
    assert regression(closes.iloc[:300], ["JPM"]) is None


def test_a_drought_takes_depth_and_leaves_prices(base, panel):
    shock = Shock(type="liquidity_drought", magnitude=4, unit="absolute", affected_sectors=("ENERGY",), duration_days=4)
    result = generate(shock, base, panel=panel)
    calm = generate(Shock(type="feed_outage", duration_days=4), base, panel=panel)
    assert np.array_equal(result.path.close, calm.path.close)
    column = base.column("XOM")
    assert result.spread[:6, column] == pytest.approx([1, 4**0.25, 4**0.5, 4**0.75, 4, 1])
    assert (np.delete(result.depth, column, axis=1) == 1).all()
    assert result.depth[4, column] < 0.2
    lasting = generate(Shock(type="liquidity_drought", shape="L"), base, panel=panel)
    rise = 3 * lasting.cov.deviation("VIX") * math.sqrt(5)
    assert lasting.spread[-1] == pytest.approx(math.exp(rise) ** Liquidity().spread_power)


def test_two_droughts_multiply(base, panel):
    one = Shock(type="liquidity_drought", magnitude=2, unit="absolute", shape="jump")
    other = Shock(type="liquidity_drought", magnitude=3, unit="absolute", shape="jump", delay_days=1)
    result = generate(one + other, base, panel=panel)
    assert result.spread[:8, 0] == pytest.approx([1, 2, 6, 6, 6, 6, 3, 1])


def test_a_currency_that_loses_falls_against_all(base, panel):
    euro = generate(Shock(type="fx_devaluation", magnitude=0.1, unit="absolute"), base, panel=panel)
    assert [change(euro, name) for name in ("EURUSD", "EURTRY")] == pytest.approx([math.log(0.9)] * 2, abs=1e-8)
    lira = generate(Shock(type="fx_devaluation", magnitude=0.25, unit="absolute", symbols=("TRY",)), base, panel=panel)
    assert change(lira, "EURTRY") == pytest.approx(-math.log(0.75), abs=1e-8)
    assert lira.moves.loc["EURUSD", "role"] == "conditional"
    pair = generate(Shock(type="fx_devaluation", magnitude=-2, symbols=("EURUSD",)), base, panel=panel)
    assert change(pair, "EURUSD") > 0
    with pytest.raises(UnknownName, match="JPY"):
        generate(Shock(type="fx_devaluation", symbols=("JPY",)), base, panel=panel)


def test_a_commodity_rises_or_falls_and_sectors_mean_nothing_to_it(base, panel):
    for size in (0.5, -0.5):
        shock = Shock(type="commodity_shock", magnitude=size, unit="absolute", affected_sectors=("TECH",))
        result = generate(shock, base, panel=panel)
        assert change(result, "WTI") == pytest.approx(math.log1p(size), abs=1e-8)
        assert list(result.moves.index[result.moves["role"] == "shocked"]) == ["WTI"]


def test_broken_correlations_are_those_asked_for_or_the_nearest(base, panel):
    shock = Shock(type="correlation_breakdown", magnitude=0.95, unit="absolute", affected_sectors=("TECH", "ENERGY"))
    result = generate(shock, base, panel=panel)
    assert result.correlation is not None
    places = result.cov.places(["AAPL", "MSFT", "XOM"])
    block = result.correlation.matrix[np.ix_(places, places)]
    assert mean_of(block) == pytest.approx(0.95, abs=result.correlation.distance + 1e-9)
    assert np.linalg.eigvalsh(result.correlation.matrix)[0] >= -1e-9
    assert result.correlation.describe() in result.text()
    deviations = generate(Shock(type="correlation_breakdown", magnitude=2), base, panel=panel)
    assert any("Fisher" in note for note in deviations.notes)


def test_correlations_of_one_make_assets_move_as_one(base, panel):
    shock = Shock(type="correlation_breakdown", magnitude=1, unit="absolute", shape="L", symbols=("AAPL", "BAC", "XOM"))
    result = generate(shock, base, panel=panel, method=Method(aftermath_days=60))
    logs = np.diff(np.log(result.path.closes(["AAPL", "BAC", "XOM"]).to_numpy()), axis=0)
    assert mean_of(np.corrcoef(logs, rowvar=False)) > 0.9
    free = generate(Shock(type="feed_outage"), base, panel=panel, method=Method(aftermath_days=60))
    other = np.diff(np.log(free.path.closes(["AAPL", "BAC", "XOM"]).to_numpy()), axis=0)
    assert mean_of(np.corrcoef(other, rowvar=False)) < 0.8


def test_a_users_matrix_is_checked_and_used(base, panel):
    names = ["AAPL", "JPM", "XOM"]
    asked = pd.DataFrame([[1, 0.2, 0.1], [0.2, 1, 0.3], [0.1, 0.3, 1]], names, names, dtype=float)
    shock = Shock(type="correlation_breakdown", magnitude=0.5, unit="absolute")
    result = generate(shock, base, panel=panel, method=Method(correlations=asked))
    assert result.correlation is not None
    places = result.cov.places(names)
    assert result.correlation.matrix[np.ix_(places, places)] == pytest.approx(
        asked.to_numpy(), abs=result.correlation.largest + 1e-12
    )
    for wrong, said in ((asked * 1.1, "diagonal"), (asked.iloc[::-1], "rows"), (asked.where(asked < 1), "NaN")):
        with pytest.raises(BadInput, match=said):
            generate(shock, base, panel=panel, method=Method(correlations=wrong))
    with pytest.raises(BadInput, match="no correlation_breakdown"):
        generate(Shock(type="equity_crash"), base, panel=panel, method=Method(correlations=asked))


def test_a_closed_market_has_no_bars_and_reopens_with_all_that_happened(base, panel):
    shock = Shock(type="market_closure", magnitude=0.1, unit="absolute", duration_days=4)
    result = generate(shock, base, panel=panel, method=STILL)
    spx = result.path.closes(["SPX"]).to_numpy()[:, 0]
    assert np.isnan(spx[1:5]).all()
    assert spx[5] / spx[0] == pytest.approx(0.9, abs=1e-8)
    assert result.path.graded(Grade.CLOSED) == 4 * 6
    assert np.isfinite(result.path.closes(["UST10Y", "EURUSD"]).to_numpy()).all()
    one = generate(Shock(type="market_closure", symbols=("AAPL",), duration_days=1), base, panel=panel)
    assert one.path.graded(Grade.CLOSED) == 1


def test_a_feed_outage_leaves_the_bars_and_names_its_window(base, panel):
    shock = Shock(type="feed_outage", duration_days=2, delay_days=1, affected_sectors=("TECH",))
    result = generate(shock, base, panel=panel)
    (outage,) = result.outages
    assert outage.symbols == ("AAPL", "MSFT")
    assert (outage.begins, outage.ends) == (result.path.begins[2], result.path.ends[3])
    assert result.path.graded(Grade.CLOSED) == 0


@pytest.mark.parametrize(
    ("shock", "said"),
    [(Shock(type="sector_crash", affected_sectors=("UTILITIES",)), "Utilities"),
     (Shock(type="equity_crash", symbols=("TSLA",)), "TSLA"),
     (Shock(type="correlation_breakdown", symbols=("AAPL",)), "1 assets")],
)  # fmt: skip
def test_a_shock_of_what_is_not_there_is_refused(base, panel, shock, said):
    with pytest.raises(BadInput, match=said):
        generate(shock, base, panel=panel)


@pytest.mark.parametrize("kind", ["equity_crash", "rate_shift", "credit_freeze", "commodity_shock"])
def test_a_path_without_the_asset_class_is_refused(closes, path_from, base, kind):
    assets = tuple(asset for asset in base.assets if asset.kind == ("equity" if kind != "equity_crash" else "fx"))
    if kind == "credit_freeze":
        assets = tuple(asset for asset in assets if asset.sector != "Financials")
    path = path_from(closes.iloc[-260:], "few", assets)
    shock = Shock(type=kind, magnitude=0.5 if kind != "rate_shift" else 5, unit="absolute")
    with pytest.raises(BadInput, match="no"):
        generate(shock, path, era="11m_before")


def test_a_move_beyond_experience_is_called_an_extrapolation(base, panel):
    result = generate(Shock(type="equity_crash", magnitude=0.5, unit="absolute"), base, panel=panel)
    (note,) = (note for note in result.notes if note.startswith("Beyond all that the data show over 5 sessions"))
    assert "JPM" in note
    assert "SPX" not in note  # it was asked for, not extrapolated
    small = generate(Shock(type="equity_crash", magnitude=0.01, unit="absolute"), base, panel=panel)
    assert not any("Beyond" in note for note in small.notes)


def test_extrapolated_volatility_is_named_first_and_then_what_is_furthest_beyond(base, panel):
    result = generate(Shock(type="equity_crash", magnitude=0.8, unit="absolute"), base, panel=panel)
    (note,) = (note for note in result.notes if note.startswith("Beyond all that the data show over 5 sessions"))
    found = re.findall(r"(\w+) ([+-]\d+) % \(most ever: ([+-]\d+) %\)", note)
    assert found[0][0] == "VIX"
    ratios = [np.log1p(int(mean) / 100) / np.log1p(int(most) / 100) for _, mean, most in found[1:]]
    assert len(ratios) == 3
    assert ratios == sorted(ratios, reverse=True)
    assert "more" in note


def test_volatility_that_nobody_asked_for_is_held_at_a_stated_bound(store) -> None:
    from quantdesk.scenarios import ScenarioEngine
    from quantdesk.scenarios.shocks import Shock

    engine = ScenarioEngine(store)
    crash = engine.shocked(Shock(type="equity_crash", magnitude=0.4, unit="absolute"))
    column = crash.path.column("VIX")
    assert crash.path.close[:, column].max() == 100.0
    assert any("held at 100" in note for note in crash.notes)
    asked = engine.shocked(Shock(type="volatility_spike", magnitude=12.0, unit="absolute", affected_sectors=()))
    assert asked.path.close[:, column].max() > 100.0  # who asks for it gets it
