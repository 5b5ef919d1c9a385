"""Is this installation well? Each check gives a finding: what was found, and what to do about it. An edge module."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import re
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import QuantdeskError
from quantdesk.home import checkout, state_dir

__all__ = ["Finding", "examine"]

SUPPORTED = ((3, 11), (3, 12), (3, 13))
#: Warn below this many free bytes, fail below a fifth of it.
COMFORTABLE_SPACE = 5_000_000_000


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes
    ----------
    check
        What was looked at: python, packages, data, features, port, disk, permissions ….
    status
        ``"ok"``, ``"warn"`` (works, but look at it) or ``"fail"``.
    found
        What there is.
    remedy
        What to do; empty when all is well.
    """

    check: str
    status: str
    found: str
    remedy: str = ""


def examine(port: int) -> list[Finding]:
    """Run every check. None of them changes anything.

    Parameters
    ----------
    port
        The port that the hub is to use on 127.0.0.1.
    """
    state = state_dir()
    checks: Sequence[tuple[str, Callable[[], Iterator[Finding]]]] = (
        ("python", _python),
        ("packages", _packages),
        ("interpreter", lambda: _reach(state)),
        ("disk", lambda: _disk(state)),
        ("permissions", lambda: _permissions(state)),
        ("proxy", lambda: _proxy(state)),
        ("data", _data),
        ("features", _features),
        ("port", lambda: _port(port)),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except QuantdeskError as error:
            findings.append(Finding(name, "fail", error.problem, error.remedy))
        except OSError as error:
            findings.append(Finding(name, "fail", f"{type(error).__name__}: {error}", "Correct that, then look again."))
    return findings


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in SUPPORTED:
        yield Finding("python", "ok", f"Python {version}")
    else:
        remedy = "Use Python 3.11, 3.12 or 3.13: make up PYTHON=python3.12"
        yield Finding("python", "fail", f"Python {version} is not supported.", remedy)


def _packages() -> Iterator[Finding]:
    root = checkout()
    if root is None:
        yield Finding("packages", "warn", "Not a checkout, so there is no lock file to compare with.")
        return
    wrong: list[str] = []
    pins = 0
    for line in (root / "requirements.lock").read_text().splitlines():
        pin = re.match(r"([a-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\", line)
        if pin is None or (pin[3] and not _applies(pin[3])):
            continue
        pins += 1
        try:
            there = importlib.metadata.version(pin[1])
        except importlib.metadata.PackageNotFoundError:
            there = "missing"
        if there != pin[2]:
            wrong.append(f"{pin[1]} is {there}, not {pin[2]}")
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        remedy = "Remove .venv/quantdesk-setup.json and run make up."
        yield Finding("packages", "fail", f"{len(wrong)} of {pins} differ from the lock: {shown}.", remedy)
    else:
        yield Finding("packages", "ok", f"{pins} packages as locked")


def _applies(marker: str) -> bool:
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def _disk(state: Path) -> Iterator[Finding]:
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.1f} GB free for {state}"
    if free >= COMFORTABLE_SPACE:
        yield Finding("disk", "ok", found)
    else:
        status = "warn" if free >= COMFORTABLE_SPACE / 5 else "fail"
        yield Finding("disk", status, found, "Free some, or set QUANTDESK_STATE to a larger disk.")


def _permissions(state: Path) -> Iterator[Finding]:
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("permissions", "fail", f"{there} cannot be written.", "Make it writable, or set QUANTDESK_STATE.")
        return
    secret = state / "hub"
    if secret.exists() and stat.S_IMODE(secret.stat().st_mode) & 0o077:
        mode = stat.S_IMODE(secret.stat().st_mode)
        yield Finding(
            "permissions", "fail", f"{secret} is open to other accounts (mode {mode:o}).", f"chmod 700 {secret}"
        )
        return
    yield Finding("permissions", "ok", f"{there} can be written" + (", the hub's files are private" if secret.exists() else ""))


def _port(port: int) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            yield Finding("port", "fail", f"{port} is no port.", "Give one from 1024 to 65535.")
            return
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            taken = error.errno == errno.EADDRINUSE
            found = f"Port {port} of 127.0.0.1 is " + ("in use." if taken else "reserved for root.")
            remedy = f"If that is not quantdesk itself, choose another: make up PORT={max(port, 8000) + 1}"
            yield Finding("port", "warn" if taken else "fail", found, remedy)
            return
    yield Finding("port", "ok", f"port {port} of 127.0.0.1 is free")
