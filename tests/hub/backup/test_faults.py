"""Killed at any moment, or out of disk: a backup is there whole or not at all, and so is what is restored."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.hub import backup as backups
from quantdesk.hub import database
from quantdesk.hub.backup.note import unfinished
from quantdesk.hub.config import HubConfig, HubFiles

#: Runs a call, and kills this process at the so-many-th thing that it does to files; 0 only counts.
CODE = """
import os, signal, sys
from pathlib import Path
from quantdesk.hub import backup as backups
from quantdesk.hub import database
backups.backup, backups.restore
last, count = int(sys.argv[1]), 0
def hook(event, _):
    global count
    if event in sys.argv[3].split():
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
{call}
print(count)
"""
ALL = "open os.rename os.mkdir os.chmod os.remove sqlite3.connect os.listdir"
BACKUP, RESTORE = "backups.backup(Path(sys.argv[2]))", "backups.restore(Path(sys.argv[2]), replace=True)"


def done(call: str, path: Path, last: int = 0, what: str = ALL) -> int:
    """Carry a call out in a process of its own: how much it did, or -1 where it was killed."""
    line = [sys.executable, "-c", CODE.format(call=call), str(last), str(path), what]
    process = subprocess.run(line, capture_output=True, text=True, check=False)
    assert process.returncode in (0, -signal.SIGKILL), process.stderr
    return int(process.stdout) if process.returncode == 0 else -1


def swell(state: Path) -> None:
    """Make it large enough that it takes a moment."""
    for number in range(60):
        (state / "homes" / "ada" / f"large-{number}").write_bytes(os.urandom(300_000))


def test_a_backup_that_is_killed_is_not_there(small: SimpleNamespace) -> None:
    swell(small.state)
    whole = done(BACKUP, small.target / "whole.tar")
    for number, last in enumerate((1, whole // 3, whole - 20, whole - 1)):
        target = small.target / f"{number}.tar"
        assert done(BACKUP, target, last) == -1
        assert not target.exists() or backups.verify(target).runs == 3
    assert not (small.target / "1.tar").exists()
    assert backups.verify(backups.backup(small.target).path).runs == 3


def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new(small: SimpleNamespace, estates: Any) -> None:
    swell(small.state)
    made = backups.backup(small.target)
    new = estates.seen(small.state)
    (small.state / "homes" / "ada" / "after.txt").write_text("made after the backup")
    old = estates.seen(small.state)
    original = small.place / "original"
    shutil.copytree(small.state, original, symlinks=True, ignore=shutil.ignore_patterns("pipe"))
    moves = done(RESTORE, made.path, what="os.rename")
    assert moves >= 2
    outcomes = []
    for last, what in ((1, ALL), (60, ALL), *((number, "os.rename") for number in range(1, moves + 1))):
        for left in small.place.iterdir():
            if left != original:
                subprocess.run(["rm", "-rf", str(left)], check=True)
        shutil.copytree(original, small.state, symlinks=True)
        assert done(RESTORE, made.path, last, what) == -1
        found = estates.seen(small.state)
        assert found in (old, new)
        outcomes.append(found == new)
        assert unfinished(HubFiles(small.state)) is None, "a single rename needs no note"
        after = [path for path in small.place.rglob("after.txt") if original not in path.parents]
        assert len(after) == 1, "what was there is lost, whether it is the state or not"
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}, "the moment of the change is not among them"
    backups.restore(made.path, replace=True)
    assert estates.seen(small.state) == new
    assert not list(small.place.glob(".state.*")), "what a killed one left was not cleared"
    assert len([path for path in small.place.rglob("after.txt") if original not in path.parents]) == 1


@pytest.fixture
def no_space() -> Any:
    """Files of this process can be no larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_no_room_for_a_backup(small: SimpleNamespace, no_space: Any) -> None:
    swell(small.state)
    no_space(1_000_000)
    with pytest.raises(EnvironmentProblem, match="No disk space is left"):
        backups.backup(small.target)
    assert [path.name for path in small.target.iterdir()] == ["place"]


def test_no_room_for_a_restore(small: SimpleNamespace, no_space: Any, estates: Any) -> None:
    made = backups.backup(small.target)
    before = estates.seen(small.state)
    no_space(5_000)
    with pytest.raises(EnvironmentProblem, match="No disk space is left beside"):
        backups.restore(made.path, replace=True)
    no_space(1 << 40)
    assert estates.seen(small.state) == before
    assert [path.name for path in small.place.iterdir()] == ["state"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[Path, str], Path]]:
    """``disk(path, "4m")`` mounts a small disk."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted: list[Path] = []

    def mount(path: Path, size: str) -> Path:
        path.mkdir(parents=True)
        line = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path)]
        if subprocess.run(line, check=False, capture_output=True).returncode != 0:
            pytest.skip("this machine lets nobody mount a tmpfs")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk(small: SimpleNamespace, tmp_path: Path, disk: Callable[[Path, str], Path]) -> None:
    swell(small.state)
    target = disk(tmp_path / "disk", "4m")
    with pytest.raises(EnvironmentProblem, match="No disk space is left"):
        backups.backup(target)
    assert list(target.iterdir()) == []


def test_a_state_that_is_a_mounted_volume(
    tmp_path: Path,
    disk: Callable[[Path, str], Path],
    plain: Callable[..., Path],
    estates: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cannot be renamed: what is in it changes places, and a note protects that."""
    state = plain(disk(tmp_path / "state", "200m"))
    (state / "lost+found").mkdir()
    estates.fill(state)
    seen = estates.seen(state)
    made = backups.backup(tmp_path / "kept.tar")
    with pytest.raises(BadInput, match="is not empty"):
        backups.restore(made.path)
    (state / "homes" / "ada" / "after.txt").write_text("made after the backup")

    honest, moves = Path.rename, 0

    def rename(self: Path, target: Any) -> Path:
        nonlocal moves
        moves += self.parent == state
        if moves == 3:
            raise OSError(5, "Input/output error")
        return honest(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(EnvironmentProblem, match="until then no hub starts"):
            backups.restore(made.path, replace=True)
    assert unfinished(HubFiles(state)) == str(made.path), "the hub may not start on half of each"
    done = backups.restore(made.path, replace=True)
    assert unfinished(HubFiles(state)) is None
    assert estates.seen(state) == seen
    assert Path(done.aside[0]).parent == state
    kept = state.glob(".before-restore-*/homes/ada/after.txt")
    assert [path.read_text() for path in kept] == ["made after the backup"]
    again = backups.backup(tmp_path / "again.tar")  # what was put aside is not backed up
    assert again.size < 1.5 * made.size
    for path in state.iterdir():
        if path.name != "lost+found":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    backups.restore(made.path)  # one that is empty but for what each disk has
    assert estates.seen(state) == seen
    assert {path.name for path in tmp_path.iterdir()} == {"state", "kept.tar", "again.tar"}


def test_one_that_is_killed_between_server_and_disk_keeps_the_hub_from_starting(
    tmp_path: Path, plain: Callable[..., Path], postgres: Any, estates: Any
) -> None:
    state = plain(tmp_path / "place" / "state", QUANTDESK_DATABASE=str(postgres()))
    estates.fill(state)
    seen, files = estates.seen(state), HubFiles(state)
    made = backups.backup(tmp_path / "kept.tar")
    assert done(RESTORE, made.path, 1, "os.rename") == -1  # the database is that of the backup, the disk not yet
    assert unfinished(files) == str(made.path)
    with pytest.raises(EnvironmentProblem, match="was interrupted"):
        database.prepare(HubConfig.from_env(), files)
    backups.restore(made.path, replace=True)
    assert unfinished(files) is None
    assert estates.seen(state) == seen
