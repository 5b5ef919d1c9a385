"""Labels that start after the trade, predictions that never saw their own outcome, and trials that all count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from quantdesk.backtest import (
    PurgedKFold,
    Setup,
    Study,
    WalkForward,
    compare,
    deflate,
    forward_returns,
    information_coefficient,
    out_of_sample,
    overlaps,
)
from quantdesk.backtest.metrics import sharpe
from quantdesk.errors import BadInput, BadParameter


@pytest.mark.parametrize(("horizon", "every"), [(1, 1), (5, 1), (5, 5), (21, 3)])
def test_a_label_runs_from_the_next_close_to_the_horizon(panel, horizon, every):
    labels = forward_returns(panel, horizon, every)
    times = labels.values.index.get_level_values(0).unique()
    assert list(times) == list(panel.index[: len(panel) - 1 - horizon : every])
    for place in (0, len(times) // 2, -1):
        row = panel.index.get_loc(times[place])
        for symbol in ("S0", "S5"):
            bought, sold = panel[symbol].iloc[row + 1], panel[symbol].iloc[row + 1 + horizon]
            assert labels.values[(times[place], symbol)] == pytest.approx(sold / bought - 1, rel=1e-12)
            assert labels.ends[(times[place], symbol)] == panel.index[row + 1 + horizon]
    assert labels.values.index.equals(labels.ends.index)


def test_labels_do_not_use_the_close_at_which_the_features_are_known(panel):
    moved = panel.copy()
    moved.iloc[100] *= 2
    before, after = forward_returns(panel, 5).values, forward_returns(moved, 5).values
    here = before.index.get_level_values(0) == panel.index[100]
    pd.testing.assert_series_equal(before[here], after[here])


def test_unknown_outcomes_have_no_label(panel):
    holes = panel.copy()
    holes.iloc[50, 0] = np.nan
    labels = forward_returns(holes, 5)
    missing = set(forward_returns(panel, 5).values.index) - set(labels.values.index)
    assert missing == {(panel.index[49], "S0"), (panel.index[44], "S0")}


def test_the_information_coefficient_is_the_mean_of_scipys_spearman(panel):
    labels = forward_returns(panel, 5, 5)
    scores = labels.values + np.random.default_rng(0).normal(0, 0.05, len(labels.values))
    found = information_coefficient(scores, labels.values, lags=0)
    table = pd.concat([scores.rename("s"), labels.values.rename("y")], axis=1)
    by_hand = [stats.spearmanr(part["s"], part["y"]).statistic for _, part in table.groupby(level=0)]
    assert found.mean == pytest.approx(np.mean(by_hand), rel=1e-9)
    assert found.t == pytest.approx(np.mean(by_hand) / (np.std(by_hand) / np.sqrt(len(by_hand))), rel=1e-9)
    assert found.decisions == len(by_hand)


def test_overlap_widens_the_error_of_the_information_coefficient(panel):
    labels = forward_returns(panel, 21)
    scores = labels.values.groupby(level=1).shift(5)
    assert abs(information_coefficient(scores, labels.values, 21).t) < abs(
        information_coefficient(scores, labels.values, 0).t
    )


def world(panel, signal, horizon=5):
    """A feature that is the coming return plus noise: `signal` 0 is pure noise."""
    labels = forward_returns(panel, horizon, horizon)
    rng = np.random.default_rng(4)
    noise = pd.Series(rng.normal(0, labels.values.std(), len(labels.values)), labels.values.index)
    features = pd.DataFrame({"x": signal * labels.values + noise})
    benchmark = panel.pct_change().mean(axis=1)
    return Study(features, labels, panel, benchmark, top=2, setup=Setup(labels=("simulated",)))


def test_predictions_come_from_models_that_did_not_see_the_row(panel):
    study = world(panel, 1.0)
    seen = []

    class Spy(LinearRegression):
        def fit(self, x, y):
            seen.append(set(x.index))
            return super().fit(x, y)

        def predict(self, x):
            assert not seen[-1] & set(x.index)
            return super().predict(x)

    splitter = PurgedKFold(4, study.labels.ends, 5)
    found = out_of_sample(Spy(), study.features, study.labels.values, splitter)
    assert len(found) == len(study.features)
    walked = out_of_sample(Spy(), study.features, study.labels.values, WalkForward(4, study.labels.ends))
    assert walked.index.get_level_values(0).min() > study.features.index.get_level_values(0).min()
    assert all(overlaps(study.labels.ends, *split) == 0 for split in splitter.split())


def test_a_real_signal_is_found_and_noise_is_called_luck(panel):
    models = {"ols": LinearRegression(), "logit": LogisticRegression(), "mean": DummyRegressor()}
    splitter = WalkForward(4, world(panel, 1.0).labels.ends)
    trials = compare(models, world(panel, 1.0), splitter)
    assert [trial.name for trial in trials] == list(models)
    best, verdict = deflate(trials)
    assert best.name in ("ols", "logit")
    assert best.information.t > 5
    beyond = best.backtest.returns - world(panel, 1.0).benchmark.loc[best.backtest.returns.index]
    assert verdict.sharpe == pytest.approx(sharpe(beyond)) == pytest.approx(best.sharpe)
    assert verdict.trials == 3
    assert verdict.labels == ("simulated",)
    noise = {f"ols{i}": LinearRegression() for i in range(2)} | {"logit": LogisticRegression()}
    _, verdict = deflate(compare(noise, world(panel, 0.0), splitter))
    assert verdict.probability < 0.95


def test_a_single_symbol_is_held_when_its_prediction_is_positive(panel):
    study = world(panel[["S0"]], 1.0)
    trials = compare(
        {"ols": LinearRegression(), "logit": LogisticRegression()}, study, WalkForward(3, study.labels.ends)
    )
    for trial, floor in zip(trials, (0.0, 0.5), strict=True):
        assert trial.information is None
        held = trial.backtest.weights["S0"].loc[trial.backtest.fills["timestamp"]] > 0
        assert held.any()
        assert not held.all()
        assert set(trial.predictions > floor) == {True, False}


def test_bad_questions_are_refused(panel):
    study = world(panel, 1.0)
    splitter = WalkForward(3, study.labels.ends)
    with pytest.raises(BadInput, match="no model"):
        compare({}, study, splitter)
    with pytest.raises(BadInput, match="benchmark has no return"):
        short = Study(study.features, study.labels, panel, study.benchmark.iloc[:99])
        compare({"a": LinearRegression()}, short, splitter)
    with pytest.raises(BadInput, match="no trial"):
        deflate([])
    with pytest.raises(BadInput, match="other rows"):
        compare(
            {"a": LinearRegression()}, Study(study.features.iloc[1:], study.labels, panel, study.benchmark), splitter
        )
    with pytest.raises(BadInput, match="other rows"):
        out_of_sample(LinearRegression(), study.features.iloc[1:], study.labels.values, splitter)
    with pytest.raises(BadParameter, match="horizon is 0"):
        forward_returns(panel, 0)
    with pytest.raises(BadParameter, match="every is 0"):
        forward_returns(panel, 5, 0)
    with pytest.raises(BadInput, match="10 sessions hold no return"):
        forward_returns(panel.iloc[:10], 21)
    with pytest.raises(BadInput, match="0 decisions rank"):
        information_coefficient(study.labels.values.iloc[:0], study.labels.values)
