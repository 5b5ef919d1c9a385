"""The online store: filled once, never going back, readable under every account."""

from __future__ import annotations

import contextlib
import datetime as dt
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
import pytest

from quantdesk.errors import BadDates, EnvironmentProblem
from quantdesk.features import FEATURES, FeatureStore, publish
from quantdesk.features.online.rows import entity_key
from quantdesk.features.publish import ONLINE, REGISTRY

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

ALL = list(FEATURES)
REPO = Path(__file__).resolve().parents[2] / "feature_repo"


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
    from quantdesk.features.online import serving as module

    views = dict(module.VIEWS)
    import dataclasses

    views["sentiment"] = dataclasses.replace(views["sentiment"], ttl=dt.timedelta(hours=-1))
    monkeypatch.setattr(module, "VIEWS", views)
    found = filled.get_online_features(["AAA1"], ["sentiment_z", "sma_20"]).to_pandas()
    assert np.isnan(found.loc["AAA1", "sentiment_z"])
    assert not np.isnan(found.loc["AAA1", "sma_20"])


@pytest.mark.parametrize("clock", ["session", "now"])
def test_a_row_too_old_for_now_is_null(filled, monkeypatch, clock):
    soon, late = dt.datetime(2020, 7, 10, tzinfo=dt.UTC), dt.datetime(2020, 7, 20, tzinfo=dt.UTC)
    assert not filled.get_online_features(["AAA1"], ["sma_20", "sentiment_z"], now=soon).to_pandas().isna().any().any()
    old = filled.get_online_features(["AAA1"], ["sma_20", "sentiment_z"], now=late)
    assert old.to_pandas().isna().all().all()
    assert old.events.loc["AAA1", "technical"] == pd.Timestamp("2020-06-30T20:00Z"), "one sees why"
    with pytest.raises(BadDates, match="no time zone"):
        filled.get_online_features(["AAA1"], ["sma_20"], now=dt.datetime(2020, 7, 10))  # noqa: DTZ001
    monkeypatch.setenv("QUANTDESK_ONLINE_CLOCK", clock)
    live = FeatureStore(root=filled.root, market=filled._market).get_online_features(["AAA1"], ["sma_20"]).to_pandas()
    assert live.isna().all().all() == (clock == "now")


def copied(filled, own_store):
    """A store with everything of another one, which knows where it is."""
    for path in [filled.root / ONLINE, *filled.root.glob("registry.*")]:
        shutil.copy(path, own_store.root / path.name)
    own_store.apply()
    return own_store


def test_a_failed_fill_leaves_the_old_store(filled, own_store, monkeypatch):
    copied(filled, own_store)
    content = (own_store.root / ONLINE).read_bytes()
    from quantdesk.features.online import sqlite

    def fail(*args, **options):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite._Session, "put", fail)
    with pytest.raises(EnvironmentProblem, match=r"cannot be written \(database or disk is full\)"):
        publish.materialize(own_store.root, dt.datetime.now(dt.UTC), afresh=True)
    assert (own_store.root / ONLINE).read_bytes() == content
    assert [path.name for path in own_store.root.iterdir() if path.name.endswith((".tmp", "-journal", "-wal"))] == []


def test_filling_voids_what_is_gone_and_keeps_what_others_wrote(filled, own_store):
    copied(filled, own_store)
    gone = entity_key(["symbol"], ["GONE"])
    with contextlib.closing(sqlite3.connect(own_store.root / ONLINE)) as connection, connection:
        connection.execute("CREATE TABLE of_others (x)")
        connection.execute("INSERT INTO of_others VALUES (7)")
        connection.execute("CREATE TABLE quantdesk_old (entity_key, feature_name, value, value_text, event_ts)")
        copy = "SELECT view, ?, era, event, created, packed FROM online_rows WHERE view = 'quantdesk_technical' LIMIT 1"
        connection.execute(f"INSERT INTO online_rows {copy}", (gone,))
        connection.execute("DELETE FROM online_marks")
    assert own_store.materialize()
    with contextlib.closing(sqlite3.connect(own_store.root / ONLINE)) as connection:
        assert connection.execute("SELECT x FROM of_others").fetchall() == [(7,)]
        assert connection.execute("SELECT packed FROM online_rows WHERE key = ?", (gone,)).fetchall() == [(None,)]
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'quantdesk_old'").fetchall()


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
        assert frame.is_pit_validated, frame.doubts
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
