"""Each mistake gets one clear error that names the value and what would be right."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadDates, BadInput, DataError, UnknownName
from quantdesk.features.keys import codes

AWARE = pd.Timestamp("2019-01-10", tz="UTC")
NAIVE = dt.datetime(2019, 1, 2, 9, 30)  # noqa: DTZ001 - the mistake


def ask(store, **changes):
    question = {"symbols": ["AAA1"], "feature_names": ["sma_20"], "start_date": "2019-01-02", "end_date": "2019-02-01"}
    return store.get_historical_features(**{**question, **changes})


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"symbols": ["AAA2"]}, UnknownName, "Unknown symbol 'AAA2'. Did you mean AAA1"),
        ({"symbols": ["<script>"]}, UnknownName, "Unknown symbol '<script>'"),
        ({"symbols": ["../../etc/passwd"]}, UnknownName, "Unknown symbol"),
        ({"symbols": []}, BadInput, "No symbol is named"),
        ({"symbols": None}, BadInput, "No symbol is named"),
        ({"symbols": [7]}, BadInput, "The symbol 7 is a int"),
        ({"symbols": ["AAA1", "AAA1"]}, BadInput, "AAA1 is named twice"),
        ({"feature_names": ["sma_21"]}, UnknownName, "Unknown feature 'sma_21'. Did you mean sma_2"),
        ({"feature_names": []}, BadInput, "No feature is named"),
        ({"feature_names": ["sma_20", "sma_20"]}, BadInput, "sma_20 is named twice"),
        ({"start_date": "2019-03-01"}, BadDates, "lies after the end"),
        ({"start_date": "2019-13-01"}, BadDates, "'2019-13-01' is no date"),
        ({"start_date": NAIVE}, BadDates, "no time zone"),
        ({"start_date": 20190102}, BadDates, "is no date"),
        ({"start_date": "1999-01-01", "end_date": "1999-12-31"}, BadDates, "It runs from 2018-01-02 to 2020-06-30"),
        ({"as_of": "2999-01-01"}, BadDates, "lies in the future"),
        ({"as_of": NAIVE}, BadDates, "no time zone"),
        ({"as_of": "soon"}, BadDates, "is no date"),
        ({"as_of": "1500-01-01"}, BadDates, "out of range"),
        ({"start_date": dt.datetime(1500, 1, 1, tzinfo=dt.UTC)}, BadDates, "out of range"),
        ({"start_date": "0001-01-01", "end_date": "0002-01-01"}, BadDates, "It runs from 2018-01-02"),
        ({"start_date": "9998-01-01", "end_date": "9999-12-31"}, BadDates, "It runs from 2018-01-02"),
    ],
)
def test_a_question_by_dates(store, changes, error, said):
    with pytest.raises(error) as caught:
        ask(store, **changes)
    assert said in str(caught.value)
    assert caught.value.remedy


def test_a_name_may_stand_for_a_list_of_one(store):
    assert len(ask(store, symbols="AAA1", feature_names="sma_20")) == len(ask(store))


def entity(**changes):
    return pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": [AWARE], **changes})


@pytest.mark.parametrize(
    ("rows", "error", "said"),
    [
        ([("AAA1", AWARE)], BadInput, "entity_df is a list"),
        (entity().drop(columns="symbol"), BadInput, "no column 'symbol'"),
        (entity().drop(columns="event_timestamp"), BadInput, "no column 'event_timestamp'"),
        (entity()[:0], BadInput, "has no rows"),
        (entity(event_timestamp=[pd.Timestamp("2019-01-10")]), BadDates, "2019-01-10 00:00:00 has no time zone"),
        (entity(event_timestamp=pd.Series([NAIVE], dtype=object)), BadDates, "has no time zone"),
        (entity(event_timestamp=[pd.Timestamp("3019-01-10", tz="UTC")]), BadDates, "out of range"),
        (entity(event_timestamp=pd.Series([dt.datetime(3019, 1, 1, tzinfo=dt.UTC)], dtype=object)), BadDates, "out of"),
        (entity(event_timestamp=["2019-01-10"]), BadInput, "holds values of type str"),
        (entity(event_timestamp=[20190110]), BadInput, "is of type int64"),
        (entity(event_timestamp=pd.Series([pd.NaT], dtype="datetime64[ns, UTC]")), BadDates, "Row 0 of entity_df"),
        (entity(symbol=["ZZZ"]), UnknownName, "Unknown symbol 'ZZZ'"),
        (entity(symbol=[None]), BadInput, "holds the symbol None"),
        (entity(sma_20=[1.0]), BadInput, "already has a column 'sma_20'"),
    ],
)
def test_a_question_by_rows(store, rows, error, said):
    with pytest.raises(error) as caught:
        store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
    assert said in str(caught.value)
    assert caught.value.remedy


def test_times_in_mixed_zones_are_refused_and_said_how_to_mend(store):
    zones = [pd.Timestamp("2019-01-10T12:00", tz=zone) for zone in ("UTC", "America/New_York")]
    rows = pd.DataFrame({"symbol": "AAA1", "event_timestamp": pd.Series(zones, dtype=object)})
    with pytest.raises(BadDates, match=r"mixes the time zones UTC and America/New_York.*to_datetime"):
        store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
    mended = rows.assign(event_timestamp=pd.to_datetime(rows["event_timestamp"], utc=True))
    frame = store.get_historical_features(entity_df=mended, feature_names=["sma_20"])
    assert frame.to_pandas().index.get_level_values("timestamp").tolist() == zones


@pytest.mark.parametrize("clash", [{"symbols": ["AAA1"]}, {"start_date": "2019-01-02"}])
def test_one_way_of_asking_at_a_time(store, clash):
    with pytest.raises(BadInput, match="together with"):
        store.get_historical_features(entity_df=entity(), feature_names=["sma_20"], **clash)


def test_as_of_today_is_not_the_future(store):
    assert ask(store, as_of=dt.datetime.now(dt.UTC).date()).is_pit_validated


def test_online_before_anything_was_filled(store):
    with pytest.raises(DataError, match="has not been filled"):
        store.get_online_features(["AAA1"], ["sma_20"])


def test_materialising_before_applying(own_store):
    with pytest.raises(DataError, match="no registry"):
        own_store.materialize()


def test_keys_of_different_types_are_refused():
    with pytest.raises(BadInput, match="type integer, those of the features of type string"):
        codes([pd.Series(["a"])], [np.array([1])])
    with pytest.raises(BadInput, match="do not fit"):
        codes([pd.Series(["a"])], [])


def test_keys_of_several_columns_and_nulls():
    source = [pd.Series(["a", "a", None, "b"]), pd.Series([1, 2, 1, 1])]
    rows = [np.array(["a", "b", "b", None, "c"], dtype=object), np.array([2, 1, 2, 1, 1])]
    left, right = codes(source, rows)
    assert right[0] == left[1]
    assert right[1] == left[3]
    assert right[2:].tolist() == [-1, -1, -1]
    assert left[2] not in right
    assert len(set(left.tolist())) == 4
