"""Through Feast's own interface: the same answers, without the defects of the stores that it ships with."""

from __future__ import annotations

import contextlib
import datetime as dt
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadDates, BadInput
from quantdesk.features import FEATURES

from .conftest import asked, close  # isort: skip

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

ALL = list(FEATURES)
REFS = [f"{feature.view}:{feature.name}" for feature in FEATURES.values()]


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


# Evidence, policies, sessions of an exchange, parts.


def test_a_job_carries_its_evidence(desk):
    job = desk.get_historical_features(
        entity_df=asked(("a", 1, 11), ("b", 1, 24)), features=["prices:price", "sky:rain"]
    )
    assert job.evidence.views[0].rows == 2, "asked for before the table, it asks the question"
    frame = job.to_df()
    evidence = job.evidence
    assert [(view.view, view.rows, view.found, view.violations) for view in evidence.views] == [
        ("prices", 2, 1, 0),
        ("sky", 2, 1, 0),
    ]
    assert evidence.content
    assert evidence.registry_version
    assert len(evidence.sources) == 2
    assert evidence.failures == (
        "Nothing says when the rows of sky were known: no created column and no knowledge policy.",
    )
    assert not evidence.holds_for(frame)
    job = desk.get_historical_features(entity_df=asked(("a", 1, 11)), features=["prices:price", "prices:label"])
    frame = job.to_df()
    assert job.evidence.holds_for(frame)
    frame.loc[0, "price"] = 11.5
    assert not job.evidence.holds_for(frame)


def test_a_declared_policy_says_when_rows_were_known(desk):
    from feast import FeatureView, Field, FileSource
    from feast.types import Float64

    from quantdesk.features.knowledge import EventPlus

    late = FeatureView(
        name="late",
        entities=[],
        schema=[Field(name="rain", dtype=Float64)],
        source=FileSource(name="late", path="weather.parquet", timestamp_field="event"),
        tags=EventPlus(dt.timedelta(days=2)).tags,
    )
    desk.apply([late])
    job = desk.get_historical_features(
        entity_df=asked(*[("a", 1, day) for day in (2, 3, 9, 10)]), features=["late:rain"]
    )
    np.testing.assert_array_equal(job.to_df()["rain"], [np.nan, 1.0, 1.0, 2.0])
    assert job.evidence.is_pit_validated
    assert job.evidence.knowledge["late"].startswith("known 2d after its event")


def test_sessions_of_an_exchange_with_values_from_before_the_start(desk):
    desk.config.offline_store.calendar = "XNYS"
    job = desk.get_historical_features(
        features=["prices:label"],
        start_date=dt.datetime(2020, 1, 22, tzinfo=dt.UTC),
        end_date=dt.datetime(2020, 1, 28, tzinfo=dt.UTC),
    )
    shown = [(str(row.event_timestamp)[5:16], row.shop, row.product, row.label) for row in job.to_df().itertuples()]
    day = [(f"01-{day} 21:15", shop, 1, label) for day, shop, label in [
        (22, "a", "restated"), (23, "a", "restated"), (24, "a", "restated"), (27, "a", "restated"),
        (27, "b", "published late"),
    ]]  # fmt: skip
    other = [(f"01-{day} 21:15", "a", 2, "other product") for day in (22, 23, 24, 27)]
    assert sorted(shown) == sorted(day + other), "b is there from the moment on at which it was known"
    assert job.evidence.is_pit_validated
    with pytest.raises(BadDates, match="no first or no last moment"):
        desk.get_historical_features(features=["prices:label"], end_date=dt.datetime(2020, 1, 28, tzinfo=dt.UTC))


def test_a_large_answer_is_streamed_and_saved_in_parts(desk, tmp_path, monkeypatch):
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    from quantdesk.features import jobs

    rows = asked(*[(shop, 1, day) for day in range(1, 31) for shop in ("a", "b", "zzz")])
    job = desk.get_historical_features(entity_df=rows, features=["prices:price", "prices:label"])
    whole = job.to_df()
    parts = [table.to_pandas() for table in job.stream(rows=30)]
    assert [set(part["shop"]) for part in parts] == [{"a"}, {"b"}, {"zzz"}]
    order = whole.sort_values("shop", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), order, check_dtype=False)
    assert job.evidence.views[0].rows == 90
    monkeypatch.setattr(jobs, "PART_ROWS", 30)
    job.persist(SavedDatasetFileStorage(path=str(tmp_path / "parts.parquet")))
    saved = pq.read_table(tmp_path / "parts.parquet").to_pandas()
    pd.testing.assert_frame_equal(saved.sort_values("shop", kind="stable", ignore_index=True), order, check_dtype=False)


def test_a_range_over_views_of_different_keys_is_refused(desk):
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, String

    seller = Entity(name="seller", join_keys=["shop"], value_type=ValueType.STRING)
    one = FeatureView(
        name="one",
        entities=[seller],
        schema=[Field(name="shop", dtype=String), Field(name="raw_price", dtype=Float64)],
        source=FileSource(name="one", path="prices.parquet", timestamp_field="event", created_timestamp_column="made"),
    )
    desk.apply([seller, one])
    bounds = {"start_date": dt.datetime(2020, 1, 1), "end_date": dt.datetime(2020, 1, 31)}  # noqa: DTZ001
    with pytest.raises(BadInput, match="different keys"):
        desk.get_historical_features(features=["prices:price", "one:raw_price"], **bounds)
    given = desk.get_historical_features(features=["one:raw_price", "sky:rain"], **bounds).to_df()
    shown = given[["shop", "raw_price"]].values.tolist()
    assert shown == [["a", 10.0], ["a", 99.0], ["b", 50.0]], "of equal rows the last one written"


def test_naive_and_aware_times_ask_the_same(desk):
    rows = asked(("a", 1, 11), ("a", 1, 20))
    naive = rows.assign(event_timestamp=rows["event_timestamp"].dt.tz_localize(None))
    local = rows.assign(event_timestamp=rows["event_timestamp"].dt.tz_convert("Asia/Tokyo").dt.as_unit("s"))
    words = rows.assign(event_timestamp=["2020-01-11T09:00:00+09:00", "2020-01-20T00:00:00Z"])
    want = desk.get_historical_features(entity_df=rows, features=["prices:price"]).to_df()
    for given in (naive, local):
        found = desk.get_historical_features(entity_df=given, features=["prices:price"]).to_df()
        pd.testing.assert_frame_equal(found, want)
    found = desk.get_historical_features(
        entity_df=words.astype({"event_timestamp": "datetime64[ns, UTC]"}), features=["prices:price"]
    ).to_df()
    pd.testing.assert_frame_equal(found, want)
