"""How long the online store takes to answer and to fill, against Feast's own SQLite store and raw SQLite.

    python benchmarks/features_online.py [--json] [--times 300] [--keys 50000]

Answering: 100 symbols x 10 features of the bundled history, on SQLite, in a warm process.

    ours        FeatureStore.get_online_features: values, times, age checked; the median (p50), and the 99th percentile
    stock       the same rows in Feast's SqliteOnlineStore, by Feast's get_online_features; it checks no age
    raw         one SELECT of the same wide rows from a SQLite table, decoded with numpy, nothing checked

Filling: one Parquet file of 50,000 keys x 10 features, one row each.

    ours        quantdesk.features.online.fill, which FeatureStore.materialize calls
    through     Feast's own materialize with our stores and engine
    stock       Feast's own materialize with its DuckDB and SQLite stores

The store must have been built (``quantdesk data load``, ``quantdesk features build``).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import sqlite3
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quantdesk.features import FeatureStore
from quantdesk.features.online.address import connect
from quantdesk.features.online.fill import Partition, Plan, fill
from quantdesk.features.online.rows import Schema
from quantdesk.records import sha256_of

NAMES = ("sma_20", "sma_50", "sma_200", "ema_12", "rsi_14", "macd", "ret_1d", "mom_12_1", "vol_21d", "bollinger_z_20")
NOW = dt.datetime.now(dt.UTC)
OURS = (
    "quantdesk.features.offline.QuantdeskOfflineStore",
    "quantdesk.features.online.QuantdeskOnlineStore",
    "quantdesk.features.online.engine.QuantdeskEngine",
)
STOCK = "duckdb", "sqlite", "local"


def feast_on(folder: Path, stores: tuple[str, str, str], frame: pd.DataFrame) -> Any:
    """Feast with one view over the rows of a frame, applied."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String

    folder.mkdir()
    # Microseconds: DuckDB does not compare times in nanoseconds with a zone.
    frame = frame.astype({"event": "datetime64[us, UTC]", "made": "datetime64[us, UTC]"})
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "rows.parquet", row_group_size=10_000)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/r.db", "cache_ttl_seconds": 600},
        offline_store={"type": stores[0]},
        online_store={"type": stores[1], "path": str(folder / "o.db")},
        batch_engine={"type": stores[2]},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    names = [name for name in frame.columns if name not in ("symbol", "event", "made")]
    view = FeatureView(
        name="wide",
        entities=[symbol],
        ttl=dt.timedelta(days=36_500),
        schema=[Field(name="symbol", dtype=String), *(Field(name=name, dtype=Float64) for name in names)],
        source=FileSource(
            path=str(folder / "rows.parquet"), timestamp_field="event", created_timestamp_column="made", name="rows"
        ),
    )
    store = FeatureStore(config=config)
    store.apply([symbol, view])
    return store


def quietly(work: Callable[[], Any]) -> Any:
    """Without the bars and warnings of Feast."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


def seconds(work: Callable[[], Any], times: int) -> list[float]:
    """Of each of several calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def raw_reader(path: Path, frame: pd.DataFrame) -> Callable[[], Any]:
    """One wide row per symbol in a plain table."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE wide (symbol TEXT PRIMARY KEY, event INTEGER, packed BLOB) WITHOUT ROWID")
    lines = zip(frame["symbol"], frame["event"].astype("int64"), frame[list(NAMES)].to_numpy(), strict=True)
    connection.executemany("INSERT INTO wide VALUES (?, ?, ?)", [(key, at, row.tobytes()) for key, at, row in lines])
    connection.commit()
    names = frame["symbol"].tolist()
    select = f"SELECT symbol, event, packed FROM wide WHERE symbol IN ({','.join('?' * len(names))})"

    def read() -> Any:
        found = {key: packed for key, _, packed in connection.execute(select, names).fetchall()}
        return np.frombuffer(b"".join(found[name] for name in names)).reshape(len(names), -1)

    return read


def answering(folder: Path, times: int) -> list[dict[str, Any]]:
    """A hundred symbols, ten features."""
    store = FeatureStore()
    plain = [*store.symbols()]
    more = [series.id for series in store.snapshot().manifest.series if series.id not in plain]
    asked = [*plain, *more][:100]
    ours = store.get_online_features(asked, NAMES)
    frame = ours.to_pandas().reset_index().assign(event=ours.events["technical"].to_numpy(), made=NOW)
    frame["event"] = pd.to_datetime(frame["event"], utc=True)
    stock = quietly(lambda: feast_on(folder / "read", STOCK, frame))
    quietly(lambda: stock.materialize(dt.datetime(1900, 1, 1, tzinfo=dt.UTC), NOW + dt.timedelta(days=1)))
    refs, rows = [f"wide:{name}" for name in NAMES], [{"symbol": name} for name in asked]
    theirs = stock.get_online_features(refs, rows).to_df()
    same = np.array_equal(theirs[list(NAMES)].to_numpy(dtype=float), ours.array, equal_nan=True)
    assert same, "both must give the same answer"
    raw = raw_reader(folder / "raw.db", frame)
    ways = {
        "ours": lambda: store.get_online_features(asked, NAMES),
        "stock": lambda: stock.get_online_features(refs, rows),
        "raw": raw,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        way()
        few = max(1, times // 10) if name == "stock" else times
        taken[name] = seconds(way, few)
    p50 = {name: statistics.median(some) for name, some in taken.items()}
    p99 = {name: float(np.quantile(some, 0.99)) for name, some in taken.items()}
    what = f"online answer, {len(asked)} symbols x {len(NAMES)} features, SQLite"
    return [
        row(f"{what}, p50", p50["ours"], "Feast's SqliteOnlineStore, p50", p50["stock"]),
        row(f"{what}, p50", p50["ours"], "raw SQLite, wide rows, nothing checked, p50", p50["raw"]),
        row(f"{what}, p99", p99["ours"], "the same, p50", p50["ours"]),
    ]


def filling(folder: Path, keys: int) -> list[dict[str, Any]]:
    """All of one file."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(keys, 10)), columns=[f"f{number}" for number in range(10)])
    frame["symbol"] = [f"S{number:06d}" for number in range(keys)]
    frame["event"] = pd.Timestamp(NOW - dt.timedelta(days=1)).floor("us")
    frame["made"] = frame["event"]
    taken: dict[str, float] = {}
    for name, stores in (("through", OURS), ("stock", STOCK)):
        feast = quietly(lambda name=name, stores=stores: feast_on(folder / name, stores, frame))
        began = time.perf_counter()
        quietly(lambda feast=feast: feast.materialize(NOW - dt.timedelta(days=9), NOW))
        taken[name] = time.perf_counter() - began
    path = folder / "through" / "rows.parquet"
    backend = connect(None, folder / "ours.db")
    began = time.perf_counter()
    plan = Plan(
        view="bench_wide",
        schema=Schema.of_floats([f"f{number}" for number in range(10)]),
        partitions=[Partition("rows", path, sha256_of(path))],
        keys=[("symbol", "symbol", "string")],
        event="event",
        created="made",
        definitions="1",
        build="1",
    )
    with backend.session() as writer:
        done = fill(backend, writer, plan, int(NOW.timestamp() * 1e9))
    taken["ours"] = time.perf_counter() - began
    assert done.written == keys
    what = f"online store filled, {keys:,} keys x 10 features, SQLite"
    said = "Feast's materialize, DuckDB and SqliteOnlineStore"
    return [
        row(what, taken["ours"], said, taken["stock"]),
        row(f"{what}, through Feast's materialize", taken["through"], said, taken["stock"]),
    ]


def row(what: str, ours: float, alternative: str, theirs: float) -> dict[str, Any]:
    """As benchmarks/run.py keeps it."""
    return {"what": what, "seconds": ours, "alternative": alternative, "alternative_seconds": theirs}


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    warnings.simplefilter("ignore")
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=300, help="how often a question is asked")
    options.add_argument("--keys", type=int, default=50_000, help="how many keys are filled")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="quantdesk-online-") as scratch:
        rows = [*answering(Path(scratch), given.times), *filling(Path(scratch), given.keys)]
    if given.json:
        print(json.dumps(rows))
        return
    for one in rows:
        ratio = one["seconds"] / one["alternative_seconds"]
        figures = f"{one['seconds'] * 1e3:.3f} ms against {one['alternative_seconds'] * 1e3:.3f} ms, ratio {ratio:.3f}"
        print(f"{one['what']}: {figures}: {one['alternative']}")


if __name__ == "__main__":
    main()
