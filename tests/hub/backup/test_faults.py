"""Killed at any moment, or out of disk: a backup is there whole or not at all, and so is what is restored."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub import backup as backups
from quantdesk.hub.backup.put_back import unfinished
from quantdesk.hub.config import HubFiles

BACKUP = (
    "from quantdesk.hub import backup as b; from pathlib import Path; print('begun', flush=True); b.backup(Path({!r}))"
)
RESTORE = (
    "from quantdesk.hub import backup as b; from pathlib import Path; from quantdesk.hub.backup import put_back; "
    "print('begun', flush=True); b.restore(Path({!r}), replace=True)"
)


def killed(code: str, delay: float) -> bool:
    """Run code, and kill it after a while; whether it was still at work."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def swell(state: Path) -> None:
    """Make it large enough that it takes a moment."""
    for number in range(60):
        (state / "homes" / "ada" / f"large-{number}").write_bytes(os.urandom(300_000))


def test_a_backup_that_is_killed_is_not_there(small: SimpleNamespace) -> None:
    swell(small.state)
    rng = random.Random(7)
    struck = 0
    for number in range(4):
        target = small.target / f"{number}.backup.tar"
        if killed(BACKUP.format(str(target)), rng.uniform(0.0, 0.6)):
            struck += 1
            assert not target.exists() or backups.verify(target).runs == 3
    assert struck >= 2
    assert backups.verify(backups.backup(small.target).path).runs == 3


def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new(small: SimpleNamespace, estates: Any) -> None:
    swell(small.state)
    made = backups.backup(small.target)
    new = estates.seen(small.state)
    (small.state / "homes" / "ada" / "after.txt").write_text("made after the backup")
    old = estates.seen(small.state)
    rng = random.Random(11)
    struck = changed = 0
    for _ in range(4):
        struck += killed(RESTORE.format(str(made.path)), rng.uniform(0.0, 0.7))
        found = estates.seen(small.state)
        assert found in (old, new)
        assert unfinished(HubFiles(small.state)) is None, "a single rename needs no note"
        if found == new:
            changed += 1
            shutil.rmtree(small.state)
            aside = next(small.place.glob("state.before-restore-*"))
            aside.rename(small.state)
    assert struck >= 2
    backups.restore(made.path, replace=True)
    assert estates.seen(small.state) == new
    assert not list(small.place.glob(".state.restore-*")), "what a killed one left was not cleared"


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(small: SimpleNamespace, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        swell(small.state)
        with pytest.raises(EnvironmentProblem, match="No disk space is left"):
            backups.backup(disk)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
