"""Through Feast's own interface: what its stock stores do wrong, shown on them first, and right on ours."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadInput

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
    pytest.mark.filterwarnings("ignore::UserWarning:feast"),
]

STOCK = {"type": "sqlite"}
OURS = {"type": "quantdesk.features.online.QuantdeskOnlineStore"}
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def awaited(coroutine):
    """Its result, from a thread of its own: a browser's test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def ago(**given):
    return NOW - dt.timedelta(**given)


def feast_on(folder, online, *, registry=None):
    """Feast with a registry and a store of the given kinds, everything in one folder."""
    from feast import FeatureStore, RepoConfig

    where = {} if "url" in online else {"path": str(folder / "o.db")}
    registry = registry or {"registry_type": "sql", "path": f"sqlite:///{folder}/r.db"}
    config = RepoConfig(
        project="desk",
        provider="local",
        registry=registry,
        offline_store={"type": "quantdesk.features.offline.QuantdeskOfflineStore"},
        online_store={**online, **where},
        batch_engine={"type": "local" if online is STOCK else "quantdesk.features.online.engine.QuantdeskEngine"},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    return FeatureStore(config=config)


@contextlib.contextmanager
def opened(*args, **options):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        feast = feast_on(*args, **options)
        try:
            yield feast
        finally:
            if hasattr(feast.registry, "write_engine"):
                feast.registry.write_engine.dispose()
                feast.registry.read_engine.dispose()
            store = feast._get_provider().online_store
            if hasattr(store, "close_connection"):
                store.close_connection()
            elif getattr(store, "_conn", None):
                store._conn.close()


def price_view(folder, ttl=dt.timedelta(days=10_000), name="prices", rows=()):
    """A view of one key; rows of (shop, event, created, price)."""
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, String

    table = pd.DataFrame(rows, columns=["shop", "event", "made", "price"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / f"{name}.parquet")
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    source = FileSource(
        name=name, path=str(folder / f"{name}.parquet"), timestamp_field="event", created_timestamp_column="made"
    )
    fields = [Field(name="shop", dtype=String), Field(name="price", dtype=Float64)]
    return shop, FeatureView(name=name, entities=[shop], ttl=ttl, schema=fields, source=source)


def price_of(feast, shop="a", view="prices"):
    return feast.get_online_features([f"{view}:price"], [{"shop": shop}]).to_dict()["price"][0]


def key_of(shop="a"):
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(join_keys=["shop"], entity_values=[Value(string_val=shop)])


def value(**given):
    from feast.protos.feast.types.Value_pb2 import Value

    return Value(**given)


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def ours(request):
    """Our store on each of its places."""
    if request.param == "sqlite":
        return OURS
    return {**OURS, "url": request.getfixturevalue("redis_server" if request.param == "redis" else "postgres")()}


# Defect 5: of four applies at once, the file registry keeps some, and tells all that they succeeded.

APPLY = textwrap.dedent(
    """
    import sys, warnings
    warnings.simplefilter("ignore")
    from pathlib import Path
    from feast import Entity, FeatureStore, RepoConfig

    folder, kind, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    path = str(folder / "r.pb") if kind == "file" else f"sqlite:///{folder}/r.db"
    config = RepoConfig(
        project="desk", provider="local", registry={"registry_type": kind, "path": path},
        online_store={"type": "sqlite", "path": str(folder / f"o{number}.db")},
        entity_key_serialization_version=3, repo_path=folder,
    )
    feast = FeatureStore(config=config)
    print("ready", flush=True)
    sys.stdin.readline()
    feast.apply([Entity(name=f"e{number}", join_keys=["k"])])
    print("applied", flush=True)
    """
)


@pytest.mark.slow
def test_four_applies_at_once(tmp_path):
    """The rule of the platform's repository, an SQL registry, keeps what the stock file registry loses."""
    kept = {}
    for kind in ("file", "sql"):
        lost = []
        for attempt in range(3):
            folder = tmp_path / f"{kind}{attempt}"
            folder.mkdir()
            with opened(folder, STOCK, registry=_registry(folder, kind)) as feast:
                feast.apply(_entity("first"))
            command = [sys.executable, "-W", "ignore", "-c", APPLY, str(folder), kind]
            writers = [
                subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for n in range(4)
            ]
            [one.stdout.readline() for one in writers]
            for one in writers:
                one.stdin.write("\n")
                one.stdin.flush()
            assert all("applied" in one.communicate(timeout=120)[0] for one in writers)
            with opened(folder, STOCK, registry=_registry(folder, kind)) as feast:
                names = {entity.name for entity in feast.list_entities()} - {"__dummy"}
            lost.append(5 - len(names))
            if kind == "file" and lost[-1]:
                break
        kept[kind] = lost
    assert max(kept["file"]) > 0, "stock: all four said that they applied, and some are not there"
    assert kept["sql"] == [0, 0, 0]


def test_an_apply_between_reading_and_writing_is_lost_by_the_file_registry_alone(tmp_path):
    """The same without chance: two clients, each of which has read the registry before the other writes."""
    kept = {}
    for kind in ("file", "sql"):
        (tmp_path / kind).mkdir()
        registry = _registry(tmp_path / kind, kind)
        with opened(tmp_path / kind, STOCK, registry=registry) as one:
            one.apply(_entity("first"))
            with opened(tmp_path / kind, STOCK, registry=registry) as other:
                one.list_entities()
                other.list_entities()
                one.registry.apply_entity(_entity("mine"), "desk", commit=False)
                other.registry.apply_entity(_entity("theirs"), "desk")
                one.registry.commit()
        with opened(tmp_path / kind, STOCK, registry=registry) as later:
            kept[kind] = {entity.name for entity in later.list_entities()} & {"first", "mine", "theirs"}
    assert kept["file"] == {"first", "mine"}, "stock: what the other one applied is gone"
    assert kept["sql"] == {"first", "mine", "theirs"}


def _registry(folder, kind):
    path = str(folder / "r.pb") if kind == "file" else f"sqlite:///{folder}/r.db"
    return {"registry_type": kind, "path": path, "cache_ttl_seconds": 3600}


def _entity(name):
    from feast import Entity

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Entity(name=name, join_keys=["k"])


# Defect 6: reads raise while a view is materialising.


def test_reads_while_materialising(tmp_path):
    from quantdesk.features.repository import repo_config

    given = {}
    settings = repo_config(tmp_path / "r.db", tmp_path / "o.db").registry
    platform = {"serve_features_while_materializing": settings.serve_features_while_materializing}
    assert platform == {"serve_features_while_materializing": True}, "this is what the platform says"
    settings_of = {"stock": (STOCK, "file", {}), "flag": (OURS, "file", platform), "ours": (OURS, "sql", platform)}
    for name, (online, kind, more) in settings_of.items():
        folder = tmp_path / name
        folder.mkdir()
        registry = {**_registry(folder, kind), **more}
        with opened(folder, online, registry=registry) as feast:
            feast.apply([*price_view(folder, rows=[("a", ago(days=2), ago(days=2), 1.0)])])
            feast.materialize(ago(days=5), NOW)
            assert price_of(feast) == 1.0
            store = feast._get_provider().online_store
            step = "write_rows" if hasattr(store, "write_rows") else "online_write_batch"
            write = getattr(store, step)

            def while_writing(*args, feast=feast, write=write, name=name, **options):
                feast.refresh_registry()  # as a feature server does from time to time, or one that starts now
                try:
                    given[name] = price_of(feast)
                except Exception as error:  # noqa: BLE001 - whatever the stock store raises
                    given[name] = type(error).__name__
                return write(*args, **options)

            setattr(store, step, while_writing)
            feast.materialize(ago(days=5), NOW)
    assert given == {"stock": "ValueError", "flag": 1.0, "ours": 1.0}


# Defect 7: no time guard.


def test_an_older_run_overwrites_a_newer_row_in_the_stock_store(tmp_path, ours):
    rows = [("a", ago(days=3000), ago(days=3000), 2015.0), ("a", ago(days=2), ago(days=2), 2024.0)]
    given = {}
    for name, online in (("stock", STOCK), ("ours", ours)):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name, online) as feast:
            feast.apply([*price_view(tmp_path / name, rows=rows)])
            feast.materialize(ago(days=4000), NOW)
            assert price_of(feast) == 2024.0
            feast.materialize(ago(days=4000), ago(days=2000))
            given[name] = price_of(feast)
    assert given == {"stock": 2015.0, "ours": 2024.0}


def test_a_revision_of_the_same_event_wins_by_its_created_time(tmp_path, ours):
    given = {}
    event = ago(days=1)
    for name, online in (("stock", STOCK), ("ours", ours)):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name, online) as feast:
            feast.apply([*price_view(tmp_path / name)])
            view, store = feast.get_feature_view("prices"), feast._get_provider().online_store
            for price, created in ((2.0, ago(hours=1)), (1.0, ago(hours=2))):
                row = (key_of(), {"price": value(double_val=price)}, event, created)
                store.online_write_batch(feast.config, view, [row], None)
            given[name] = price_of(feast)
    assert given == {"stock": 1.0, "ours": 2.0}


# Defect 8: no time to live.


def test_a_row_that_has_outlived_its_time_answers_nothing(tmp_path, ours):
    given = {}
    rows = [("a", ago(days=8), ago(days=8), 1.0), ("b", ago(days=2), ago(days=2), 2.0)]
    for name, online in (("stock", STOCK), ("ours", ours)):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name, online) as feast:
            feast.apply([*price_view(tmp_path / name, ttl=dt.timedelta(days=7), rows=rows)])
            feast.materialize(ago(days=30), NOW)
            given[name] = [price_of(feast, "a"), price_of(feast, "b")]
    assert given == {"stock": [1.0, 2.0], "ours": [None, 2.0]}


def test_the_platforms_views_do_not_age_unless_the_clock_says_so(filled, feast_store, monkeypatch):
    def mood():
        asked = feast_store.get_online_features(["technical:sma_20"], [{"symbol": "AAA1"}])
        return asked.to_dict()["sma_20"][0]

    assert mood() == filled.get_online_features(["AAA1"], ["sma_20"]).to_dict()["AAA1"]["sma_20"]
    monkeypatch.setenv("QUANTDESK_ONLINE_CLOCK", "now")
    assert mood() is None


# What else an online store must do for Feast.


def test_two_keys_other_types_and_a_view_about_everything(tmp_path, ours):
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

    when = pd.Timestamp(ago(days=1))
    table = pd.DataFrame({
        "shop": ["a", "b"], "product": [7, 7], "event": [when, when], "n": [2**40, 0], "small": [1, 2],
        "text": ["é", ""], "yes": [True, False], "x": [1.5, np.nan], "half": [0.5, 0.25], "at": [when, when],
        "many": [[1.0, 2.0], []],
    })  # fmt: skip
    table = table.astype({"small": "int32", "half": "float32"})
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "mixed.parquet")
    pq.write_table(pa.table({"event": pa.array([when]), "rain": [3.0]}), tmp_path / "sky.parquet")
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    product = Entity(name="product", join_keys=["product"], value_type=ValueType.INT64)
    types = {
        "n": Int64, "small": Int32, "text": String, "yes": Bool, "x": Float64, "half": Float32, "at": UnixTimestamp,
        "many": Array(Float64),
    }  # fmt: skip
    keys = [Field(name="shop", dtype=String), Field(name="product", dtype=Int64)]
    mixed = FeatureView(
        name="mixed", entities=[shop, product], ttl=dt.timedelta(days=9),
        schema=[*keys, *(Field(name=name, dtype=dtype) for name, dtype in types.items())],
        source=FileSource(name="mixed", path=str(tmp_path / "mixed.parquet"), timestamp_field="event"),
    )  # fmt: skip
    sky = FeatureView(
        name="sky", entities=[], ttl=dt.timedelta(days=9), schema=[Field(name="rain", dtype=Float64)],
        source=FileSource(name="sky", path=str(tmp_path / "sky.parquet"), timestamp_field="event"),
    )  # fmt: skip
    with opened(tmp_path, ours) as feast:
        feast.apply([shop, product, mixed, sky])
        feast.materialize(ago(days=5), NOW)
        rows = [{"shop": name, "product": 7} for name in ("b", "a", "nobody")]
        given = feast.get_online_features([*(f"mixed:{name}" for name in types), "sky:rain"], rows).to_dict()
        assert given["n"] == [0, 2**40, None]
        assert given["small"] == [2, 1, None]
        assert given["text"] == ["", "é", None]
        assert given["yes"] == [False, True, None]
        assert given["x"] == [None, 1.5, None]
        assert given["half"] == [0.25, 0.5, None]
        assert given["many"][1] == [1.0, 2.0]
        assert given["at"][1].replace(tzinfo=dt.UTC) == ago(days=1)
        assert given["rain"] == [3.0, 3.0, 3.0]
        again = awaited(feast.get_online_features_async(["mixed:text", "sky:rain"], rows)).to_dict()
        assert (again["text"], again["rain"]) == (["", "é", None], [3.0, 3.0, 3.0])
        feast.apply([shop, product, mixed], objects_to_delete=[sky], partial=False)
        assert feast._get_provider().online_store._store(feast.config).keys("desk_sky") == []
        feast.teardown()
        assert feast._get_provider().online_store._store(feast.config).keys("desk_mixed") == []


def test_pushing_a_row_and_declaring_another_type(tmp_path, ours):
    with opened(tmp_path, ours) as feast:
        feast.apply([*price_view(tmp_path)])
        view, store = feast.get_feature_view("prices"), feast._get_provider().online_store
        feast.write_to_online_store(
            "prices", pd.DataFrame({"shop": ["a"], "event": [NOW], "made": [NOW], "price": [3.0]})
        )
        assert price_of(feast) == 3.0
        told = []
        row = (key_of("b"), {"price": value()}, NOW.replace(tzinfo=None), None)
        awaited(store.online_write_batch_async(feast.config, view, [row], told.append))
        assert told == [1]
        ((when, values),) = store.online_read(feast.config, view, [key_of("b")], ["price"])
        assert (when, values["price"].WhichOneof("val")) == (NOW, None), "a null is a null and not a NaN"
        nan = (key_of("b"), {"price": value(double_val=float("nan"))}, NOW, NOW)
        store.online_write_batch(feast.config, view, [nan], None)
        assert np.isnan(store.online_read(feast.config, view, [key_of("b")])[0][1]["price"].double_val)
        with pytest.raises(BadInput, match=r"prices:price is declared as double and is given a string"):
            store.online_write_batch(feast.config, view, [(key_of(), {"price": value(string_val="3")}, NOW, NOW)], None)
        assert price_of(feast) == 3.0
        awaited(store.close())


def test_where_the_store_is(tmp_path, monkeypatch):
    from quantdesk.features.online import QuantdeskOnlineStoreConfig

    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(tmp_path / "root"))
    given = QuantdeskOnlineStoreConfig
    assert given().backend(None).path == tmp_path / "root" / "online.db"
    assert given(path="x/o.db").backend(tmp_path).path == tmp_path / "x" / "o.db"
    monkeypatch.setenv("QUANTDESK_ONLINE_URL", "redis://:hidden@host/0")
    assert repr(given().backend(None)) == "RedisBackend('redis://host:6379/0')"
    assert given(path="x/o.db").backend(tmp_path).path == tmp_path / "x" / "o.db", "what is written down wins"
    pg = given(url="postgresql://desk:hidden@host/db")
    assert repr(pg.backend(None)) == "PostgresBackend('postgresql://host:5432/db')"
    assert "hidden" not in repr(pg)
