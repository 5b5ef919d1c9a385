"""Machine code that this installation has already, for an account that cannot write beside the source. An edge module.

numba keeps the machine code of a function beside its source where it may write there, and in a folder of the account
otherwise; what is beside the source it does not even read then. Each user of a hub would compile anew what is there
for all of them, a minute at the first notebook. So it is copied, by a process of the account itself, before anything
is compiled.

The code beside the source is as trustworthy as the source: the same account wrote both. numba looks at its own stamps
when it loads a copy, and compiles what does not fit.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

__all__ = ["PACKAGES", "inherit"]

PACKAGES = ("quantdesk", "vectorbt")
"""Packages that keep machine code."""


def inherit() -> int:
    """Copy what this account lacks; a function of which it has any code already is left alone.

    Returns
    -------
    int
        How many functions were copied. 0 where there is nothing to do: this account writes beside the source, the
        environment names another place (``NUMBA_CACHE_DIR``), or the disk is full.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return 0
    base, count = _of_account(), 0
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            continue
        folder = Path(found.origin).parent
        if os.access(folder / "__pycache__", os.W_OK):
            continue  # as everywhere below it, and to look there would take each report's time
        for indexes in sorted(folder.rglob("__pycache__")):
            if not os.access(indexes, os.W_OK):
                with contextlib.suppress(OSError):
                    count += _folder(indexes, base)
    return count


def _of_account() -> Path:
    """Where numba keeps code for an account."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "numba"


def _folder(beside: Path, base: Path) -> int:
    source = beside.parent
    # The name that numba gives to the folder of a source folder.
    target = base / f"{source.name}_{hashlib.sha1(str(source).encode(), usedforsecurity=False).hexdigest()}"
    return sum(_function(index, target) for index in sorted(beside.glob("*.nbi")))


def _function(index: Path, target: Path) -> bool:
    """The code of one function: its parts first, and then the index that names them."""
    if (target / index.name).exists():
        return False
    target.mkdir(parents=True, exist_ok=True)
    parts = sorted(index.parent.glob(f"{index.stem}.*.nbc"))
    return all(_placed(path, target / path.name) for path in (*parts, index))


def _placed(path: Path, target: Path) -> bool:
    """Copy a file whole or not at all, and replace nothing: another process may be compiling the same function."""
    content = path.read_bytes()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".inherited-")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        try:
            os.link(name, target)
        except FileExistsError:
            return target.suffix == ".nbc" and target.read_bytes() == content
    finally:
        Path(name).unlink()
    return True
