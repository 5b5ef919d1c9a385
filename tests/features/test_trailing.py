"""No feature sees the future: the past stays as it is when the future is cut off, and when it is something else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.features.definitions import FEATURES, VIEWS
from quantdesk.features.sentiment import Panel, sentiment_table
from quantdesk.features.tables import hours, sheet, symbol_table

from .conftest import OHLCV, bars_of, describe, ohlcv, walk

SIZE = 620


def everything(frame: pd.DataFrame, index: pd.DataFrame, panel: pd.DataFrame) -> dict[str, pd.Series]:
    """All features of one history, by session."""
    own = sheet(bars_of(frame, describe("X", "made", fields=OHLCV)))
    benchmark = sheet(bars_of(index, describe("SPX", "made", kind="index", fields=("close",))))
    found = {}
    for view in (VIEWS["technical"], VIEWS["market_model"]):
        table = symbol_table(view, own, benchmark)
        found |= {name: pd.Series(values, table.session) for name, values in table.values.items()}
    times = hours("XNYS", panel.index[0].date(), panel.index[-1].date())
    mood = sentiment_table(Panel(times.event, times.event + pd.Timedelta("15min"), times.session, panel))
    return found | {"sentiment_z": pd.Series(mood.values["sentiment_z"], mood.session)}


@pytest.fixture(scope="module")
def history(sessions):
    sessions = sessions[:SIZE]
    panel = pd.DataFrame({f"P{seed}": walk(seed + 50, SIZE) for seed in range(6)}, index=sessions)
    index = pd.DataFrame({"session": sessions, "close": walk(40, SIZE, 2000.0)})
    return ohlcv(3, sessions), index, panel


@pytest.fixture(scope="module")
def whole(history):
    return everything(*history)


def test_every_feature_is_here_and_has_values(whole):
    assert set(whole) == set(FEATURES)
    assert {name for name, values in whole.items() if values.notna().sum() < 100} == set()


CUTS = [2, 13, 14, 15, 20, 21, 22, 26, 63, 64, 199, 200, 251, 252, 253, 254, 300, 301, 400, 511, 619]


@pytest.mark.parametrize("cut", CUTS)
def test_a_history_that_ends_earlier_has_the_same_past(history, whole, cut):
    frame, index, panel = history
    for name, values in everything(frame[:cut], index[:cut], panel[:cut]).items():
        pd.testing.assert_series_equal(values, whole[name][:cut], check_exact=True, obj=f"{name} cut at {cut}")


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(255, SIZE - 1), seed=st.integers(0, 2**16))
def test_another_future_leaves_the_past_alone(history, whole, cut, seed):
    frame, index, panel = (table.copy() for table in history)
    noise = np.random.default_rng(seed).uniform(0.5, 2.0, SIZE - cut)
    fields = list(OHLCV)
    frame.loc[cut:, fields] = frame.loc[cut:, fields].mul(noise, axis=0)
    index.loc[cut:, "close"] *= noise[::-1]
    panel.iloc[cut:] = panel.iloc[cut:].mul(noise, axis=0)
    changed = everything(frame, index, panel)
    for name, values in changed.items():
        pd.testing.assert_series_equal(values[:cut], whole[name][:cut], check_exact=True, obj=f"{name} at {cut}")
    # And the test can tell: what lies behind the cut did change.
    assert not changed["sma_20"][cut:].equals(whole["sma_20"][cut:])


def test_the_reasons_of_the_past_stay_too(history):
    frame, index, _ = history
    own = describe("X", "made", fields=OHLCV)
    benchmark = sheet(bars_of(index, describe("SPX", "made", kind="index", fields=("close",))))
    for view in (VIEWS["technical"], VIEWS["market_model"]):
        full = symbol_table(view, sheet(bars_of(frame, own)), benchmark).reasons
        part = symbol_table(view, sheet(bars_of(frame[:300], own)), benchmark).reasons
        for name, codes in part.items():
            assert codes.tolist() == full[name][:300].tolist(), name


def test_the_tests_would_catch_a_leak(history, whole):
    """A feature that is centred, or scaled by the whole sample, does not pass them."""
    price = pd.Series(history[0]["adj_close"].to_numpy(), whole["sma_20"].index)
    leaking = {
        "centred": lambda p: p.rolling(21, center=True).mean(),
        "scaled": lambda p: (p - p.mean()) / p.std(),
        "filled": lambda p: p.where(np.arange(len(p)) % 7 != 0).bfill(),
        "shifted": lambda p: p.shift(-1),
    }
    for name, compute in leaking.items():
        full, part = compute(price), compute(price[:400])
        assert not part.equals(full[:400]), name


def test_a_feature_cannot_be_changed_after_it_was_declared():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FEATURES["sma_20"].look_back = 1
    with pytest.raises(TypeError):
        FEATURES["mine"] = FEATURES["sma_20"]
