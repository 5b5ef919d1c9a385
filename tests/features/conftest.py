"""A small invented market whose every price is known, and one with everything that ships."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import io
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.features import FeatureStore
from quantdesk.features.publish import ONLINE, REGISTRY
from quantdesk.market import Description, Flags, MarketStore, RawSeries, load
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
def real_market(prepared: Any) -> MarketStore:
    """Everything that ships. Read only, please."""
    return MarketStore(prepared.market())


@pytest.fixture(scope="session")
def real_store(real_market: MarketStore, prepared: Any) -> FeatureStore:
    """Features of everything that ships. Read only, please."""
    return FeatureStore(root=prepared.features(), market=real_market)


# Feast: imported where it is used, as it takes seconds.


@pytest.fixture(scope="session")
def filled(store, market, tmp_path_factory) -> FeatureStore:
    """Built, applied, materialised. Read only, please."""
    root = tmp_path_factory.mktemp("filled") / "features"
    shutil.copytree(store.root, root, symlinks=True)
    found = FeatureStore(root=root, market=market)
    assert found.apply()
    assert found.materialize()
    return found


@pytest.fixture(scope="session")
def feast_store(filled):
    """Stock Feast on the same files."""
    from quantdesk.features.publish import open_feast

    feast = open_feast(filled.root / REGISTRY, filled.root / ONLINE)
    yield feast
    close(feast)


def open_desk(folder):
    """Stock Feast on a repository whose files all lie in one folder."""
    from feast import FeatureStore as Feast
    from feast import RepoConfig

    config = RepoConfig(
        project="desk",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/r.db"},
        offline_store={"type": "quantdesk.features.offline.QuantdeskOfflineStore"},
        online_store={"type": "quantdesk.features.online.QuantdeskOnlineStore", "path": "o.db"},
        entity_key_serialization_version=3,
        materialization={"pull_latest_features": True},
        repo_path=folder,
    )
    return Feast(config=config)


def close(feast):
    feast.registry.write_engine.dispose()
    feast._get_provider().online_store.close_connection()


@pytest.fixture(scope="session")
def desk_files(tmp_path_factory):
    """A repository of one's own: a bitemporal table with revisions and two keys, and a view about everything."""
    tmp_path = tmp_path_factory.mktemp("desk")
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, Int64, String

    def at(day):
        return pd.Timestamp(f"2020-01-{day:02d}", tz="UTC")

    rows = [  # shop, product, event, created, price, label
        ("a", 1, at(1), at(1), 10.0, "first"),
        ("a", 1, at(10), at(10), 11.0, "second"),
        ("a", 1, at(10), at(20), 12.0, "restated"),
        ("a", 2, at(10), at(10), 99.0, "other product"),
        ("b", 1, at(5), at(25), 50.0, "published late"),
    ]
    table = pd.DataFrame(rows, columns=["shop", "product", "event", "made", "raw_price", "label"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "prices.parquet")
    weather = pd.DataFrame({"event": [at(1), at(8)], "rain": [1.0, 2.0]})
    pq.write_table(pa.Table.from_pandas(weather, preserve_index=False), tmp_path / "weather.parquet")
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    product = Entity(name="product", join_keys=["product"], value_type=ValueType.INT64)
    prices = FeatureView(
        name="prices",
        entities=[shop, product],
        ttl=dt.timedelta(days=30),
        schema=[
            Field(name="shop", dtype=String), Field(name="product", dtype=Int64),
            Field(name="price", dtype=Float64), Field(name="label", dtype=String),
        ],
        source=FileSource(
            name="prices", path="prices.parquet", timestamp_field="event",
            created_timestamp_column="made", field_mapping={"raw_price": "price"},
        ),
    )  # fmt: skip
    sky = FeatureView(
        name="sky",
        entities=[],
        ttl=dt.timedelta(days=3),
        schema=[Field(name="rain", dtype=Float64)],
        source=FileSource(name="sky", path="weather.parquet", timestamp_field="event"),
    )
    feast = open_desk(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        feast.apply([shop, product, prices, sky])
    close(feast)
    return tmp_path


@pytest.fixture
def desk(desk_files, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(desk_files, tmp_path, dirs_exist_ok=True)
    feast = open_desk(tmp_path)
    yield feast
    close(feast)


def asked(*rows):
    frame = pd.DataFrame(rows, columns=["shop", "product", "day"])
    frame["event_timestamp"] = pd.to_datetime("2020-01-" + frame.pop("day").astype(str).str.zfill(2), utc=True)
    return frame


@pytest.fixture
def feast_closes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close at the end what Feast's own commands and stores leave open: connections to SQLite files."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def watched(*given: Any, **named: Any) -> sqlite3.Connection:
        opened.append(connect(*given, **named))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watched)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", watched)
    yield
    for connection in opened:
        connection.close()
