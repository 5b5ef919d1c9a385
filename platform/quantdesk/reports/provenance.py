"""What a run was made from: data, features, packages, code, host. An edge module: it asks the machine."""

from __future__ import annotations

import datetime as dt
import functools
import getpass
import hashlib
import importlib.metadata
import json
import platform
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantdesk.errors import QuantdeskError
from quantdesk.home import checkout
from quantdesk.records import sha256_of
from quantdesk.reports.result import Provenance

__all__ = ["NOTHING", "collect", "packages", "settled"]

NOTHING = "none"
"""The version of features where none were built: that is known, and is not the same as not being known."""


def collect() -> Provenance:
    """Ask once, at the start of a run. What cannot be told is None; nothing is guessed, and nothing raises."""
    root = checkout()
    lock = root / "requirements.lock" if root else None
    commit = _commit(root) if root else None
    data, until = _data()
    return Provenance(
        data_version=data,
        data_until=until,
        lock_sha256=sha256_of(lock) if lock and lock.is_file() else None,
        packages=dict(packages()),
        python=platform.python_version(),
        git_commit=commit,
        code_version=commit if commit and "+" not in commit else _code(),
        host=socket.gethostname(),
        user=_user(),
        **_features(),
    )


def settled(begun: Provenance) -> Provenance:
    """What a run that ends now was made from: as it began, with a word on what was exchanged under it.

    A run reads data and features when its cells get there, so what changed meanwhile may have gone in, or in part.
    """
    data, _ = _data()
    changed = [
        name
        for name, before, now in (
            ("data", begun.data_version, data),
            ("features", begun.features_version, _features()["features_version"]),
        )
        if before != now
    ]
    return replace(begun, changed=", ".join(changed))


def _data() -> tuple[str | None, str | None]:
    """Version of the market store, and its newest day."""
    from quantdesk.market import MarketStore

    try:
        store = MarketStore()
        return store.version, max((series.end for series in store.series()), default=dt.date.min).isoformat()
    except (QuantdeskError, OSError):
        return None, None  # no data are loaded: the notebook will say so itself if it needs them


def _features() -> dict[str, Any]:
    """The current build of the embedded feature store.

    Its manifest is read as it lies (see :mod:`quantdesk.features.build`): the stage that wrote it takes a second to
    import, which every run would wait for. A team's store in a database is not asked, and so not known.
    """
    from quantdesk.features.config import FeatureConfig

    names = ("features_version", "features_data", "features_code", "features_until")
    unknown: dict[str, Any] = dict.fromkeys(names)
    try:
        config = FeatureConfig.from_env()
        if config.url is not None:
            return unknown
        link = config.root / "offline"
        if not link.is_symlink() and not link.exists():
            return {**unknown, "features_version": NOTHING}
        manifest = json.loads((link.resolve(strict=True) / "manifest.json").read_text("utf-8"))
        loads = manifest["loads"]
        known = (manifest["key"], manifest["market"], manifest["definitions"], loads[-1]["at"] if loads else None)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return unknown
    return dict(zip(names, known, strict=True))


def _code() -> str | None:
    """A hash of this package's files, where no commit tells what they are."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    try:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None  # a file went away meanwhile
    return f"sha256:{digest.hexdigest()}"


@functools.cache  # what is imported here stays what it was; a zygote ends when packages change
def packages() -> dict[str, str]:
    """Versions of what quantdesk depends on, by name; asked once, because reading them takes a while."""
    found = {}
    for requirement in importlib.metadata.requires("quantdesk") or ():
        name = re.split(r"[\s\[;<>=!~]", requirement, maxsplit=1)[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or extra
    return found


def _commit(root: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        # The checkout may be another account's, as it is under a hub that root runs. This code came from it as well.
        done = subprocess.run(
            [git, "-c", f"safe.directory={root}", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("+changes" if ask("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return ""
