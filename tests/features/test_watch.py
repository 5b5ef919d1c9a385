"""The status says what is wrong, all of it, and nothing is fresh only because nobody looked."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadDates, DataError, UnknownName
from quantdesk.features import FeatureStore
from quantdesk.features.declared import DeclaredView, Field, Repository, write
from quantdesk.features.definitions import FEATURES
from quantdesk.features.freshness import State, agreements
from quantdesk.features.knowledge import PublishedAt
from quantdesk.features.publish import ONLINE, REGISTRY
from quantdesk.features.watch import fresh, own_views, status
from quantdesk.features.windows import drifted
from quantdesk.market import Flags, MarketStore, load
from quantdesk.reports.catalogue import lineage_of
from quantdesk.reports.catalogue import write as write_pages
from quantdesk.reports.catalogue.pages import file_name

from .conftest import SESSIONS, tiny_sources

pytestmark = pytest.mark.xdist_group("watch")

#: The evening of the last session of the invented market, an hour after it was known; and a month later.
LAST = dt.datetime(2020, 6, 30, 22, tzinfo=dt.UTC)
LATER = dt.datetime(2020, 8, 1, tzinfo=dt.UTC)


@pytest.fixture
def own_filled(filled: FeatureStore, market: MarketStore, tmp_path: Path) -> FeatureStore:
    shutil.copytree(filled.root, tmp_path / "features", symlinks=True)
    return FeatureStore(root=tmp_path / "features", market=market)


def states(found) -> dict[State, int]:  # type: ignore[no-untyped-def]
    return {state: sum(one.state is state for one in found) for state in {one.state for one in found}}


def test_a_current_store_is_fresh_on_the_day_and_late_a_month_later(store: FeatureStore) -> None:
    on_the_day = fresh(store.snapshot(), LAST)
    # The name of one source is that of a package which ships: its history is a finished file.
    assert set(states(on_the_day)) == {State.FRESH}
    assert {one.view for one in on_the_day} == {"technical", "market_model", "sentiment"}
    later = fresh(store.snapshot(), LATER)
    assert {one.state for one in later if one.source == "files"} == {State.LATE, State.FRESH}
    assert {one.state for one in later if one.source == "skfolio"} == {State.ENDED}
    # The month that ended in July was not loaded, and one may be missing.
    assert [one.missing for one in later if one.series == "YIELD"] == [1]


def test_rows_that_are_not_known_yet_do_not_make_a_series_fresh(store: FeatureStore) -> None:
    before_the_close = fresh(store.snapshot(), dt.datetime(2020, 6, 30, 19, tzinfo=dt.UTC))
    stocks = [one for one in before_the_close if one.series == "OHLC"]
    assert {one.last for one in stocks} == {dt.date(2020, 6, 29)}


def test_the_status_of_a_filled_store(filled: FeatureStore) -> None:
    found = status(filled, LAST)
    assert found.problems == ()
    assert found.ok
    assert found.applied
    assert found.online_current
    assert found.market_current
    assert found.definitions_current
    assert found.consistency is not None
    assert found.consistency.agrees
    assert found.online_until is not None
    said = json.loads(json.dumps(found.to_dict()))
    assert said["ok"] is True
    assert len(said["loads"]) == 1
    assert said["consistency"]["compared"] == len(filled.symbols()) * len(FEATURES)


def test_a_broken_agreement_is_a_problem_and_a_wider_one_is_none(filled: FeatureStore) -> None:
    late = status(filled, LATER)
    assert not late.ok
    assert any("late" in problem and "files" in problem for problem in late.problems)
    assert status(filled, LATER, agreed=agreements("close=99")).ok


def test_what_is_out_of_date_is_named(own_filled: FeatureStore, tmp_path: Path, sessions) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(own_filled._market.root, tmp_path / "market")
    sources = tiny_sources(sessions)
    sources[1]._fingerprint = "2"
    sources[1]._series = sources[1]._series[1:]
    load(sources, tmp_path / "market")
    other = FeatureStore(root=own_filled.root, market=MarketStore(tmp_path / "market"))
    found = status(other, LAST)
    assert found.market_current is False
    assert any("market store" in problem for problem in found.problems)
    # Once it is built, the online store is behind, and the series that went is said to be gone.
    other.build()
    found = status(other, LAST)
    assert found.market_current
    assert not found.online_current
    assert any("another build" in problem for problem in found.problems)
    assert {one.series for one in found.freshness if one.state is State.GONE} == {"OHLC"}


def test_a_store_without_registry_online_store_or_market_says_so(own_filled: FeatureStore, tmp_path: Path) -> None:
    for name in (REGISTRY, ONLINE):
        (own_filled.root / name).unlink()
    found = status(FeatureStore(root=own_filled.root, market=MarketStore(tmp_path / "nowhere")), LAST)
    assert found.market_current is None
    assert found.online_until is None
    assert found.consistency is None
    assert any("registry" in problem for problem in found.problems)
    assert any("online" in problem for problem in found.problems)


def test_an_online_value_that_differs_is_a_problem(own_filled: FeatureStore) -> None:
    with contextlib.closing(sqlite3.connect(own_filled.root / ONLINE)) as connection:
        connection.execute("UPDATE online_rows SET event = event - 86400000000000 WHERE view LIKE '%technical'")
        connection.commit()
    found = status(own_filled, LAST)
    assert any("are not the offline ones" in problem for problem in found.problems)


def test_an_online_file_that_is_no_database_is_a_problem(own_filled: FeatureStore) -> None:
    (own_filled.root / ONLINE).write_bytes(b"not a database" * 100)
    found = status(own_filled, LAST)
    assert not found.ok
    assert found.consistency is None


def test_nothing_built_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="quantdesk features build"):
        status(FeatureStore(root=tmp_path), LAST)


def test_drift_between_windows_is_point_in_time(store: FeatureStore) -> None:
    found = drifted(store, ("2018-01-02", "2019-06-28"), ("2019-07-01", None), feature_names=["ret_1d", "atr_14"])
    assert found.is_pit_validated
    assert [one.feature for one in found.features] == ["ret_1d", "atr_14"]
    assert len(found.symbols) == len(store.symbols())
    # The returns are one seeded random walk; the true range is in dollars of a price that wandered.
    assert found.features[0].verdict in {"stable", "unclear"}
    assert found.features[1].reference_nulls > 0.8
    said = json.loads(json.dumps({**found.to_dict(), "features": []}))
    assert said["reference"] == "2018-01-02 to 2019-06-28"


def test_drift_that_a_market_had_is_found(tmp_path: Path, sessions) -> None:  # type: ignore[no-untyped-def]
    """The second half moves three times as much as the first: volatility shifts, and so do returns."""
    sources = tiny_sources(sessions)
    for raw in sources[0]._series:
        field = "close" if "close" in raw.frame else "adj_close"
        steps = np.diff(np.log(raw.frame[field].to_numpy()), prepend=np.log(raw.frame[field].iloc[0]))
        steps[SESSIONS // 2 :] *= 3
        raw.frame[field] = np.exp(np.log(raw.frame[field].iloc[0]) + np.cumsum(steps))
    load(sources, tmp_path / "market")
    store = FeatureStore(root=tmp_path / "features", market=MarketStore(tmp_path / "market"))
    store.build()
    panel = ["AAA1", "BBB2", "CCC3", "DDD4"]
    windows = ("2018-01-02", "2019-03-01"), ("2019-06-03", "2020-06-30")
    found = {
        one.feature: one
        for one in drifted(store, *windows, symbols=panel, feature_names=["ret_1d", "vol_21d", "rsi_14"]).features
    }
    assert found["vol_21d"].verdict == "shifted"
    assert found["ret_1d"].verdict == "shifted"
    assert found["rsi_14"].verdict in {"stable", "unclear"}  # it does not depend on the size of the moves


def test_windows_that_hold_nothing_are_refused(store: FeatureStore) -> None:
    with pytest.raises(BadDates, match="No symbol"):
        drifted(store, ("1999-01-01", "1999-12-31"), ("2019-01-01", "2019-12-31"))
    with pytest.raises(UnknownName, match="sma_20"):
        drifted(store, ("2018-01-02", "2018-12-31"), ("2019-01-02", "2019-12-31"), feature_names=["sma_2O"])


def make_news(folder: Path) -> Path:
    folder.mkdir()
    stamp = pa.timestamp("us", tz="UTC")
    days = pa.array([dt.datetime(2020, 6, 1, tzinfo=dt.UTC), dt.datetime(2020, 6, 29, tzinfo=dt.UTC)], stamp)
    rows = {"symbol": ["OHLC"] * 2, "day": days, "known": days, "score": [1.0, 2.0]}
    pq.write_table(pa.table(rows), folder / "a.parquet")
    return folder / "a.parquet"


def adopted_news(folder: Path, *files: Path) -> DeclaredView:
    """A view as applying would have taken it down."""
    return DeclaredView(
        name="news",
        description="",
        entity="symbol",
        ttl=dt.timedelta(0),
        knowledge="the column known",
        path=folder,
        keys=(Field("symbol", "symbol", "String"),),
        event="day",
        created="known",
        policy=PublishedAt("known"),
        fields=(Field("score", "score", "Float64"),),
        any_symbol=False,
        about=Flags(real=True, adjusted_with_hindsight=False, survivors_only=False),
        adopted=tuple((str(file), "7" * 64) for file in files),
    )


def test_views_of_ones_own_are_watched_too(own_filled: FeatureStore, tmp_path: Path) -> None:
    make_news(tmp_path / "news")
    news = adopted_news(tmp_path / "news")
    lost = dataclasses.replace(news, name="lost", path=tmp_path / "broken.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 half a file")
    write(own_filled.root, Repository({"news": news, "lost": lost}, {}))
    found = {one.view: one for one in own_views(own_filled, LAST, agreed=agreements("news=1"))}
    assert found["news"].state is State.FRESH
    assert found["news"].last == dt.date(2020, 6, 29)
    assert found["lost"].state is State.EMPTY
    assert "cannot be read" in found["lost"].says
    assert any("lost" in problem for problem in status(own_filled, LAST).problems)


def test_a_view_of_ones_own_has_a_lineage_and_a_page(own_filled: FeatureStore, tmp_path: Path) -> None:
    file = make_news(tmp_path / "news")
    write(own_filled.root, Repository({"news": adopted_news(tmp_path / "news", file)}, {}))
    found = lineage_of(own_filled, "news:score")
    assert [(one.package, one.sha256, one.labels) for one in found.files] == [(file.name, "7" * 64, ("real",))]
    assert found.used_by == ()
    done = write_pages(own_filled, tmp_path / "pages", audit=False)
    assert done.features == len(FEATURES) + 1
    page = (done.index.parent / file_name("news:score")).read_text()
    assert "7" * 64 in page
    assert "how old it may be was not agreed" in page
    assert "not_yet_known" in page


def test_a_team_s_store_is_watched_as_the_files_are(
    filled: FeatureStore, market: MarketStore, postgres, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(filled.root, tmp_path / "features", symlinks=True)
    team = FeatureStore(postgres(), root=tmp_path / "features", market=market)
    try:
        team.build()
        assert fresh(team.snapshot(), LAST) == fresh(filled.snapshot(), LAST)
        found = status(team, LAST)
        assert found.origin.startswith("postgresql://")
        assert found.consistency is not None
        assert found.consistency.agrees
        windows = ("2018-01-02", "2018-12-31"), ("2019-01-02", None)
        assert drifted(team, *windows, feature_names=["ret_1d"]) == drifted(filled, *windows, feature_names=["ret_1d"])
    finally:
        team.close()


def test_what_is_about_the_market_counts_once(store: FeatureStore) -> None:
    found = drifted(store, ("2018-01-02", "2019-06-28"), ("2019-07-01", None), feature_names=["sentiment_z", "ret_1d"])
    mood, returns = found.features
    assert mood.reference_rows + mood.current_rows < SESSIONS + 10
    assert returns.reference_rows > 5 * mood.reference_rows
