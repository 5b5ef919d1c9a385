"""Redis is stopped under the service and comes back empty: history and pages go on, and no value is invented."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modules import module_at
from quantdesk.features import FeatureStore
from quantdesk.market import MarketStore

LATEST = {"symbols": ["OHLC"], "feature_names": ["sma_20"]}
PAST = LATEST | {"start_date": "2019-03-01", "end_date": "2019-03-29"}


@pytest.fixture
def cache(redis_server: Any) -> Iterator[Any]:
    """A Redis of its own, which may be stopped; that of all tests says whether there can be one."""
    module = module_at(Path(__file__).parents[2] / "redisserver.py")
    server = module.Server(module.find_redis())
    yield server
    server.stop()


def test_redis_is_gone_for_a_while(
    cache: Any, filled: Path, tmp_path: Path, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, url = tmp_path / "features", cache()
    shutil.copytree(filled, root)
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(root))
    monkeypatch.setenv("QUANTDESK_ONLINE_URL", url)

    def fill() -> None:
        store = FeatureStore(root=root, market=MarketStore(filled.parent / "market"))
        store.materialize()
        store.close()

    fill()
    service = make(rate_store=url, read_rate="600/minute")
    before = service.ask("POST", "/api/v1/features/online", "rita", json=LATEST).json()
    assert isinstance(before["values"]["OHLC"]["sma_20"], float)
    past = service.ask("POST", "/api/v1/features/historical", "rita", json=PAST).json()["rows"]

    cache.stop()
    away = service.ask("POST", "/api/v1/features/online", "rita", json=LATEST)
    assert away.status_code == 503, away.text
    assert away.json()["code"] == "environment_problem"
    assert away.json()["detail"].startswith("The service cannot answer this at the moment")
    assert "127.0.0.1" not in away.text, "where it is, is for the log"
    password = url.partition("://:")[2].partition("@")[0]
    assert password not in away.text
    assert service.ask("POST", "/api/v1/features/historical", "rita", json=PAST).json()["rows"] == past
    assert service.ask("GET", "/api/v1/runs", "ana").status_code == 200, "requests are not counted, and are answered"

    cache.start()
    emptied = service.ask("POST", "/api/v1/features/online", "rita", json=LATEST)
    assert (emptied.status_code, emptied.json()["code"]) == (503, "data_error"), "it has lost all: nothing is made up"
    fill()
    assert service.ask("POST", "/api/v1/features/online", "rita", json=LATEST).json()["values"] == before["values"]
