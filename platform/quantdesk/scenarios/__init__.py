"""Crises, replayed and invented, that stress the whole pipeline: guardrails, halts, routing, liquidity.

>>> from quantdesk.scenarios import ScenarioEngine
>>> ScenarioEngine().run("covid", ["momentum_alpha"], {"cash": 1_000_000, "AAPL": 500})      # doctest: +SKIP

What is where::

    path, scenario      what happens to every asset, bar by bar with its grade; what a scenario declares  (pure)
    catalog             the crises, and a user's own                                                      (edge)
    replay              from the store to a path of days                                                  (edge)
    intraday            from days to minutes; the flash crash                                             (pure)
    stopped             halts that emerge from a path                                                     (pure)
    liquidity, market   spreads and depth under stress; a market made of a path                           (pure)
    instruments         bonds, currencies, futures, options                                               (pure)
    shocks, reverse     invented crises; the most plausible one that breaches a limit                     (pure)
    paths               drawn ones: bootstrap, filtered history, Student's t                              (pure)
    strategies, run     what trades; the loop through the desk                                            (pure)
    reproduction        whether a replay shows the figures that its scenario names                        (pure)
    invention, outlook  the past that shocks begin with; what a portfolio could lose from a day on        (edge)
    result, engine      what came of it; one call for it                                                  (edge)
    recommend           what would have helped: searched, priced and run again                            (pure)
    grid, drills        scenarios x strategies on a cluster; faults of the platform itself                (edge)

Nothing is a table of results: breaches, failures and alerts emerge from what the desk did.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.scenarios.engine import ScenarioEngine
    from quantdesk.scenarios.path import Asset, Grade, Path
    from quantdesk.scenarios.result import Account, Attribution, Event, StressResult
    from quantdesk.scenarios.run import RunConfig
    from quantdesk.scenarios.scenario import Scenario
    from quantdesk.scenarios.strategies import Seen, named

_HOMES = {
    "Account": "result",
    "Asset": "path",
    "Attribution": "result",
    "Event": "result",
    "Grade": "path",
    "Path": "path",
    "RunConfig": "run",
    "Scenario": "scenario",
    "ScenarioEngine": "engine",
    "Seen": "strategies",
    "StressResult": "result",
    "named": "strategies",
}

__all__ = [
    "Account",
    "Asset",
    "Attribution",
    "Event",
    "Grade",
    "Path",
    "RunConfig",
    "Scenario",
    "ScenarioEngine",
    "Seen",
    "StressResult",
    "named",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
