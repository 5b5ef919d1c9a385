"""Building: whole or not at all, once per set of inputs, readable by others, never silently of another kind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.features import FeatureStore
from quantdesk.features import build as build_module
from quantdesk.features.build import Recipe, build, current, reason_column
from quantdesk.features.definitions import FEATURES, VIEWS
from quantdesk.features.manifest import MANIFEST, read_manifest
from quantdesk.features.retrieval import partition
from quantdesk.market import MarketStore, RawSeries, load

from .conftest import Invented, describe, tiny_sources, walk  # isort: skip


def test_every_view_of_every_series_is_a_file(store, market):
    folder = current(store.root)
    for series in market.series():
        for view in ("technical", "market_model"):
            table = pq.read_table(folder / view / partition("symbol", series.key) / "rows.parquet", partitioning=None)
            assert set(table["symbol"].to_pylist()) == {series.key}
            for feature in VIEWS[view].features:
                assert str(table.schema.field(feature.name).type) == "double"
                null = table[feature.name].is_null().to_pylist()
                assert null == [code is not None for code in table[reason_column(feature.name)].to_pylist()]
    assert len(pq.read_table(folder / "sentiment" / "rows.parquet")) == 628


def test_times_are_the_close_and_the_lag(store):
    table = pq.read_table(current(store.root) / "technical" / "symbol=AAA1" / "rows.parquet", partitioning=None)
    frame = table.select(["session", "event_timestamp", "created_timestamp"]).to_pandas()
    row = frame[frame["session"] == pd.Timestamp("2018-07-03").date()].iloc[0]  # the exchange closed at 13:00
    assert row["event_timestamp"] == pd.Timestamp("2018-07-03T17:00Z")
    assert (frame["created_timestamp"] - frame["event_timestamp"] == pd.Timedelta("15min")).all()
    euro = pq.read_table(current(store.root) / "technical" / "symbol=EURXYZ" / "rows.parquet", partitioning=None)
    gap = euro["created_timestamp"].to_pandas() - euro["event_timestamp"].to_pandas()
    assert (gap == pd.Timedelta("2h")).all()


def test_a_second_build_has_nothing_to_do(store):
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    done = store.build()
    assert not done.changed
    assert done.series == 9
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_a_build_is_the_same_to_the_byte(store, market, tmp_path):
    build(market, tmp_path, Recipe())
    assert read_manifest(current(tmp_path)).files == read_manifest(current(store.root)).files


def test_new_prices_and_new_definitions_make_a_new_build(own_store, tmp_path, sessions, monkeypatch):
    first = current(own_store.root)
    root = tmp_path / "market"
    more = RawSeries(describe("NEW", "more"), pd.DataFrame({"session": sessions, "adj_close": walk(77, len(sessions))}))
    load([*tiny_sources(sessions), Invented("more", [more])], root)
    grown = FeatureStore(root=own_store.root, market=MarketStore(root))
    assert grown.build().changed
    assert "NEW" in grown.symbols()
    assert first.exists(), "a reader may still hold the build before"
    second = current(own_store.root)
    monkeypatch.setattr(build_module, "definitions_version", lambda: "another")
    assert grown.build().changed
    assert not first.exists()
    assert second.exists()


def test_the_mood_depends_on_its_recipe(market, tmp_path):
    without = build(market, tmp_path, Recipe(panel="nobody"))
    assert without.changed
    assert read_manifest(current(tmp_path)).panel == ()
    frame = FeatureStore(root=tmp_path, market=market).get_historical_features(
        ["AAA1"], ["sentiment_z"], "2020-01-02", "2020-01-03"
    )
    assert frame.reasons()["reason"].tolist() == ["no_history"] * 2


def test_progress_is_told(market, tmp_path):
    told = []
    build(market, tmp_path, Recipe(), progress=lambda *step: told.append(step))
    assert told[0] == (f"features of {market.series()[0].key}", 0, 9)
    assert told[-1] == ("features", 9, 9)


def test_bars_on_closed_days_are_left_out_and_counted(tmp_path, sessions):
    with_holiday = sessions[:50].append(pd.DatetimeIndex(["2018-01-15"])).sort_values()  # Martin Luther King day
    frame = pd.DataFrame({"session": with_holiday, "close": walk(1, 51)})
    load([Invented("odd", [RawSeries(describe("ODD", "odd", fields=("close",)), frame)])], tmp_path / "market")
    store = FeatureStore(root=tmp_path / "features", market=MarketStore(tmp_path / "market"))
    store.build()
    assert read_manifest(current(store.root)).left_out == {"ODD": 1}
    rows = store.get_historical_features(["ODD"], ["ret_1d"]).by_session()
    assert len(rows) == 50
    day = rows.xs("ODD", level="symbol").loc["2018-01-16"]["ret_1d"].iloc[0]
    close = frame.set_index("session")["close"]
    assert day == pytest.approx(close["2018-01-16"] / close["2018-01-12"] - 1)


def test_others_may_read_everything_whatever_the_umask(market, tmp_path):
    strict = os.umask(0o077)
    try:
        build(market, tmp_path / "features", Recipe())
    finally:
        os.umask(strict)
    for path in [tmp_path / "features", *(tmp_path / "features").rglob("*")]:
        if path.name == ".lock":
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o044 == 0o044, path
        assert not path.is_dir() or mode & 0o011 == 0o011, path


def test_a_failing_build_leaves_what_was_there(own_store, market, monkeypatch):
    before = current(own_store.root)
    monkeypatch.setattr(build_module, "definitions_version", lambda: "another")

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build_module.pq, "write_table", full)
    with pytest.raises(EnvironmentProblem, match="No disk space"):
        own_store.build()
    assert current(own_store.root) == before
    assert len(list((own_store.root / "builds").iterdir())) == 1
    monkeypatch.undo()
    assert own_store.get_historical_features(["AAA1"], ["sma_20"]).is_pit_validated


def test_a_build_that_breaks_at_any_file_leaves_what_was_there(own_store, market, monkeypatch):
    before = current(own_store.root)
    write = build_module.pq.write_table
    for broken in range(0, 18, 3):
        written = []

        def fail(*args, broken=broken, written=written, **options):
            if len(written) == broken:
                raise KeyboardInterrupt
            written.append(write(*args, **options))

        monkeypatch.setattr(build_module.pq, "write_table", fail)
        with pytest.raises(KeyboardInterrupt):
            build(market, own_store.root, Recipe(panel=f"panel{broken}"))
        assert current(own_store.root) == before
        assert [path.name for path in (own_store.root / "builds").iterdir()] == [before.name]


def killed(own_store, market, moments):
    """Kill a build without warning; whenever that is, the store reads as before or after, and can be built again."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from quantdesk.features.build import Recipe, build
        from quantdesk.market import MarketStore
        print("ready", flush=True)
        build(MarketStore(Path(sys.argv[1])), Path(sys.argv[2]), Recipe(panel=sys.argv[3]))
        """
    )
    for number, moment in enumerate(moments):
        before = current(own_store.root)
        arguments = [sys.executable, "-c", program, str(market.root), str(own_store.root), f"panel{number}"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        after = current(own_store.root)
        manifest = read_manifest(after)
        assert after == before or manifest.key == after.name
        assert all((after / name).is_file() for name in manifest.files)
    assert build(market, own_store.root, Recipe()).series == 9


def test_a_killed_build_leaves_what_was_there(own_store, market):
    killed(own_store, market, [0.4])


@pytest.mark.slow
def test_builds_killed_at_thirty_moments(own_store, market):
    killed(own_store, market, [0.05 * number for number in range(30)])


def test_a_half_build_is_not_taken_for_a_whole_one(own_store):
    folder = current(own_store.root)
    shutil.rmtree(folder / "sentiment")
    assert own_store.build().changed
    assert own_store.get_historical_features(["AAA1"], ["sentiment_z"]).is_pit_validated


@pytest.mark.parametrize("damage", ["{", "{}", '{"series": 1}'])
def test_a_damaged_manifest_is_named_and_made_again(own_store, damage):
    path = current(own_store.root) / MANIFEST
    path.write_text(damage)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        own_store.symbols()
    own_store.build()
    assert "AAA1" in own_store.symbols()


def test_without_a_market_or_a_build_the_error_says_what_to_do(tmp_path):
    store = FeatureStore(root=tmp_path / "none", market=MarketStore(tmp_path / "nothing"))
    with pytest.raises(DataError, match="no features in"):
        store.symbols()
    with pytest.raises(DataError, match="no market data"):
        store.build()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_named(market, tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        build(market, tmp_path / "features", Recipe())


def test_a_symbol_cannot_leave_the_store():
    for name in ("../../etc/passwd", "a/b", "..", "x\x00y"):
        made = partition("symbol", name)
        assert Path(made).name == made
        assert made.startswith("symbol=")


def test_the_manifest_says_where_every_number_comes_from(store, market):
    content = json.loads((current(store.root) / MANIFEST).read_text())
    assert content["market"] == market.version
    assert {one["id"] for one in content["series"]} == {series.id for series in market.series()}
    assert all({"package", "version", "licence", "sha256", "flags"} <= set(one) for one in content["series"])
    assert content["benchmark"] == "SPX"
    assert content["panel"] == ["AAA1", "BBB2", "CCC3", "DDD4"]


def test_values_are_what_the_formulas_say(store, market, sessions):
    """One number per feature, straight from prices with pandas: the tables hold what the names promise."""
    frame = market.bars("OHLC").frame.set_index("session")
    price, last = frame["adj_close"], -1
    benchmark = market.bars("SPX").frame.set_index("session")["close"]
    daily = price.pct_change()
    expected = {
        "sma_20": price.iloc[-20:].mean(),
        "sma_50": price.iloc[-50:].mean(),
        "sma_200": price.iloc[-200:].mean(),
        "bollinger_z_20": (price.iloc[-1] - price.iloc[-20:].mean()) / price.iloc[-20:].std(ddof=0),
        "ret_1d": price.iloc[-1] / price.iloc[-2] - 1,
        "ret_5d": price.iloc[-1] / price.iloc[-6] - 1,
        "ret_21d": price.iloc[-1] / price.iloc[-22] - 1,
        "mom_12_1": price.iloc[-22] / price.iloc[-253] - 1,
        "vol_21d": daily.iloc[-21:].std() * np.sqrt(252),
        "vol_63d": daily.iloc[-63:].std() * np.sqrt(252),
        "beta_252d": np.polyfit(benchmark.pct_change().iloc[-252:], daily.iloc[-252:], 1)[0],
        "drawdown_252d": price.iloc[-1] / price.iloc[-252:].max() - 1,
        "dollar_volume_21d": (frame["close"] * frame["volume"]).iloc[-21:].mean(),
        "amihud_21d": 1e6 * (daily.abs() / (frame["close"] * frame["volume"])).iloc[-21:].mean(),
    }
    found = store.get_historical_features(["OHLC"], list(expected)).to_pandas().iloc[last]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    scale = frame["adj_close"] / frame["close"]
    high, low, before = frame["high"] * scale, frame["low"] * scale, price.shift()
    ranges = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)[1:]
    wilder = pd.concat([pd.Series([ranges[:14].mean()]), ranges[14:]]).ewm(alpha=1 / 14, adjust=False).mean()
    atr = store.get_historical_features(["OHLC"], ["atr_14"]).to_pandas()["atr_14"]
    np.testing.assert_allclose(atr[14:], wilder, rtol=1e-9)
    assert set(FEATURES) > set(expected)
    assert dataclasses.is_dataclass(FEATURES["atr_14"])
