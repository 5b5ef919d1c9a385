"""A secret cannot be committed: the hook that a developer installs refuses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with our hooks installed and our environment at hand."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in (".pre-commit-config.yaml", ".secrets.baseline", "pyproject.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / ".gitignore").write_text(".venv\n")
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "Test")
    git(folder, "config", "user.email", "test@example.invalid")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "start")
    run(folder, str(Path(sys.executable).with_name("pre-commit")), "install")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"PRE_COMMIT_HOME": str(folder.parent / "cache"), "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "git", *arguments)


def test_a_secret_blocks_the_commit(clone: Path) -> None:
    # Put together here, so that this file holds no secret itself.
    (clone / "settings.ini").write_text("aws_key = " + "AKIA" + "IOSFODNN7EXAMPLQ" + "\n")
    git(clone, "add", "settings.ini")
    refused = git(clone, "commit", "-m", "a secret")
    assert refused.returncode != 0
    assert "AWS Access Key" in refused.stdout + refused.stderr
    assert git(clone, "log", "--format=%s").stdout == "start\n"


def test_what_holds_no_secret_is_committed(clone: Path) -> None:
    (clone / "settings.ini").write_text("port = 8000\n")
    git(clone, "add", "settings.ini")
    accepted = git(clone, "commit", "-m", "a setting")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr


def test_a_notebook_with_outputs_is_refused(clone: Path) -> None:
    (clone / "notebooks").mkdir()
    cell = '{"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "outputs": [], "source": "1"}'
    text = '{"cells": [' + cell + '], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    (clone / "notebooks" / "x.ipynb").write_text(text)
    git(clone, "add", "notebooks")
    refused = git(clone, "commit", "-m", "a notebook with outputs")
    assert refused.returncode != 0
    assert "notebooks hold no outputs" in refused.stdout + refused.stderr
