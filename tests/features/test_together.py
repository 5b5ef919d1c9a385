"""Building, applying and filling at the same time, and each of them killed at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from quantdesk.features import FeatureStore
from quantdesk.features.build import current
from quantdesk.features.declared import read_declared
from quantdesk.features.manifest import read_manifest
from quantdesk.features.publish import REGISTRY
from quantdesk.market import MarketStore, RawSeries, load

from .conftest import Invented, describe, walk  # isort: skip
from .test_declared import make_data  # isort: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

DAYS = 80


def market_of(root, sessions, version):
    """Version after version, one more price of each symbol is another."""
    series = []
    for seed, symbol in enumerate(("AAA1", "BBB2", "CCC3")):
        path = walk(seed, DAYS)
        path[40 : 40 + version] *= 1.01
        frame = pd.DataFrame({"session": sessions[:DAYS], "adj_close": path})
        series.append(RawSeries(describe(symbol, "skfolio"), frame))
    load([Invented("skfolio", series, fingerprint=str(version))], root)
    return MarketStore(root)


@pytest.fixture
def place(tmp_path, sessions, monkeypatch):
    """A store with one build, a repository of the desk's own, and a market that has changed since."""
    make_data(tmp_path / "data")
    (tmp_path / "repo").mkdir()
    shutil.copyfile(Path(__file__).with_name("desk_repository.py"), tmp_path / "repo" / "desk.py")
    monkeypatch.setenv("DESK_DATA", str(tmp_path / "data"))
    FeatureStore(root=tmp_path / "features", market=market_of(tmp_path / "market", sessions, 0)).build()
    market_of(tmp_path / "market", sessions, 1)
    return tmp_path


def store_in(place):
    return FeatureStore(root=place / "features", market=MarketStore(place / "market"), repo=place / "repo")


def reads_whole(place, loads):
    """Whatever was going on, a question is answered from one whole build, and each file is whole or not there."""
    store = store_in(place)
    manifest = read_manifest(current(store.root))
    assert len(manifest.loads) in loads
    frame = store.get_historical_features(["AAA1", "BBB2"], ["sma_20", "sentiment_z"])
    assert frame.is_pit_validated, frame.doubts
    chain = store.revisions("AAA1", "ret_1d")
    assert set(chain["load"]) <= set(range(len(manifest.loads)))
    repository = read_declared(store.root)
    assert set(repository.views) in (set(), {"news", "flows", "ratings", "weather"})
    registry = store.root / REGISTRY
    if registry.exists():
        with closing(sqlite3.connect(f"file:{registry}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            names = {row[0] for row in connection.execute("SELECT feature_view_name FROM feature_views")}
        assert names == {"technical", "market_model", "sentiment", "news", "flows", "ratings", "weather"}
    return len(manifest.loads)


def test_everything_at_once_in_one_process(place):
    store_in(place).apply()
    steps = [FeatureStore.apply, FeatureStore.build, FeatureStore.materialize, FeatureStore.apply, FeatureStore.build]
    with ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(step, store_in(place)) for step in steps]
        while not all(one.done() for one in running):
            reads_whole(place, {1, 2})
            time.sleep(0.3)
        done = [one.result() for one in running]
    assert [done[1].changed, done[4].changed].count(True) == 1, "of two builds one had nothing to do"
    assert reads_whole(place, {2}) == 2
    store = store_in(place)
    store.materialize()
    assert store.get_online_features(["AAA1"], ["sma_20"]).to_pandas().notna().to_numpy().all()
    store.close()


PROGRAM = textwrap.dedent(
    """
    import sys, warnings
    warnings.simplefilter("ignore")
    from pathlib import Path
    from quantdesk.features import FeatureStore
    from quantdesk.market import MarketStore
    place, steps = Path(sys.argv[1]), sys.argv[2:]
    if "apply" in steps:
        import quantdesk.features.own_repository, quantdesk.features.repository
    store = FeatureStore(root=place / "features", market=MarketStore(place / "market"), repo=place / "repo")
    print("ready", flush=True)
    for step in steps:
        getattr(store, step)()
    """
)


def started(place, *steps):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(place), *steps],
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    process.stdout.readline()
    return process


def killed(place, sessions, steps, moments):
    versions = 1
    for moment in moments:
        before = reads_whole(place, range(1, 1000))
        with started(place, *steps) as process:
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        after = reads_whole(place, {before, before + 1})
        if after > before:  # there must be something to do for the next one
            versions += 1
            market_of(place / "market", sessions, versions)
        (place / "features" / "registry.json").unlink(missing_ok=True)  # so that there is something to apply
    store = store_in(place)
    for step in ("build", "apply"):
        getattr(store, step)()
    reads_whole(place, range(1, 1000))
    left = [path.name for path in store.root.rglob("*.tmp") if path.is_file()]
    assert all(name.startswith(".") for name in left), "what is left over is hidden"


def test_a_build_that_adds_is_killed(place, sessions):
    killed(place, sessions, ["build"], [0.3])


@pytest.mark.slow
def test_builds_that_add_killed_at_thirty_moments(place, sessions):
    chance = random.Random(1)
    killed(place, sessions, ["build"], [chance.uniform(0, 1.5) for _ in range(30)])


@pytest.mark.slow
def test_applies_killed_at_eight_moments(place, sessions):
    chance = random.Random(2)
    killed(place, sessions, ["apply"], [chance.uniform(0, 2.5) for _ in range(8)])


@pytest.mark.slow
def test_everything_at_once_in_many_processes(place):
    steps = [["apply"], ["build"], ["apply", "materialize"], ["build", "materialize"]]
    store_in(place).apply()
    processes = [started(place, *some) for some in steps]
    while any(process.poll() is None for process in processes):
        reads_whole(place, {1, 2})
        time.sleep(0.3)
    assert [process.wait() for process in processes] == [0] * len(steps)
    for process in processes:
        process.stdout.close()
    assert reads_whole(place, {2}) == 2
