"""The engine against a ledger kept in plain Python, and the rules that keep tomorrow out of today."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.backtest import FREE, Costs, Fill, ImmediateFill, Limits, Setup, run
from quantdesk.errors import BadInput, BadParameter, UnknownName

from .conftest import make_panel, make_weights  # isort: skip


def ledger(prices, weights, costs, cash, opens=None):
    """One dictionary of shares and one pile of cash, session by session. Knows nothing of numpy or vectorbt."""
    traded = prices if opens is None else opens
    held = dict.fromkeys(weights.columns, 0.0)
    known, due, equity = {}, None, []
    start = prices.index.get_loc(weights.index[0])
    for row, session in enumerate(prices.index):
        if row < start:
            known.update({s: p for s, p in prices.loc[session].items() if p == p})
            continue
        if due is not None:
            quotes = {s: float(traded.loc[session, s]) for s in held}
            marks = {s: q if q == q else known.get(s) for s, q in quotes.items()}
            value = cash + sum(n * marks[s] for s, n in held.items() if n)
            wishes = [(due[s] * value - held[s] * marks[s], s) for s in held if quotes[s] == quotes[s]]
            for amount, symbol in sorted(wishes):
                shares = amount / quotes[symbol]
                if shares < 0:
                    price = quotes[symbol] * (1 - costs.half_spread_bps / 1e4)
                else:
                    price = quotes[symbol] * (1 + costs.half_spread_bps / 1e4)
                    most = cash / (price * (1 + costs.commission_bps / 1e4) + costs.per_share)
                    shares = min(shares, max(most, 0.0))
                cash -= shares * price + abs(shares) * (price * costs.commission_bps / 1e4 + costs.per_share)
                held[symbol] += shares
        known.update({s: p for s, p in prices.loc[session].items() if p == p})
        equity.append(cash + sum(n * known[s] for s, n in held.items() if n))
        due = weights.loc[session] if session in weights.index else None
    return np.array(equity)


@pytest.mark.parametrize("costs", [FREE, Costs(5, 10), Costs(1, 2, per_share=0.01)], ids=["free", "bps", "per-share"])
@pytest.mark.parametrize("every", [1, 5, 21])
def test_equity_equals_a_ledger_kept_by_hand(panel, costs, every):
    weights = make_weights(panel.iloc[:200], every)
    result = run(panel.iloc[:200], weights, costs)
    np.testing.assert_allclose(result.equity, ledger(panel.iloc[:200], weights, costs, 1e6), rtol=1e-9)


def test_fills_at_the_open_equal_the_ledger(panel):
    opens = panel.shift(1).bfill() * (1 + 0.01 * np.sin(np.arange(len(panel)))[:, None])
    weights = make_weights(panel, 10)
    result = run(panel, weights, Costs(3, 4), opens=opens)
    np.testing.assert_allclose(result.equity, ledger(panel, weights, Costs(3, 4), 1e6, opens), rtol=1e-9)
    first = result.fills.iloc[0]
    assert first["reference"] == opens.loc[first["timestamp"], first["symbol"]]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    symbols=st.integers(1, 5),
    every=st.integers(1, 9),
    bps=st.tuples(st.floats(0, 50), st.floats(0, 50)),
    late=st.integers(0, 30),
)
def test_any_long_only_plan_equals_the_ledger_and_its_parts_add_up(seed, symbols, every, bps, late):
    prices = make_panel(60, symbols, seed)
    weights = make_weights(prices, every, seed + 1)
    prices.iloc[:late, 0] = np.nan  # a symbol that lists later
    weights.iloc[:, 0] = np.where(weights.index < prices.index[min(late, 59)], 0.0, weights.iloc[:, 0])
    result = run(prices, weights, Costs(*bps))
    np.testing.assert_allclose(result.equity, ledger(prices, weights, Costs(*bps), 1e6), rtol=1e-9)

    value = (result.positions * result.prices).fillna(0.0).sum(axis=1) + result.cash
    np.testing.assert_allclose(result.equity, value, rtol=1e-12)
    np.testing.assert_allclose(result.weights.sum(axis=1) + result.cash / result.equity, 1.0, rtol=1e-9)
    assert (result.positions >= 0).all().all()
    # Cash that is fully invested is zero but for rounding, which grows with the account and the number of trades.
    assert result.cash.min() >= -1e-11 * result.equity.max()
    paid = result.fills["fee"].sum() + result.fills["spread_cost"].sum()
    assert result.costs.sum() == pytest.approx(paid, abs=1e-6)


def test_vectorbt_agrees_with_our_account_and_with_our_ratios(panel):
    result = run(panel, make_weights(panel))
    own = result.portfolio
    np.testing.assert_allclose(own.value(), result.equity, rtol=1e-10)
    assert own.total_return() == pytest.approx(result.equity.iloc[-1] / 1e6 - 1, rel=1e-10)
    np.testing.assert_allclose(own.returns().iloc[1:], result.returns, atol=1e-12)
    assert own.max_drawdown() == pytest.approx(float((result.equity / result.equity.cummax() - 1).min()), rel=1e-10)


def test_the_execute_path_is_the_same_world_as_vectorbt(panel):
    weights = make_weights(panel, 3)
    simulated, handed = run(panel, weights), run(panel, weights, execute=ImmediateFill(Costs()))
    np.testing.assert_allclose(handed.equity, simulated.equity, rtol=1e-12)
    assert simulated.portfolio is not None
    assert handed.portfolio is None


def test_shorts_and_leverage_when_asked_for(panel):
    weights = make_weights(panel, 5) - 0.1
    setup = Setup(limits=Limits(gross=2.0, long_only=False))
    simulated, handed = run(panel, weights, setup=setup), run(panel, weights, execute=ImmediateFill(), setup=setup)
    assert (simulated.positions < 0).any().any()
    np.testing.assert_allclose(handed.equity, simulated.equity, rtol=1e-10)
    assert any("borrowing" in said for said in simulated.assumptions)


def test_a_decision_trades_at_the_next_session_and_the_first_row_is_cash(panel):
    weights = make_weights(panel.iloc[50:], 40)
    result = run(panel, weights)
    assert result.equity.index[0] == weights.index[0]
    assert result.equity.iloc[0] == 1e6
    following = {panel.index[panel.index.get_loc(row) + 1] for row in weights.index if row != panel.index[-1]}
    assert set(result.fills["timestamp"]) <= following
    close = [panel.loc[row.timestamp, row.symbol] for row in result.fills.itertuples()]
    np.testing.assert_array_equal(result.fills["reference"], close)


def test_the_last_decision_without_a_next_session_is_pending_not_traded(panel):
    weights = pd.DataFrame([[0.5] * 2, [0.25] * 2], [panel.index[10], panel.index[-1]], ["S0", "S1"])
    result = run(panel, weights)
    assert result.pending == {"S0": 0.25, "S1": 0.25}
    assert result.fills["timestamp"].max() == panel.index[11]


@pytest.mark.parametrize("cut", [30, 100, 211, 400])
def test_cutting_off_the_future_changes_no_past_value(panel, cut):
    weights = make_weights(panel, 7)
    whole = run(panel, weights)
    part = run(panel.iloc[:cut], weights[weights.index <= panel.index[cut - 1]])
    pd.testing.assert_series_equal(part.equity, whole.equity.iloc[:cut])
    pd.testing.assert_frame_equal(part.weights, whole.weights.iloc[:cut])


def test_another_future_changes_no_past_value(panel):
    weights = make_weights(panel, 7)
    other = panel.copy()
    other.iloc[300:] *= 1.7
    moved = weights.copy()
    moved[moved.index >= panel.index[300]] = 1 / 6
    pd.testing.assert_series_equal(run(panel, weights).equity.iloc[:300], run(other, moved).equity.iloc[:300])


def test_same_input_same_bytes(panel):
    weights = make_weights(panel)
    one, two = run(panel, weights), run(panel, weights)
    assert one.equity.to_numpy().tobytes() == two.equity.to_numpy().tobytes()
    pd.testing.assert_frame_equal(one.fills, two.fills)


def test_a_missing_price_of_a_holding_is_refused_by_name(panel):
    prices = panel.copy()
    prices.iloc[40:45, 2] = np.nan
    weights = pd.DataFrame(0.2, [panel.index[5]], ["S1", "S2"])
    with pytest.raises(BadInput, match=r"S2 is held at 2001-02-27 .* no price.*carry"):
        run(prices, weights)
    weights = pd.DataFrame(0.2, [panel.index[41]], ["S1", "S2"])
    with pytest.raises(BadInput, match=r"S2 is to be bought or kept at 2001-03-01"):
        run(prices, weights)


def test_carry_values_a_gap_at_the_last_price_and_leaves_its_orders_undone(panel):
    prices = panel.copy()
    prices.iloc[40:45, 2] = np.nan
    weights = pd.DataFrame([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]], [panel.index[i] for i in (5, 41, 50)], ["S1", "S2"])
    result = run(prices, weights, FREE, setup=Setup(missing="carry"))
    np.testing.assert_allclose(result.equity, ledger(prices, weights, FREE, 1e6), rtol=1e-9)
    assert result.stale_sessions == {"S2": 5}
    held = result.positions["S2"].iloc[36 - 5 : 45]
    assert (held == held.iloc[0]).all()
    assert held.iloc[0] > 0
    assert result.positions["S2"].iloc[-1] == 0.0
    assert any("last known" in said for said in result.assumptions)


def test_a_symbol_that_ends_is_carried_at_its_last_price(panel):
    prices = panel.copy()
    prices.iloc[100:, 0] = np.nan
    weights = pd.DataFrame(0.5, [panel.index[0]], ["S0", "S1"])
    result = run(prices, weights, setup=Setup(missing="carry"))
    assert result.stale_sessions == {"S0": 500}
    assert (result.prices["S0"].iloc[100:] == panel["S0"].iloc[99]).all()


def test_execute_may_fill_less_later_and_dearer(panel):
    def stingy(orders, book):
        assert book.value == pytest.approx(
            book.cash + sum(book.prices[s] * n for s, n in book.positions.items()), rel=1e-12
        )
        assert [o.shares * o.reference_price for o in orders] == sorted(o.shares * o.reference_price for o in orders)
        return [Fill(o.symbol, o.shares / 2, o.reference_price * 1.01, 3.0) for o in orders if o.symbol != "S0"]

    weights = make_weights(panel, 21, gross=0.5)
    result = run(panel, weights, execute=stingy)
    assert "S0" not in set(result.fills["symbol"])
    assert (result.fills["fee"] == 3.0).all()
    np.testing.assert_allclose(result.fills["price"], result.fills["reference"] * 1.01)


@pytest.mark.parametrize(
    "bad",
    [
        lambda o: Fill(o.symbol, o.shares * 2, o.reference_price),
        lambda o: Fill(o.symbol, -o.shares, o.reference_price),
        lambda o: Fill("NOPE", o.shares, o.reference_price),
        lambda o: Fill(o.symbol, o.shares, -1.0),
        lambda o: Fill(o.symbol, o.shares, float("nan")),
        lambda o: Fill(o.symbol, o.shares, o.reference_price, -1.0),
        lambda o: Fill(o.symbol, float("nan"), o.reference_price),
    ],
    ids=["too much", "wrong side", "unknown", "negative price", "NaN price", "negative fee", "NaN shares"],
)
def test_a_fill_that_was_not_ordered_is_refused(panel, bad):
    with pytest.raises(BadInput, match="execute callable filled"):
        run(panel, make_weights(panel), execute=lambda orders, book: [bad(orders[-1])])


def test_filling_one_order_twice_is_refused(panel):
    with pytest.raises(BadInput, match="were left to fill"):
        run(panel, make_weights(panel), execute=lambda o, b: [Fill(o[-1].symbol, o[-1].shares, 10.0)] * 2)


def test_labels_and_assumptions_travel_with_the_result(panel):
    setup = Setup(labels=("real", "adjusted_with_hindsight"))
    plain = run(panel, make_weights(panel), setup=setup)
    assert plain.labels == ("real", "adjusted_with_hindsight")
    assert "next session's close" in plain.assumptions[0]
    assert "1 bps commission and 2 bps half-spread" in plain.assumptions[1]
    assert "reconstructed" in run(panel, make_weights(panel), Costs(per_share=0.005), setup=setup).labels


def weight(value, when=3, symbol="S0"):
    return lambda p: (p, pd.DataFrame({symbol: [value]}, [p.index[when]]), Setup())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda p: (p.iloc[:0], make_weights(p), Setup()), "prices are empty"),
        (lambda p: (p, make_weights(p).iloc[:0], Setup()), "weights are empty"),
        (lambda p: (p.tz_localize(None), make_weights(p), Setup()), "time zone"),
        (lambda p: (p.iloc[::-1], make_weights(p), Setup()), "not increasing"),
        (lambda p: (p, make_weights(p).shift(1, freq="h"), Setup()), "not a session"),
        (lambda p: (p, make_weights(p).rename(columns={"S0": "S1"}), Setup()), "twice"),
        (lambda p: (p.assign(S0=-1.0), make_weights(p), Setup()), "-1 for S0"),
        (lambda p: (p.assign(S0=np.inf), make_weights(p), Setup()), "inf for S0"),
        (lambda p: (p.assign(S0="x"), make_weights(p), Setup()), "not a number"),
        (weight(np.nan), "weight of S0 at .* is nan"),
        (weight(-0.1), "Weights are long only"),
        (weight(1.2), "One symbol may take 1"),
        (weight(1.2), "is 1.2"),
        (lambda p: (p, make_weights(p) * 1.5, Setup(limits=Limits(single=2))), r"sum to 1\.[45]"),
    ],
)
def test_bad_tables_get_one_clear_message(panel, given, message):
    prices, weights, setup = given(panel)
    with pytest.raises(BadInput, match=message):
        run(prices, weights, setup=setup)


def test_unknown_symbols_and_settings_are_named(panel):
    with pytest.raises(UnknownName, match="Unknown symbol 'S9'"):
        run(panel, pd.DataFrame({"S9": [0.1]}, [panel.index[0]]))
    with pytest.raises(UnknownName, match="missing"):
        Setup(missing="guess")
    with pytest.raises(BadParameter, match="cash is -1"):
        Setup(cash=-1)
    for wrong in ({"commission_bps": -1}, {"half_spread_bps": float("nan")}, {"per_share": True}):
        with pytest.raises(BadParameter, match=next(iter(wrong))):
            Costs(**wrong)
    with pytest.raises(BadParameter, match="whole price"):
        Costs(half_spread_bps=10_000)
    with pytest.raises(BadInput, match="same sessions and symbols"):
        run(panel, make_weights(panel), opens=panel.iloc[1:])


def test_a_ruined_account_is_an_error_not_a_curve(panel):
    doomed = panel.copy()
    doomed.iloc[50:, 0] = doomed.iloc[49, 0] * 5
    weights = pd.DataFrame({"S0": [-1.0]}, [panel.index[40]])
    with pytest.raises(BadInput, match="ruined"):
        run(doomed, weights, setup=Setup(limits=Limits(long_only=False)))


def test_importing_the_package_imports_neither_vectorbt_nor_sklearn():
    code = (
        "import sys, quantdesk.backtest as b, quantdesk.signals; b.run, b.summary, b.compare; "
        "sys.exit(any(m in sys.modules for m in ('vectorbt', 'sklearn', 'plotly', 'feast')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_resolves():
    import quantdesk.backtest as backtest

    assert all(getattr(backtest, name) is not None for name in backtest.__all__)
    assert sorted(dir(backtest)) == sorted(backtest.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = backtest.nothing
