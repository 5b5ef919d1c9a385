"""What tests of several stages need: one Chromium per process, as Playwright allows only one; a PostgreSQL; a Redis."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

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
    spec = importlib.util.spec_from_file_location("postgresql", Path(__file__).with_name("postgresql.py"))
    assert spec
    assert spec.loader
    module = sys.modules["postgresql"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
    spec = importlib.util.spec_from_file_location("redisserver", Path(__file__).with_name("redisserver.py"))
    assert spec
    assert spec.loader
    module = sys.modules["redisserver"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
