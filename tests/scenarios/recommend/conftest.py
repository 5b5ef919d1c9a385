"""A market whose answer to every lever is known: a runner that is a formula."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from quantdesk.errors import QuantdeskError
from quantdesk.scenarios.recommend import HedgeChoice, Question
from quantdesk.scenarios.run import RunConfig

YEAR = int(365.25 * 86_400e9)
START = 1_000_000.0


@dataclass(frozen=True)
class ToldAccount:
    error: str = ""


@dataclass(frozen=True, eq=False)
class ToldResult:
    """What is asked of a result."""

    pnl_impact: float
    max_drawdown: float
    digest: str
    accounts: tuple[ToldAccount, ...] = (ToldAccount(),)
    start: float = START

    @property
    def value(self) -> NDArray[np.float64]:
        return np.array([self.start, self.start + self.pnl_impact])

    @property
    def ends(self) -> NDArray[np.int64]:
        return np.array([0, YEAR], dtype=np.int64)


@dataclass
class Formula:
    """Points of P&L and of drawdown by scenario; every call is written down.

    A part of a half in cash takes half of a crisis' loss away, and costs half of what calm times earn.
    """

    loss: dict[str, float]
    calm_gain: float = 2.0
    extra: Callable[[str, RunConfig], float] = lambda scenario, config: 0.0
    broken: Callable[[str, RunConfig], str] = lambda scenario, config: ""
    refused: Callable[[str, RunConfig], str] = lambda scenario, config: ""
    calls: list[tuple[str, RunConfig]] = field(default_factory=list)

    def __call__(self, scenario: str, config: RunConfig) -> ToldResult:
        self.calls.append((scenario, config))
        if refused := self.refused(scenario, config):
            raise QuantdeskError(refused)
        invested = 1 - config.cash_buffer
        if scenario.startswith("calm"):
            points, depth = self.calm_gain * invested, -1.0
        else:
            points = -self.loss[scenario] * invested
            depth = points
        points += self.extra(scenario, config)
        error = self.broken(scenario, config)
        told = json.dumps([scenario, config.to_dict(), points], sort_keys=True)
        return ToldResult(points / 100 * START, min(depth, 0.0), told, (ToldAccount(error),))


LOSSES = {"here": 30.0, "a": 20.0, "b": 25.0, "c": 10.0, "d": 15.0}


@pytest.fixture(scope="session")
def formula() -> Callable[..., Formula]:
    return lambda **given: Formula(**{"loss": LOSSES, **given})


@pytest.fixture
def question() -> Question:
    """Chosen on here, b and d; judged on a and c."""
    return Question("here", ("a", "b", "c", "d"), ("calm_1", "calm_2"))


@pytest.fixture
def sizes() -> Callable[[str, HedgeChoice, float], float]:
    """A unit costs 100 dollars in one scenario and 50 in all others."""
    return lambda scenario, hedge, value: hedge.share * value / (100 if scenario == "here" else 50)
