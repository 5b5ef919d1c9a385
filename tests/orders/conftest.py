"""What tests of several parts of orders need: a broker that speaks Alpaca's API."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from quantdesk.orders.brokers import AlpacaConfig


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("alpacaserver", Path(__file__).parents[1] / "alpacaserver.py")
    assert spec
    assert spec.loader
    module = sys.modules["alpacaserver"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def alpaca_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A process that speaks Alpaca's trading and data APIs; see tests/alpacaserver.py."""
    server = _module().Server(tmp_path_factory.mktemp("alpaca"))
    yield server
    server.stop()


@pytest.fixture
def alpaca(alpaca_server: Any) -> Any:
    """The same, without orders, faults and settings."""
    alpaca_server.clear()
    return alpaca_server


@pytest.fixture
def alpaca_config(alpaca: Any) -> AlpacaConfig:
    """Settings that lead to it, impatient."""
    module = sys.modules["alpacaserver"]
    return AlpacaConfig(
        key=module.KEY,
        secret=module.SECRET,
        url=alpaca.url,
        data_url=alpaca.url,
        timeout=1.0,
        connect_timeout=1.0,
        patience=0.4,
        settle=0.0,
    )
