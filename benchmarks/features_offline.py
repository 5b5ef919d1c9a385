"""How long Feast's own call takes on our offline store, evidence included, against the fastest that one writes by hand.

    python benchmarks/features_offline.py [--json] [--times 5] [--quick]

The table: 500 symbols x 2,520 days x 10 floats in one Parquet file, plain (an event per row) and bitemporal (a created
time, and every tenth row a revision of the row before). 126 thousand and 1.26 million rows ask, in the order of time.
Ours is ``feast.FeatureStore.get_historical_features(...).to_df()``: every row checked, a sample counted again by brute
force, the result hashed. By hand, the same rows from the same file, nothing proven:

    numpy       one searchsorted over key and time
    polars      join_asof
    duckdb      ASOF LEFT JOIN
    stock       Feast with its DuckDB store and a time to live of seven days; ours has the same then

All give the same table, which is compared to the last bit, but for the stock store, which shows restatements too early.
They run in one process, turn by turn; the figure is the median of the turns. Peak memory is that of a child process
which does nothing else: 12.6 million rows asking 12.6 million, and 5,000 symbols x 20 years part by part. --quick
leaves out the stock store and what is measured in children.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import resource
import statistics
import subprocess
import sys
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

FEATURES = [f"f{number}" for number in range(10)]
HOUR = 3_600 * 10**9
OURS = "quantdesk.features.offline.QuantdeskOfflineStore"


# The tables.


def days(count: int) -> np.ndarray:
    """Weekdays at nine in the evening, nanoseconds since 1970 (UTC)."""
    found = pd.bdate_range("2004-01-02", periods=count) + pd.Timedelta(hours=21)
    return found.as_unit("ns").to_numpy().view(np.int64)


def write(path: Path, symbols: int, sessions: int, *, bitemporal: bool) -> Path:
    """The feature rows, by symbol and then by time; a row group holds some symbols."""
    rng = np.random.default_rng(0)
    names = np.array([f"S{number:04d}" for number in range(symbols)])
    step = max(1, 1_000_000 // sessions)
    writer = None
    for first in range(0, symbols, step):
        some = names[first : first + step]
        event = np.tile(days(sessions), (len(some), 1))
        columns: dict[str, Any] = {"symbol": pa.array(np.repeat(some, sessions), pa.string())}
        if bitemporal:
            revision = rng.random(event.shape) < 0.1
            revision[:, 0] = False
            revision[:, 1:] &= ~revision[:, :-1]
            event = np.where(revision, np.roll(event, 1, axis=1), event)
            created = event + HOUR // 4 + np.where(revision, 30 * 24 * HOUR, 0)
        stamp = pa.timestamp("us", "UTC")
        columns["event_timestamp"] = pa.array(event.ravel() // 1000, stamp)
        if bitemporal:
            columns["created"] = pa.array(created.ravel() // 1000, stamp)
        columns |= {name: pa.array(rng.normal(size=event.size)) for name in FEATURES}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return path


def asking(rows: int, symbols: int, sessions: int) -> pd.DataFrame:
    """Rows that ask: any symbol at any session, an hour after its close, in the order of time."""
    rng = np.random.default_rng(1)
    key = rng.integers(0, symbols, rows)
    when = days(sessions)[rng.integers(0, sessions, rows)] + HOUR
    order = np.lexsort((key, when))
    names = np.array([f"S{number:04d}" for number in range(symbols)], dtype=object)
    stamps = pd.DatetimeIndex(when[order].view("datetime64[ns]")).tz_localize("UTC")
    return pd.DataFrame({"symbol": names[key[order]], "event_timestamp": stamps})


# By hand.


def by_numpy(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """As fast as one writes it for a file that is in order."""
    table = pq.read_table(path, read_dictionary=["symbol"]).combine_chunks()
    words = table["symbol"].unify_dictionaries().chunk(0)
    key = words.indices.to_numpy().astype(np.int64)
    event = table["event_timestamp"].to_numpy().view(np.int64)
    zero, width = event.min(), np.int64(1) << 51
    code, names = pd.factorize(rows["symbol"].to_numpy())
    asked = pd.Index(words.dictionary.to_pylist()).get_indexer(names)[code]
    wanted = asked * width + (rows["event_timestamp"].array.asi8 // 1000 - zero)
    if "created" in table.column_names:
        available = np.maximum(event, table["created"].to_numpy().view(np.int64))
        order = np.argsort(key * width + (available - zero), kind="stable")
        rising = key[order] * width + (event[order] - zero)
        order = order[rising >= np.maximum.accumulate(rising)]
        place = np.searchsorted(key[order] * width + (available[order] - zero), wanted, side="right") - 1
        position = order[place]
    else:
        position = place = np.searchsorted(key * width + (event - zero), wanted, side="right") - 1
    found = (place >= 0) & (key[position] == asked)
    columns: dict[str, Any] = {name: rows[name] for name in rows.columns}
    for name in FEATURES:
        columns[name] = table[name].to_numpy()[position]
        if not found.all():
            columns[name][~found] = np.nan
    return pd.DataFrame(columns, copy=False)


def by_polars(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """join_asof, on the time of knowledge where there is one."""
    import polars as pl

    time_ = pl.Datetime("ns", "UTC")
    left = pl.from_pandas(rows).with_row_index("row").sort("event_timestamp")
    event = pl.col("event_timestamp").cast(time_)
    if "created" in pq.read_schema(path).names:
        right = (
            pl.scan_parquet(path)
            .with_columns(available=pl.max_horizontal("event_timestamp", "created").cast(time_))
            .sort("available", "event_timestamp", "created")
            .filter(pl.col("event_timestamp") >= pl.col("event_timestamp").cum_max().over("symbol"))
            .drop("event_timestamp", "created")
            .collect()
        )
    else:
        right = pl.read_parquet(path).with_columns(available=event).drop("event_timestamp").sort("available")
    keys = {"left_on": "event_timestamp", "right_on": "available", "by": "symbol", "check_sortedness": False}
    return left.join_asof(right, **keys).sort("row").drop("row", "available", strict=False).to_pandas()


def by_duckdb(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """ASOF LEFT JOIN, on the time of knowledge where there is one."""
    import duckdb

    features = f"(SELECT *, event_timestamp AS available FROM '{path}')"
    if "created" in pq.read_schema(path).names:
        known = "greatest(event_timestamp, created)"
        latest = f"max(event_timestamp) OVER (PARTITION BY symbol ORDER BY {known}, event_timestamp, created ROWS UNBOUNDED PRECEDING)"  # noqa: E501
        features = (
            f"(SELECT * FROM (SELECT *, {known} AS available, {latest} AS latest FROM '{path}') "
            "WHERE event_timestamp >= latest)"
        )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.register("asking", rows.assign(row=np.arange(len(rows))))
        query = (
            f"SELECT a.symbol, a.event_timestamp, {', '.join(FEATURES)} FROM asking a ASOF LEFT JOIN {features} f "
            "ON a.symbol = f.symbol AND a.event_timestamp >= f.available ORDER BY row"
        )
        return connection.execute(query).df()


# Through Feast.


def feast(folder: Path, store: str, tables: dict[str, Path]) -> Any:
    """Feast over the tables, each as a view without and one with a time to live."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String

    folder.mkdir()
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"},
        offline_store={"type": store},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    found = FeatureStore(config=config)
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    schema = [Field(name="symbol", dtype=String), *(Field(name=name, dtype=Float64) for name in FEATURES)]
    views = []
    for name, path in tables.items():
        created = "created" if "created" in pq.read_schema(path).names else ""
        for ttl in (0, 7):
            source = FileSource(
                name=f"{name}_{ttl}",
                path=str(path),
                timestamp_field="event_timestamp",
                created_timestamp_column=created,
            )
            views.append(
                FeatureView(
                    name=f"{name}_{ttl}", entities=[symbol], ttl=dt.timedelta(days=ttl), schema=schema, source=source
                )
            )
    with contextlib.redirect_stdout(io.StringIO()):
        found.apply([symbol, *views])
    return found


def ask(store: Any, view: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One question; where the answer is ours, its evidence is looked at, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = store.get_historical_features(entity_df=rows, features=[f"{view}:{name}" for name in FEATURES])
        frame = job.to_df()
    if hasattr(job, "evidence"):
        view_ = job.evidence.views[0]
        if view_.violations or view_.oracle_mismatches or not job.evidence.content:
            sys.exit(f"not proven: {job.evidence}")
    return frame


# What is measured.


def in_turn(ways: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Median seconds of each way, taken turn by turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def same(name: str, table: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Leave unless both hold the same numbers in the same rows."""
    if not np.array_equal(table[FEATURES].to_numpy(float), expected[FEATURES].to_numpy(float), equal_nan=True):
        sys.exit(f"{name} gives another table")


def speed(folder: Path, times: int, *, stock: bool) -> list[dict[str, Any]]:
    """Ours against each alternative, for both tables and both sizes."""
    tables = {kind: write(folder / f"{kind}.parquet", 500, 2520, bitemporal=kind == "bitemporal") for kind in KINDS}
    ours = feast(folder / "ours", OURS, tables)
    theirs = feast(folder / "stock", "duckdb", tables) if stock else None
    rows = []
    for size, said in ((126_000, "126 k"), (1_260_000, "1.26 M")):
        asked = asking(size, 500, 2520)
        for kind, path in tables.items():
            ways: dict[str, Callable[[], pd.DataFrame]] = {
                "ours": lambda kind=kind, asked=asked: ask(ours, f"{kind}_0", asked),
                "numpy by hand": lambda path=path, asked=asked: by_numpy(path, asked),
                "polars join_asof": lambda path=path, asked=asked: by_polars(path, asked),
                "DuckDB ASOF": lambda path=path, asked=asked: by_duckdb(path, asked),
            }
            print(f"  … {said} rows, {kind}", file=sys.stderr, flush=True)
            expected = ways["ours"]()
            for name, way in ways.items():
                same(name, way(), expected)
            seconds = in_turn(ways, times)
            what = f"Feast offline, {said} rows, {kind}, with evidence"
            rows += [row(what, seconds["ours"], name, seconds[name]) for name in ways if name != "ours"]
            if theirs is not None:
                pair = {
                    "ours": lambda kind=kind, asked=asked: ask(ours, f"{kind}_7", asked),
                    "stock": lambda kind=kind, asked=asked: ask(theirs, f"{kind}_7", asked),
                }
                pair["ours"]()
                seconds = in_turn(pair, 1 if size > 200_000 else 3)
                rows.append(row(f"{what}, ttl 7 days", seconds["ours"], "stock Feast DuckDB", seconds["stock"]))
    return rows


KINDS = ("plain", "bitemporal")


def row(what: str, ours: float, alternative: str, theirs: float) -> dict[str, Any]:
    """A row for benchmarks/run.py."""
    return {"what": what, "seconds": ours, "alternative": alternative, "alternative_seconds": theirs}


def child(task: str, folder: Path) -> tuple[float, float]:
    """Seconds and gigabytes of peak memory of a task in a process of its own."""
    print(f"  … {task}", file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", __file__, "--task", task, "--folder", str(folder)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(said[-2]), float(said[-1])


def task(name: str, folder: Path) -> None:
    """What a child does: writes its seconds and its peak memory."""
    big, wide = folder / "big.parquet", folder / "wide.parquet"
    if name == "write":
        write(big, 2500, 5040, bitemporal=True)
        write(wide, 5000, 5040, bitemporal=True)
        began = time.perf_counter()
    elif name == "ours at once":
        rows = asking(12_600_000, 2500, 5040)
        store = feast(folder / "once", OURS, {"big": big})
        began = time.perf_counter()
        ask(store, "big_0", rows)
    elif name == "numpy at once":
        rows = asking(12_600_000, 2500, 5040)
        began = time.perf_counter()
        by_numpy(big, rows)
    elif name == "ours in parts":
        rows = asking(25_200_000, 5000, 5040)
        store = feast(folder / "parts", OURS, {"wide": wide})
        job = store.get_historical_features(entity_df=rows, features=[f"wide_0:{name}" for name in FEATURES])
        began = time.perf_counter()
        if sum(len(table) for table in job.stream()) != len(rows) or not job.evidence.is_pit_validated:
            sys.exit("not proven")
    else:
        began = time.perf_counter()
        pq.read_table(wide)
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def memory(folder: Path) -> list[dict[str, Any]]:
    """Peak memory, in children."""
    child("write", folder)
    once, by_hand = child("ours at once", folder), child("numpy at once", folder)
    parts, whole = child("ours in parts", folder), child("read it whole", folder)
    what, scale = "12.6 M rows x 12.6 M feature rows", "5,000 symbols x 20 years, part by part"
    return [
        row(what, once[0], "numpy by hand", by_hand[0]),
        row(f"{what}: GB of memory, not s", once[1], "numpy by hand", by_hand[1]),
        row(f"{scale}: GB of memory, not s", parts[1], "pyarrow reads the file, no join", whole[1]),
        row(scale, parts[0], "pyarrow reads the file, no join", whole[0]),
    ]


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=5, help="how often each way is taken")
    options.add_argument("--quick", action="store_true", help="leave out the stock store and the children")
    options.add_argument("--task", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    if given.task:
        task(given.task, given.folder)
        return
    with tempfile.TemporaryDirectory(prefix="quantdesk-bench-", dir=given.folder) as scratch:
        rows = speed(Path(scratch), given.times, stock=not given.quick)
        if not given.quick:
            rows += memory(Path(scratch))
    if given.json:
        print(json.dumps(rows))
        return
    for one in rows:
        ratio = one["seconds"] / one["alternative_seconds"]
        figures = f"{one['seconds']:.3f} against {one['alternative_seconds']:.3f}, ratio {ratio:.2f}"
        print(f"{one['what']}: {figures}: {one['alternative']}")


if __name__ == "__main__":
    main()
