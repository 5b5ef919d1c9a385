"""Several models on the same question, judged on what they did not see, and every one of them counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from quantdesk.backtest.costs import Costs
from quantdesk.backtest.deflated import DeflatedSharpe, deflated_sharpe
from quantdesk.backtest.engine import run
from quantdesk.backtest.forward import InformationCoefficient, Labels, information_coefficient, out_of_sample
from quantdesk.backtest.inputs import Setup
from quantdesk.backtest.metrics import sharpe
from quantdesk.backtest.result import Backtest
from quantdesk.backtest.validation import TimeSplit
from quantdesk.errors import BadInput
from quantdesk.signals import top_n

__all__ = ["Study", "Trial", "compare", "deflate"]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The question that all models are asked.

    Parameters
    ----------
    features
        Index ``(timestamp, symbol)`` as the labels', one column per feature, no NaN unless every model takes them.
    labels
        What is to be predicted, with the intervals.
    prices
        Close prices, shape (sessions, symbols), that the predictions are traded on.
    benchmark
        Returns per session of what one would hold without a model, for example all symbols at equal weight. Trials are
        judged by what they earn **beyond** it: a long-only account earns the market's premium without any skill.
    top
        How many symbols with the highest prediction are held until the next decision.
    costs, setup
        See `quantdesk.backtest.run`.
    """

    features: pd.DataFrame
    labels: Labels
    prices: pd.DataFrame
    benchmark: pd.Series
    top: int = 5
    costs: Costs = field(default_factory=Costs)
    setup: Setup = field(default_factory=Setup)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What one model did out of sample.

    Parameters
    ----------
    name
        As given.
    predictions
        Index ``(timestamp, symbol)``.
    information
        How well they ranked the symbols; None when there are too few to rank, or all got the same prediction.
    backtest
        Holding the highest predictions.
    active
        Its returns per session minus the benchmark's.
    sharpe
        Annual Sharpe ratio of `active` (also called information ratio), after costs.
    """

    name: str
    predictions: pd.Series
    information: InformationCoefficient | None
    backtest: Backtest
    active: pd.Series
    sharpe: float


def compare(models: Mapping[str, Any], study: Study, splitter: TimeSplit) -> list[Trial]:
    """Train and trade every model out of sample.

    Parameters
    ----------
    models
        scikit-learn estimators by name. A classifier is asked whether the return is above the median of its decision
        (above zero when there is one symbol), a regressor for the return.
    study
        The question.
    splitter
        How to split; `WalkForward` for a history that could have been traded.

    Returns
    -------
    list of Trial
        In the order of `models`. Every one counts as a trial, also those that are thrown away.

    Raises
    ------
    BadInput
        No model, rows of features and labels that differ, or a benchmark that does not cover a trial.
    """
    from sklearn.base import is_classifier

    if not models:
        raise BadInput("There is no model to compare.", "Give at least one.")
    values = study.labels.values
    if not study.features.index.equals(values.index):
        raise BadInput("Features and labels have other rows.", "Give both with the same index.")
    symbols = values.index.get_level_values(1).nunique()
    middle = values.groupby(level=0).transform("median") if symbols > 1 else 0.0
    better = (values > middle).astype(int)
    found = []
    for name, model in models.items():
        outcomes = better if is_classifier(model) else values
        predictions = out_of_sample(model, study.features, outcomes, splitter)
        scores = predictions.unstack(level=1)
        floor = (0.5 if is_classifier(model) else 0.0) if symbols == 1 else None
        weights = top_n(scores, study.top, rebalance="daily", floor=floor)
        traded = run(study.prices, weights, study.costs, setup=study.setup)
        if not traded.returns.index.isin(study.benchmark.index).all():
            raise BadInput("The benchmark has no return on some sessions of a trial.", "Run it on the same prices.")
        active = (traded.returns - study.benchmark.loc[traded.returns.index]).rename("active")
        found.append(Trial(name, predictions, _information(predictions, values), traded, active, sharpe(active)))
    return found


def _information(predictions: pd.Series, outcomes: pd.Series) -> InformationCoefficient | None:
    try:
        return information_coefficient(predictions, outcomes)
    except BadInput:  # too few symbols to rank, or a model that says the same of all of them
        return None


def deflate(trials: list[Trial]) -> tuple[Trial, DeflatedSharpe]:
    """The trial with the highest Sharpe ratio, deflated for how many there were.

    Raises
    ------
    BadInput
        No trial, or one whose Sharpe ratio is not defined.
    """
    if not trials:
        raise BadInput("There is no trial.", "Compare at least one model.")
    best = max(trials, key=lambda trial: trial.sharpe)
    return best, deflated_sharpe(best.active, [trial.sharpe for trial in trials], labels=best.backtest.labels)
