"""Whether another account of this machine can run a server of the hub: what it must enter, read and execute.

An edge module. The hub's users get system accounts of their own, and these need the interpreter, the packages and the
data, which may lie in a directory that only root can enter. Asked before the hub starts, that is one clear message
instead of a server that never comes up.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import quantdesk
from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.config import HubFiles
from quantdesk.reports.notebooks import NotebooksConfig

__all__ = ["ANYBODY", "Barrier", "barrier", "check", "needed"]

ANYBODY = 65534
"""The number of an account that owns nothing: what it may do, every account of a user may do."""


@dataclass(frozen=True)
class Barrier:
    """The first thing on a path that an account may not enter or read.

    Attributes
    ----------
    path
        What was wanted.
    at
        Where it ends: `path` itself or a directory above it.
    mode
        The permission bits there, or None when it does not exist.
    """

    path: Path
    at: Path
    mode: int | None

    def __str__(self) -> str:
        if self.mode is None:
            return f"{self.at} does not exist"
        return f"{self.at} is closed to other accounts (mode {self.mode:04o})"


def barrier(path: Path, uid: int, gid: int, *, execute: bool = False) -> Barrier | None:
    """What keeps an account from reading `path`, by the permission bits; None when nothing does.

    Parameters
    ----------
    path
        An absolute path. Symbolic links are followed, and the way to the link counts as well as the way to its target.
    uid, gid
        The account and its only group.
    execute
        Whether `path`, a file, must be executable too. A directory must always be enterable.
    """
    for way in dict.fromkeys([path, path.resolve()]):
        for step in [*reversed(way.parents), way]:
            try:
                found = step.stat()
            except OSError:
                return Barrier(path, step, None)
            wanted = stat.S_IXOTH if step != way else stat.S_IROTH
            if step == way and (execute or stat.S_ISDIR(found.st_mode)):
                wanted |= stat.S_IXOTH
            shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
            if uid != 0 and (found.st_mode >> shift) & wanted != wanted:
                return Barrier(path, step, stat.S_IMODE(found.st_mode))
    return None


def needed(files: HubFiles) -> list[Path]:
    """What a server of a user reads or executes, besides the user's own home."""
    packages = [Path(entry) for entry in sys.path if entry.endswith("site-packages") and Path(entry).is_dir()]
    paths = [
        Path(sys.executable),
        Path(sysconfig.get_path("stdlib")),
        *packages,
        Path(quantdesk.__file__).parent,
        files.state,
    ]
    shared = (files.lab, files.state / "market", files.state / "features", NotebooksConfig.from_env().folder)
    return list(dict.fromkeys([*paths, *(folder for folder in shared if folder.exists())]))


def check(files: HubFiles, uid: int = ANYBODY, gid: int = ANYBODY, paths: Iterable[Path] | None = None) -> None:
    """Check that an account can start a server: by the permission bits first, and then by really starting Python.

    Parameters
    ----------
    files
        Where the hub keeps its files.
    uid, gid
        The account to ask for.
    paths
        What it needs; None takes `needed`.

    Raises
    ------
    EnvironmentProblem
        It cannot; the message names the directory that is closed.
    """
    for path in needed(files) if paths is None else paths:
        found = barrier(path, uid, gid, execute=path == Path(sys.executable))
        if found is not None:
            raise EnvironmentProblem(
                f"The servers of the hub's users cannot reach {path}: {found}.",
                f"Open it (chmod o+rx {found.at}), move quantdesk to a folder that everybody may enter, such as "
                "/opt/quantdesk, or run it as an ordinary user for one person.",
            )
    if os.geteuid() != 0:
        return
    line = [sys.executable, "-P", "-c", "import jupyterhub, quantdesk"]
    try:
        done = subprocess.run(
            line,
            user=uid,
            group=gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"Another account cannot start {sys.executable} ({error.strerror}).",
            "Is its disk mounted noexec? Move quantdesk to one that is not.",
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(
            f"Another account cannot start {sys.executable}: {last}",
            "Give everybody the right to read the packages (chmod -R o+rX), or run the hub as an ordinary user.",
        )
