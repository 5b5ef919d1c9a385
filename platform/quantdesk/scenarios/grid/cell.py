"""One run, as names and settings that can travel to a worker. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from quantdesk.errors import BadInput
from quantdesk.scenarios.engine import Subject
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.run import RunConfig
from quantdesk.scenarios.scenario import Scenario
from quantdesk.scenarios.shocks import Shock, Shocked
from quantdesk.scenarios.strategies import Named, Wisher

__all__ = ["Cell", "cells_of"]

_MILLION = {"cash": 1_000_000.0}


@dataclass(frozen=True, eq=False)
class Cell:
    """One strategy with one portfolio through one scenario under one set of settings.

    Attributes
    ----------
    scenario
        As :meth:`~quantdesk.scenarios.ScenarioEngine.run` takes it. A name, a scenario and a shock are a few bytes, and
        the worker makes the path of it; a path travels as it is.
    strategy
        A name, a rule with options, a callable. A callable may be a lambda or come from a notebook: it travels by
        value, and every cell has a copy of its own, so that what one cell leaves in it is not found by another.
    portfolio
        Cash, shares, instruments.
    config
        Settings; its seed is that of the run.
    duration_minutes
        See :meth:`~quantdesk.scenarios.ScenarioEngine.run`.
    name
        Of the strategy; its own when empty.
    variant
        Of the settings and the portfolio, for tables.
    """

    scenario: Subject
    strategy: str | Named | Wisher
    portfolio: Mapping[str, float] = field(default_factory=lambda: dict(_MILLION))
    config: RunConfig = field(default_factory=RunConfig)
    duration_minutes: int | None = None
    name: str = ""
    variant: str = ""

    @property
    def strategy_name(self) -> str:
        """How the strategy is called in tables."""
        if self.name or isinstance(self.strategy, str):
            return self.name or str(self.strategy)
        if isinstance(self.strategy, Named):
            return self.strategy.name
        return str(getattr(self.strategy, "__name__", type(self.strategy).__name__))

    @property
    def scenario_name(self) -> str:
        """How the scenario is called before it is run."""
        given = self.scenario
        if isinstance(given, (Path, Scenario)):
            return given.name
        if isinstance(given, Shocked):
            return given.path.name
        return given.describe() if isinstance(given, Shock) else str(given)

    def __str__(self) -> str:
        parts = (self.scenario_name, self.strategy_name, self.variant, f"seed {self.config.seed}")
        return ", ".join(part for part in parts if part)


def cells_of(
    scenarios: Sequence[Subject],
    strategies: Sequence[str | Named | Wisher] | Mapping[str, str | Named | Wisher],
    *,
    portfolios: Mapping[str, Mapping[str, float]] | None = None,
    configs: Mapping[str, RunConfig] | None = None,
    seeds: Iterable[int] = (0,),
    duration_minutes: int | None = None,
) -> tuple[Cell, ...]:
    """Every scenario with every strategy, portfolio, set of settings and seed; the scenario changes last.

    Parameters
    ----------
    scenarios, strategies
        As :meth:`~quantdesk.scenarios.ScenarioEngine.run` takes them.
    portfolios, configs
        By a name of one's own; a million dollars, and the settings that hold when nothing is said, when None.
    seeds
        Each replaces the seed of the settings.
    duration_minutes
        Of every cell.

    Raises
    ------
    BadInput
        One of the lists is empty, or is a text.
    """
    named = dict(strategies) if isinstance(strategies, Mapping) else dict(enumerate(strategies))
    wallets = portfolios if portfolios is not None else {"": _MILLION}
    settings = configs if configs is not None else {"": RunConfig()}
    numbers = tuple(seeds)
    for what, given in (
        ("scenarios", scenarios), ("strategies", strategies), ("portfolios", wallets), ("configs", settings),
        ("seeds", numbers),
    ):  # fmt: skip
        if isinstance(given, str) or not given:
            raise BadInput(f"The {what} of a grid are {given!r}.", "Give a list of at least one.")
    return tuple(
        Cell(
            scenario,
            strategy,
            dict(wallet),
            dataclasses.replace(config, seed=seed),
            duration_minutes,
            name if isinstance(name, str) else "",
            " ".join(part for part in (called, held) if part),
        )
        for scenario, (called, config), (held, wallet), (name, strategy), seed in product(
            scenarios, settings.items(), wallets.items(), named.items(), numbers
        )
    )
