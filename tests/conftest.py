"""What tests of several stages need: the bundled data, a Chromium, a PostgreSQL, a Redis, a zygote; who runs what.

There is one Chromium a process, as Playwright allows only one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

# As in our own programs, see quantdesk.reports.grammar: it would take seconds in each process. Nothing of quantdesk is
# imported here, because coverage has not begun.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A test starts no process that outlives it: those of warm kernels switch them on and end what they start.
os.environ.setdefault("QUANTDESK_KERNELS_WARM", "false")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """A Chromium of this machine: as ``CHROMIUM`` says, on the path, or installed from Debian where that is allowed."""
    named = os.environ.get("CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for line in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(line, env=quiet, capture_output=True, check=False)
    return shutil.which("chromium")


def beside(name: str) -> Any:
    """A module of this folder; tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec
        assert spec.loader
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


for _name in ("loops", "modules"):  # `from loops import Loop` and `from modules import module_at` find them
    beside(_name)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, which reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who shares something that is made once a module runs in one process; coverage does not look at drawn examples.

    A module's fixtures would be made in each process that runs a test of it. Tests that are in no group come last, one
    by one, so that no process is left without work.

    What property tests run, tests of examples run too: under coverage the same lines would be counted some hundred
    times, at twice the time.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group") and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
        if getattr(getattr(item, "function", None), "is_hypothesis_test", False):
            item.add_marker("no_cover")


def _shares(item: pytest.Item) -> bool:
    found = getattr(item, "_fixtureinfo", None)
    return found is not None and any(one[-1].scope == "module" for one in found.name2fixturedefs.values())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Data that are made once for all processes: ``prepared.market()`` and ``prepared.features()``, to read only.

    ``prepared.state(target)`` makes a state directory of a test's own with both. See tests/prepared.py.
    """
    module = beside("prepared")
    given = os.environ.get(module.GIVEN)
    folder = Path(given) if given else _common(tmp_path_factory) / "prepared"
    return SimpleNamespace(
        market=lambda: module.market(folder),
        features=lambda: module.features(folder),
        state=lambda target: module.state(folder, target),
    )


def _common(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of this run share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def shared_zygote(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The zygote of all processes of this run, started when it is first used. See tests/zygote.py."""
    return beside("zygote").Shared(_common(tmp_path_factory) / "zygotes")


@pytest.fixture(scope="module")
def forked(shared_zygote: Any) -> Iterator[Any]:
    """Reports and kernels of this module are forked: for tests that look at what they do, not at how they start."""
    with shared_zygote.used():
        yield shared_zygote


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last process ends the zygote that all of them used."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = session.config._tmp_path_factory.getbasetemp() / "zygotes"  # type: ignore[attr-defined]
        if folder.is_dir():
            beside("zygote").Shared(folder).end()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, headless. Without one, a failure on CI, and elsewhere a test that is skipped with the reason."""
    program = find_chromium()
    if program is None:
        reason = "no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    flags = [
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real PostgreSQL server: ``postgres()`` makes a fresh database and gives its URL. See tests/postgresql.py.

    Without one, a failure on CI, and elsewhere a test that is skipped with the reason.
    """
    module = beside("postgresql")
    programs = module.find_postgres()
    if programs is None:
        reason = "no PostgreSQL: install it (Debian: apt-get install postgresql) or put its programs on the PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    cluster = module.Cluster(programs)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Any]:
    """A real Redis server: ``redis_server()`` gives the URL of an empty database. See tests/redisserver.py.

    Without one, a failure on CI, and elsewhere a test that is skipped with the reason.
    """
    module = beside("redisserver")
    program = module.find_redis()
    if program is None:
        reason = "no Redis: install it (Debian: apt-get install redis-server) or put redis-server on the PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = module.Server(program)
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Any) -> str:
    """The URL of an empty database of a real Redis."""
    return str(redis_server())
