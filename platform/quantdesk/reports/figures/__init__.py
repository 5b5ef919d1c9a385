"""The figures that notebooks draw. Pure: each takes frames or results and gives a plotly figure.

Colours are those of `quantdesk.reports.theme.LIGHT` and no others, because a dark page replaces each by its
partner. Every figure takes a title and `labels`, the names out of `quantdesk.reports.theme.LABELS` that say what
its data are, and shows both above itself. Times on an axis are the dates of the sessions; every axis names its unit.
"""

from quantdesk.reports.figures.execution import (
    realized_spreads,
    shortfall_waterfall,
    slippage_distribution,
    venue_quality,
)
from quantdesk.reports.figures.features import correlation, coverage, information, panels
from quantdesk.reports.figures.performance import (
    attribution_bars,
    contributions,
    cumulative,
    equity,
    holdings,
    monthly_returns,
)
from quantdesk.reports.figures.risk import amounts, exposures, losses, var_history
from quantdesk.reports.figures.stress import (
    stress_attribution,
    stress_grid,
    stress_labels,
    stress_path,
    stress_recommendation,
)
from quantdesk.reports.figures.stress_market import stress_data, stress_liquidity
from quantdesk.reports.figures.training import splits, trials

__all__ = [
    "amounts",
    "attribution_bars",
    "contributions",
    "correlation",
    "coverage",
    "cumulative",
    "equity",
    "exposures",
    "holdings",
    "information",
    "losses",
    "monthly_returns",
    "panels",
    "realized_spreads",
    "shortfall_waterfall",
    "slippage_distribution",
    "splits",
    "stress_attribution",
    "stress_data",
    "stress_grid",
    "stress_labels",
    "stress_liquidity",
    "stress_path",
    "stress_recommendation",
    "trials",
    "var_history",
    "venue_quality",
]
