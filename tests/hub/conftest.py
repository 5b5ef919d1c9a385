"""One ground and one hub with two users for all tests of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules import module_at

real_hub = module_at(Path(__file__).with_name("real_hub.py"))


@pytest.fixture(scope="session")
def real() -> Any:
    """The module that starts real hubs."""
    return real_hub


@pytest.fixture(scope="session")
def ground() -> Iterator[Any]:
    """A folder and an interpreter that every account can use."""
    with real_hub.ground() as prepared:
        yield prepared


@pytest.fixture(scope="session")
def templates(ground: Any) -> Path:
    """A folder of notebooks with one small template in it."""
    folder = ground.folder / "notebooks"
    folder.mkdir()
    (folder / "small.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    folder.chmod(0o755)
    return Path(folder)


@pytest.fixture(scope="session")
def desk(ground: Any, templates: Path) -> Iterator[Any]:
    """A hub as root runs it, where servers may be shared: the administrator, and ana and bob, whose servers run."""
    real_hub.need_root()
    env = {"QUANTDESK_NOTEBOOKS": str(templates), "QUANTDESK_SHARING": "true"}
    env["QUANTDESK_SHARING_BELIEVED_S"] = "2"
    env["CANARY_TOKEN"] = "what the hub was started with"
    hub = real_hub.RealHub(ground, ground.state(), env=env)
    with hub:
        admin = hub.first_login()
        ana, bob = hub.user("ana", admin), hub.user("bob", admin)
        ana.start_server(wait=False)
        bob.start_server()
        ana.await_server()
        yield SimpleNamespace(hub=hub, admin=admin, ana=ana, bob=bob)


@pytest.fixture
def fresh(ground: Any, templates: Path) -> Iterator[Any]:
    """Makes hubs that are not started yet, each with a state of its own unless one is given."""
    made = []

    def make(state: Path | None = None, **env: str) -> Any:
        hub = real_hub.RealHub(ground, state or ground.state(), env={"QUANTDESK_NOTEBOOKS": str(templates), **env})
        made.append(hub)
        return hub

    yield make
    for hub in made:
        hub.end()
