"""A state directory with everything in it that a backup has to bring back, and the settings that point at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules import module_at

estate = module_at(Path(__file__).with_name("estate.py"), "backup_estate")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``plain(state, NAME=value)``: this process's settings are these, and no others."""

    def settle(state: Path, **given: str) -> Path:
        estate.settle(monkeypatch, state, given)
        return state

    return settle


@pytest.fixture
def small(tmp_path: Path, plain: Callable[..., Path]) -> SimpleNamespace:
    """A state without market data: what is small, with what is to be found again."""
    state = plain(tmp_path / "place" / "state")
    estate.fill(state)
    return SimpleNamespace(state=state, place=state.parent, target=tmp_path, seen=estate.seen(state))


@pytest.fixture(scope="session")
def estates() -> Any:
    """The module that fills states and looks at them."""
    return estate
