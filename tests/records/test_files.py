"""Files are there whole or not at all, whoever dies when."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.records import atomic_directory, atomic_write, exclusive, sha256_of


def test_a_finished_write_replaces_and_sets_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with atomic_write(target, mode=0o600) as temporary:
        temporary.write_text("one")
    with atomic_write(target, mode=0o640) as temporary:
        temporary.write_text("two")
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(target.parent) == ["file.txt"]


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_killed_writer_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    script = (
        "import sys, time, pathlib; from quantdesk.records import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as t:\n"
        "    t.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    assert target.read_text() == "old"


def test_a_directory_appears_whole_and_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), atomic_directory(target) as temporary:
        (temporary / "half").write_text("x")
        raise ZeroDivisionError
    assert not target.exists()
    with atomic_directory(target) as temporary:
        (temporary / "whole").write_text("x")
    assert [path.name for path in target.iterdir()] == ["whole"]
    with pytest.raises(FileExistsError), atomic_directory(target) as temporary:
        (temporary / "other").write_text("y")
    assert [path.name for path in target.iterdir()] == ["whole"]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "No disk space"), (errno.EROFS, "cannot be written"), (errno.EACCES, "writable")],
)
def test_what_the_disk_says_becomes_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(source: object, destination: object) -> None:
        raise OSError(number, os.strerror(number))

    target = tmp_path / "file.txt"
    target.write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(EnvironmentProblem, match=words) as caught, atomic_write(target) as temporary:
        temporary.write_text("new")
    assert str(target) in caught.value.problem
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_other_errors_of_the_disk_pass_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, destination: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="broken disk"), atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("new")


def test_a_lock_excludes_another_process_and_dies_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "one"
    script = (
        "import sys, time, pathlib; from quantdesk.records import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(EnvironmentProblem, match="has held"), exclusive(lock, timeout=0.2):
            pytest.fail("two processes held one lock")
        child.kill()
        child.wait()
        began = time.monotonic()
        with exclusive(lock, timeout=10):
            assert time.monotonic() - began < 10


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
