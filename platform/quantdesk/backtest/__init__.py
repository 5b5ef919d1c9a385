"""Target weights -> what would have happened, and whether to believe it. Pure: data comes in as arguments.

===============  =====================================================================================
run              weights and prices through time (vectorbt, or an `execute` callable) -> Backtest
costs            commission, half-spread, fee per share
execution        the Protocol between the engine and a desk
metrics          Sharpe, Sortino, Calmar, drawdowns ... each with its formula
risk             value at risk and expected shortfall, and whether they held
factors          exposures with Newey-West errors; a return split among factors
attribution      Brinson and Fachler by sector, linked over time exactly
validation       purged and embargoed splits of time
deflated         how likely a Sharpe ratio is luck
forward, trials  labels with their intervals; several models compared out of sample
===============  =====================================================================================

Every result is frozen and carries the labels of the data that it was built on. The names below are imported when they
are first used, and vectorbt when the first portfolio is built: importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.backtest.attribution import (
        Attribution,
        attribute,
        attribution_table,
        brinson_fachler,
        group_sessions,
    )
    from quantdesk.backtest.costs import FREE, Costs
    from quantdesk.backtest.deflated import (
        DeflatedSharpe,
        deflated_sharpe,
        expected_best_sharpe,
        probabilistic_sharpe,
    )
    from quantdesk.backtest.drawdown import Drawdown, drawdown_table, drawdowns, underwater
    from quantdesk.backtest.engine import run
    from quantdesk.backtest.execution import Book, Execute, Fill, ImmediateFill, TargetOrder
    from quantdesk.backtest.factors import FactorAttribution, FactorModel, factor_attribution, factor_model
    from quantdesk.backtest.forward import Labels, forward_returns, information_coefficient, out_of_sample
    from quantdesk.backtest.inputs import Limits, Setup
    from quantdesk.backtest.metrics import Metrics, comparison, summary
    from quantdesk.backtest.result import Backtest
    from quantdesk.backtest.risk import (
        Exceedances,
        TailRisk,
        exceedances,
        mean_correlation,
        risk_table,
        rolling_var,
        tail_risk,
    )
    from quantdesk.backtest.sectors import SECTORS, sectors_of
    from quantdesk.backtest.trials import Study, Trial, compare, deflate
    from quantdesk.backtest.validation import PurgedKFold, WalkForward, overlaps

_HOMES = {
    "attribution": ("Attribution", "attribute", "attribution_table", "brinson_fachler", "group_sessions"),
    "costs": ("FREE", "Costs"),
    "deflated": ("DeflatedSharpe", "deflated_sharpe", "expected_best_sharpe", "probabilistic_sharpe"),
    "drawdown": ("Drawdown", "drawdown_table", "drawdowns", "underwater"),
    "engine": ("run",),
    "execution": ("Book", "Execute", "Fill", "ImmediateFill", "TargetOrder"),
    "factors": ("FactorAttribution", "FactorModel", "factor_attribution", "factor_model"),
    "forward": ("Labels", "forward_returns", "information_coefficient", "out_of_sample"),
    "inputs": ("Limits", "Setup"),
    "metrics": ("Metrics", "comparison", "summary"),
    "result": ("Backtest",),
    "risk": ("Exceedances", "TailRisk", "exceedances", "mean_correlation", "risk_table", "rolling_var", "tail_risk"),
    "sectors": ("SECTORS", "sectors_of"),
    "trials": ("Study", "Trial", "compare", "deflate"),
    "validation": ("PurgedKFold", "WalkForward", "overlaps"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "FREE",
    "SECTORS",
    "Attribution",
    "Backtest",
    "Book",
    "Costs",
    "DeflatedSharpe",
    "Drawdown",
    "Exceedances",
    "Execute",
    "FactorAttribution",
    "FactorModel",
    "Fill",
    "ImmediateFill",
    "Labels",
    "Limits",
    "Metrics",
    "PurgedKFold",
    "Setup",
    "Study",
    "TailRisk",
    "TargetOrder",
    "Trial",
    "WalkForward",
    "attribute",
    "attribution_table",
    "brinson_fachler",
    "compare",
    "comparison",
    "deflate",
    "deflated_sharpe",
    "drawdown_table",
    "drawdowns",
    "exceedances",
    "expected_best_sharpe",
    "factor_attribution",
    "factor_model",
    "forward_returns",
    "group_sessions",
    "information_coefficient",
    "mean_correlation",
    "out_of_sample",
    "overlaps",
    "probabilistic_sharpe",
    "risk_table",
    "rolling_var",
    "run",
    "sectors_of",
    "summary",
    "tail_risk",
    "underwater",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
