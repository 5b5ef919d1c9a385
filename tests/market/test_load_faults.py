"""A load that meets a full disk, a read-only folder, a rival or its own death."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.market import MarketStore, load

Snapshot = Callable[[Path], dict[str, tuple[int, int]]]


def test_no_space_left(
    tmp_path: Path, closes: Any, made: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_a_disk_that_is_really_full(tmp_path: Path, closes: Any, made: Any, snapshot: Snapshot) -> None:
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
(root / "secret").mkdir()
(root / "secret" / "catalogue.json").write_text("{}")
os.chmod(root / "secret" / "catalogue.json", 0)
if os.geteuid() == 0:
    os.setuid(65534)
assert len(MarketStore(root / "good").bars("SPX").frame) == len(fine)
for name in ("good", "fixed"):
    try:
        load(source, root / name)
    except EnvironmentProblem as error:
        print(error)
try:
    MarketStore(root / "secret").series()
except EnvironmentProblem as error:
    print(error)
"""


def test_a_read_only_folder_can_be_read_and_says_why_it_cannot_be_loaded() -> None:
    """As an ordinary user, in a folder of its own: other runs of pytest close the folder that they share."""
    folder = Path(tempfile.mkdtemp(prefix="quantdesk-read-only-"))
    folder.chmod(0o755)
    try:
        command = [sys.executable, "-c", textwrap.dedent(READ_ONLY), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path in [folder / "good", folder / "fixed", *folder.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    *refused, secret = done.stdout.strip().splitlines()
    assert len(refused) == 2
    assert all("cannot be written (Permission denied)" in line and str(folder) in line for line in refused)
    assert "catalogue.json cannot be read (Permission denied). Make it readable" in secret


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
