"""A freeze of credit, in units of the one that the data hold. Pure.

Everything is a part of Lehman: from June-August to October-November 2008 BAA - AAA widened from 1.463 to 2.845 percent
points (Moody's monthly averages, the bundled series), the quoted spread of SPY (Abdi-Ranaldo estimate) went to 2.9
times, and the financials of the panel lost 55 % from 2008-09-12 to 2008-11-20. A freeze that widens BAA - AAA by half
as much has half of each, in logs. A regression on all months says much less (it explains a twentieth): it stands in the
notes.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput

__all__ = ["LEHMAN", "Freeze", "Regression", "monthly_spread", "regression", "spread_deviation"]


@dataclass(frozen=True, slots=True)
class Freeze:
    """What came together in a freeze of credit.

    Attributes
    ----------
    widening
        Of BAA - AAA, percent points.
    quotes
        The bid-ask spread, as a multiple.
    financials
        Log return.
    """

    widening: float
    quotes: float
    financials: float

    def part(self, widening: float) -> Freeze:
        """The same freeze with another widening: logs in proportion."""
        share = widening / self.widening
        return Freeze(widening, self.quotes**share, self.financials * share)


LEHMAN = Freeze(2.845 - 1.463, 2.9, math.log(0.45))
"""October-November 2008; see the module."""


@dataclass(frozen=True, slots=True)
class Regression:
    """Log changes of monthly averages of financials on changes of BAA - AAA.

    Attributes
    ----------
    slope
        Log return by percent point.
    explained
        R squared.
    months
        How many.
    """

    slope: float
    explained: float
    months: int


def monthly_spread(closes: pd.DataFrame) -> pd.Series:
    """BAA - AAA by month, percent points; empty where one of them is missing."""
    if not {"BAA", "AAA"} <= set(closes.columns):
        return pd.Series(dtype=np.float64)
    spread = (closes["BAA"] - closes["AAA"]).dropna()
    return spread.groupby(pd.DatetimeIndex(spread.index).to_period("M")).last()


def spread_deviation(closes: pd.DataFrame, first: dt.date, last: dt.date) -> float:
    """Standard deviation of monthly changes of BAA - AAA, percent points.

    Raises
    ------
    BadInput
        Fewer than six changes.
    """
    changes = monthly_spread(closes.loc[pd.Timestamp(first) : pd.Timestamp(last)]).diff().dropna()
    if len(changes) < 6:
        raise BadInput(
            f"There are {len(changes)} monthly changes of BAA - AAA from {first} to {last}.",
            "Give a panel with BAA and AAA and a longer era, or the widening in basis points with unit='absolute'.",
        )
    return float(changes.std())


def regression(closes: pd.DataFrame, financials: list[str]) -> Regression | None:
    """What an average month says of financials; None where the series do not overlap for three years."""
    spread = monthly_spread(closes).diff()
    if spread.empty or not financials:
        return None
    logs = pd.Series(np.log(closes[financials].to_numpy()).mean(axis=1), closes.index).dropna()
    monthly = logs.groupby(pd.DatetimeIndex(logs.index).to_period("M")).mean().diff()
    both = pd.concat([spread, monthly], axis="columns").dropna().to_numpy()
    if len(both) < 36:
        return None
    table, correlation = np.cov(both, rowvar=False), np.corrcoef(both, rowvar=False)
    return Regression(float(table[0, 1] / table[0, 0]), float(correlation[0, 1]) ** 2, len(both))
