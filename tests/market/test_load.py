"""Loading: idempotent, whole or not at all, one writer, and honest about damage."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.market import MarketStore, RawSeries, bundled, load, remove
from quantdesk.market.store.load import GRACE

Snapshot = Callable[[Path], dict[str, tuple[int, int]]]


def test_a_second_load_of_the_same_bytes_writes_nothing(root: Path, snapshot: Snapshot) -> None:
    before = snapshot(root)
    started = time.monotonic()
    done = load(bundled(), root)
    assert time.monotonic() - started < 5  # it took a tenth of a second where this was written
    assert done.loaded == ()
    assert len(done.unchanged) == len(bundled())
    assert done.written == 0
    assert snapshot(root) == before


def test_the_same_bytes_give_the_same_store(tmp_path: Path, root: Path) -> None:
    sources = [source for source in bundled() if source.name in {"pmdarima", "vega-datasets"}]
    first, second = load(sources, tmp_path / "one"), load(list(reversed(sources)), tmp_path / "two")
    assert first.version == second.version
    assert (tmp_path / "one/catalogue.json").read_bytes() == (tmp_path / "two/catalogue.json").read_bytes()


def test_progress_names_each_step(tmp_path: Path, closes: Any, made: Any) -> None:
    told: list[tuple[str, int, int]] = []
    sources = [made("one", [closes("A", "one")]), made("two", [closes("B", "two")])]
    load(sources, tmp_path, progress=lambda what, done, total: told.append((what, done, total)))
    assert told == [("one", 0, 2), ("two", 1, 2), ("done", 2, 2)]


def test_only_a_changed_source_is_read(tmp_path: Path, closes: Any, made: Any) -> None:
    one, two = made("one", [closes("A", "one")]), made("two", [closes("B", "two")])
    load([one, two], tmp_path)
    changed = made("two", [closes("C", "two")], fingerprint="2")
    done = load([one, changed], tmp_path)
    assert (done.unchanged, done.loaded) == (("one",), ("two",))
    assert (one.reads, changed.reads) == (1, 1)
    assert [series.id for series in MarketStore(tmp_path).series()] == ["A@one", "C@two"]


def test_other_sources_stay(tmp_path: Path, closes: Any, made: Any) -> None:
    load([made("one", [closes("A", "one")])], tmp_path)
    load([made("two", [closes("A", "two", rows=20)])], tmp_path)
    store = MarketStore(tmp_path)
    assert [series.id for series in store.series()] == ["A@two", "A@one"]
    assert store.resolve("A").source == "two"  # the longer one
    assert remove("two", tmp_path) == 1
    assert store.resolve("A").source == "one"
    with pytest.raises(UnknownName, match="Unknown source 'two'"):
        remove("two", tmp_path)


def test_what_nothing_names_is_swept_after_a_while(tmp_path: Path, closes: Any, made: Any) -> None:
    load([made("one", [closes("A", "one")])], tmp_path)
    (old,) = tmp_path.glob("series=*/*.parquet")
    half = tmp_path / "series=A@one" / ".half.tmp"
    half.write_bytes(b"left by a crash")
    load([made("one", [closes("A", "one", at=7.0)], fingerprint="2")], tmp_path)
    assert old.exists()  # a reader may be about to open it
    long_ago = time.time() - GRACE - 60
    for path in (old, half):
        os.utime(path, (long_ago, long_ago))
    load([made("one", [closes("A", "one", at=7.0)], fingerprint="2")], tmp_path)
    assert not old.exists()
    assert not half.exists()
    assert MarketStore(tmp_path).bars("A").frame["close"].iloc[0] == 7.0


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "bytes instead of"),
        (lambda path: path.write_bytes(b""), "0 bytes instead of"),
        (lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]), "other bytes"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_damaged_file_is_named_and_refused_and_a_load_repairs_it(
    tmp_path: Path, closes: Any, made: Any, harm: Any, says: str
) -> None:
    source = made("one", [closes("A", "one"), closes("B", "one", at=5.0)])
    load([source], tmp_path)
    store = MarketStore(tmp_path)
    expected = store.bars("A").frame
    (path,) = tmp_path.glob("series=A@one/*.parquet")
    harm(path)
    with pytest.raises(DataError, match=says) as caught:
        store.bars("A")
    assert str(path) in str(caught.value)
    assert "quantdesk data load" in caught.value.remedy
    assert store.bars("B").frame["close"].iloc[0] == 5.0
    assert len(store.verify()) == 1
    done = load([source], tmp_path)
    assert done.repaired == (str(path.relative_to(tmp_path)),)
    pd.testing.assert_frame_equal(store.bars("A").frame, expected)
    assert store.verify() == []


def test_a_file_that_the_hash_vouches_for_and_parquet_does_not(tmp_path: Path, closes: Any, made: Any) -> None:
    import hashlib

    load([made("one", [closes("A", "one")])], tmp_path)
    (path,) = tmp_path.glob("series=A@one/*.parquet")
    path.write_bytes(b"not parquet at all")
    catalogue = json.loads((tmp_path / "catalogue.json").read_text())
    catalogue["entries"][0] |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}
    (tmp_path / "catalogue.json").write_text(json.dumps(catalogue))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        MarketStore(tmp_path).bars("A")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "entries": [{}]}', b"\xff\xfe"]
)
def test_a_damaged_catalogue_is_named(tmp_path: Path, content: bytes, closes: Any, made: Any) -> None:
    (tmp_path / "catalogue.json").write_bytes(content)
    for call in (lambda: MarketStore(tmp_path).series(), lambda: load([made("one", [closes("A", "one")])], tmp_path)):
        with pytest.raises(DataError, match=r"catalogue\.json"):
            call()
    assert (tmp_path / "catalogue.json").read_bytes() == content


def test_a_corrupt_bundled_file_is_named_and_the_store_keeps_what_it_had(
    tmp_path: Path, bundle: Path, closes: Any, made: Any, snapshot: Snapshot
) -> None:
    from quantdesk.market.sources import BundledSource

    copy = tmp_path / "bundled"
    shutil.copytree(bundle, copy)
    store = tmp_path / "store"
    source = BundledSource("vega-datasets", copy)
    load([source], store)
    before = snapshot(store)
    file = copy / "vega-datasets" / "sp500-2000.csv"
    file.write_bytes(file.read_bytes().replace(b"2386.129883", b"2386.129884"))
    manifest = copy / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "3.2.1"', 'version = "3.2.2"'))
    from quantdesk.market.sources import bundle as reader

    reader._manifest.cache_clear()
    with pytest.raises(DataError, match=r"sp500-2000\.csv is corrupt"):
        load([made("other", [closes("A", "other")]), source], store)
    assert snapshot(store) == before
    assert [series.id for series in MarketStore(store).series()] == ["SPX@vega-datasets"]
    file.unlink()
    with pytest.raises(DataError, match=r"sp500-2000\.csv cannot be read"):
        load([source], store)
    manifest.write_text("format = ")
    reader._manifest.cache_clear()
    with pytest.raises(DataError, match=r"manifest\.toml"):
        load([source], store)
    reader._manifest.cache_clear()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"symbol": "../x"}, "symbol '../x'"),
        ({"symbol": "A/B"}, "symbol 'A/B'"),
        ({"symbol": "A@B"}, "symbol 'A@B'"),
        ({"symbol": "Ünïcödé"}, "symbol"),
        ({"symbol": ""}, "symbol ''"),
        ({"symbol": "A" * 33}, "symbol"),
        ({"kind": "tulip"}, "kind 'tulip'"),
        ({"fields": ("volume",)}, "fields volume"),
        ({"fields": ("close", "open")}, "fields close, open"),
        ({"adjustment": "splits"}, "its flag denies it"),
        ({"source": "other"}, "under the name of another source"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, closes: Any, made: Any, describe: Any, change: dict[str, Any], says: str
) -> None:
    raw = RawSeries(describe(**change), closes().frame)
    with pytest.raises(DataError) as caught:
        load([made("made", [raw])], tmp_path)
    assert says in str(caught.value)
    assert not list(tmp_path.glob("series=*"))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"session": pd.DatetimeIndex([]), "close": np.array([], dtype=float)}), "holds no rows"),
        (pd.DataFrame({"session": pd.to_datetime(["2020-01-03", "2020-01-02"]), "close": [1.0, 2.0]}), "come after"),
        (pd.DataFrame({"session": pd.to_datetime(["2020-01-02", "2020-01-02"]), "close": [1.0, 2.0]}), "come after"),
        (pd.DataFrame({"session": pd.to_datetime(["2020-01-02"]), "close": [np.inf]}), "be a finite number"),
        (pd.DataFrame({"session": pd.to_datetime(["2020-01-02"]), "close": ["1"]}), "be of type float64"),
        (
            pd.DataFrame({"session": pd.to_datetime(["2020-01-02"]), "last": [1.0]}),
            "the column last should not be there. 1 more",
        ),
        (
            pd.DataFrame({"session": pd.to_datetime(["2020-01-02", None]), "close": [1.0, 2.0]}),
            "session is NaT; it should",
        ),
    ],
)
def test_rows_that_no_series_can_have(tmp_path: Path, made: Any, describe: Any, frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(DataError) as caught:
        load([made("made", [RawSeries(describe(), frame)])], tmp_path)
    assert says in str(caught.value)
    assert str(caught.value).startswith("TEST@made")


def test_sources_need_their_own_names(tmp_path: Path, closes: Any, made: Any, describe: Any) -> None:
    with pytest.raises(BadInput, match="Two sources are called 'one'"):
        load([made("one", []), made("one", [])], tmp_path)
    for name in ("../one", "One", "", "a/b", "x" * 40):
        with pytest.raises(BadInput, match="cannot be used"):
            load([made(name, [])], tmp_path)
    with pytest.raises(DataError, match="A@one twice"):
        load([made("one", [closes("A", "one"), closes("A", "one")])], tmp_path)
    with pytest.raises(DataError, match="TEST@made: Unknown calendar 'XXXX'"):
        load([made("made", [RawSeries(describe(calendar="XXXX"), closes().frame)])], tmp_path)
    assert not list(tmp_path.glob("series=*"))
