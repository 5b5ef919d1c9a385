"""Through Feast's own interface: the same answers, without the defects of the stores that it ships with."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import io
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadDates, BadInput
from quantdesk.features import FEATURES, FeatureStore
from quantdesk.features.publish import ONLINE, REGISTRY

pytestmark = [
    # Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

ALL = list(FEATURES)
REFS = [f"{feature.view}:{feature.name}" for feature in FEATURES.values()]
REPO = Path(__file__).resolve().parents[2] / "feature_repo"


@pytest.fixture(scope="module")
def filled(store, market, tmp_path_factory) -> FeatureStore:
    """Built, applied, materialised. Read only, please."""
    root = tmp_path_factory.mktemp("filled") / "features"
    shutil.copytree(store.root, root, symlinks=True)
    found = FeatureStore(root=root, market=market)
    assert found.apply()
    assert found.materialize()
    return found


@pytest.fixture(scope="module")
def feast_store(filled):
    """Stock Feast on the same files."""
    from quantdesk.features.publish import open_feast

    feast = open_feast(filled.root / REGISTRY, filled.root / ONLINE)
    yield feast
    close(feast)


def entity_rows(frame):
    return frame.index.to_frame(index=False).rename(columns={"timestamp": "event_timestamp"})


def test_feast_gives_the_identical_frame(filled, feast_store):
    frame = filled.get_historical_features(["OHLC", "GAPS", "EURXYZ"], ALL, "2018-01-02", "2020-06-30").to_pandas()
    given = feast_store.get_historical_features(entity_df=entity_rows(frame), features=REFS).to_df()
    theirs = given.set_index(pd.MultiIndex.from_frame(given[["event_timestamp", "symbol"]], names=frame.index.names))
    pd.testing.assert_frame_equal(theirs[ALL], frame, check_exact=True)


def test_a_feature_service_and_full_names(filled, feast_store):
    frame = filled.get_historical_features(["AAA1"], ["sma_20", "sentiment_z"], "2020-06-01", "2020-06-30").to_pandas()
    service = feast_store.get_feature_service("all_features")
    given = feast_store.get_historical_features(entity_df=entity_rows(frame), features=service, full_feature_names=True)
    theirs = given.to_df()
    np.testing.assert_array_equal(theirs["technical__sma_20"], frame["sma_20"])
    np.testing.assert_array_equal(theirs["sentiment__sentiment_z"], frame["sentiment_z"])


def test_dates_without_entity_rows_are_one_row_per_symbol_and_session(filled, feast_store):
    given = feast_store.get_historical_features(
        features=REFS,
        start_date=dt.datetime(2020, 1, 2, tzinfo=dt.UTC),
        end_date=dt.datetime(2020, 1, 31, 23, tzinfo=dt.UTC),
    ).to_df()
    daily = [name for name in filled.symbols() if name != "YIELD"]
    frame = filled.get_historical_features([*daily, "YIELD"], ALL, "2020-01-02", "2020-01-31").to_pandas()
    mine = frame.reset_index().sort_values(["timestamp", "symbol"]).reset_index(drop=True)
    theirs = given.sort_values(["event_timestamp", "symbol"]).reset_index(drop=True)
    assert theirs["symbol"].tolist() == mine["symbol"].tolist()
    np.testing.assert_array_equal(theirs["event_timestamp"], mine["timestamp"])
    np.testing.assert_array_equal(theirs[ALL].to_numpy(), mine[ALL].to_numpy())


def test_as_of_in_the_configuration(filled, feast_store):
    from feast import FeatureStore as Feast

    config = feast_store.config.model_copy()
    config._offline_store = config.offline_store.model_copy(update={"as_of": "2019-06-03T21:00:00+00:00"})
    frame = filled.get_historical_features(
        ["AAA1"], ["sma_20"], "2019-05-20", "2019-06-14", as_of=dt.datetime(2019, 6, 3, 21, tzinfo=dt.UTC)
    ).to_pandas()
    feast = Feast(config=config)
    given = feast.get_historical_features(entity_df=entity_rows(frame), features=["technical:sma_20"])
    np.testing.assert_array_equal(given.to_df()["sma_20"], frame["sma_20"])
    close(feast)


# Any Parquet files, through the same store.


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


@pytest.fixture(scope="module")
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


def test_revisions_late_news_two_keys_and_a_renamed_column(desk):
    rows = asked(("a", 1, 11), ("a", 1, 20), ("a", 1, 9), ("b", 1, 24), ("b", 1, 25), ("a", 2, 12), ("c", 1, 12))
    given = desk.get_historical_features(entity_df=rows, features=["prices:price", "prices:label"]).to_df()
    assert given["label"].tolist() == ["second", "restated", "first", None, "published late", "other product", None]
    np.testing.assert_array_equal(given["price"], [11.0, 12.0, 10.0, np.nan, 50.0, 99.0, np.nan])


def test_every_entity_row_comes_back_in_order_and_as_often(desk):
    rows = asked(("c", 9, 3), ("a", 1, 11), ("a", 1, 11), ("b", 1, 1), ("a", 1, 2)).assign(note=list("vwxyz"))
    given = desk.get_historical_features(entity_df=rows, features=["prices:price"]).to_df()
    assert given["note"].tolist() == list("vwxyz")
    np.testing.assert_array_equal(given["price"], [np.nan, 11.0, 11.0, np.nan, 10.0])


def test_two_hundred_ties_give_the_last_revision(desk, tmp_path):
    """The case in which a stock store gave superseded revisions: many keys, two revisions of one event each."""
    day = pd.Timestamp("2020-01-10", tz="UTC")
    table = pd.DataFrame(
        {
            "shop": [f"s{i % 100}" for i in range(200)],
            "product": 1,
            "event": day,
            "made": [day + pd.Timedelta(hours=i // 100) for i in range(200)],
            "raw_price": np.arange(200.0),
            "label": "",
        }
    ).sample(frac=1.0, random_state=3)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "prices.parquet")
    rows = asked(*[(f"s{i}", 1, 12) for i in range(100)])
    given = desk.get_historical_features(entity_df=rows, features=["prices:price"]).to_df()
    np.testing.assert_array_equal(given["price"], np.arange(100.0, 200.0))


def test_a_view_for_everything_and_its_time_to_live(desk):
    rows = asked(("a", 1, 4), ("a", 1, 5), ("a", 1, 9))
    given = desk.get_historical_features(entity_df=rows, features=["prices:price", "sky:rain"]).to_df()
    np.testing.assert_array_equal(given["rain"], [1.0, np.nan, 2.0])


def test_join_keys_may_have_another_name(desk):
    view = desk.get_feature_view("prices").with_join_key_map({"shop": "seller"})
    from feast import FeatureService

    rows = asked(("a", 1, 11)).rename(columns={"shop": "seller"})
    service = FeatureService(name="by_seller", features=[view[["price"]]])
    desk.apply([service])
    given = desk.get_historical_features(entity_df=rows, features=service).to_df()
    assert given["price"].tolist() == [11.0]


def test_a_range_has_one_row_per_key_and_event_at_its_first_knowledge(desk):
    given = desk.get_historical_features(
        features=["prices:label"],
        start_date=dt.datetime(2020, 1, 2, tzinfo=dt.UTC),
        end_date=dt.datetime(2020, 1, 31, tzinfo=dt.UTC),
    ).to_df()
    shown = [(row.shop, row.product, row.event_timestamp.day, row.label) for row in given.itertuples()]
    assert shown == [("a", 1, 10, "second"), ("a", 2, 10, "other product"), ("b", 1, 25, "published late")]


def test_on_demand_views_are_computed_from_the_answer(desk):
    from feast import Field
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float64

    @on_demand_feature_view(
        sources=[desk.get_feature_view("prices")], schema=[Field(name="double", dtype=Float64)], mode="pandas"
    )
    def twice(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["price"] * 2})

    with contextlib.redirect_stdout(io.StringIO()):
        desk.apply([twice])
    given = desk.get_historical_features(
        entity_df=asked(("a", 1, 11)), features=["prices:price", "twice:double"]
    ).to_df()
    assert given["double"].tolist() == [22.0]


def test_latest_and_all_rows_between_two_moments(desk):
    from feast.infra.offline_stores.offline_utils import get_offline_store_from_config

    offline = get_offline_store_from_config(desk.config.offline_store)
    source = desk.get_feature_view("prices").batch_source
    start, end = dt.datetime(2020, 1, 2, tzinfo=dt.UTC), dt.datetime(2020, 1, 15, tzinfo=dt.UTC)
    shared = (desk.config, source, ["shop", "product"], ["label"], "event", "made")
    latest = offline.pull_latest_from_table_or_query(*shared, start, end).to_df()
    assert sorted(latest["label"]) == ["other product", "second"], "what was published later is not known yet"
    later = offline.pull_latest_from_table_or_query(*shared, start, dt.datetime(2020, 2, 1, tzinfo=dt.UTC)).to_df()
    assert sorted(later["label"]) == ["other product", "published late", "restated"]
    every = offline.pull_all_from_table_or_query(*shared, start, end).to_df()
    assert sorted(every["label"]) == ["other product", "published late", "restated", "second"]
    assert len(offline.pull_all_from_table_or_query(*shared).to_df()) == 5


def test_rows_are_appended_and_become_revisions(desk, tmp_path):
    view = desk.get_feature_view("prices")
    before = pq.read_table(tmp_path / "prices.parquet")
    restated = before.slice(1, 1).to_pandas().assign(made=pd.Timestamp("2020-01-28", tz="UTC"), label="third")
    from feast.infra.offline_stores.offline_utils import get_offline_store_from_config

    offline = get_offline_store_from_config(desk.config.offline_store)
    told = []
    offline.offline_write_batch(desk.config, view, pa.Table.from_pandas(restated, preserve_index=False), told.append)
    assert told == [1]
    assert pq.read_table(tmp_path / "prices.parquet").slice(0, 5).equals(before)
    given = desk.get_historical_features(entity_df=asked(("a", 1, 27), ("a", 1, 28)), features=["prices:label"])
    assert given.to_df()["label"].tolist() == ["restated", "third"]
    with pytest.raises(BadInput, match="have the columns"):
        offline.offline_write_batch(desk.config, view, pa.table({"x": [1]}), None)


def test_an_answer_can_be_saved_once(desk, tmp_path):
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    job = desk.get_historical_features(entity_df=asked(("a", 1, 11)), features=["prices:label"])
    target = SavedDatasetFileStorage(path=str(tmp_path / "saved" / "one.parquet"))
    job.persist(target)
    assert pq.read_table(tmp_path / "saved" / "one.parquet")["label"].to_pylist() == ["second"]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(target)
    job.persist(target, allow_overwrite=True)
    with pytest.raises(BadInput, match="cannot be written to"):
        job.persist(object())
    assert job.metadata.keys == ["shop", "product"]
    assert job.full_feature_names is False


def test_logged_features_are_kept(desk, tmp_path):
    from feast.feature_logging import LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination
    from feast.infra.offline_stores.offline_utils import get_offline_store_from_config

    offline = get_offline_store_from_config(desk.config.offline_store)
    logs = pa.table({"x": [1, 2], "day": ["mon", "tue"]})
    config = LoggingConfig(destination=FileLoggingDestination(path=str(tmp_path / "logs"), partition_by=["day"]))
    offline.write_logged_features(desk.config, logs, None, config, None)
    offline.write_logged_features(desk.config, logs, None, config, None)
    assert len(pq.read_table(tmp_path / "logs")) == 4


def test_bad_questions_through_feast(desk):
    with pytest.raises(BadInput, match="is a query"):
        desk.get_historical_features(entity_df="SELECT 1", features=["prices:price"])
    with pytest.raises(BadInput, match="no column 'product'"):
        desk.get_historical_features(
            entity_df=asked(("a", 1, 11)).drop(columns="product"), features=["prices:price"]
        ).to_df()
    rows = asked(("a", 1, 11)).assign(event_timestamp=["soon"])
    with pytest.raises(BadInput, match="does not hold times"):
        desk.get_historical_features(entity_df=rows, features=["prices:price"]).to_df()
    rows = asked(("a", 1, 11)).assign(product="one")
    with pytest.raises(BadInput, match="keys are of type string, those of the features of type integer"):
        desk.get_historical_features(entity_df=rows, features=["prices:price"]).to_df()
    desk.config.offline_store.as_of = "2999-01-01"
    with pytest.raises(BadDates, match="in the future"):
        desk.get_historical_features(entity_df=asked(("a", 1, 11)), features=["prices:price"])


# Online.


def test_online_is_what_history_knows_at_its_end(filled):
    names = [name for name in filled.symbols() if name != "YIELD"]
    end = pd.DataFrame({"symbol": names, "event_timestamp": pd.Timestamp("2020-06-30T20:15Z")})
    known = filled.get_historical_features(entity_df=end, feature_names=ALL).to_pandas()
    online = filled.get_online_features(names, ALL).to_pandas()
    np.testing.assert_array_equal(online.to_numpy(), known.to_numpy())


def test_online_answers_in_the_order_asked_and_says_when(filled):
    found = filled.get_online_features(["EURXYZ", "AAA1", "AAA1@skfolio"], ["ret_1d", "sentiment_z"])
    assert found.to_pandas().index.tolist() == ["EURXYZ", "AAA1", "AAA1@skfolio"]
    assert list(found.to_pandas().columns) == ["ret_1d", "sentiment_z"]
    assert found.events.loc["AAA1", "technical"] == pd.Timestamp("2020-06-30T20:00Z")
    assert found.labels.survivors_only
    assert found.as_of <= pd.Timestamp.now(tz="UTC")
    assert found.to_dict()["AAA1"]["ret_1d"] == found.to_pandas().loc["AAA1", "ret_1d"]
    assert filled.get_online_features("AAA1", "atr_14").to_dict() == {"AAA1": {"atr_14": None}}


def test_a_second_run_repeats_nothing(filled):
    before = {path: path.stat().st_mtime_ns for path in filled.root.iterdir()}
    assert not filled.apply()
    assert not filled.materialize()
    assert {path: path.stat().st_mtime_ns for path in filled.root.iterdir()} == before


def test_a_value_much_older_than_the_symbol_is_null_online(filled, monkeypatch):
    """The mood of the panel ends when the panel does; beside a younger price it says nothing."""
    from quantdesk.features import store as module

    views = dict(module.VIEWS)
    import dataclasses

    views["sentiment"] = dataclasses.replace(views["sentiment"], ttl=dt.timedelta(hours=-1))
    monkeypatch.setattr(module, "VIEWS", views)
    found = filled.get_online_features(["AAA1"], ["sentiment_z", "sma_20"]).to_pandas()
    assert np.isnan(found.loc["AAA1", "sentiment_z"])
    assert not np.isnan(found.loc["AAA1", "sma_20"])


def test_the_online_store_never_goes_back(desk):
    def materialise(day):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            desk.materialize(dt.datetime(2019, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, day, tzinfo=dt.UTC))
        rows = [{"shop": "a", "product": 1}, {"shop": "b", "product": 1}]
        return desk.get_online_features(["prices:label", "sky:rain"], rows).to_dict()

    assert materialise(21)["label"] == ["restated", None]
    again = materialise(3)
    assert again["label"] == ["restated", None], "an older run does not overwrite a newer row"
    assert again["rain"] == [2.0, 2.0]
    assert materialise(28)["label"] == ["restated", "published late"]


def test_a_failed_fill_leaves_the_old_store(filled, own_store, monkeypatch):
    for name in (REGISTRY, ONLINE):
        for suffix in (".db", ".json"):
            path = (filled.root / name).with_suffix(suffix)
            shutil.copy(path, own_store.root / path.name)
    own_store.apply()  # the paths of the copy are others
    (own_store.root / "online.json").unlink()
    content = (own_store.root / ONLINE).read_bytes()
    from feast import FeatureStore as Feast

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Feast, "materialize", fail)
    with pytest.raises(Exception, match="No disk space"):
        own_store.materialize()
    assert (own_store.root / ONLINE).read_bytes() == content
    assert [path.name for path in own_store.root.iterdir() if path.name.endswith((".tmp", "-journal", "-wal"))] == []


def test_filling_again_empties_our_tables_and_keeps_those_of_others(filled, own_store):
    for path in filled.root.glob("o*.*"):
        shutil.copy(path, own_store.root / path.name)
    own_store.apply()
    with contextlib.closing(sqlite3.connect(own_store.root / ONLINE)) as connection, connection:
        connection.execute("CREATE TABLE of_others (x)")
        connection.execute("INSERT INTO of_others VALUES (7)")
        connection.execute("INSERT INTO quantdesk_technical (entity_key, feature_name) VALUES (x'00', 'sma_20')")
    (own_store.root / "online.json").unlink()
    assert own_store.materialize()
    with contextlib.closing(sqlite3.connect(own_store.root / ONLINE)) as connection:
        assert connection.execute("SELECT x FROM of_others").fetchall() == [(7,)]
        gone = connection.execute("SELECT count(*) FROM quantdesk_technical WHERE entity_key = x'00'").fetchone()
        assert gone == (0,)


def test_the_files_are_plain_sqlite_for_readers(filled):
    for name in (REGISTRY, ONLINE):
        with contextlib.closing(sqlite3.connect(filled.root / name)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert stat.S_IMODE((filled.root / name).stat().st_mode) == 0o644


READER = textwrap.dedent(
    """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    from pathlib import Path
    from quantdesk.features import FeatureStore
    from feast import FeatureStore as Feast

    def ask(root, repository):
        store = FeatureStore(root=root)
        frame = store.get_historical_features(["AAA1"], ["sma_20", "beta_252d", "sentiment_z"], "2020-06-01")
        assert frame.is_pit_validated
        online = store.get_online_features(["AAA1"], ["sma_20", "beta_252d", "sentiment_z"])
        assert (online.to_pandas().iloc[0] == frame.to_pandas().iloc[-1]).all()
        feast = Feast(repo_path=repository)
        assert {view.name for view in feast.list_feature_views()} == {"technical", "market_model", "sentiment"}
        rows = frame.to_pandas().index.to_frame(index=False).rename(columns={"timestamp": "event_timestamp"})
        theirs = feast.get_historical_features(entity_df=rows, features=["technical:sma_20"]).to_df()
        assert theirs["sma_20"].tolist() == frame.to_pandas()["sma_20"].tolist()
        return store

    # Once as root, so that everything is imported: the interpreter of a developer may lie where nobody can read.
    ask(Path(sys.argv[1]), sys.argv[2])
    os.setgid(65534); os.setuid(65534)
    store = ask(Path(sys.argv[1]), sys.argv[2])
    assert not os.access(store.root, os.W_OK)
    from quantdesk.errors import EnvironmentProblem
    assert not store.apply() and not store.materialize(), "what is done needs no permission to write"
    try:
        FeatureStore(root=Path(sys.argv[1]).parent / "own").apply()
    except EnvironmentProblem as error:
        assert "cannot be written" in str(error), error
    else:
        raise AssertionError("it wrote into a folder that is not its own")
    """
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_reads_everything_and_writes_nothing(filled, tmp_path_factory):
    """As users of the hub do: the store belongs to root, and the reader is nobody."""
    public = Path("/tmp") / f"quantdesk-reader-{os.getpid()}"
    public.mkdir(mode=0o755)
    try:
        shutil.copytree(filled.root, public / "features", symlinks=True)
        environment = {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1",
            "QUANTDESK_FEATURES_ROOT": str(public / "features"), "QUANTDESK_MARKET_ROOT": str(filled._market.root),
        }  # fmt: skip
        owner = FeatureStore(root=public / "features", market=filled._market)
        owner.apply()  # a store knows where it is: the copy lies elsewhere
        owner.materialize()
        done = subprocess.run(
            [sys.executable, "-c", READER, str(public / "features"), str(REPO)],
            env=environment, cwd="/", capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(public)


# The repository, as a user of Feast meets it.


def check_repository(store, feast_command):
    applied = feast_command("apply")
    assert "Deploying infrastructure for" in applied
    assert (store.root / REGISTRY).is_file()
    listed = feast_command("feature-views", "list")
    assert all(name in listed for name in ("technical", "market_model", "sentiment"))
    feast_command("materialize", "2018-01-01T00:00:00", "2020-07-15T00:00:00")
    got = feast_command("get-online-features", "-e", "symbol=OHLC", "-f", "technical:sma_20")
    last = store.get_historical_features(["OHLC"], ["sma_20"]).to_pandas().iloc[-1, 0]
    assert str(last) in got
    left = {path.name for path in REPO.iterdir()} - {"__pycache__"}
    assert left == {"feature_store.yaml", "definitions.py"}, "nothing was written beside the definitions"


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # Feast's commands close nothing
def test_the_stock_command_applies_and_fills_the_repository(own_store, monkeypatch, tmp_path):
    """Feast's own command line, in this process: starting it anew takes eight seconds each time."""
    from click.testing import CliRunner
    from feast.cli.cli import cli

    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(own_store.root))
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)  # it changes the directory
        done = CliRunner().invoke(cli, ["-c", str(REPO), *arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    check_repository(own_store, run)
    gc.collect()


@pytest.mark.slow
def test_the_stock_command_does_so_as_a_program(own_store):
    environment = {**os.environ, "QUANTDESK_FEATURES_ROOT": str(own_store.root), "PYTHONWARNINGS": "ignore"}

    def run(*arguments):
        command = [str(Path(sys.executable).with_name("feast")), "-c", str(REPO), *arguments]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout

    check_repository(own_store, run)


def test_registry_and_features_agree_word_for_word(feast_store):
    for view in feast_store.list_feature_views():
        assert view.description
        for field in view.features:
            feature = FEATURES[field.name]
            assert field.description == feature.description
            assert field.tags["unit"] == feature.unit
            assert field.tags["formula"] == feature.formula
            assert field.tags["look_back"] == f"{feature.look_back} sessions"
    assert sum(len(view.features) for view in feast_store.list_feature_views()) == len(FEATURES) == 20
