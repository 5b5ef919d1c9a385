"""How wrong the method was: stocks predicted from the index in each crisis, with the covariance that was known. Pure.

A conditional move is the right answer to the question "and the others?" only as long as the next crisis is like the
era. In 2022 it was not. So this table stands beside every result.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates
from quantdesk.scenarios.shocks.eras import resolve_era
from quantdesk.scenarios.shocks.moves import betas, by_session, covariance

__all__ = ["CRISES", "Crisis", "Prediction", "PropagationError", "propagation_error"]


@dataclass(frozen=True, slots=True)
class Crisis:
    """A window, both days included; its return is from the close of the first to that of the last."""

    name: str
    first: dt.date
    last: dt.date


def _crisis(name: str, first: str, last: str) -> Crisis:
    return Crisis(name, dt.date.fromisoformat(first), dt.date.fromisoformat(last))


CRISES: tuple[Crisis, ...] = (
    _crisis("rate_shock_1994", "1994-02-02", "1994-04-04"),
    _crisis("ltcm_1998", "1998-07-17", "1998-08-31"),
    _crisis("geopolitical_2001", "2001-09-10", "2001-09-21"),
    _crisis("lehman_2008", "2008-09-12", "2008-11-20"),
    _crisis("euro_2011", "2011-07-22", "2011-10-03"),
    _crisis("yuan_2015", "2015-08-17", "2015-08-25"),
    _crisis("volmageddon_2018", "2018-01-26", "2018-02-08"),
    _crisis("covid_2020", "2020-02-19", "2020-03-23"),
    _crisis("rate_shock_2022", "2022-01-03", "2022-10-12"),
    _crisis("russia_2022", "2022-02-16", "2022-03-08"),
)
"""The windows of the catalogue that are longer than a day."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One crisis; returns are simple, as fractions.

    Attributes
    ----------
    crisis
        Its name.
    given
        What the index did.
    predicted, actual
        Mean over the stocks.
    scatter
        Root mean square of the stocks' errors.
    stocks, days
        How many; moves in the covariance.
    """

    crisis: str
    given: float
    predicted: float
    actual: float
    scatter: float
    stocks: int
    days: int

    @property
    def error(self) -> float:
        """Predicted less actual."""
        return self.predicted - self.actual


@dataclass(frozen=True, slots=True)
class PropagationError:
    """All crises that the data reach.

    Attributes
    ----------
    driver
        What the stocks were predicted from.
    era
        Rule of the covariance.
    rows
        One a crisis.
    left_out
        Crises without data.
    """

    driver: str
    era: str
    rows: tuple[Prediction, ...]
    left_out: tuple[str, ...] = ()

    @property
    def worst(self) -> Prediction:
        """The row with the largest error."""
        return max(self.rows, key=lambda row: abs(row.error))

    def frame(self) -> pd.DataFrame:
        """Percent; one row a crisis."""
        return pd.DataFrame(
            {
                row.crisis: {
                    f"{self.driver}, %": 100 * row.given,
                    "predicted, %": 100 * row.predicted,
                    "actual, %": 100 * row.actual,
                    "error, points": 100 * row.error,
                    "scatter, points": 100 * row.scatter,
                    "stocks": row.stocks,
                }
                for row in self.rows
            }
        ).T.astype({"stocks": int})

    def text(self) -> str:
        """For people: a table and a sentence."""
        lines = [
            f"How wrong this method was: mean return of the stocks, predicted from {self.driver} with the covariance "
            f"of {self.era}",
            f"{'crisis':<20}{self.driver + ' %':>9}{'predicted':>11}{'actual':>9}{'error':>8}{'scatter':>9}",
        ]
        lines += [
            f"{row.crisis:<20}{100 * row.given:>9.1f}{100 * row.predicted:>11.1f}{100 * row.actual:>9.1f}"
            f"{100 * row.error:>+8.1f}{100 * row.scatter:>9.1f}"
            for row in self.rows
        ]
        worst = self.worst
        lines.append(f"Worst: {worst.crisis}, wrong by {100 * abs(worst.error):.1f} points.")
        if self.left_out:
            lines.append(f"Without data: {', '.join(self.left_out)}.")
        return "\n".join(lines)


def propagation_error(
    panel: pd.DataFrame,
    crises: Sequence[Crisis] = CRISES,
    era_rule: str = "2y_before",
    *,
    driver: str = "SPX",
    stocks: Sequence[str] | None = None,
) -> PropagationError:
    """Predict the stocks' returns in each crisis from the index's and compare.

    Parameters
    ----------
    panel
        Values by session or instant, one column a symbol.
    crises
        Windows.
    era_rule
        See :func:`~quantdesk.scenarios.shocks.eras.resolve_era`; "before" is before the window's first close.
    driver
        The index that is given.
    stocks
        Which are predicted; all other columns when left out.

    Raises
    ------
    BadDates
        The panel reaches none of the crises.
    """
    closes = by_session(panel)
    names = [str(name) for name in closes.columns if name != driver] if stocks is None else list(stocks)
    rows, left_out = [], []
    for crisis in crises:
        row = _predict(closes, crisis, era_rule, driver, names)
        rows += [row] if row else []
        left_out += [] if row else [crisis.name]
    if not rows:
        raise BadDates("The panel reaches none of the crises.", "Give the index and stocks through one of them.")
    return PropagationError(driver, era_rule, tuple(rows), tuple(left_out))


def _predict(closes: pd.DataFrame, crisis: Crisis, rule: str, driver: str, names: list[str]) -> Prediction | None:
    first, last = pd.Timestamp(crisis.first), pd.Timestamp(crisis.last)
    if driver not in closes.columns or first not in closes.index or last not in closes.index:
        return None
    try:
        cov = covariance(closes[[driver, *names]], resolve_era(rule, crisis.first))
    except BadDates:
        return None
    ends = closes.reindex(index=[first, last], columns=[driver, *names]).to_numpy(dtype=np.float64)
    actual = dict(zip([driver, *names], np.log(ends[1] / ends[0]), strict=True))
    kept = [name for name in names if name in cov.symbols and np.isfinite(actual[name])]
    if driver not in cov.symbols or not kept or not np.isfinite(actual[driver]):
        return None
    slopes = betas(cov.matrix, cov.places([driver]))[:, 0]
    predicted = np.expm1(slopes[cov.places(kept)] * actual[driver])
    happened = np.expm1(np.array([actual[name] for name in kept]))
    scatter = float(np.sqrt(((predicted - happened) ** 2).mean()))
    return Prediction(
        crisis.name,
        float(np.expm1(actual[driver])),
        float(predicted.mean()),
        float(happened.mean()),
        scatter,
        len(kept),
        cov.days,
    )
