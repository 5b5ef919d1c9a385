"""Metrics against empyrical and quantstats, drawdowns against a loop, and what is not defined."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantdesk.backtest import comparison, drawdown_table, drawdowns, metrics, run, summary, underwater
from quantdesk.backtest.metrics import DEFINITIONS
from quantdesk.errors import BadInput

from .conftest import make_weights  # isort: skip

with warnings.catch_warnings():  # both libraries warn about their own dependencies when they are imported
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats


def day(n: int) -> pd.Timestamp:
    return pd.Timestamp("2020-01-01 21:00", tz="UTC") + pd.Timedelta(days=n)


def series(values) -> pd.Series:
    return pd.Series(list(values), [day(n) for n in range(len(values))], dtype=float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.cagr, empyrical.annual_return),
        (metrics.annual_volatility, empyrical.annual_volatility),
        (metrics.sharpe, empyrical.sharpe_ratio),
        (metrics.sortino, empyrical.sortino_ratio),
        (metrics.calmar, empyrical.calmar_ratio),
        (metrics.tail_ratio, empyrical.tail_ratio),
        (metrics.total_return, empyrical.cum_returns_final),
        (lambda r: metrics.max_drawdown(r).depth, empyrical.max_drawdown),
        (metrics.skewness, stats.skew),
        (metrics.kurtosis, stats.kurtosis),
    ],
    ids=["cagr", "volatility", "sharpe", "sortino", "calmar", "tail", "total", "drawdown", "skew", "kurtosis"],
)
def test_agrees_with_empyrical_and_scipy(returns, ours, theirs):
    assert ours(returns) == pytest.approx(float(theirs(returns)), rel=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.sharpe, quantstats.stats.sharpe),
        (metrics.sortino, quantstats.stats.sortino),
        (metrics.annual_volatility, quantstats.stats.volatility),
        (metrics.hit_rate, quantstats.stats.win_rate),
        (metrics.total_return, quantstats.stats.comp),
    ],
    ids=["sharpe", "sortino", "volatility", "hit rate", "total"],
)
@pytest.mark.filterwarnings("ignore::Warning:quantstats")
def test_agrees_with_quantstats(returns, ours, theirs):
    plain = returns.tz_localize(None)  # quantstats compares dates without a time zone
    assert ours(returns) == pytest.approx(float(theirs(plain)), rel=1e-9)


def test_the_risk_free_rate_is_taken_off_each_session(returns):
    rate = pd.Series(np.linspace(0, 2e-4, len(returns)), returns.index)
    assert metrics.sharpe(returns, rate) == pytest.approx(metrics.sharpe(returns - rate))
    assert metrics.sortino(returns, 1e-4) == pytest.approx(float(empyrical.sortino_ratio(returns, 1e-4)))
    with pytest.raises(BadInput, match="other sessions"):
        metrics.sharpe(returns, rate.iloc[1:])


def test_turnover_is_half_of_what_was_traded(panel):
    weights = pd.DataFrame([[1.0, 0.0], [0.0, 1.0]], panel.index[[0, 100]], ["S0", "S1"])
    result = run(panel, weights)
    assert result.turnover.iloc[1] == pytest.approx(0.5, abs=1e-3)  # cash -> S0: only one side is traded
    assert result.turnover.iloc[101] == pytest.approx(
        result.equity.iloc[101] / result.equity.iloc[100], abs=1e-3
    )  # all
    numbers = summary(result.returns, result.turnover)
    assert numbers.turnover == pytest.approx(float(result.turnover.sum()) * 252 / len(result.returns))


def test_the_summary_holds_every_definition_and_rounds_to_json(panel):
    result = run(panel, make_weights(panel))
    numbers = summary(result.returns, result.turnover, ("real",))
    plain = numbers.rounded()
    assert set(plain) == {"sessions", *(entry.name for entry in DEFINITIONS)}
    assert plain["sharpe"] == round(metrics.sharpe(result.returns), 4)
    assert plain["sessions"] == len(panel) - 1
    assert numbers.labels == ("real",)
    assert summary(series([0.0] * 5)).rounded()["sharpe"] is None
    table = comparison({"ours": numbers, "flat": summary(series([0.0] * 5))})
    assert table.loc["Sharpe ratio", "ours"] == f"{numbers.sharpe:.2f}"
    assert table.loc["Annual growth (CAGR)", "ours"] == f"{100 * numbers.cagr:.1f} %"
    assert table.loc["Annual turnover", "ours"].endswith("×")
    assert table.loc["Sharpe ratio", "flat"] == "–"
    assert table.loc["Sharpe ratio", "formula"].startswith("mean(r)")


def test_what_is_not_defined_is_nan_not_zero():
    flat = series([0.001] * 30)
    assert math.isnan(metrics.sharpe(flat))
    assert math.isnan(metrics.sortino(flat))
    assert math.isnan(metrics.calmar(flat))
    assert math.isnan(metrics.skewness(flat))
    assert math.isnan(metrics.kurtosis(flat))
    assert metrics.max_drawdown(flat) is None
    assert math.isnan(metrics.hit_rate(series([0.0, 0.0])))
    assert math.isnan(metrics.annual_volatility(series([0.1])))
    assert math.isnan(metrics.tail_ratio(series([0.0] * 20)))


@pytest.mark.parametrize("bad", [[], [0.1, np.nan], [0.1, np.inf], [-1.5]])
def test_unusable_returns_are_refused(bad):
    with pytest.raises(BadInput):
        summary(series(bad))


def test_drawdowns_have_dates_depth_and_length():
    found = drawdowns(series([0.10, -0.10, -0.10, 0.30, 0.0, -0.05, 0.02]))
    assert [round(one.depth, 6) for one in found] == [-0.19, -0.05]
    first, second = found
    assert (first.peak, first.trough, first.recovery, first.fall, first.rise) == (day(0), day(2), day(3), 2, 1)
    assert (second.peak, second.trough, second.recovery, second.rise) == (day(4), day(5), None, None)
    table = drawdown_table(found)
    assert list(table["recovered"]) == ["2020-01-04", "not yet"]
    assert list(table["depth %"]) == [-19.0, -5.0]


def test_a_fall_from_the_start_has_the_start_as_its_peak():
    (only,) = drawdowns(series([-0.2, 0.1]))
    assert (only.depth, only.peak, only.fall) == (pytest.approx(-0.2), None, 1)
    assert drawdown_table([only])["peak"].tolist() == ["start"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3).map(lambda x: round(x, 3)), min_size=1, max_size=60))
def test_drawdowns_cover_exactly_the_sessions_under_water(values):
    moves = series(values)
    depth, peak, worst = 1.0, 1.0, 0.0
    expected = []
    for move in values:
        depth *= 1 + move
        peak = max(peak, depth)
        expected.append(depth / peak - 1)
        worst = min(worst, expected[-1])
    np.testing.assert_allclose(underwater(moves), expected, atol=1e-12)
    found = drawdowns(moves, top=99)
    assert (found[0].depth if found else 0.0) == pytest.approx(worst, abs=1e-11)
    assert [one.depth for one in found] == sorted(one.depth for one in found)
    covered = sum(one.fall + (one.rise - 1 if one.rise else (moves.index[-1] - one.trough).days) for one in found)
    assert covered == sum(value < -1e-12 for value in expected)


def test_underwater_refuses_gaps():
    with pytest.raises(BadInput, match="NaN"):
        underwater(series([0.1, np.nan]))
