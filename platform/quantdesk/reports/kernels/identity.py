"""Whose zygote, and of what: the folder it has, and the fingerprint of the packages that it imported. An edge module.

Two processes may share a zygote when a process started anew by either would begin in the same state. What decides that
before the first line of a program runs is in `key`: account, interpreter, hard limits, control group, and the variables
that the loader, the interpreter and libraries read at their start. What may change while a zygote lives is in
`fingerprint`: the packages, and quantdesk's own files in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from quantdesk.errors import EnvironmentProblem

__all__ = ["DECISIVE", "LIMITS", "decisive", "fingerprint", "folder", "key", "private", "runtime"]

DECISIVE = (
    "PYTHON", "LD_", "MALLOC_", "GLIBC_", "LANG", "LC_", "HOME", "XDG_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_",
    "BLIS_", "GOTO_", "NUMBA_", "NUMEXPR_", "ARROW_", "JE_ARROW_", "MPLCONFIGDIR", "TQDM_", "SKLEARN_", "JOBLIB_",
    "PYDEVD_", "COVERAGE_",
)  # fmt: skip
"""Beginnings of the names of variables that act at the start of the interpreter, or when a library is loaded."""
LIMITS = tuple(sorted(name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"))
"""Resource limits of a process."""


def decisive(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that act before a program's first line."""
    return {name: environment[name] for name in sorted(environment) if name.startswith(DECISIVE)}


def key(environment: Mapping[str, str], modules: Sequence[str] = ()) -> str:
    """Twelve hexadecimal digits, the same for processes that may share a zygote.

    Parameters
    ----------
    environment
        Of the process to be.
    modules
        What is imported, when it is not the usual.
    """
    who = {
        "modules": list(modules),
        "account": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), sorted(os.getgroups())],
        "python": [sys.executable, sys.prefix, sys.version],
        "environment": decisive(environment),
        # A process without privileges cannot raise these again.
        "limits": [resource.getrlimit(getattr(resource, name))[1] for name in LIMITS],
        "group": _text("/proc/self/cgroup"),
    }
    return hashlib.sha256(json.dumps(who).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def folder(base: Path | None, environment: Mapping[str, str], modules: Sequence[str] = ()) -> Path:
    """The folder of the zygote for processes with this environment; it is not made here.

    Parameters
    ----------
    base
        Where zygotes have their folders, if that is said; else the private runtime directory.
    environment
        Of the process to be.
    modules
        As in `key`.
    """
    return runtime(base) / f"warm-{key(environment, modules)}"


def runtime(base: Path | None) -> Path:
    """Where the folders of zygotes are: `base` if it is given, else the private runtime directory of Jupyter."""
    if base is not None:
        return base
    given = os.environ.get("JUPYTER_RUNTIME_DIR")
    if given:
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 (pathlib raises)
    return Path(data, "jupyter", "runtime")


def private(path: Path) -> None:
    """Make a folder that nobody else can enter, or see that one is.

    Raises
    ------
    EnvironmentProblem
        It belongs to another account, or is open to others.
    OSError
        It cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EnvironmentProblem(
            f"{path} is not a private folder of this account.", "Remove it, or set QUANTDESK_KERNELS_FOLDER to another."
        )


def fingerprint() -> str:
    """Twelve hexadecimal digits that change when a package is installed, removed or edited."""
    seen = hashlib.sha256()
    for line in _packages():
        seen.update(line.encode("utf-8", "surrogateescape"))
    return seen.hexdigest()[:12]


def _packages() -> Iterator[str]:
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for place in sorted(places):
        try:
            with os.scandir(place) as entries:
                # A folder's own time changes with every file in it, so that of the installed lists is what counts.
                marks = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info", ".pth"))]
                yield from sorted(f"{entry.name} {entry.stat().st_mtime_ns}\n" for entry in marks)
        except OSError:
            continue
    own = Path(__file__).resolve().parents[2]
    if str(own.parent) in places:
        return
    for root, folders, files in os.walk(own):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith((".py", ".toml", ".json", ".css")):
                found = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118 (hundreds of files, at each start)
                yield f"{root}/{name} {found.st_mtime_ns} {found.st_size}\n"
