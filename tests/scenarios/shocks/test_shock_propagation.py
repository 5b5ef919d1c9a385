"""The error of the method on real crises: the figures that were published with it, and that 2022 fails."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from quantdesk.errors import BadDates
from quantdesk.scenarios.path import GRADES, Asset, Grade, Path
from quantdesk.scenarios.shocks import Crisis, Method, Shock, by_session, generate, propagation_error, synthetic_shock

PANEL = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM".split()  # noqa: SIM905
OTHERS = ["UST3M", "UST2Y", "UST10Y", "EURUSD", "WTI", "VIX"]

pytestmark = pytest.mark.xdist_group("panel")


@pytest.fixture(scope="module")
def panel(store):
    return store.panel(["SPX", *PANEL, *OTHERS, "BAA", "AAA"])


@pytest.fixture(scope="module")
def errors(panel):
    return propagation_error(panel, stocks=PANEL)


@pytest.fixture(scope="module")
def real_base(store, panel, path_from) -> Path:
    """All real series up to the end of 2016, the last year-end on which all are known."""
    names = ["SPX", *PANEL, *OTHERS]
    from quantdesk.backtest.sectors import SECTORS

    assets = tuple(Asset(one, store.resolve(one).kind, store.resolve(one).unit, SECTORS.get(one, "")) for one in names)
    closes = by_session(panel).loc["2015-06-01":"2016-12-30"]
    return path_from(closes.loc[closes["SPX"].notna()], "2016", assets)


@pytest.mark.parametrize(
    ("crisis", "given", "predicted", "actual"),
    [("lehman_2008", -39.9, -35.9, -35.7), ("covid_2020", -33.9, -31.8, -31.2), ("ltcm_1998", -19.3, -20.2, -20.2),
     ("rate_shock_2022", -25.4, -24.4, -7.9)],
)  # fmt: skip
def test_the_published_predictions_come_out_of_the_data(errors, crisis, given, predicted, actual):
    (row,) = (row for row in errors.rows if row.crisis == crisis)
    assert 100 * row.given == pytest.approx(given, abs=0.05)
    assert 100 * row.predicted == pytest.approx(predicted, abs=0.1)
    assert 100 * row.actual == pytest.approx(actual, abs=0.05)
    assert row.stocks == 20


def test_a_prediction_is_a_regression_on_the_two_years_before(errors, panel):
    closes = by_session(panel)[["SPX", *PANEL]].dropna()
    logs = np.log(closes).diff().loc["2006-09-12":"2008-09-12"]
    slopes = [np.polyfit(logs["SPX"], logs[name], 1)[0] for name in PANEL]
    given = np.log(closes.loc["2008-11-20", "SPX"] / closes.loc["2008-09-12", "SPX"])
    (row,) = (row for row in errors.rows if row.crisis == "lehman_2008")
    assert row.predicted == pytest.approx(float(np.expm1(np.array(slopes) * given).mean()), abs=1e-12)


def test_the_failure_of_2022_is_the_worst_and_stands_in_the_text(errors):
    assert errors.worst.crisis == "rate_shock_2022"
    assert "Worst: rate_shock_2022, wrong by 16.5 points." in errors.text()
    assert len(errors.frame()) == len(errors.rows) == 10
    assert errors.frame().loc["covid_2020", "stocks"] == 20


def test_a_crisis_without_data_is_left_out_and_named(panel):
    crises = (Crisis("before", dt.date(1987, 10, 14), dt.date(1987, 10, 19)),)
    with pytest.raises(BadDates, match="none of the crises"):
        propagation_error(panel, crises)
    found = propagation_error(panel, (*crises, Crisis("covid", dt.date(2020, 2, 19), dt.date(2020, 3, 23))))
    assert found.left_out == ("before",)
    assert "Without data: before." in found.text()


def test_a_result_bears_the_error_and_reads_as_text(real_base, panel, errors):
    result = generate(synthetic_shock(), real_base, panel=panel)
    assert result.error == errors
    text = result.text()
    assert "volatility_spike 3 sd over 5 days (ramp) of Financials, Technology (simulated, seed 0)" in text
    assert "Covariance: 2y_before (2014-12-30 to 2016-12-30)" in text
    assert "rate_shock_2022" in text
    assert result.moves.loc["VIX", "mean"] > 50
    assert result.moves.loc["SPX", "mean"] < -3
    assert result.moves.loc["UST10Y", "unit"] == "bp"
    assert result.path.graded(Grade.SIMULATED) == 10 * len(real_base.assets)


def test_a_stock_that_came_later_does_not_change_the_error(store, real_base, panel, errors, path_from):
    closes = by_session(panel.join(store.panel(["NVDA"]), how="outer"))
    days = closes.loc["2015-06-01":"2016-12-30"]
    assets = (*real_base.assets, Asset("NVDA", "equity", sector="Technology"))
    base = path_from(days.loc[days["SPX"].notna()], "later", assets)
    assert generate(Shock(type="equity_crash"), base, panel=closes).error == errors


def test_without_the_crises_the_error_is_called_unknown(real_base):
    short = real_base.cut(300, len(real_base.ends))
    text = generate(Shock(type="equity_crash"), short, era="3m_before").text()
    assert "error is unknown" in text


def test_a_larger_crash_of_the_real_market_never_helps_its_twenty_stocks(real_base, panel):
    values = [
        generate(Shock(type="equity_crash", magnitude=size), real_base, panel=panel).path.closes(PANEL).to_numpy()[1:]
        for size in (1.0, 3.0, 8.0)
    ]
    assert (values[1] < values[0]).all()
    assert (values[2] < values[1]).all()


def test_the_era_decides_what_a_crash_does_to_yields(real_base, panel):
    crash = Shock(type="equity_crash", magnitude=0.1, unit="absolute")
    moved = {
        era: generate(crash, real_base, panel=panel, era=era, method=Method(noise=0)).moves.loc["UST10Y", "mean"]
        for era in ("1993-01-04..1996-12-31", "calm_2014_2016")
    }
    assert moved["1993-01-04..1996-12-31"] > 10  # stocks and bonds fell together
    assert moved["calm_2014_2016"] < -10
    codes = {GRADES[code] for code in np.unique(real_base.grades)}
    assert codes == {Grade.REAL, Grade.MISSING}
