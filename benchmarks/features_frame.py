"""How long a question to the feature store takes, evidence included, against the same done by hand on the same files.

    python benchmarks/features_frame.py [--json] [--times 15]

The question: 20 symbols x 10 features of three views, every session of some thirty years, one row per symbol and
session. The alternatives read the same Parquet files and give the same table, which is compared to the last bit; they
prove nothing about it. All of them run in one warm process, turn by turn, so that what else the machine does hits each.
The figure is the median of the turns.

It needs a store that was built (``quantdesk data load``, ``quantdesk features build``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from quantdesk.features import FeatureStore

NAMES = ("sma_20", "sma_200", "rsi_14", "macd", "ret_1d", "mom_12_1", "vol_21d", "bollinger_z_20",
         "beta_252d", "sentiment_z")  # fmt: skip
TECHNICAL, MODEL, MOOD = NAMES[:8], ("beta_252d",), ("sentiment_z",)
TTL = pd.Timedelta(days=15)
KNOWN = "created_timestamp"


def symbols_of(store: FeatureStore, count: int = 20) -> list[str]:
    """The stocks with the longest history."""
    stocks = [one for one in store.snapshot().manifest.series if one.kind == "equity" and one.source == "skfolio"]
    return [one.key for one in sorted(stocks, key=lambda one: (one.start, one.key))[:count]]


def by_numpy(folder: Path, symbols: list[str]) -> pd.DataFrame:
    """As fast as one writes it: file by file, one search each, no proof."""
    mood = pq.ParquetFile(folder / "sentiment" / "rows.parquet").read([KNOWN, "event_timestamp", *MOOD])
    mood_known = mood[KNOWN].to_numpy().astype(np.int64)
    mood_event = mood["event_timestamp"].to_numpy().astype(np.int64)
    mood_value = [mood[name].to_numpy() for name in MOOD]
    ttl = TTL.value // 1000
    times, blocks = [], []
    for symbol in symbols:
        own = pq.ParquetFile(folder / "technical" / f"symbol={symbol}" / "rows.parquet").read(
            [KNOWN, "event_timestamp", *TECHNICAL]
        )
        model = pq.ParquetFile(folder / "market_model" / f"symbol={symbol}" / "rows.parquet").read(
            [KNOWN, "event_timestamp", *MODEL]
        )
        asked = own[KNOWN].to_numpy().astype(np.int64)
        columns = []
        for known, event, values in (
            (asked, own["event_timestamp"].to_numpy().astype(np.int64), [own[n].to_numpy() for n in TECHNICAL]),
            (
                model[KNOWN].to_numpy().astype(np.int64),
                model["event_timestamp"].to_numpy().astype(np.int64),
                [model[n].to_numpy() for n in MODEL],
            ),
            (mood_known, mood_event, mood_value),
        ):
            place = np.searchsorted(known, asked, side="right") - 1
            young = (place >= 0) & (asked - event[place] <= ttl)
            columns += [np.where(young, column[place], np.nan) for column in values]
        times.append(asked)
        blocks.append(np.vstack(columns))
    time_ = np.concatenate(times)
    order = np.argsort(time_, kind="stable")
    code = np.repeat(np.arange(len(symbols)), [len(one) for one in times])
    stamps = pd.DatetimeIndex((time_[order] * 1000).view("datetime64[ns]")).tz_localize("UTC")
    index = pd.MultiIndex.from_arrays(
        [stamps, pd.Categorical.from_codes(code[order], symbols).astype(object)], names=["timestamp", "symbol"]
    )
    return pd.DataFrame(np.concatenate(blocks, axis=1)[:, order].T, index=index, columns=list(NAMES))


def by_merge_asof(folder: Path, symbols: list[str]) -> pd.DataFrame:
    """As most notebooks do it: one table per view, pandas.merge_asof on the time of knowledge."""

    def table(view: str, names: tuple[str, ...]) -> pd.DataFrame:
        pieces = []
        for symbol in symbols:
            path = folder / view / f"symbol={symbol}" / "rows.parquet"
            piece = pd.read_parquet(path, columns=[KNOWN, "event_timestamp", *names], partitioning=None)
            pieces.append(piece.assign(symbol=symbol))
        return pd.concat(pieces).sort_values(KNOWN, kind="stable")

    own = table("technical", TECHNICAL)
    rows = own[[KNOWN, "symbol"]].rename(columns={KNOWN: "timestamp"})
    mood = pd.read_parquet(folder / "sentiment" / "rows.parquet", columns=[KNOWN, "event_timestamp", *MOOD])
    for right, by in ((own, "symbol"), (table("market_model", MODEL), "symbol"), (mood, None)):
        rows = pd.merge_asof(rows, right, left_on="timestamp", right_on=KNOWN, by=by)
        old = ~(rows["timestamp"] - rows["event_timestamp"] <= TTL)
        names = [name for name in right.columns if name in NAMES]
        rows.loc[old, names] = np.nan
        rows = rows.drop(columns=[KNOWN, "event_timestamp"])
    return rows.set_index(["timestamp", "symbol"])[list(NAMES)]


def measure(times: int) -> dict[str, float]:
    """Median seconds of each way, taken turn by turn, after all have given the same table."""
    store = FeatureStore()
    symbols = symbols_of(store)
    folder = Path(store.snapshot().origin)

    def ours() -> pd.DataFrame:
        frame = store.get_historical_features(symbols, NAMES)
        if frame.evidence.failures:
            sys.exit(f"not validated: {frame.evidence.failures[0]}")
        return frame.to_pandas()

    ways: dict[str, Callable[[], pd.DataFrame]] = {
        "ours": ours,
        "numpy": lambda: by_numpy(folder, symbols),
        "merge_asof": lambda: by_merge_asof(folder, symbols),
    }
    tables = {name: way() for name, way in ways.items()}
    expected = tables["ours"]
    for name, table in tables.items():
        if not np.array_equal(table.to_numpy(), expected.to_numpy(), equal_nan=True):
            sys.exit(f"{name} gives another table")
    print(f"{len(expected):,} rows x {len(NAMES)} features of {len(symbols)} symbols", file=sys.stderr)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=15, help="how often each way is taken")
    given = options.parse_args()
    seconds = measure(given.times)
    what = "20 symbols x 10 features x 30 years, with evidence"
    named = {"numpy": "numpy by hand, same files, no evidence", "merge_asof": "pandas.merge_asof by hand, no evidence"}
    rows = [
        {"what": what, "seconds": seconds["ours"], "alternative": said, "alternative_seconds": seconds[name]}
        for name, said in named.items()
    ]
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        figures = f"{row['seconds']:.3f} s against {row['alternative_seconds']:.3f} s, ratio {ratio:.2f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
