"""Restatements are added, never written over: what was asked about the past has the answer that it had then."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError
from quantdesk.features import FeatureStore
from quantdesk.features import build as build_module
from quantdesk.features.build import Recipe, build, current
from quantdesk.features.manifest import LAYOUT, MANIFEST, read_manifest
from quantdesk.features.revisions import WITHDRAWN, grown, rows_of
from quantdesk.features.tables import Table
from quantdesk.market import MarketStore, RawSeries, load

from .conftest import Invented, describe, walk  # isort: skip

FIRST, SECOND, THIRD = (dt.datetime(2026, 3, day, 6, tzinfo=dt.UTC) for day in (2, 9, 16))
DAYS = 60


def loaded(root, sessions, prices):
    """A market store with these prices of AAA1 and BBB2; a price that is None is a session that the source lacks."""
    series = []
    for symbol, path in prices.items():
        frame = pd.DataFrame({"session": sessions[: len(path)], "adj_close": path}).dropna()
        series.append(RawSeries(describe(symbol, "skfolio"), frame))
    load([Invented("skfolio", series, fingerprint=repr(prices))], root)
    return MarketStore(root)


@pytest.fixture
def prices():
    return {"AAA1": walk(1, DAYS), "BBB2": walk(2, DAYS)}


@pytest.fixture
def restated(tmp_path, sessions, prices):
    """One price of AAA1 was restated between two loads."""
    build(loaded(tmp_path / "market", sessions, prices), tmp_path / "features", Recipe(), now=FIRST)
    prices["AAA1"][40] *= 1.5
    market = loaded(tmp_path / "market", sessions, prices)
    assert build(market, tmp_path / "features", Recipe(), now=SECOND).changed
    return FeatureStore(root=tmp_path / "features", market=market)


def sma(path, at, window=20):
    return float(np.mean(path[at - window + 1 : at + 1]))


def test_as_of_before_the_restatement_gives_the_old_value_and_after_it_the_new(restated, prices):
    old = prices["AAA1"].copy()
    old[40] /= 1.5

    def asked(as_of):
        frame = restated.get_historical_features(
            entity_df=pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": [SECOND + dt.timedelta(days=1)]}),
            feature_names=["sma_20"],
            as_of=as_of,
        )
        assert frame.is_pit_validated, frame.doubts
        return frame

    # A row of 2026 is far behind the last session of 2018: ask by sessions instead.
    assert asked(None).reasons()["reason"].tolist() == ["expired:15d"]
    rows = restated.get_historical_features(["AAA1"], ["sma_20"])
    assert rows.is_pit_validated
    # A row asked at the time of its session never sees what was found out years later, whatever as_of says.
    for as_of in (None, SECOND - dt.timedelta(seconds=1), SECOND):
        frame = restated.get_historical_features(["AAA1"], ["sma_20"], as_of=as_of)
        values = frame.to_pandas()["sma_20"].to_numpy()
        assert values[45] == pytest.approx(sma(old, 45), rel=1e-12)
        assert frame.known()["created_timestamp"].max() < pd.Timestamp("2019-01-01", tz="UTC")


def test_a_restated_price_of_this_week(tmp_path, sessions, prices, market):
    """Where the restatement is young enough to be asked for: old before it, new from it on."""
    close = pd.Timestamp(sessions[DAYS - 1]).tz_localize("America/New_York") + pd.Timedelta("16h")
    lagged = close + pd.Timedelta("15min")
    found_at = (lagged + pd.Timedelta("2h")).tz_convert("UTC").to_pydatetime()
    root = tmp_path / "features"
    build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=lagged.to_pydatetime())
    old = sma(prices["AAA1"], DAYS - 1)
    prices["AAA1"][-1] *= 1.5
    changed = loaded(tmp_path / "market", sessions, prices)
    build(changed, root, Recipe(), now=found_at)
    new = sma(prices["AAA1"], DAYS - 1)
    store = FeatureStore(root=root, market=changed)
    second = dt.timedelta(seconds=1)

    def at(*moments, as_of=None):
        rows = pd.DataFrame({"symbol": "AAA1", "event_timestamp": list(moments)})
        frame = store.get_historical_features(entity_df=rows, feature_names=["sma_20"], as_of=as_of)
        assert frame.is_pit_validated, frame.doubts
        return frame.to_pandas()["sma_20"].tolist()

    assert at(found_at - second, found_at, found_at + second) == pytest.approx([old, new, new], rel=1e-12)
    assert at(found_at + second, as_of=found_at - second) == pytest.approx([old], rel=1e-12)
    assert at(found_at + second, as_of=found_at) == pytest.approx([new], rel=1e-12)
    # By sessions: each row asks at the moment its session was known first.
    frame = store.get_historical_features(["AAA1"], ["sma_20"])
    assert frame.to_pandas()["sma_20"].iloc[-1] == pytest.approx(old, rel=1e-12)


def test_the_chain_shows_every_version_and_the_load_that_found_it(restated, prices, sessions):
    chain = restated.revisions("AAA1", "ret_1d")
    assert list(chain.columns) == ["event_timestamp", "created_timestamp", "value", "reason", "load", "loaded_at"]
    twice = chain[chain.duplicated("event_timestamp", keep=False)]
    assert len(chain) == DAYS + 2, "a price that changes changes two returns"
    assert twice["load"].tolist() == [0, 1, 0, 1]
    assert (twice["created_timestamp"].iloc[[1, 3]] == SECOND).all()
    assert set(chain["loaded_at"]) == {FIRST, SECOND}
    path = prices["AAA1"]
    expected = [path[40] / 1.5 / path[39] - 1, path[40] / path[39] - 1]
    assert twice["value"].iloc[:2].tolist() == pytest.approx(expected, rel=1e-9)
    assert chain["reason"].tolist()[:3] == ["warm_up:2", None, None]
    assert len(restated.revisions("BBB2", "ret_1d")) == DAYS, "nothing happened to the other"
    manifest = read_manifest(current(restated.root))
    assert [load.why for load in manifest.loads] == ["the first load", "the market data changed"]
    assert manifest.loads[1].added == manifest.loads[1].withdrawn == 0
    assert manifest.loads[1].restated > 2
    assert "loaded on 2026-03-02" in manifest.knowledge
    assert "as known from the load that found them" in manifest.knowledge


def test_what_vanishes_is_withdrawn_and_what_returns_is_news(tmp_path, sessions, prices):
    root = tmp_path / "features"
    build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=FIRST)
    whole = prices["AAA1"]
    market = loaded(tmp_path / "market", sessions, {**prices, "AAA1": whole[:-5]})
    build(market, root, Recipe(), now=SECOND)
    store = FeatureStore(root=root, market=market)
    chain = store.revisions("AAA1", "ret_1d")
    assert chain["reason"].eq(WITHDRAWN).sum() == 5
    assert chain[chain["reason"].eq(WITHDRAWN)]["created_timestamp"].eq(SECOND).all()
    assert chain[chain["reason"].eq(WITHDRAWN)]["value"].isna().all()
    frame = store.get_historical_features(["AAA1"], ["ret_1d"])
    assert len(frame) == DAYS, "the sessions were known then"
    assert frame.to_pandas()["ret_1d"].notna().sum() == DAYS - 1

    market = loaded(tmp_path / "market", sessions, prices)
    build(market, root, Recipe(), now=THIRD)
    chain = store.revisions("AAA1", "ret_1d")
    assert chain["load"].value_counts().to_dict() == {0: DAYS, 1: 5, 2: 5}
    assert not build(market, root, Recipe(), now=THIRD).changed


def test_a_series_that_vanishes_keeps_its_history(tmp_path, sessions, prices):
    root = tmp_path / "features"
    build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=FIRST)
    market = loaded(tmp_path / "market", sessions, {"AAA1": prices["AAA1"]})
    build(market, root, Recipe(), now=SECOND)
    store = FeatureStore(root=root, market=market)
    assert "BBB2" in store.symbols()
    assert read_manifest(current(root)).gone == ("BBB2",)
    frame = store.get_historical_features(["BBB2"], ["ret_1d"])
    assert frame.is_pit_validated
    assert frame.to_pandas()["ret_1d"].notna().sum() == DAYS - 1
    assert store.revisions("BBB2", "ret_1d")["reason"].eq(WITHDRAWN).sum() == DAYS


def test_a_new_session_is_known_when_its_source_says(tmp_path, sessions, prices):
    root = tmp_path / "features"
    short = {name: path[:-1] for name, path in prices.items()}
    build(loaded(tmp_path / "market", sessions, short), root, Recipe(), now=FIRST)
    market = loaded(tmp_path / "market", sessions, prices)
    build(market, root, Recipe(), now=SECOND)
    chain = FeatureStore(root=root, market=market).revisions("AAA1", "ret_1d")
    assert len(chain) == DAYS
    gap = chain["created_timestamp"] - chain["event_timestamp"]
    assert (gap == pd.Timedelta("15min")).all()
    assert chain["load"].iloc[-1] == 1


def test_other_definitions_begin_anew_and_say_so(restated, monkeypatch):
    monkeypatch.setattr(build_module, "definitions_version", lambda: "another")
    assert restated.build().changed
    (only,) = read_manifest(current(restated.root)).loads
    assert only.why.startswith("begun anew: the definitions of the features changed")
    assert not restated.revisions("AAA1", "ret_1d").duplicated("event_timestamp").any()


def test_anew_on_request(restated):
    before = current(restated.root)
    build(restated._market, restated.root, Recipe(), now=THIRD, anew=True)
    (only,) = read_manifest(current(restated.root)).loads
    assert only.why.startswith("begun anew, as asked")
    assert before.exists(), "a reader may still hold it"


def test_a_damaged_file_is_not_carried_on(tmp_path, sessions, prices):
    root = tmp_path / "features"
    build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=FIRST)
    name = "technical/symbol=AAA1/rows.parquet"
    (current(root) / name).write_bytes(b"PAR1 cut in half")
    prices["AAA1"][40] *= 1.5
    build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=SECOND)
    assert read_manifest(current(root)).loads[1].lost == (name,)


def test_the_clock_may_go_back_and_knowledge_does_not(tmp_path, sessions, prices):
    root = tmp_path / "features"
    for number, now in enumerate((THIRD, FIRST)):
        prices["AAA1"][40] += number
        build(loaded(tmp_path / "market", sessions, prices), root, Recipe(), now=now)
    loads = [dt.datetime.fromisoformat(load.at) for load in read_manifest(current(root)).loads]
    assert loads == [THIRD, THIRD + dt.timedelta(microseconds=1)]


def test_a_build_of_another_layout_names_both_versions(restated):
    path = current(restated.root) / MANIFEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "layout": 7, "version": "9.9"}))
    with pytest.raises(DataError, match=f"by quantdesk 9.9 in layout 7; quantdesk .* reads layout {LAYOUT}"):
        restated.symbols()
    restated.build()
    assert "built by quantdesk 9.9" in read_manifest(current(restated.root)).loads[0].why


# The rule itself, against a model that keeps everything in dictionaries.

HOUR = 3_600_000_000


def table_of(rows, load_number):
    """Rows as (event in hours, lag in hours, value)."""
    event = pd.DatetimeIndex([pd.Timestamp(one * HOUR, unit="us", tz="UTC") for one, _, _ in rows])
    created = event + pd.TimedeltaIndex([pd.Timedelta(hours=lag) for _, lag, _ in rows])
    values = np.array([np.nan if value is None else float(value) for _, _, value in rows])
    reasons = np.array(["input_gap" if value is None else None for _, _, value in rows], dtype=object)
    made = Table(event, created, event.tz_localize(None).normalize(), {"x": values}, {"x": reasons})
    return rows_of(made, ["x"], "A", load_number)


LOADS = st.lists(
    st.dictionaries(st.integers(0, 12), st.tuples(st.integers(0, 3), st.sampled_from([None, 1, 2, 3])), max_size=8),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(loads=LOADS)
def test_whatever_is_loaded_every_past_question_keeps_its_answer(loads):
    def answer(rows, event, at):
        """The version of an event that is known at a time, by looking at every row; None for none."""
        known = [row for row in rows if row["event"] == event and row["created"] <= at]
        return max(known, key=lambda row: (row["created"], row["place"]))["value"] if known else None

    def plain(table):
        given = table.to_pydict()
        times = [[moment.timestamp() / 3600 for moment in given[f"{name}_timestamp"]] for name in ("event", "created")]
        return [
            {"event": event, "created": created, "value": (value, reason), "place": place}
            for place, (event, created, value, reason) in enumerate(
                zip(*times, given["x"], given["why_x"], strict=True)
            )
        ]

    table = None
    for number, rows in enumerate(loads):
        fresh = table_of([(event, *rest) for event, rest in sorted(rows.items())], number)
        at = (100 + 10 * number) * HOUR
        if table is None:
            table = fresh
            continue
        before = plain(table)
        result = grown(table, fresh, at, number)
        table = result.table
        after = plain(table)
        assert after[: len(before)] == before, "nothing that was written is touched"
        assert result.added + result.restated + result.withdrawn == len(after) - len(before)
        newest = max((row["event"] for row in before), default=-1)
        for event in range(13):
            for moment in (0, 5, 50, at / HOUR - 0.001):
                if event <= newest:
                    assert answer(after, event, moment) == answer(before, event, moment)
            now = answer(after, event, 10**6)
            if event in rows:
                value = rows[event][1]
                assert now == (value, None if value is not None else "input_gap")
                first = min(row["created"] for row in after if row["event"] == event)
                assert first >= event
            else:
                assert now in (None, (None, WITHDRAWN))
        assert not grown(table, fresh, at + HOUR, number + 1).changed


def test_a_table_without_rows_grows_and_a_table_may_lose_all():
    empty = table_of([], 0)
    some = table_of([(1, 0, 1), (2, 0, None)], 1)
    assert grown(empty, some, 5 * HOUR, 1).added == 2
    gone = grown(some, None, 5 * HOUR, 2)
    assert gone.withdrawn == 2
    assert gone.table["why_x"].to_pylist()[2:] == [WITHDRAWN, WITHDRAWN]
    assert gone.table.schema == some.schema
    assert isinstance(gone.table, pa.Table)


def test_a_shorter_lag_does_not_let_the_old_version_win(tmp_path):
    old = table_of([(1, 3, 1)], 0)
    new = grown(old, table_of([(1, 0, 2)], 1), 2 * HOUR, 1).table
    assert new["created_timestamp"].to_pylist()[1] >= new["created_timestamp"].to_pylist()[0]
    pq.write_table(new, tmp_path / "x.parquet")
