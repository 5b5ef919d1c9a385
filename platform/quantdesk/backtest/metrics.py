"""One number about a series of returns, each with its formula and where it comes from.

Conventions: `returns` are simple returns per session as fractions, without NaN; a year has 252 sessions; the risk-free
rate is 0 unless `risk_free` gives one per session (a number, or a series with the same index). A number that is not
defined (no variation, too few sessions) is NaN, never 0 and never infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantdesk.backtest.drawdown import Drawdown, drawdowns
from quantdesk.errors import BadInput

__all__ = [
    "DEFINITIONS",
    "SESSIONS_PER_YEAR",
    "Definition",
    "Metrics",
    "annual_volatility",
    "cagr",
    "calmar",
    "checked_returns",
    "comparison",
    "hit_rate",
    "kurtosis",
    "max_drawdown",
    "sharpe",
    "skewness",
    "sortino",
    "summary",
    "tail_ratio",
    "total_return",
]

SESSIONS_PER_YEAR = 252
RiskFree = float | pd.Series
Floats = npt.NDArray[np.float64]


def checked_returns(returns: pd.Series, at_least: int = 1) -> Floats:
    """The values of `returns` as float64.

    Raises
    ------
    BadInput
        Fewer than `at_least` values, a NaN or an infinity, or a return below -1 (a loss of more than everything).
    """
    values = np.asarray(returns, dtype=float)
    if values.ndim != 1 or len(values) < at_least:
        raise BadInput(f"There are {values.size} returns.", f"At least {at_least} are needed, in one column.")
    bad = ~np.isfinite(values) | (values < -1)
    if bad.any():
        where = returns.index[bad][0] if isinstance(returns, pd.Series) else int(np.flatnonzero(bad)[0])
        raise BadInput(
            f"The return at {where} is {values[bad][0]:g}.",
            "Returns are finite fractions of at least -1; drop or repair the session first.",
        )
    return values


def _excess(returns: pd.Series, risk_free: RiskFree) -> Floats:
    values = checked_returns(returns)
    if isinstance(risk_free, pd.Series):
        if not risk_free.index.equals(returns.index):
            raise BadInput("The risk-free rates have other sessions than the returns.", "Reindex them first.")
        return values - checked_returns(risk_free)
    return values - risk_free


def _varies(values: Floats) -> bool:
    """Whether there is a spread to divide by; equal returns leave crumbs of a float behind."""
    return len(values) > 1 and float(np.ptp(values)) > 1e-14 * max(1.0, float(np.abs(values).max()))


def total_return(returns: pd.Series) -> float:
    """Compounded return of the whole period: ``prod(1 + r) - 1``."""
    return float(np.prod(1 + checked_returns(returns)) - 1)


def cagr(returns: pd.Series) -> float:
    """Compound annual growth rate: ``prod(1 + r) ** (252 / n) - 1``, years counted in sessions."""
    values = checked_returns(returns)
    growth = float(np.prod(1 + values))
    return float(growth ** (SESSIONS_PER_YEAR / len(values)) - 1)


def annual_volatility(returns: pd.Series) -> float:
    """Sample standard deviation (n - 1) of the returns times sqrt(252)."""
    values = checked_returns(returns)
    return float(np.std(values, ddof=1) * math.sqrt(SESSIONS_PER_YEAR)) if len(values) > 1 else math.nan


def sharpe(returns: pd.Series, risk_free: RiskFree = 0.0) -> float:
    """Annual Sharpe ratio: mean excess return over its sample standard deviation, times sqrt(252) (Sharpe 1994)."""
    excess = _excess(returns, risk_free)
    if not _varies(excess):
        return math.nan
    return float(excess.mean() / excess.std(ddof=1) * math.sqrt(SESSIONS_PER_YEAR))


def sortino(returns: pd.Series, risk_free: RiskFree = 0.0) -> float:
    """Annual Sortino ratio: mean excess return over ``sqrt(mean(min(excess, 0)**2))``, times sqrt(252).

    The mean under the root runs over all sessions, not over the losing ones alone (Sortino and van der Meer 1991).
    """
    excess = _excess(returns, risk_free)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return float(excess.mean()) / downside * math.sqrt(SESSIONS_PER_YEAR) if downside > 0 else math.nan


def max_drawdown(returns: pd.Series) -> Drawdown | None:
    """The deepest fall from a peak, with its dates; None when the value never fell."""
    found = drawdowns(returns, top=1)
    return found[0] if found else None


def calmar(returns: pd.Series) -> float:
    """CAGR over the depth of the deepest drawdown of the whole period (Young 1991 uses 36 months)."""
    worst = max_drawdown(returns)
    return cagr(returns) / -worst.depth if worst is not None else math.nan


def hit_rate(returns: pd.Series) -> float:
    """Share of sessions with a gain, among the sessions that did not end unchanged."""
    values = checked_returns(returns)
    moved = values[values != 0.0]
    return float((moved > 0).mean()) if len(moved) else math.nan


def skewness(returns: pd.Series) -> float:
    """Third standardised moment ``m3 / m2**1.5`` (moments over n): negative when the big surprises are bad."""
    values = checked_returns(returns)
    if not _varies(values):
        return math.nan
    centred = values - values.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)


def kurtosis(returns: pd.Series) -> float:
    """Excess kurtosis ``m4 / m2**2 - 3`` with moments over n: 0 for a normal distribution, larger with fat tails."""
    values = checked_returns(returns)
    if not _varies(values):
        return math.nan
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2 - 3)


def tail_ratio(returns: pd.Series) -> float:
    """Absolute 95th percentile of the returns over the absolute 5th: above 1 when gains reach further than losses."""
    high, low = np.percentile(checked_returns(returns), [95, 5])
    return float(abs(high) / abs(low)) if low != 0 else math.nan


@dataclass(frozen=True, slots=True)
class Definition:
    """How one metric is shown and explained.

    Parameters
    ----------
    name, label, unit
        Attribute of `Metrics`, words for people, and ``"percent"``, ``"ratio"``, ``"times"`` or ``"sessions"``.
    meaning
        The formula in one line.
    compute
        From returns to the number; None for those that need more than returns.
    """

    name: str
    label: str
    unit: str
    meaning: str
    compute: Callable[[pd.Series], float] | None = None


def _depth(returns: pd.Series) -> float:
    worst = max_drawdown(returns)
    return worst.depth if worst is not None else 0.0


DEFINITIONS: tuple[Definition, ...] = (
    Definition("total_return", "Total return", "percent", "prod(1 + r) - 1", total_return),
    Definition("cagr", "Annual growth (CAGR)", "percent", "prod(1 + r)^(252/n) - 1", cagr),
    Definition("volatility", "Annual volatility", "percent", "std(r) * sqrt(252)", annual_volatility),
    Definition("sharpe", "Sharpe ratio", "ratio", "mean(r) / std(r) * sqrt(252), risk-free rate 0", sharpe),
    Definition("sortino", "Sortino ratio", "ratio", "mean(r) / downside deviation * sqrt(252)", sortino),
    Definition("max_drawdown", "Deepest drawdown", "percent", "min(value / running peak - 1)", _depth),
    Definition("calmar", "Calmar ratio", "ratio", "CAGR / depth of the deepest drawdown", calmar),
    Definition("hit_rate", "Winning sessions", "percent", "gains / (gains + losses), in sessions", hit_rate),
    Definition("skewness", "Skewness", "ratio", "m3 / m2^1.5", skewness),
    Definition("kurtosis", "Excess kurtosis", "ratio", "m4 / m2^2 - 3", kurtosis),
    Definition("tail_ratio", "Tail ratio", "ratio", "|95th percentile| / |5th percentile|", tail_ratio),
    Definition("turnover", "Annual turnover", "times", "half of the traded value / value, per year"),
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The usual numbers of one series of returns; fractions, not percent. See `DEFINITIONS`.

    Parameters
    ----------
    sessions
        How many returns went in.
    turnover
        Annual one-way turnover in multiples of the account; NaN when it was not given.
    labels
        The labels of the data.
    """

    sessions: int
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    calmar: float
    hit_rate: float
    skewness: float
    kurtosis: float
    tail_ratio: float
    turnover: float
    labels: tuple[str, ...] = ()

    def rounded(self, digits: int = 4) -> dict[str, float | int | None]:
        """The numbers as plain values for JSON: None where one is not defined."""
        numbers: dict[str, float | int | None] = {"sessions": self.sessions}
        for definition in DEFINITIONS:
            value = float(getattr(self, definition.name))
            numbers[definition.name] = round(value, digits) if math.isfinite(value) else None
        return numbers


def summary(returns: pd.Series, turnover: pd.Series | None = None, labels: tuple[str, ...] = ()) -> Metrics:
    """All metrics of `returns`.

    Parameters
    ----------
    returns
        Simple returns per session.
    turnover
        One-way turnover per session (`quantdesk.backtest.Backtest.turnover`).
    labels
        The labels of the data.

    Raises
    ------
    BadInput
        See `checked_returns`.
    """
    sessions = len(checked_returns(returns))
    numbers = {entry.name: entry.compute(returns) for entry in DEFINITIONS if entry.compute is not None}
    per_year = math.nan if turnover is None else float(turnover.sum()) / sessions * SESSIONS_PER_YEAR
    return Metrics(sessions=sessions, **numbers, turnover=per_year, labels=labels)


_SHOWN: dict[str, Callable[[float], str]] = {
    "percent": lambda value: f"{100 * value:,.1f} %",
    "ratio": lambda value: f"{value:.2f}",
    "times": lambda value: f"{value:.2f}\N{MULTIPLICATION SIGN}",
}


def comparison(found: Mapping[str, Metrics]) -> pd.DataFrame:
    """Metrics side by side, for people: each number with its unit, and its formula in the last column.

    Parameters
    ----------
    found
        Metrics by the name of what they are about.

    Returns
    -------
    DataFrame
        One row per metric, texts; an en dash where a number is not defined.
    """
    table = {
        name: [
            _SHOWN[entry.unit](value) if math.isfinite(value := float(getattr(one, entry.name))) else "\N{EN DASH}"
            for entry in DEFINITIONS
        ]
        for name, one in found.items()
    }
    return pd.DataFrame(
        {**table, "formula": [entry.meaning for entry in DEFINITIONS]},
        index=[entry.label for entry in DEFINITIONS],
    )
