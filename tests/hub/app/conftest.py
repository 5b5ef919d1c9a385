"""The service in this process, behind a hub that speaks JupyterHub's protocol; and a real hub with it, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modules import module_at

HERE = Path(__file__).parent


served = module_at(HERE / "served.py")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of an invented market, built and materialised: their folder. Read only, please."""
    ground = module_at(HERE.parents[1] / "features" / "conftest.py", "features_ground")
    folder = tmp_path_factory.mktemp("service")
    sessions = ground.sessions_between("XNYS", ground.FIRST, ground.LAST)
    ground.load(ground.tiny_sources(sessions), folder / "market")
    store = ground.FeatureStore(root=folder / "features", market=ground.MarketStore(folder / "market"))
    store.build()
    store.apply()
    store.materialize()
    store.close()
    return Path(folder / "features")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a test is left in the state of this checkout."""
    for name in ("QUANTDESK_FEATURES_URL", "QUANTDESK_REPORTS_LEDGER_URL", "QUANTDESK_LEDGER_URL", "QUANTDESK_SOR_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_HALTS_FEEDS", "false")


@pytest.fixture
def hub() -> Any:
    """A hub with the tokens of four people, and of one who has no access."""
    return served.Hub()


@pytest.fixture
def make(hub: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes services."""
    made = []

    def service(**settings: Any) -> Any:
        folder = settings.pop("folder", tmp_path / f"service-{len(made)}")
        made.append(served.Served(hub, folder, **settings))
        return made[-1]

    yield service
    for one in made:
        one.close()


@pytest.fixture
def service(make: Callable[..., Any]) -> Any:
    """One service."""
    return make()
