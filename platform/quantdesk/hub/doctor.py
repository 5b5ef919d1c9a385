"""Is this installation well? Each check gives a finding: what was found, and what to do about it. An edge module."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import EnvironmentProblem, QuantdeskError
from quantdesk.home import checkout, state_dir
from quantdesk.hub import launch, proxy, reach
from quantdesk.hub.config import HubFiles

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
        What was looked at: python, packages, data, features, port, disk, permissions, limits ….
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
        ("interpreter", lambda: _interpreter(HubFiles(state))),
        ("disk", lambda: _disk(state)),
        ("permissions", lambda: _permissions(state)),
        ("proxy", lambda: _proxy(state)),
        ("data", _data),
        ("features", _features),
        ("databases", lambda: _databases(state)),
        ("login", _login),
        ("limits", lambda: _limits(state)),
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
    yield Finding(
        "permissions", "ok", f"{there} can be written" + (", the hub's files are private" if secret.exists() else "")
    )


def _interpreter(files: HubFiles) -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield Finding("interpreter", "ok", "one person's hub: nobody else needs to reach it")
        return
    reach.check(files)
    yield Finding("interpreter", "ok", f"every account can execute {sys.executable}")


def _proxy(state: Path) -> Iterator[Finding]:
    if proxy.installed(state):
        yield Finding("proxy", "ok", f"configurable-http-proxy on {proxy.node()}")
    else:
        yield Finding("proxy", "fail", f"There is no proxy in {state / 'proxy'}.", "Run make up.")


def _data() -> Iterator[Finding]:
    from quantdesk.market import MarketStore

    store = MarketStore()
    damaged = store.verify()
    if damaged:
        remedy = "Run quantdesk data load, which writes damaged files again."
        yield Finding("data", "fail", f"{len(damaged)} damaged: {', '.join(damaged[:3])}.", remedy)
    else:
        series = store.series()
        rows = sum(one.rows for one in series)
        yield Finding("data", "ok", f"{len(series)} series, {rows:,} rows, every file as its hash says")


def _features() -> Iterator[Finding]:
    from quantdesk.features import FeatureStore, publish

    store = FeatureStore()
    symbols, until = len(store.symbols()), publish.filled_until(store.root)
    yield Finding(
        "features", "ok", f"{len(store.features())} features of {symbols} series; online store filled {until:%Y-%m-%d}"
    )


def _login() -> Iterator[Finding]:
    from quantdesk.hub.auth.probe import probe
    from quantdesk.hub.config import HubConfig

    yield Finding("login", "ok", probe(HubConfig.from_env()))


def _limits(state: Path) -> Iterator[Finding]:
    """What holds servers to their profiles, and why not more does: for a hub that runs as it is there, else as here."""
    from quantdesk.hub.config import HubConfig
    from quantdesk.hub.limits.given import profiles_in
    from quantdesk.hub.limits.groups import Unavailable, place
    from quantdesk.hub.limits.share import fitting
    from quantdesk.hub.limits.watch import machine
    from quantdesk.hub.sweep import marked, of_mark

    config = HubConfig.from_env()
    if config.profiles is None:
        yield Finding("limits", "ok", "no profiles (QUANTDESK_HUB_PROFILES): servers have no limits")
        return
    offered = fitting(profiles_in(config.profiles), machine())
    held = f"{', '.join(one.name for one in offered)}: held by affinity, limits of addresses and a watchdog"
    hubs = [one.pid for one in of_mark(marked(state)) if "jupyterhub" in one.cmdline()]
    try:
        found = place(process=Path("/proc", str(hubs[0]) if hubs else "self"))
    except Unavailable as why:
        yield Finding("limits", "ok", f"{held}; without control groups: {why}")
    else:
        yield Finding("limits", "ok", f"{held}, and by a control group for each server in {found.path}")


def _databases(state: Path) -> Iterator[Finding]:
    """The servers that the settings name: whether they answer. Files are looked at by whoever opens them."""
    from quantdesk.hub.backup.databases import tables_of
    from quantdesk.hub.backup.plan import plan
    from quantdesk.hub.config import HubConfig
    from quantdesk.hub.database import SCHEMA
    from quantdesk.records.address import Address

    found = plan(HubConfig.from_env(), HubFiles(state)).databases
    servers: dict[str, tuple[Address, list[str]]] = {}
    for name, place in found.items():
        if isinstance(place, Address):
            servers.setdefault(str(place), (place, []))[1].append(name)
    for shown, (address, names) in servers.items():
        tables_of(address, (SCHEMA,))  # it answers, or says why not
        yield Finding("databases", "ok", f"{', '.join(names)} in {shown}")
        if shutil.which("pg_dump") is None:
            remedy = "Install PostgreSQL's client programs (Debian: postgresql-client)."
            yield Finding("databases", "warn", "There is no pg_dump, which quantdesk backup needs.", remedy)
    files = [name for name, place in found.items() if isinstance(place, Path)]
    if files:
        yield Finding("databases", "ok", f"{', '.join(files)} in files")
    redis = found.get("online")
    if isinstance(redis, str):
        yield from _redis(redis)


def _redis(shown: str) -> Iterator[Finding]:
    from quantdesk.features.publish import online_store

    backend = online_store(state_dir())
    try:
        backend.states()
    finally:
        backend.close()
    yield Finding("databases", "ok", f"the online store in {shown}")


def _port(port: int) -> Iterator[Finding]:
    try:
        launch.check_port(port)
    except EnvironmentProblem as error:
        # Whoever asks may well have the hub running: that is no fault of the installation.
        yield Finding("port", "warn", error.problem, f"If that is not quantdesk itself: {error.remedy}")
        return
    yield Finding("port", "ok", f"port {port} of 127.0.0.1 is free")
