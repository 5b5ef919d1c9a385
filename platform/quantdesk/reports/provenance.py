"""What a run was made from: data, packages, commit, host. An edge module: it asks the machine."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import re
import shutil
import socket
import subprocess
from pathlib import Path

from quantdesk.errors import QuantdeskError
from quantdesk.home import checkout
from quantdesk.records import sha256_of
from quantdesk.reports.runs import Provenance

__all__ = ["collect"]


def collect() -> Provenance:
    """Ask once, at the start of a run. What cannot be told is None; nothing is guessed, and nothing raises."""
    root = checkout()
    lock = root / "requirements.lock" if root else None
    return Provenance(
        data_version=_data_version(),
        lock_sha256=sha256_of(lock) if lock and lock.is_file() else None,
        packages=_packages(),
        python=platform.python_version(),
        git_commit=_commit(root) if root else None,
        host=socket.gethostname(),
        user=_user(),
    )


def _data_version() -> str | None:
    from quantdesk.market import MarketStore

    try:
        return MarketStore().version
    except (QuantdeskError, OSError):
        return None  # no data are loaded: the notebook will say so itself if it needs them


def _packages() -> dict[str, str]:
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
        done = subprocess.run(
            [git, "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
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
