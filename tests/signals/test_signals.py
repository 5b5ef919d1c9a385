"""Weights that add up, know nothing of tomorrow, and follow their rule when it is written down a second time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk import signals
from quantdesk.errors import BadInput, BadParameter, UnknownName

NAMES = ["mom_12_1", "sma_50", "sma_200", "bollinger_z_20", "rsi_14", "ret_1d"]


def make_features(sessions: int = 300, symbols: int = 6, seed: int = 0, nulls: float = 0.05) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    times = pd.date_range("2019-01-02 21:00", periods=sessions, freq="B", tz="UTC")
    index = pd.MultiIndex.from_product([times, [f"S{i}" for i in range(symbols)]], names=["timestamp", "symbol"])
    table = pd.DataFrame(rng.normal(0, 1, (len(index), len(NAMES))), index, NAMES)
    table["rsi_14"] = rng.uniform(0, 100, len(index))
    table["bollinger_z_20"] *= 2
    return table.mask(rng.random(table.shape) < nulls)


RULES = [
    lambda f: signals.momentum_alpha(f, 3),
    lambda f: signals.momentum_alpha(f, 2, rebalance="weekly", weighting="rank"),
    lambda f: signals.momentum_alpha(f, 4, trend_filter=True, floor=0.0),
    lambda f: signals.mean_reversion(f, 3),
    lambda f: signals.mean_reversion(f, 2, oversold=None, rebalance="weekly"),
    lambda f: signals.equal_weight(f),
    lambda f: signals.equal_weight(f, "rsi_14", rebalance="quarterly"),
]
IDS = ["momentum", "rank weekly", "trend and floor", "reversion", "reversion weekly", "equal", "equal quarterly"]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), symbols=st.integers(1, 8), nulls=st.sampled_from([0.0, 0.1, 0.4]))
def test_weights_are_long_finite_and_sum_to_one_at_most(rule, seed, symbols, nulls):
    features = make_features(120, symbols, seed, nulls)
    features.iloc[0] = features.iloc[0].fillna(0.0)  # the first row is a decision on which something is known
    weights = rule(features)
    assert np.isfinite(weights.to_numpy()).all()
    assert (weights.to_numpy() >= 0).all()
    assert (weights.sum(axis=1) <= 1 + 1e-12).all()
    assert weights.index.is_monotonic_increasing
    assert weights.index.isin(features.index.get_level_values(0)).all()
    assert list(weights.columns) == sorted(features.index.get_level_values(1).unique())


@pytest.mark.parametrize("rule", RULES, ids=IDS)
@pytest.mark.parametrize("cut", [60, 61, 83, 150, 299])
def test_cutting_off_the_future_changes_no_past_row(rule, cut):
    features = make_features()
    times = features.index.get_level_values(0)
    whole, part = rule(features), rule(features[times <= times.unique()[cut - 1]])
    pd.testing.assert_frame_equal(part, whole.loc[: times.unique()[cut - 1]], check_freq=False)


def test_momentum_holds_the_winners_of_its_row():
    features = make_features()
    weights = signals.momentum_alpha(features, 2)
    for when, row in weights.iterrows():
        scores = features.loc[when, "mom_12_1"].dropna().sort_values(ascending=False)
        assert set(row[row > 0].index) == set(scores.index[:2])
        assert (row[row > 0] == 0.5).all()
    ranked = signals.momentum_alpha(features, 3, weighting="rank")
    for when, row in ranked.iterrows():
        scores = features.loc[when, "mom_12_1"].dropna().sort_values(ascending=False)
        np.testing.assert_allclose(row[scores.index[:3]], [3 / 6, 2 / 6, 1 / 6])


def test_filters_leave_their_slots_in_cash():
    features = make_features()
    filtered = signals.momentum_alpha(features, 6, trend_filter=True, floor=0.0)
    for when, row in filtered.iterrows():
        now = features.loc[when]
        fits = (now["mom_12_1"] > 0) & (now["sma_50"] > now["sma_200"])
        assert (row[row > 0] == 1 / 6).all()
        assert set(row[row > 0].index) == set(fits[fits].index)


def test_one_symbol_is_all_or_nothing():
    features = make_features(symbols=1, nulls=0)
    weights = signals.momentum_alpha(features, 5, floor=0.0)
    expected = (features["mom_12_1"].droplevel(1).reindex(weights.index) > 0).astype(float)
    np.testing.assert_array_equal(weights["S0"], expected)
    assert set(weights["S0"]) == {0.0, 1.0}


def test_mean_reversion_is_this_loop():
    features = make_features(400, 4, nulls=0.02)
    weights = signals.mean_reversion(features, 4, entry=-1.5, exit_at=0.5, oversold=60)
    distance, strength = signals.wide(features, "bollinger_z_20"), signals.wide(features, "rsi_14")
    filled = weights.reindex(distance.index).ffill()
    for symbol in distance:
        held = False
        for when in distance.index:
            z, rsi = distance.loc[when, symbol], strength.loc[when, symbol]
            if np.isnan(z) or z >= 0.5:
                held = False
            elif z <= -1.5 and rsi <= 60:
                held = True
            assert filled.loc[when, symbol] == (0.25 if held else 0.0), (symbol, when)
    assert (weights.diff().iloc[1:].abs().sum(axis=1) > 0).all()


def test_mean_reversion_prefers_the_lowest_when_slots_are_short_and_is_cash_when_nothing_fell():
    features = make_features(100, 5, nulls=0)
    features["bollinger_z_20"] = np.tile([-3.0, -2.5, -4.0, 1.0, -2.1], 100)
    weights = signals.mean_reversion(features, 2, oversold=None)
    assert len(weights) == 1
    assert list(weights.iloc[0]) == [0.5, 0.0, 0.5, 0.0, 0.0]
    calm = features.assign(bollinger_z_20=0.0)
    assert signals.mean_reversion(calm).to_numpy().sum() == 0
    assert signals.mean_reversion(calm).index[0] == features.index[0][0]


@pytest.mark.parametrize(
    ("rebalance", "expected"),
    [
        ("daily", ["2020-01-30", "2020-01-31", "2020-02-03", "2020-02-04", "2020-04-01"]),
        ("weekly", ["2020-01-30", "2020-02-03", "2020-04-01"]),
        ("monthly", ["2020-01-30", "2020-02-03", "2020-04-01"]),
        ("quarterly", ["2020-01-30", "2020-04-01"]),
    ],
)
def test_a_period_opens_on_its_first_own_session(rebalance, expected):
    index = pd.DatetimeIndex(["2020-01-30", "2020-01-31", "2020-02-03", "2020-02-04", "2020-04-01"], tz="UTC")
    index += pd.Timedelta(hours=21)
    chosen = index[signals.rebalance_rows(index, rebalance)]
    assert [f"{when:%Y-%m-%d}" for when in chosen] == expected


def test_warm_up_rows_are_left_out_and_a_late_symbol_joins():
    features = make_features(200, 3, nulls=0)
    times = features.index.get_level_values(0)
    features.loc[times < times.unique()[70], "mom_12_1"] = np.nan
    late = (times < times.unique()[120]) & (features.index.get_level_values(1) == "S1")
    features.loc[late, "mom_12_1"] = np.nan
    weights = signals.momentum_alpha(features, 3)
    assert weights.index[0] >= times.unique()[70]
    early = weights[weights.index < times.unique()[120]]
    assert (early["S1"] == 0).all()
    assert (early[["S0", "S2"]] == 1 / 3).all().all()


def test_equal_weight_is_equal_among_those_there():
    features = make_features(nulls=0.3)
    weights = signals.equal_weight(features, "rsi_14")
    for when, row in weights.iterrows():
        there = features.loc[when, "rsi_14"].notna()
        np.testing.assert_allclose(row, there / there.sum())


def test_equal_scores_are_broken_by_name_not_by_chance():
    features = make_features(30, 4, nulls=0).assign(mom_12_1=1.0)
    weights = signals.momentum_alpha(features.sample(frac=1, random_state=1), 2)
    assert (weights[["S0", "S1"]] == 0.5).all().all()


def test_every_named_strategy_runs_on_the_features_that_it_names():
    features = make_features()
    for name, rule in signals.STRATEGIES.items():
        assert signals.strategy(name) is rule
        assert len(rule.weights(features[list(rule.features)]))
        pd.testing.assert_frame_equal(rule(features), rule.weights(features))
        assert rule.options["rebalance"] in ("daily", "monthly")
        assert rule.summary.endswith(".")
    momentum = signals.strategy("momentum_alpha")
    pd.testing.assert_frame_equal(momentum(features, {"top": 2}), signals.momentum_alpha(features, 2))
    with pytest.raises(BadParameter, match=r"momentum_alpha has no option 'topp'\. It has: top, rebalance"):
        momentum(features, {"topp": 2})
    with pytest.raises(UnknownName, match="Did you mean momentum_alpha"):
        signals.strategy("momentum_alfa")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: signals.momentum_alpha(f, 0), BadParameter, "top is 0"),
        (lambda f: signals.momentum_alpha(f, True), BadParameter, "top is True"),
        (lambda f: signals.momentum_alpha(f, rebalance="hourly"), UnknownName, "rebalance"),
        (lambda f: signals.momentum_alpha(f, weighting="odd"), UnknownName, "weighting"),
        (lambda f: signals.mean_reversion(f, 1.5), BadParameter, "slots is 1.5"),
        (lambda f: signals.mean_reversion(f, entry=1.0), BadParameter, "Buy below"),
        (lambda f: signals.momentum_alpha(f[["rsi_14"]]), UnknownName, "mom_12_1"),
        (lambda f: signals.momentum_alpha(f.iloc[:0]), BadInput, "no row"),
        (lambda f: signals.momentum_alpha(f * np.nan), BadInput, "No symbol of S0, S1"),
        (lambda f: signals.momentum_alpha(pd.concat([f, f])), BadInput, "twice"),
        (lambda f: signals.momentum_alpha(f.droplevel(1)), BadInput, r"1 index level"),
        (lambda f: signals.momentum_alpha(None), BadInput, "NoneType with 0 index"),
        (lambda f: signals.momentum_alpha(f.tz_localize(None, level=0)), BadInput, "time zone"),
        (lambda f: signals.equal_weight(f[[]]), BadInput, "no column"),
    ],
)
def test_bad_input_gets_one_clear_message(call, error, message):
    with pytest.raises(error, match=message):
        call(make_features(40))


def filed(lags, symbols=2, seed=0):
    """Rows of ten sessions, each known `lags` after its close, filed under the sessions."""
    sessions = pd.DatetimeIndex(pd.date_range("2020-03-02 21:00", periods=10, freq="B", tz="UTC"))
    rng = np.random.default_rng(seed)
    names = [f"S{i}" for i in range(symbols)]
    known = pd.DatetimeIndex(
        np.concatenate([[when + lag for _ in names] for when, lag in zip(sessions, lags, strict=True)])
    )
    index = pd.MultiIndex.from_arrays([known, names * 10], names=["timestamp", "symbol"])
    table = pd.DataFrame({"x": rng.normal(size=len(index)), "known": known}, index)
    return sessions, table, signals.at_sessions(table, sessions)


def test_a_close_known_minutes_later_stays_with_its_session():
    sessions, table, found = filed([pd.Timedelta(minutes=15)] * 10)
    assert list(found.index.get_level_values(0).unique()) == list(sessions)
    np.testing.assert_array_equal(found["x"], table["x"])


def test_a_value_published_a_week_later_is_decided_on_when_it_was_there():
    sessions, table, found = filed([pd.Timedelta(days=7)] * 10)
    assert list(found.index.get_level_values(0).unique()) == list(sessions[5:])
    np.testing.assert_array_equal(found["x"], table["x"].iloc[:10])


def test_of_rows_that_come_out_together_the_latest_counts():
    lags = [pd.Timedelta(days=max(0, 4 - day), minutes=day) for day in range(5)] + [pd.Timedelta(minutes=15)] * 5
    sessions, table, found = filed(lags)  # the whole first week comes out on its Friday
    assert list(found.index.get_level_values(0).unique()) == list(sessions[4:])
    np.testing.assert_array_equal(found.loc[sessions[4], "x"], table["x"].iloc[8:10])


@settings(max_examples=60, deadline=None)
@given(hours=st.lists(st.integers(0, 400), min_size=10, max_size=10), seed=st.integers(0, 99))
def test_every_filed_row_was_known_before_the_session_that_trades_on_it(hours, seed):
    # A second apart each, so that no two sessions come out at the same moment.
    lags = [pd.Timedelta(hours=lag, seconds=place) for place, lag in enumerate(hours)]
    sessions, _, found = filed(lags, seed=seed)
    place = sessions.get_indexer(found.index.get_level_values(0))
    assert (found["known"] >= sessions[place]).all()
    inner = place < len(sessions) - 1
    assert (found["known"][inner] < sessions[place[inner] + 1]).all()
    assert not found.index.has_duplicates


def test_fewer_sessions_file_the_same_past():
    sessions, table, found = filed([pd.Timedelta(minutes=15)] * 10)
    part = signals.at_sessions(table, sessions[:6])
    pd.testing.assert_frame_equal(part, found.loc[: sessions[5]])


def test_sessions_must_increase():
    _, table, _ = filed([pd.Timedelta(0)] * 10)
    for wrong in (table.index.levels[0][::-1], table.index.levels[0].tz_localize(None), table.index.levels[0][:0]):
        with pytest.raises(BadInput, match="do not increase"):
            signals.at_sessions(table, wrong)
