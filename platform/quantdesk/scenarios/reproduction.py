"""Whether a replay shows what the crisis is known for: each figure of a scenario, computed again from its path. Pure.

A figure counts as reproduced only when every bar behind it is real. One that rests on a reconstructed bar would be
compared with what it was made from, so it is computed and shown, and never counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.scenario import Figure, Scenario

__all__ = ["Checked", "figures_of"]

_WORST_FIRST = (Grade.MISSING, Grade.SIMULATED, Grade.RECONSTRUCTED, Grade.REAL)


@dataclass(frozen=True, slots=True)
class Checked:
    """One figure, computed again.

    Attributes
    ----------
    figure
        As declared.
    computed
        From the path, in the figure's unit; NaN where the path has not the bars that it needs.
    grade
        The worst of the bars behind it; ``missing`` where some are not there.
    """

    figure: Figure
    computed: float
    grade: Grade

    @property
    def expected(self) -> float:
        """As declared."""
        return self.figure.value

    @property
    def within(self) -> bool:
        """Whether the computed value is no farther than the tolerance from the declared one."""
        return bool(abs(self.computed - self.figure.value) <= self.figure.tolerance + 1e-9)

    @property
    def is_reproduced(self) -> bool:
        """Whether real bars alone show it, within the tolerance."""
        return self.grade is Grade.REAL and self.within


def figures_of(scenario: Scenario, path: Path) -> tuple[Checked, ...]:
    """Compute every figure that a scenario declares.

    The window's first close is the base: returns and correlations are of the days after it. Correlations are the mean
    over all pairs of the stocks of the scenario, of simple daily returns; ``correlation_before`` is of the six months
    that end with the base. A sector's return is the mean of its stocks'.

    Parameters
    ----------
    scenario
        Whose figures.
    path
        Its daily replay, with the history where a figure looks back.

    Raises
    ------
    BadInput
        The path is intraday.
    """
    if path.is_intraday:
        raise BadInput(f"The path {path.name!r} has more than one bar a day.", "Give the daily replay.")
    return tuple(_checked(figure, scenario, _Days(path)) for figure in scenario.figures)


class _Days:
    """A path and its history as tables by day."""

    def __init__(self, path: Path) -> None:
        parts = [part for part in (path.history, path) if part is not None]
        names = list(path.symbols)
        self.assets = path.assets
        self.close = pd.concat([pd.DataFrame(part.close, part.sessions, names) for part in parts])
        self.low = pd.concat(
            [pd.DataFrame(np.nan if part.low is None else part.low, part.sessions, names) for part in parts]
        )
        self.grades = pd.concat([pd.DataFrame(part.grades, part.sessions, names) for part in parts])

    def between(self, symbol: str, first: dt.date, last: dt.date) -> pd.Series:
        """Closes, without the days on which there was none."""
        if symbol not in self.close:
            return pd.Series(dtype=np.float64, index=pd.DatetimeIndex([]))
        return self.close.loc[str(first) : str(last), symbol].dropna()

    def grade(self, symbols: Sequence[str], days: pd.Index[Any]) -> Grade:
        """The worst of some bars."""
        if not symbols or days.empty:
            return Grade.MISSING
        found = {GRADES[code] for code in np.unique(self.grades.loc[days, list(symbols)].to_numpy())}
        return next((grade for grade in _WORST_FIRST if grade in found), Grade.MISSING)


_NONE = (float("nan"), Grade.MISSING)


def _checked(figure: Figure, scenario: Scenario, days: _Days) -> Checked:
    first, last = figure.since or scenario.start, figure.on or scenario.end
    match figure.what:
        case "return":
            value, grade = _return(days, figure.symbol, first, last)
        case "worst_day" | "peak" | "trough":
            value, grade = _extreme(days, figure, first, last)
        case "level":
            value, grade = _level(days, figure.symbol, last)
        case "low":
            value, grade = _low(days, figure.symbol, last)
        case "spread":
            value, grade = _spread(days, figure.symbol, last)
        case "sector_return":
            value, grade = _sector(days, figure.symbol, first, last)
        case "correlation":
            value, grade = _correlation(days, first, last)
        case "correlation_before":
            value, grade = _correlation(days, _six_months_before(days, scenario.start), scenario.start)
    return Checked(figure, value, grade)


def _six_months_before(days: _Days, start: dt.date) -> dt.date:
    """The last day with a bar at or before it: its close is the base of the first return."""
    known = days.close.index[days.close.index <= pd.Timestamp(start) - pd.DateOffset(months=6)]
    return known[-1].date() if len(known) else start


def _level(days: _Days, symbol: str, on: dt.date) -> tuple[float, Grade]:
    closes = days.between(symbol, on, on)
    return (float(closes.iloc[0]), days.grade([symbol], closes.index)) if len(closes) else _NONE


def _return(days: _Days, symbol: str, first: dt.date, last: dt.date) -> tuple[float, Grade]:
    """In percent; from the close of the first day to that of the last one, both of which must be there."""
    (a, graded), (b, also) = _level(days, symbol, first), _level(days, symbol, last)
    return (b / a - 1) * 100, min(graded, also, key=_WORST_FIRST.index)


def _extreme(days: _Days, figure: Figure, first: dt.date, last: dt.date) -> tuple[float, Grade]:
    closes = days.between(figure.symbol, first, last)
    if len(closes) < 2:
        return _NONE
    grade = days.grade([figure.symbol], closes.index)
    if figure.what == "worst_day":
        return float(closes.pct_change().min() * 100), grade
    return float(closes.max() if figure.what == "peak" else closes.min()), grade


def _low(days: _Days, symbol: str, on: dt.date) -> tuple[float, Grade]:
    """The low of a day, percent from the close before it."""
    closes = days.between(symbol, days.close.index[0].date(), on)
    if len(closes) < 2 or closes.index[-1].date() != on:
        return _NONE
    low = float(days.low.loc[closes.index[-1], symbol])
    if np.isnan(low):
        return _NONE
    return (low / float(closes.iloc[-2]) - 1) * 100, days.grade([symbol], closes.index[-2:])


def _spread(days: _Days, pair: str, on: dt.date) -> tuple[float, Grade]:
    """The second rate less the first one, basis points."""
    short, _, long = pair.partition("/")
    (a, graded), (b, also) = _level(days, short, on), _level(days, long, on)
    return (b - a) * 100, min(graded, also, key=_WORST_FIRST.index)


def _sector(days: _Days, sector: str, first: dt.date, last: dt.date) -> tuple[float, Grade]:
    found = [_return(days, asset.symbol, first, last) for asset in days.assets if asset.sector == sector]
    if not found:
        return _NONE
    return float(np.mean([value for value, _ in found])), min((grade for _, grade in found), key=_WORST_FIRST.index)


def _correlation(days: _Days, first: dt.date, last: dt.date) -> tuple[float, Grade]:
    stocks = [asset.symbol for asset in days.assets if asset.kind == "equity"]
    closes = days.close.loc[str(first) : str(last), stocks].dropna()
    returns = closes.pct_change().iloc[1:]
    if len(stocks) < 2 or len(returns) < 2:
        return _NONE
    table = np.corrcoef(returns.to_numpy().T)
    count = len(stocks)
    return float((table.sum() - count) / (count * (count - 1))), days.grade(stocks, closes.index)
