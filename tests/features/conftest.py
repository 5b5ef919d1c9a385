"""A small invented market whose every price is known, and one with everything that ships."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.features import FeatureStore
from quantdesk.market import Description, Flags, MarketStore, RawSeries, bundled, load
from quantdesk.market.series import Bars, Series
from quantdesk.market.sessions import event_times, sessions_between

SESSIONS = 620
FIRST, LAST = dt.date(2018, 1, 2), dt.date(2020, 6, 30)


class Invented:
    """A source whose series are given."""

    def __init__(self, name: str, series: list[RawSeries], fingerprint: str = "1") -> None:
        self.name = name
        self._series = series
        self._fingerprint = fingerprint

    def fingerprint(self) -> str:
        return self._fingerprint

    def series(self) -> Iterator[RawSeries]:
        yield from self._series


def describe(symbol: str, source: str, **changes: Any) -> Description:
    plain = Description(
        symbol=symbol,
        source=source,
        kind="equity",
        unit="USD",
        calendar="XNYS",
        fields=("adj_close",),
        package=source,
        version="1",
        licence="none",
        sha256="0" * 64,
        flags=Flags(real=False, adjusted_with_hindsight=True, survivors_only=True),
        publication="close",
        publication_lag=dt.timedelta(minutes=15),
    )
    return dataclasses.replace(plain, **changes)


def walk(seed: int, sessions: int, start: float = 50.0) -> np.ndarray:
    return start * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0003, 0.015, sessions)))


def ohlcv(seed: int, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Bars that could be: the close lies between low and high; the adjusted close drifts away from it."""
    rng = np.random.default_rng(seed)
    close = walk(seed, len(sessions))
    high = close * (1 + rng.uniform(0, 0.02, len(sessions)))
    low = close * (1 - rng.uniform(0, 0.02, len(sessions)))
    return pd.DataFrame(
        {
            "session": sessions,
            "open": (high + low) / 2,
            "high": high,
            "low": low,
            "close": close,
            "adj_close": close * np.linspace(0.8, 1.0, len(sessions)),
            "volume": rng.integers(1_000_000, 5_000_000, len(sessions)).astype(float),
        }
    )


OHLCV = ("open", "high", "low", "close", "adj_close", "volume")


def bars_of(frame: pd.DataFrame, description: Description) -> Bars:
    """What the market store would hand over, without a store."""
    session = pd.DatetimeIndex(frame["session"])
    given = {field.name: getattr(description, field.name) for field in dataclasses.fields(Description)}
    series = Series(**given, start=session[0].date(), end=session[-1].date(), rows=len(frame), preferred=True)
    indexed = frame.set_axis(event_times(description.calendar, session), axis="index")
    return Bars(series, indexed)


@pytest.fixture(scope="session")
def sessions() -> pd.DatetimeIndex:
    return sessions_between("XNYS", FIRST, LAST)


def tiny_sources(sessions: pd.DatetimeIndex) -> list[Invented]:
    def priced(symbol: str, seed: int) -> RawSeries:
        frame = pd.DataFrame({"session": sessions, "adj_close": walk(seed, len(sessions))})
        return RawSeries(describe(symbol, "skfolio"), frame)

    index = RawSeries(
        describe("SPX", "skfolio", kind="index", unit="index points", fields=("close",)),
        pd.DataFrame({"session": sessions, "close": walk(9, len(sessions), 2000.0)}),
    )
    traded = RawSeries(describe("OHLC", "files", fields=OHLCV), ohlcv(7, sessions))
    holey = RawSeries(
        describe("GAPS", "files", fields=("close",)),
        pd.DataFrame({"session": sessions, "close": walk(8, len(sessions))}).drop(index=[300]),
    )
    euro_days = sessions_between("ECB", FIRST, LAST)
    euro = RawSeries(
        describe(
            "EURXYZ",
            "files",
            kind="fx",
            calendar="ECB",
            fields=("close",),
            publication_lag=dt.timedelta(hours=2),
            flags=Flags(real=False, adjusted_with_hindsight=False, survivors_only=False),
        ),
        pd.DataFrame({"session": euro_days, "close": walk(5, len(euro_days), 1.1)}),
    )
    months = sessions_between("MONTHLY-US", FIRST, LAST)
    monthly = RawSeries(
        describe("YIELD", "files", kind="rate", calendar="MONTHLY-US", frequency="monthly", fields=("close",)),
        pd.DataFrame({"session": months, "close": np.full(len(months), 4.0)}),
    )
    panel = [priced(name, seed) for seed, name in enumerate(("AAA1", "BBB2", "CCC3", "DDD4"))]
    return [Invented("skfolio", [*panel, index]), Invented("files", [traded, holey, euro, monthly])]


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory, sessions: pd.DatetimeIndex) -> MarketStore:
    """Nine invented series. Read only, please."""
    root = tmp_path_factory.mktemp("tiny") / "market"
    load(tiny_sources(sessions), root)
    return MarketStore(root)


@pytest.fixture(scope="session")
def store(market: MarketStore, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Features of the invented market, built. Read only, please."""
    found = FeatureStore(root=tmp_path_factory.mktemp("tiny") / "features", market=market)
    found.build()
    return found


@pytest.fixture
def own_store(store: FeatureStore, market: MarketStore, tmp_path: Path) -> FeatureStore:
    """A copy that a test may damage."""
    shutil.copytree(store.root, tmp_path / "features", symlinks=True)
    return FeatureStore(root=tmp_path / "features", market=market)


@pytest.fixture(scope="session")
def real_market(tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    """Everything that ships. Read only, please."""
    root = tmp_path_factory.mktemp("real") / "market"
    load(bundled(), root)
    return MarketStore(root)


@pytest.fixture(scope="session")
def real_store(real_market: MarketStore, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Features of everything that ships. Read only, please."""
    found = FeatureStore(root=tmp_path_factory.mktemp("real") / "features", market=real_market)
    found.build()
    return found
