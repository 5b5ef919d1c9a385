"""Simulated panels: what is tested here are identities and oracles, not markets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def make_panel(sessions: int, symbols: int, seed: int = 0, volatility: float = 0.02) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2001-01-02 21:00", periods=sessions, freq="B", tz="UTC", name="timestamp")
    common = rng.normal(0.0003, volatility / 2, (sessions, 1))
    moves = common + rng.standard_t(5, (sessions, symbols)) * volatility / 2
    return pd.DataFrame(40 * np.exp(np.cumsum(moves, axis=0)), index, [f"S{i}" for i in range(symbols)])


def make_weights(panel: pd.DataFrame, every: int = 21, seed: int = 1, gross: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = panel.iloc[::every]
    values = rng.dirichlet(np.full(panel.shape[1], 0.7), len(rows)) * gross
    values[values < 0.03] = 0.0
    return pd.DataFrame(values, rows.index, panel.columns)


@pytest.fixture(scope="session")
def panel() -> pd.DataFrame:
    return make_panel(600, 6)


@pytest.fixture(scope="session")
def returns() -> pd.Series:
    """Fat-tailed, skewed, with calm and wild stretches."""
    rng = np.random.default_rng(7)
    scale = 0.006 * (1 + (np.sin(np.arange(2000) / 60) > 0.6))
    values = rng.standard_t(4, 2000) * scale + 0.0004
    values[[300, 900]] = [-0.08, -0.06]
    return pd.Series(values, pd.date_range("2010-01-04 21:00", periods=2000, freq="B", tz="UTC"), name="return")
