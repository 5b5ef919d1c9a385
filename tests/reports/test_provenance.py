"""What a run says about where it came from; what cannot be told is None, and nothing is guessed."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from quantdesk.reports import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "requirements.lock").write_text("a==1\n")
    monkeypatch.setattr(provenance, "checkout", lambda: root)
    return root


def test_lock_packages_and_python_are_named(checkout: Path) -> None:
    found = provenance.collect()
    assert found.lock_sha256 == hashlib.sha256(b"a==1\n").hexdigest()
    assert found.packages["papermill"] == version("papermill")
    assert found.packages["pandera"] == version("pandera")  # asked for with an extra
    assert found.python == platform.python_version()
    assert found.host
    assert found.data_version is None
    assert found.git_commit is None


def test_the_commit_is_named_and_changes_are_marked(checkout: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    commit = git(checkout, "rev-parse", "HEAD")
    assert provenance.collect().git_commit == commit
    (checkout / "untracked").touch()
    assert provenance.collect().git_commit == commit
    (checkout / "requirements.lock").write_text("a==2\n")
    assert provenance.collect().git_commit == f"{commit}+changes"


def test_a_repository_that_git_cannot_read_gives_no_commit(checkout: Path) -> None:
    (checkout / ".git").mkdir()
    assert provenance.collect().git_commit is None


def test_nothing_is_guessed_without_checkout_git_or_account(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git").mkdir()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert provenance.collect().git_commit is None
    monkeypatch.setattr(provenance, "checkout", lambda: None)

    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(provenance.getpass, "getuser", nobody)
    found = provenance.collect()
    assert (found.lock_sha256, found.git_commit, found.user) == (None, None, "")
