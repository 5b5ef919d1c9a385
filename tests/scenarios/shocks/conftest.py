"""An invented market of which everything is known, as a base for shocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios.path import GRADES, Asset, Grade, Path

ASSETS = (
    Asset("SPX", "index", "index points"),
    Asset("AAPL", "equity", sector="Technology"),
    Asset("MSFT", "equity", sector="Technology"),
    Asset("JPM", "equity", sector="Financials"),
    Asset("BAC", "equity", sector="Financials"),
    Asset("XOM", "equity", sector="Energy"),
    Asset("UST3M", "rate", "percent"),
    Asset("UST2Y", "rate", "percent"),
    Asset("UST5Y", "rate", "percent"),
    Asset("UST10Y", "rate", "percent"),
    Asset("EURUSD", "fx", "USD per EUR"),
    Asset("EURTRY", "fx", "TRY per EUR"),
    Asset("WTI", "commodity", "USD per barrel"),
    Asset("VIX", "volatility", "percent per year"),
)
NAMES = [asset.symbol for asset in ASSETS]
RATES = np.array([asset.kind == "rate" for asset in ASSETS])


def frame_path(closes: pd.DataFrame, name: str = "base", assets: tuple[Asset, ...] = ASSETS) -> Path:
    values = closes[[asset.symbol for asset in assets]].to_numpy(dtype=float)
    holes = np.isnan(values)
    grades = np.where(holes, GRADES.index(Grade.MISSING), GRADES.index(Grade.REAL)).astype(np.int8)
    begins, ends = (
        times("XNYS", closes.index).tz_localize(None).to_numpy().astype(np.int64) for times in (open_times, event_times)
    )
    return Path(name, assets, begins, ends, values, grades)


@pytest.fixture(scope="session")
def closes() -> pd.DataFrame:
    """Three years of daily values; BAA and AAA by month."""
    rng = np.random.default_rng(5)
    index = sessions_between("XNYS", pd.Timestamp("2013-01-02").date(), pd.Timestamp("2016-12-30").date())
    days, stocks = len(index), 6
    market = rng.standard_normal(days) * 0.009
    moves = np.empty((days, len(ASSETS)))
    moves[:, :stocks] = market[:, None] * np.array([1.0, 1.2, 1.1, 1.3, 1.4, 0.9])
    moves[:, :stocks] += rng.standard_normal((days, stocks)) * np.array([0.0005, 0.01, 0.008, 0.008, 0.01, 0.009])
    level, slope = rng.standard_normal(days) * 0.04 + market * 1.5, rng.standard_normal(days) * 0.015
    for column, part in ((6, -1.0), (7, -0.6), (8, 0.2), (9, 1.0)):
        moves[:, column] = level + part * slope + rng.standard_normal(days) * 0.005
    moves[:, 10] = rng.standard_normal(days) * 0.006
    moves[:, 11] = 0.4 * moves[:, 10] + rng.standard_normal(days) * 0.008
    moves[:, 12] = market + rng.standard_normal(days) * 0.02
    moves[:, 13] = -6 * market + rng.standard_normal(days) * 0.045
    start = np.array([2000, 50, 40, 60, 15, 80, 0.3, 1.0, 1.6, 2.2, 1.2, 3.0, 60, 16], dtype=float)
    total = np.cumsum(moves, axis=0)
    values = np.where(RATES, start + total, start * np.exp(np.where(RATES, 0, total)))
    frame = pd.DataFrame(values, index.rename("session"), NAMES)
    last = pd.Series(frame.index, frame.index).groupby(frame.index.to_period("M")).last()
    spread = pd.Series(0.9 + np.cumsum(rng.standard_normal(len(last)) * 0.06), last.to_numpy())
    frame["AAA"], frame["BAA"] = pd.Series(4.0, spread.index), 4.0 + spread
    return frame


@pytest.fixture(scope="session")
def base(closes: pd.DataFrame) -> Path:
    """The last year of it."""
    return frame_path(closes.iloc[-260:])


@pytest.fixture(scope="session")
def path_from():
    """From values by session to a path: ``path_from(closes, name, assets)``."""
    return frame_path


@pytest.fixture(scope="session")
def panel(closes: pd.DataFrame) -> pd.DataFrame:
    """All of it, by the instant of New York's close."""
    return closes.set_axis(event_times("XNYS", closes.index), axis="index")
