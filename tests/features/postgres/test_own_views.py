"""The user's own views in PostgreSQL: the answers of the files, and neither files nor repository on the asking side."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.features import FeatureStore
from quantdesk.features.declared import DECLARED

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def applied(store, market, tmp_path_factory, make_desk_data):
    """A feature store with the desk's repository applied: news, flows, ratings by two keys, weather by none."""
    folder = tmp_path_factory.mktemp("own")
    make_desk_data(folder / "data")
    (folder / "repo").mkdir()
    shutil.copyfile(HERE.parent / "desk_repository.py", folder / "repo" / "desk.py")
    shutil.copytree(store.root, folder / "features", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_DATA", str(folder / "data"))
        FeatureStore(root=folder / "features", market=market, repo=folder / "repo").apply()
    return folder


@contextlib.contextmanager
def shared(folder, market, url):
    """The files, their database, and one who has the address alone."""
    given = {"root": folder / "features", "market": market, "repo": folder / "repo"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_DATA", str(folder / "data"))
        files, team = FeatureStore(**given), FeatureStore(url, **given)
        assert team.build().changed
        quant = FeatureStore(team.backend.address, root=folder / "nothing here")
        yield files, team, quant
        team.close()
        quant.close()


@pytest.fixture(scope="module")
def desk(applied, market, postgres):
    """Read only, please."""
    with shared(applied, market, postgres()) as found:
        yield found


@pytest.fixture
def own_desk(applied, market, postgres, tmp_path):
    """For one test that may change files and database."""
    shutil.copytree(applied, tmp_path, symlinks=True, dirs_exist_ok=True)
    path = tmp_path / "features" / DECLARED
    path.write_text(path.read_text().replace(str(applied), str(tmp_path)))
    with shared(tmp_path, market, postgres()) as found:
        yield found


def asking():
    times = pd.date_range("2019-02-27T07:30", periods=90, freq="3h", tz="UTC").append(
        pd.DatetimeIndex(["2027-01-01", "2019-03-05T13:00", "2019-03-07T09:00"], tz="UTC")
    )
    rows = pd.concat([pd.DataFrame({"symbol": s, "event_timestamp": times}) for s in ("AAA1", "BBB2", "CCC3")])
    return rows.assign(analyst=np.resize([1, 2, 3], len(rows))).reset_index(drop=True)


QUESTION = ["score", "articles", "breaking", "net_flow", "target", "rain", "sma_20"]


@pytest.mark.parametrize("as_of", [None, "2019-03-06"])
def test_the_answers_and_the_proof_of_the_files(desk, as_of):
    files, _, quant = desk
    names = [name for name in QUESTION if name in {one.name for one in files.features()}]
    assert len(names) >= 6
    given = {"entity_df": asking(), "feature_names": names, "as_of": as_of}
    one, other = files.get_historical_features(**given), quant.get_historical_features(**given)
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas(), check_exact=True)
    for view in ("news", "flows", "ratings", "weather", "technical"):
        pd.testing.assert_frame_equal(one.known(view), other.known(view))
    pd.testing.assert_frame_equal(one.reasons(), other.reasons())
    assert one.evidence.views == other.evidence.views
    assert one.doubts == other.doubts, "weather says of both that nobody declared its policy"
    without = [name for name in names if name != "rain"]
    proven = quant.get_historical_features(**{**given, "feature_names": without})
    assert proven.is_pit_validated
    assert proven.verify(quant)


def test_the_revision_chains_of_the_files(desk):
    files, _, quant = desk
    for feature in ("score", "net_flow", "target", "rain"):
        one, other = (place.revisions("AAA1", feature) for place in (files, quant))
        pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_what_is_appended_is_shared_at_once(own_desk):
    files, team, quant = own_desk
    at = pd.Timestamp("2026-02-02T12:00Z")
    rows = pd.DataFrame({"symbol": ["AAA1"], "day": [pd.Timestamp("2019-03-12", tz="UTC")], "net_flow": [99.0]})
    rows["net_flow"] = rows["net_flow"].astype("float32")
    team.append("flows", rows, now=at)
    asked = pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": [pd.Timestamp("2019-03-14", tz="UTC")]})
    for store in (files, quant):
        frame = store.get_historical_features(entity_df=asked, feature_names=["net_flow"])
        assert frame.to_pandas()["net_flow"].tolist() == [99.0]
        assert frame.is_pit_validated
    pd.testing.assert_frame_equal(
        files.revisions("AAA1", "net_flow"), quant.revisions("AAA1", "net_flow"), check_dtype=False
    )
    assert not team.build().changed


def test_a_file_that_changed_since_it_was_applied_is_not_shared(own_desk, tmp_path):
    _, team, quant = own_desk
    path = tmp_path / "data" / "news" / "old.parquet"
    pq.write_table(pq.read_table(path).slice(0, 2), path)
    with pytest.raises(DataError, match="not as it was applied"):
        team.build()
    asked = pd.DataFrame({"symbol": ["BBB2"], "event_timestamp": [pd.Timestamp("2019-03-09", tz="UTC")]})
    frame = quant.get_historical_features(entity_df=asked, feature_names=["score"])
    assert frame.to_pandas()["score"].tolist() == [0.125]
    assert team.apply(), "applied again, the file is what it is now"
    frame = quant.get_historical_features(entity_df=asked, feature_names=["score"])
    assert frame.to_pandas()["score"].isna().tolist() == [True]


def test_keys_of_the_wrong_type_are_refused(desk):
    _, _, quant = desk
    with pytest.raises(BadInput, match="analyst is asked for as '1'"):
        quant.get_historical_features(entity_df=asking().assign(analyst="1"), feature_names=["target"])
    with pytest.raises(BadInput, match="has no 'analyst'"):
        quant.get_historical_features(entity_df=asking().drop(columns="analyst"), feature_names=["target"])
    missing = asking().assign(analyst=np.nan)
    assert quant.get_historical_features(entity_df=missing, feature_names=["target"]).to_pandas()["target"].isna().all()
    with pytest.raises(UnknownName, match="score"):
        quant.get_historical_features(entity_df=asking(), feature_names=["skore"])


def test_edits_of_a_view_of_ones_own_are_noticed(own_desk):
    _, _, quant = own_desk
    part = quant.snapshot().parts["ratings", '["AAA1", 2]']
    with psycopg.connect(**quant.backend.address.parameters(), autocommit=True) as connection:
        connection.execute(f'UPDATE quantdesk."{part.table}" SET target = 0 WHERE _part = {part.number}')
    frame = quant.get_historical_features(entity_df=asking(), feature_names=["target"])
    assert any("ratings/" in doubt and "not as they were built" in doubt for doubt in frame.doubts)
    others = asking()
    frame = quant.get_historical_features(entity_df=others[others["analyst"] != 2], feature_names=["target"])
    assert frame.is_pit_validated


def test_times_that_are_too_fine_name_their_view(own_desk, tmp_path):
    _, team, _ = own_desk
    path = tmp_path / "data" / "news" / "old.parquet"
    table = pq.read_table(path).to_pandas()
    for name in ("event_timestamp", "published"):
        table[name] = table[name].astype("datetime64[ns, UTC]") + pd.Timedelta(1, "ns")
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    with pytest.raises(BadInput, match=r"news/key=.*: A time is no whole microsecond"):
        team.apply()


def test_declarations_of_another_version_are_not_read(own_desk):
    _, _, quant = own_desk
    with psycopg.connect(**quant.backend.address.parameters(), autocommit=True) as connection:
        connection.execute("""UPDATE quantdesk.load SET declared = replace(declared, '"format": 1', '"format": 9')""")
    fresh = FeatureStore(dataclasses.replace(quant.backend.address), root=quant.root)
    with pytest.raises(DataError, match=r"The declarations in postgresql://.* in format 9"):
        fresh.features()
    fresh.close()
