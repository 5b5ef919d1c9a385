"""What the stores that ship with Feast 0.67 answer wrongly, and what ours answers to the same question.

Each test first shows the stock store's wrong answer. Should a later Feast put one right, its test fails, and the
comparison can be dropped.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # three stores of others, each with warnings of its own
    pytest.mark.usefixtures("feast_closes"),
]

OURS = "quantdesk.features.offline.QuantdeskOfflineStore"


def at(day, hour=0):
    return pd.Timestamp(f"2020-01-{day:02d}", tz="UTC") + pd.Timedelta(hours=hour)


@contextlib.contextmanager
def feast(folder, store, table, **source):
    """Stock Feast over one table of prices of symbols, with an offline store of our choice."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String

    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "prices.parquet")
    config = RepoConfig(
        project="desk",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/r.db"},
        offline_store={"type": store},
        online_store={"type": "sqlite", "path": str(folder / "o.db")},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    found = FeatureStore(config=config)
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    prices = FeatureView(
        name="prices",
        entities=[symbol],
        ttl=dt.timedelta(days=10),
        schema=[Field(name="symbol", dtype=String), Field(name="price", dtype=Float64)],
        source=FileSource(
            path=str(folder / "prices.parquet"), timestamp_field="event", created_timestamp_column="made", **source
        ),
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        found.apply([symbol, prices])
    yield found


def answer(folder, store, table, rows=None, **kwargs):
    with feast(folder, store, table) as found:
        return found.get_historical_features(entity_df=rows, features=["prices:price"], **kwargs).to_df()


def asking(*rows):
    return pd.DataFrame([{"symbol": symbol, "event_timestamp": when} for symbol, when in rows])


def table(*rows):
    return pd.DataFrame(rows, columns=["symbol", "event", "made", "price"])


def test_1_dask_lets_superseded_revisions_answer(tmp_path):
    rows = [(f"s{i % 100:02d}", at(10), at(10, i // 100), float(i)) for i in range(200)]
    history = table(*rows).sample(frac=1.0, random_state=3)
    asked = asking(*[(f"s{i:02d}", at(12)) for i in range(100)])
    stock = answer(tmp_path / "dask", "dask", history, asked).sort_values("symbol")["price"].to_numpy()
    superseded = int((stock < 100).sum())
    assert superseded > 0, "the first revision of each symbol is below 100"
    ours = answer(tmp_path / "ours", OURS, history, asked)["price"].to_numpy()
    np.testing.assert_array_equal(ours, np.arange(100.0, 200.0))


def test_2_dask_drops_rows_and_collapses_duplicates(tmp_path):
    history = table(("a", at(1), at(1), 1.0), ("b", at(25), at(25), 2.0))
    asked = asking(("a", at(2)), ("a", at(2)), ("a", at(20)), ("b", at(20)), ("nobody", at(20)))
    stock = answer(tmp_path / "dask", "dask", history, asked)
    assert len(stock) < len(asked)
    assert (stock["symbol"] == "a").sum() < 3, "the duplicate of a's row has gone"
    assert "b" not in set(stock["symbol"]), "so has the row whose symbol has features only later"
    ours = answer(tmp_path / "ours", OURS, history, asked)
    assert ours["symbol"].tolist() == ["a", "a", "a", "b", "nobody"]
    np.testing.assert_array_equal(ours["price"], [1.0, 1.0, np.nan, np.nan, np.nan])


def test_3_a_range_without_rows_means_something_else_in_each_store(tmp_path):
    history = table(
        ("a", at(2), at(2), 1.0), ("a", at(3), at(3), 2.0), ("a", at(3), at(8), 3.0), ("b", at(3), at(5), 4.0)
    )
    bounds = {"start_date": at(3).to_pydatetime(), "end_date": at(4).to_pydatetime()}
    with pytest.raises(TypeError):
        answer(tmp_path / "duckdb", "duckdb", history, **bounds)
    dask = answer(tmp_path / "dask", "dask", history, **bounds)
    assert set(dask["event_timestamp"]) == {at(4)}, "one row per key, all at the end of the range"
    assert dask["price"].max() == 4.0
    assert 3.0 in dask["price"].tolist(), "published on the 8th"
    ours = answer(tmp_path / "ours", OURS, history, **bounds)
    shown = list(zip(ours["symbol"], ours["event_timestamp"], ours["price"], strict=True))
    assert shown == [("a", at(3), 2.0), ("b", at(5), 4.0)], "each event once, at the time at which it was known"


@pytest.mark.parametrize("store", ["dask", "duckdb"])
def test_4_the_default_leaks_restatements(tmp_path, store):
    history = table(("a", at(10), at(10), 1.0), ("a", at(10), at(20), 2.0))
    asked = asking(("a", at(11)))
    stock = answer(tmp_path / store, store, history, asked)
    assert stock["price"].tolist() == [2.0], "on the 11th, what was published on the 20th"
    ours = answer(tmp_path / "ours", OURS, history, asked)
    assert ours["price"].tolist() == [1.0]
