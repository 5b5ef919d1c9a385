"""What a model is asked to predict: returns after the decision, each with the interval in which it happens.

Decided after the close of session T, traded at T+1 (as `quantdesk.backtest.run` does it), so the return over a
horizon of h sessions runs from the close of T+1 to the close of T+1+h. Using the return from T on would pay the model
for a price that nobody could trade at any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from quantdesk.backtest.factors import newey_west_lags
from quantdesk.backtest.validation import TimeSplit
from quantdesk.errors import BadInput, BadParameter

__all__ = ["InformationCoefficient", "Labels", "forward_returns", "information_coefficient", "out_of_sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Outcomes of decisions, index ``(timestamp, symbol)``, sorted; only rows whose outcome is known.

    Parameters
    ----------
    values
        Simple return from the close after the decision to `horizon` sessions later.
    ends
        When that outcome is known (UTC).
    horizon
        In sessions.
    """

    values: pd.Series
    ends: pd.Series
    horizon: int


def forward_returns(prices: pd.DataFrame, horizon: int = 21, every: int = 1) -> Labels:
    """Returns over the `horizon` sessions that follow the session after each decision.

    Parameters
    ----------
    prices
        Close prices, shape (sessions, symbols), adjusted; index increasing and aware. NaN gives no label.
    horizon
        In sessions, at least 1.
    every
        Decide on every n-th session only; ``every=horizon`` gives labels that hardly overlap.

    Raises
    ------
    BadParameter
        `horizon` or `every` below 1.
    BadInput
        Too little history for one label.
    """
    for name, value in (("horizon", horizon), ("every", every)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise BadParameter(f"{name} is {value!r}.", "Give a whole number of at least 1.")
    if len(prices) < horizon + 2:
        raise BadInput(
            f"{len(prices)} sessions hold no return over {horizon} sessions after the next one.", "Take more history."
        )
    entry, leave = prices.shift(-1), prices.shift(-1 - horizon)
    outcome = (leave / entry - 1).iloc[: -1 - horizon : every]
    ends = pd.Series(prices.index[1 + horizon :][::every], outcome.index)
    values = cast(
        "pd.Series", outcome.rename_axis(index="timestamp", columns="symbol").stack(future_stack=True)
    ).dropna()
    known = pd.Series(ends.loc[values.index.get_level_values(0)].array, values.index, name="label_end")
    values.name = f"forward_{horizon}d"
    return Labels(values, known, horizon)


@dataclass(frozen=True, slots=True)
class InformationCoefficient:
    """How well a score ranked the symbols, on average over the decisions.

    Parameters
    ----------
    mean
        Mean over the decisions of the rank correlation (Spearman) across symbols between score and outcome.
    t
        Its t-statistic with Newey-West errors, because overlapping outcomes repeat themselves.
    decisions
        How many there were with at least three symbols.
    """

    mean: float
    t: float
    decisions: int


def information_coefficient(scores: pd.Series, outcomes: pd.Series, lags: int | None = None) -> InformationCoefficient:
    """Mean rank correlation between `scores` and `outcomes` across symbols (Grinold and Kahn 2000, chapter 6).

    Parameters
    ----------
    scores, outcomes
        Index ``(timestamp, symbol)``; rows that one lacks or where one is NaN are left out.
    lags
        Decisions after which overlap ends, for the standard error; `newey_west_lags`
        when None.

    Raises
    ------
    BadInput
        Fewer than ten decisions with at least three symbols.
    """
    both = pd.concat([scores.rename("score"), outcomes.rename("outcome")], axis=1, join="inner").dropna()
    ranks = both.groupby(level=0).rank()
    centred = ranks - ranks.groupby(level=0).transform("mean")
    sums = pd.DataFrame(
        {
            "xy": centred["score"] * centred["outcome"],
            "xx": centred["score"] ** 2,
            "yy": centred["outcome"] ** 2,
            "n": 1.0,
        }
    )
    by_time = sums.groupby(level=0).sum()
    usable = by_time[(by_time["n"] >= 3) & (by_time["xx"] > 0) & (by_time["yy"] > 0)]
    if len(usable) < 10:
        raise BadInput(f"{len(usable)} decisions rank at least three symbols.", "At least ten are needed.")
    series: np.ndarray = (usable["xy"] / np.sqrt(usable["xx"] * usable["yy"])).to_numpy()
    count, mean = len(series), float(series.mean())
    wander = series - mean
    lags = newey_west_lags(count) if lags is None else min(lags, count - 1)
    variance = float(wander @ wander)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(wander[lag:] @ wander[:-lag])
    error = np.sqrt(variance) / count if variance > 0 else np.nan
    return InformationCoefficient(mean, float(mean / error), count)


def out_of_sample(model: Any, features: pd.DataFrame, outcomes: pd.Series, splitter: TimeSplit) -> pd.Series:
    """Predictions for every test row by a model that was trained without it, on one thread.

    Parameters
    ----------
    model
        A scikit-learn estimator; it is cloned for every split. A classifier gives the probability of its last class.
    features
        Shape (rows, features), no NaN unless the model takes them.
    outcomes
        One per row of `features`, same index.
    splitter
        `PurgedKFold` or `WalkForward` on the same rows.

    Returns
    -------
    Series
        Predictions; rows that are never tested (the first block of a walk forward) are left out.
    """
    from sklearn.base import clone, is_classifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not features.index.equals(outcomes.index):
        raise BadInput("Features and outcomes have other rows.", "Give both with the same index.")
    found = np.full(len(features), np.nan)
    # Threads that spin for cores which others use make small fits many times slower, and change the order of sums.
    with threadpool_limits(1):
        for train, test in splitter.split(features):
            fitted = clone(model).fit(features.iloc[train], outcomes.iloc[train])
            rows = features.iloc[test]
            found[test] = fitted.predict_proba(rows)[:, -1] if is_classifier(fitted) else fitted.predict(rows)
    return pd.Series(found, features.index, name="prediction").dropna()
