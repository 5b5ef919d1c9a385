"""Loading: idempotent, whole or not at all, one writer, and honest about damage."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.market import MarketStore, RawSeries, bundled, load, remove
from quantdesk.market.store.load import GRACE


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Every file's identity: a file that was written again has another inode."""
    return {
        str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_second_load_of_the_same_bytes_writes_nothing(root: Path) -> None:
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
    tmp_path: Path, bundle: Path, closes: Any, made: Any
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


def test_no_space_left(tmp_path: Path, closes: Any, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load([made("one", [closes("A", "one")])], tmp_path)
    before = snapshot(tmp_path)

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentProblem, match="No disk space is left"):
        load([made("one", [closes("A", "one", at=9.0)], fingerprint="2")], tmp_path)
    assert snapshot(tmp_path) == before
    assert MarketStore(tmp_path).bars("A").frame["close"].iloc[0] == 100.0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_is_really_full(tmp_path: Path, closes: Any, made: Any) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        load([made("one", [closes("A", "one")])], disk)
        before = snapshot(disk)
        with pytest.raises(EnvironmentProblem, match="No disk space is left"):
            load([made("one", [closes("A", "one", rows=20_000, start="1920-01-01")], fingerprint="2")], disk)
        assert snapshot(disk) == before
        assert MarketStore(disk).bars("A").frame["close"].iloc[0] == 100.0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


READ_ONLY = """
import os, sys
from pathlib import Path
import exchange_calendars, pandera.pandas, pyarrow.parquet, numpy, holidays  # while the files can be read
from quantdesk.errors import EnvironmentProblem
from quantdesk.market import MarketStore, bundled, load
root = Path(sys.argv[1])
source = [one for one in bundled() if one.name == "vega-datasets"]
load(source, root / "good")
fine = MarketStore(root / "good").bars("SPX").frame
for path in (root / "good").rglob("*"):
    os.chmod(path, 0o555 if path.is_dir() else 0o444)
os.chmod(root / "good", 0o555)
(root / "fixed").mkdir(mode=0o555)
if os.geteuid() == 0:
    os.setuid(65534)
assert len(MarketStore(root / "good").bars("SPX").frame) == len(fine)
for name in ("good", "fixed"):
    try:
        load(source, root / name)
    except EnvironmentProblem as error:
        print(error)
"""


def test_a_read_only_folder_can_be_read_and_says_why_it_cannot_be_loaded(tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    code = textwrap.dedent(READ_ONLY)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    for path in [tmp_path / "good", *(tmp_path / "good").rglob("*"), tmp_path / "fixed"]:
        path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip().splitlines()
    assert len(said) == 2
    assert all("cannot be written (Permission denied)" in line and str(tmp_path) in line for line in said)


def test_two_loads_at_once_take_turns(tmp_path: Path, closes: Any, made: Any) -> None:
    class Slow(made):  # type: ignore[misc]
        inside = 0

        def series(self) -> Any:
            Slow.inside += 1
            assert Slow.inside == 1
            time.sleep(0.2)
            yield from super().series()
            Slow.inside -= 1

    failed: list[BaseException] = []

    def run(name: str) -> None:
        try:
            load([Slow(name, [closes("A", name)])], tmp_path)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=run, args=(f"s{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [series.source for series in MarketStore(tmp_path).series()] == ["s0", "s1", "s2", "s3"]


KILLED = """
import itertools, json, os, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Made, closes
from quantdesk.market import MarketStore, load

root = Path(sys.argv[1])

def pair(name, at, *symbols):
    return Made(name, [closes(symbol, name, at=at) for symbol in symbols], str(at))


old = lambda: [pair("one", 1.0, "A", "B"), pair("two", 1.0, "C")]
new = lambda: [pair("one", 2.0, "A", "D"), pair("two", 2.0, "C")]
load(old(), root / "first")
before = MarketStore(root / "first").version
load(new(), root / "second")
after = MarketStore(root / "second").version
outcomes = []
for step in itertools.count():
    work = root / f"work{step}"
    shutil.copytree(root / "first", work)
    child = os.fork()
    if child == 0:
        seen = 0
        def dies(event, arguments):
            global seen
            paths = [os.fsdecode(given) for given in arguments if isinstance(given, (str, bytes, os.PathLike))]
            if any(str(work) in path for path in paths):
                if seen == step:
                    os._exit(9)
                seen += 1
        sys.addaudithook(dies)
        load(new(), work)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    store = MarketStore(work)
    outcomes.append((code, "old" if store.version == before else "new" if store.version == after else "neither"))
    assert store.verify() == []
    for series in store.series():
        store.bars(series.id)
    load(new(), work)
    assert MarketStore(work).version == after and MarketStore(work).verify() == []
    shutil.rmtree(work)
    if code == 0:
        break
print(json.dumps(outcomes))
"""


def test_killed_at_any_step_a_load_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    """Dies before every single file operation in turn: open, rename, remove, chmod, mkdir, …"""
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert len(outcomes) > 30
    assert all(code == 9 for code, _ in outcomes[:-1])
    assert outcomes[-1] == [0, "new"]
    states = [state for _, state in outcomes]
    turn = states.index("new")
    assert set(states[:turn]) == {"old"}
    assert set(states[turn:]) == {"new"}
    assert turn > 20
