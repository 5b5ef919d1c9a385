"""quantdesk: a research platform for a quant desk.

Imports flow one way; each layer may import what stands below it::

    cli                 the commands: one command makes one call
    settings            reads TOML and environment for the processes that it launches
    hub                 JupyterHub: launch, login, spawner, pages
    reports             notebooks as reports: parameters, runs, pages
    altdata | scenarios (altdata is not built yet)  crises, replayed and invented, through the whole pipeline
    orders              guardrails -> halts -> routing -> venue: one pipeline; rules by day; the ledger
    backtest            vectorbt bridge, costs, metrics, attribution, risk, validation
    signals             features -> target weights
    features            transforms, the point-in-time join, the Feast store
    market              instruments, sessions, sources, store, quality
    compute | records   one function over many items: here, in processes, on Dask | durable records
    home                where the state lives
    errors              the exception tree

The public names are imported when they are first used, so that ``quantdesk --help`` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError, RunFailed, UnknownName
    from quantdesk.features import FeatureFrame, FeatureStore
    from quantdesk.market import MarketStore, Series

__version__ = "0.1.0"

_HOMES = {
    "BadInput": "errors",
    "DataError": "errors",
    "EnvironmentProblem": "errors",
    "FeatureFrame": "features",
    "FeatureStore": "features",
    "MarketStore": "market",
    "QuantdeskError": "errors",
    "RunFailed": "errors",
    "Series": "market",
    "UnknownName": "errors",
}

__all__ = [
    "BadInput",
    "DataError",
    "EnvironmentProblem",
    "FeatureFrame",
    "FeatureStore",
    "MarketStore",
    "QuantdeskError",
    "RunFailed",
    "Series",
    "UnknownName",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
