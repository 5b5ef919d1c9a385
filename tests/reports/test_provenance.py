"""What a run says about where it came from; what cannot be told is None, and nothing is guessed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from dataclasses import replace
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


def test_the_commit_of_a_checkout_that_belongs_to_somebody_else_is_named(checkout: Path) -> None:
    """The worker of a hub that root runs has an account of its own, and the checkout is root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    commit = git(checkout, "rev-parse", "HEAD")
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 65534, 65534)
    with pytest.raises(subprocess.CalledProcessError):
        git(checkout, "rev-parse", "HEAD")
    assert provenance.collect().git_commit == commit


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


def test_the_code_is_named_by_its_commit_or_by_a_hash_of_its_files(checkout: Path) -> None:
    hashed = provenance.collect().code_version
    assert hashed is not None
    assert hashed.startswith("sha256:")
    assert provenance.collect().code_version == hashed
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    assert provenance.collect().code_version == git(checkout, "rev-parse", "HEAD")
    (checkout / "requirements.lock").write_text("a==2\n")
    assert provenance.collect().code_version == hashed


def build_of(state: Path, key: str, **changes: object) -> None:
    """A feature store whose current build is `key`, as far as its manifest tells."""
    folder = state / "features" / "builds" / key
    folder.mkdir(parents=True)
    loads = [{"at": "2026-11-26T22:00:00+00:00"}, {"at": "2026-11-27T22:00:00+00:00"}]
    manifest = {"key": key, "market": "m1", "definitions": "d1", "loads": loads, **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    link = state / "features" / "offline"
    link.unlink(missing_ok=True)
    link.symlink_to(folder)


def test_features_are_named_with_data_definitions_and_the_time_of_the_last_load(checkout: Path, state: Path) -> None:
    assert provenance.collect().features_version == provenance.NOTHING
    build_of(state, "k1")
    found = provenance.collect()
    assert found.features_version == "k1"
    assert (found.features_data, found.features_code) == ("m1", "d1")
    assert found.features_until == "2026-11-27T22:00:00+00:00"
    build_of(state, "k2", loads=[])
    assert provenance.collect().features_until is None
    assert provenance.settled(found).changed == "features"
    assert provenance.settled(provenance.collect()).changed == ""


def test_what_the_features_are_is_not_known_where_nobody_can_tell(
    checkout: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_of(state, "k1")
    (state / "features" / "builds" / "k1" / "manifest.json").write_text("{")
    assert provenance.collect().features_version is None
    (state / "features" / "builds" / "k1" / "manifest.json").unlink()
    assert provenance.collect().features_version is None
    monkeypatch.setenv("QUANTDESK_FEATURES_URL", "postgresql://desk@db.example.org/features")
    assert provenance.collect().features_version is None


def test_the_manifest_of_a_real_build_is_read(
    checkout: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout is that of the feature stage: were it to change there, this fails."""
    import pandas as pd

    from quantdesk import MarketStore, features, market

    days = pd.bdate_range("2026-01-02", periods=60)
    prices = pd.Series(range(100, 160), index=days, dtype=float)
    files = tmp_path / "files"
    files.mkdir()
    frame = pd.DataFrame({"date": days, **dict.fromkeys(("open", "high", "low", "close"), prices.to_numpy())})
    frame.assign(volume=1000.0).to_csv(files / "ABC.csv", index=False)
    market.load([market.FolderSource(files)])
    store = features.FeatureStore()
    built = store.build()
    found = provenance.collect()
    assert found.data_version == MarketStore().version
    assert found.data_until == days[-1].date().isoformat()
    assert found.features_version == built.key
    manifest = store.snapshot().manifest
    assert (found.features_data, found.features_code) == (manifest.market, manifest.definitions)
    assert found.features_until == manifest.loads[-1].at
    assert provenance.settled(found).changed == ""
    assert provenance.settled(replace(found, data_version="another")).changed == "data"
