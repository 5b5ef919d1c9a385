"""A history of three assets with fat tails, clusters of volatility and a common factor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantdesk.scenarios.path import GRADES, Asset, Grade, Path
from quantdesk.scenarios.paths import Moves

ASSETS = (Asset("A", "equity", sector="TECH"), Asset("B", "equity"), Asset("UST10Y", "rate", "percent"))


def make_history(days: int = 900, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(5, (days, 3)) * np.sqrt(3 / 5)
    shocks = shocks @ np.array([[1, 0.6, -0.3], [0, 0.8, -0.1], [0, 0, 0.95]])
    variance, steps = np.ones(3), np.empty((days, 3))
    for day in range(days):
        steps[day] = np.sqrt(variance) * shocks[day]
        variance = 0.05 + (0.04 + 0.1 * (steps[day] < 0)) * steps[day] ** 2 + 0.86 * variance
    prices = 100 * np.cumprod(1 + 0.01 * steps[:, :2], axis=0)
    close = np.column_stack([prices, 3 + 0.05 * np.cumsum(steps[:, 2])])
    at = pd.bdate_range("2016-01-04", periods=days).tz_localize("America/New_York")
    begins, ends = (
        (at + pd.Timedelta(hours=hours)).tz_convert("UTC").to_numpy(dtype="datetime64[ns]").astype(np.int64)
        for hours in (9.5, 16)
    )
    grades = np.full(close.shape, GRADES.index(Grade.REAL), dtype=np.int8)
    return Path("calm", ASSETS, begins, ends, close, grades, labels=("survivors_only",))


@pytest.fixture(scope="session")
def past() -> Path:
    return make_history()


@pytest.fixture(scope="session")
def moves(past: Path) -> Moves:
    return Moves.of(past)
