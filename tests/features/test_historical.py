"""Questions about the past, and the proof that comes with each answer."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, DataError
from quantdesk.features import FEATURES, FeatureStore
from quantdesk.features import files as files_module
from quantdesk.features import historical as historical_module
from quantdesk.features.build import current
from quantdesk.features.retrieval import Source, files_of, join, read

ALL = list(FEATURES)


def rows_of(frame):
    return frame.index.to_frame(index=False).rename(columns={"timestamp": "event_timestamp"})


def test_a_range_is_one_row_per_symbol_and_session(store, sessions):
    frame = store.get_historical_features(["BBB2", "AAA1"], ["sma_20", "ret_1d"], "2019-01-02", "2019-12-31")
    values = frame.to_pandas()
    days = sessions[(sessions >= "2019-01-02") & (sessions <= "2019-12-31")]
    assert list(values.index.names) == ["timestamp", "symbol"]
    assert values.dtypes.astype(str).tolist() == ["float64", "float64"]
    assert str(values.index.levels[0].dtype) == "datetime64[ns, UTC]"
    assert len(values) == len(frame) == 2 * len(days)
    assert values.index[:2].get_level_values("symbol").tolist() == ["BBB2", "AAA1"]
    assert values.index.get_level_values("timestamp").is_monotonic_increasing
    assert frame.features == ("sma_20", "ret_1d")


def test_the_timestamp_is_the_moment_of_knowledge_and_the_value_that_of_the_session(store, market):
    frame = store.get_historical_features(["AAA1"], ["ret_1d"], "2019-03-04", "2019-03-08")
    prices = market.panel(["AAA1"])["AAA1"]
    by_session = frame.by_session()["ret_1d"].xs("AAA1", level="symbol")
    expected = prices.pct_change().loc["2019-03-04":"2019-03-08"]
    np.testing.assert_allclose(by_session, expected, rtol=1e-12)
    assert by_session.index.equals(expected.index)
    assert frame.to_pandas().index[0][0] == expected.index[0] + pd.Timedelta("15min")


def test_no_row_holds_anything_from_after_its_own_timestamp(store):
    frame = store.get_historical_features(["OHLC", "GAPS", "EURXYZ"], ALL, "2019-01-02", "2020-06-30")
    for view in ("technical", "market_model", "sentiment"):
        known = frame.known(view)
        stamp = known.index.get_level_values("timestamp")
        there = known["created_timestamp"].notna()
        assert there.any()
        assert (known["created_timestamp"][there] <= stamp[there]).all()
        assert (known["event_timestamp"][there] <= stamp[there]).all()
    technical = frame.known("technical")
    assert (technical["created_timestamp"] == technical.index.get_level_values("timestamp")).all()


def test_asking_again_with_the_rows_of_a_frame_gives_the_frame(store):
    """The same question has the same answer through both doors."""
    frame = store.get_historical_features(["OHLC", "EURXYZ"], ALL, "2019-01-02", "2020-06-30")
    again = store.get_historical_features(entity_df=rows_of(frame.to_pandas()), feature_names=ALL)
    pd.testing.assert_frame_equal(again.to_pandas(), frame.to_pandas(), check_exact=True)


def test_at_the_close_itself_one_knows_the_session_before(store):
    close = store.get_historical_features(["AAA1"], ["ret_1d"], "2019-03-04", "2019-03-05").by_session().index[1][0]
    rows = pd.DataFrame({"symbol": "AAA1", "event_timestamp": [close, close + pd.Timedelta("15min")]})
    found = store.get_historical_features(entity_df=rows, feature_names=["ret_1d"])
    days = found.known()["event_timestamp"].dt.strftime("%m-%d").tolist()
    assert days == ["03-04", "03-05"]


def test_entity_rows_keep_order_duplicates_and_their_other_columns(store):
    times = pd.to_datetime(["2020-01-10T12:00Z", "2019-01-10T12:00Z", "2020-01-10T12:00Z", "2017-01-01T00:00Z"])
    rows = pd.DataFrame({"label": [1, 2, 3, 4], "event_timestamp": times, "symbol": ["AAA1", "BBB2", "AAA1", "AAA1"]})
    found = store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
    values = found.to_pandas()
    assert list(values.columns) == ["sma_20", "label"]
    assert values["label"].tolist() == [1, 2, 3, 4]
    assert values.index.get_level_values("timestamp").tolist() == list(times)
    assert values["sma_20"].iloc[0] == values["sma_20"].iloc[2]
    assert np.isnan(values["sma_20"].iloc[3])
    assert found.reasons()["reason"].tolist() == ["not_yet_known"]
    assert found.is_pit_validated
    assert rows.columns.tolist() == ["label", "event_timestamp", "symbol"], "the caller's frame is left alone"


def test_an_ended_series_stops_answering(store):
    last = store.get_historical_features(["AAA1"], ["sma_20"]).known()["event_timestamp"].iloc[-1]
    times = [last + pd.Timedelta(days=15), last + pd.Timedelta(days=15, seconds=1)]
    found = store.get_historical_features(
        entity_df=pd.DataFrame({"symbol": "AAA1", "event_timestamp": times}), feature_names=["sma_20"]
    )
    assert found.to_pandas()["sma_20"].isna().tolist() == [False, True]
    assert found.reasons()["reason"].tolist() == ["expired:15d"]


def test_as_of_cuts_off_knowledge_whatever_the_row(store):
    cut = dt.datetime(2019, 6, 3, 21, 0, tzinfo=dt.UTC)
    frame = store.get_historical_features(["AAA1"], ["sma_20", "sentiment_z"], "2019-05-20", "2019-07-31", as_of=cut)
    known = frame.known("technical")["created_timestamp"].dropna()
    assert known.max() <= cut
    assert frame.is_pit_validated
    assert frame.evidence.as_of == "2019-06-03T21:00:00+00:00"
    late = frame.reasons()
    assert set(late[(late["feature"] == "sma_20")]["reason"]) == {"expired:15d"}
    whole_day = store.get_historical_features(["AAA1"], ["sma_20"], "2019-05-20", "2019-07-31", as_of="2019-06-03")
    assert whole_day.known()["created_timestamp"].dropna().max() == pd.Timestamp("2019-06-03T20:15Z")


@settings(max_examples=25, deadline=None)
@given(moments=st.lists(st.integers(0, 900 * 24), min_size=1, max_size=20), seed=st.integers(0, 9))
def test_any_moment_gets_the_latest_known_row(store, moments, seed):
    """Against pandas' own as-of merge on the times of knowledge."""
    symbol = ["AAA1", "OHLC", "GAPS", "EURXYZ"][seed % 4]
    times = [pd.Timestamp("2018-01-01", tz="UTC") + pd.Timedelta(hours=hour) for hour in moments]
    rows = pd.DataFrame({"symbol": symbol, "event_timestamp": times})
    found = store.get_historical_features(entity_df=rows, feature_names=["ema_12"])
    path = current(store.root) / "technical" / f"symbol={symbol}" / "rows.parquet"
    right = pq.read_table(path, columns=["created_timestamp", "ema_12"], partitioning=None).to_pandas()
    right["created_timestamp"] = right["created_timestamp"].dt.as_unit("ns")
    left, age = pd.DataFrame({"t": sorted(times)}), pd.Timedelta("14D")
    merged = pd.merge_asof(left, right, left_on="t", right_on="created_timestamp", tolerance=age)
    expected = merged.drop_duplicates("t").set_index("t")["ema_12"].reindex(times)
    young = expected.notna().to_numpy()
    np.testing.assert_array_equal(found.to_pandas()["ema_12"].to_numpy()[young], expected.to_numpy()[young])


# The proof.


def test_the_evidence_says_what_was_done(store):
    frame = store.get_historical_features(["AAA1", "OHLC"], ["sma_20", "beta_252d", "sentiment_z"])
    evidence = frame.evidence
    assert frame.is_pit_validated
    assert frame.doubts == ()
    assert [view.view for view in evidence.views] == ["technical", "market_model", "sentiment"]
    assert evidence.rows_checked == 3 * len(frame)
    assert evidence.violations == 0
    assert all(view.oracle_rows == 64 for view in evidence.views)
    assert "max(event_timestamp, created_timestamp) <= t" in evidence.rule
    assert set(evidence.sources) == {
        "technical/symbol=AAA1/rows.parquet", "technical/symbol=OHLC/rows.parquet",
        "market_model/symbol=AAA1/rows.parquet", "market_model/symbol=OHLC/rows.parquet", "sentiment/rows.parquet",
    }  # fmt: skip
    assert len(evidence.registry_version) == len(evidence.market_version) == 64
    assert evidence.to_dict()["violations"] == 0
    assert "validated point in time" in repr(frame)
    assert "survivors_only</p>" in frame._repr_html_()


def test_a_changed_frame_is_void(store):
    frame = store.get_historical_features(["AAA1"], ["sma_20"])
    copy = frame.to_pandas()
    copy.iloc[30, 0] = 0.0
    assert frame.is_pit_validated, "a copy is the caller's own"
    frame._values.iloc[30, 0] = 0.0
    assert not frame.is_pit_validated
    assert frame.doubts == ("The frame was changed after it was checked.",)
    assert "NOT validated" in repr(frame)


def test_a_tampered_file_is_noticed(own_store):
    path = current(own_store.root) / "technical" / "symbol=AAA1" / "rows.parquet"
    table = pq.read_table(path, partitioning=None)
    column = table.schema.get_field_index("sma_20")
    pq.write_table(table.set_column(column, "sma_20", pa.array(np.zeros(len(table)))), path)
    frame = own_store.get_historical_features(["AAA1"], ["sma_20"])
    assert not frame.is_pit_validated
    assert "not as they were built" in frame.doubts[0]


def test_an_appended_file_is_noticed(own_store):
    folder = current(own_store.root) / "technical" / "symbol=AAA1"
    (folder / "more.parquet").write_bytes((folder / "rows.parquet").read_bytes())
    frame = own_store.get_historical_features(["AAA1"], ["sma_20"])
    assert any("not as they were built" in doubt for doubt in frame.doubts)


def test_features_of_other_definitions_are_not_believed(store, monkeypatch):
    monkeypatch.setattr(historical_module, "definitions_version", lambda: "another")
    frame = store.get_historical_features(["AAA1"], ["sma_20"])
    assert frame.doubts == ("The features were built by another version of their definitions; build them again.",)


@pytest.mark.parametrize("wrong", ["late", "other symbol", "superseded"])
def test_a_join_that_is_wrong_is_caught(store, monkeypatch, wrong):
    """The checks share no code with the join: put a fault into the join, and they see it."""
    honest = files_module.as_of_join

    def faulty(history, row_key, row_time, **options):
        given = honest(history, row_key, row_time, **options)
        position = given.position
        if wrong == "late":
            position[:] = np.where(position >= 0, np.minimum(position + 1, len(history.event) - 1), -1)
        elif wrong == "other symbol":
            position[:] = position[::-1].copy()
        else:
            position[:] = np.maximum(position - 1, -1)
        return given

    monkeypatch.setattr(files_module, "as_of_join", faulty)
    frame = store.get_historical_features(["AAA1", "BBB2"], ["sma_20"])
    assert not frame.is_pit_validated
    assert frame.evidence.violations > 0
    said = {"late": "could not know", "other symbol": "could not know", "superseded": "oracle"}[wrong]
    assert any(said in doubt for doubt in frame.doubts)


# The labels.


def test_labels_are_those_of_everything_behind(store):
    euro = store.get_historical_features(["EURXYZ"], ["sma_20"]).labels
    assert euro.words == ("not real",)
    assert [one.id for one in euro.series] == ["EURXYZ@files"]
    mood = store.get_historical_features(["EURXYZ"], ["sma_20", "sentiment_z"])
    assert mood.labels.survivors_only
    assert mood.labels.adjusted_with_hindsight
    assert {one.symbol for one in mood.labels.series} == {"EURXYZ", "AAA1", "BBB2", "CCC3", "DDD4"}
    assert [text.split(":")[0] for text in mood.evidence.not_cured] == ["adjusted_with_hindsight", "survivors_only"]
    beta = store.get_historical_features(["OHLC"], ["beta_252d"]).labels
    assert {one.symbol for one in beta.series} == {"OHLC", "SPX"}
    first = beta.to_dict()["series"][0]
    assert {"package", "version", "licence", "sha256"} <= set(first)


def test_a_series_answers_to_its_long_name_too(store):
    short = store.get_historical_features(["AAA1"], ["sma_20"]).to_pandas()
    long = store.get_historical_features(["AAA1@skfolio"], ["sma_20"]).to_pandas()
    np.testing.assert_array_equal(short.to_numpy(), long.to_numpy())
    assert set(long.index.get_level_values("symbol")) == {"AAA1@skfolio"}


# The reasons.


def test_each_null_has_one_reason_and_each_reason_one_null(store):
    frame = store.get_historical_features(["AAA1", "OHLC", "GAPS", "EURXYZ"], ALL)
    reasons = frame.reasons()
    assert list(reasons.columns) == ["timestamp", "symbol", "feature", "reason"]
    assert len(reasons) == int(frame.to_pandas()[ALL].isna().to_numpy().sum())
    assert reasons["reason"].notna().all()
    atr = reasons[(reasons["symbol"] == "AAA1") & (reasons["feature"] == "atr_14")]
    assert set(atr["reason"]) == {"missing_input:close,high,low"}
    assert len(atr) == 628
    gaps = reasons[(reasons["symbol"] == "GAPS") & (reasons["feature"] == "sma_20")]
    assert set(gaps["reason"]) == {"warm_up:20", "input_gap"}
    assert (gaps["reason"] == "input_gap").sum() == 20


def test_a_complete_frame_has_no_reasons(store):
    frame = store.get_historical_features(["OHLC"], ["sma_20"], "2019-01-02", "2019-02-01")
    assert frame.reasons().empty


def test_frames_by_entity_rows_have_no_sessions(store):
    rows = pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": [pd.Timestamp("2019-01-10", tz="UTC")]})
    with pytest.raises(BadInput, match="no sessions"):
        store.get_historical_features(entity_df=rows, feature_names=["sma_20"]).by_session()
    with pytest.raises(BadInput, match="has no view 'moods'"):
        store.get_historical_features(["AAA1"], ["sma_20"]).known("moods")


# What lies on the disk.


def test_only_the_files_of_the_asked_symbols_are_opened(own_store):
    damaged = current(own_store.root) / "technical" / "symbol=BBB2" / "rows.parquet"
    damaged.write_bytes(b"PAR1 cut in half")
    assert own_store.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated
    with pytest.raises(DataError, match="symbol=BBB2"):
        own_store.get_historical_features(["BBB2"], ["sma_20"])


def test_a_file_without_the_column_is_named(own_store):
    path = current(own_store.root) / "technical" / "symbol=AAA1" / "rows.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["sma_20"]), path)
    with pytest.raises(DataError, match="no column 'sma_20'"):
        own_store.get_historical_features(["AAA1"], ["sma_20"])


def test_a_plain_file_and_a_folder_of_plain_files_are_read_alike(tmp_path):
    table = pa.table(
        {
            "k": ["a", "b", "a"],
            "event": pa.array([1, 1, 2], pa.timestamp("s", tz="UTC")),
            "x": [1.0, 2.0, None],
        }
    )
    one = tmp_path / "one.parquet"
    pq.write_table(table, one)
    many = tmp_path / "many"
    many.mkdir()
    pq.write_table(table[:2], many / "1.parquet")
    pq.write_table(table[2:], many / "2.parquet")
    for path in (one, many):
        source = Source(path, ("k",), "event")
        answer = join(source, ["x"], [np.array(["a", "b", "c"], dtype=object)], np.array([10**9, 10**10, 10**10]))
        assert answer.column("x").to_pylist() == [1.0, 2.0, None]
        np.testing.assert_array_equal(answer.floats("x"), [1.0, 2.0, np.nan])
    assert files_of(Source(many, ("k",), "event")) == sorted(many.iterdir())
    with pytest.raises(DataError, match="not there"):
        read(Source(tmp_path / "none", ("k",), "event"), ["x"])


def test_a_loose_file_beside_partitions_is_not_forgotten(tmp_path):
    row = {"event": pa.array([1], pa.timestamp("s", tz="UTC")), "x": [1.0]}
    (tmp_path / "k=a").mkdir()
    pq.write_table(pa.table({"k": ["a"], **row}), tmp_path / "k=a" / "rows.parquet")
    pq.write_table(pa.table({"k": ["a"], **row}), tmp_path / "part-1.parquet")
    found = files_of(Source(tmp_path, ("k",), "event"), {"k": ["a"]})
    assert [path.name for path in found] == ["rows.parquet", "part-1.parquet"]


# What it costs to ask.


def test_asking_about_the_past_imports_no_feast(store):
    program = (
        "import sys, pathlib, quantdesk.features as f\n"
        "assert not {'pandas', 'feast', 'pyarrow'} & set(sys.modules), 'the package alone imports nothing heavy'\n"
        "store = f.FeatureStore(root=pathlib.Path(sys.argv[1]))\n"
        "assert store.get_historical_features(['AAA1'], ['sma_20', 'sentiment_z']).is_pit_validated\n"
        "assert not {'feast', 'polars', 'duckdb', 'sqlalchemy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(store.root)], check=True, env={**os.environ}, timeout=60)


def test_the_configured_folder_is_used(store, monkeypatch):
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(store.root))
    assert "AAA1" in FeatureStore().symbols()
    assert str(store.root) in repr(FeatureStore())


def test_a_range_of_aware_times_bounds_the_timestamps(store):
    start = dt.datetime(2019, 3, 4, 21, 15, tzinfo=dt.UTC)
    end = dt.datetime(2019, 3, 6, 21, 14, tzinfo=dt.UTC)
    found = store.get_historical_features(["AAA1"], ["sma_20"], start, end).to_pandas()
    assert [stamp.strftime("%m-%d") for stamp in found.index.get_level_values(0)] == ["03-04", "03-05"]


def test_a_range_without_sessions_names_what_there_is(store):
    with pytest.raises(BadDates, match=r"OHLC has no sessions from 1999-01-01 to 1999-12-31\. It runs from 2018-01-02"):
        store.get_historical_features(["OHLC", "AAA1"], ["sma_20"], "1999-01-01", "1999-12-31")
