"""What is drawn has the law that it should: held against scipy and arch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from arch.univariate import GARCH, ConstantMean
from arch.univariate import StudentsT as ArchT
from scipy import stats

from quantdesk.errors import BadInput
from quantdesk.scenarios.paths import Bootstrap, Drawn, Filtered, Moves, StudentT, block_length, fit_gjr, root_of
from quantdesk.scenarios.paths.filtered import Gjr
from quantdesk.scenarios.paths.student import degrees_of

COVARIANCE = np.array([[4.0, 1.2, -0.5], [1.2, 1.0, 0.1], [-0.5, 0.1, 2.0]]) * 1e-4
MEAN = np.array([0.001, 0.0, -0.002])
THREE = ("A", "B", "C")


def whole(drawn: Drawn) -> np.ndarray:
    return np.concatenate([moves for _, moves in drawn.chunks()])


@pytest.mark.parametrize("nu", [4.0, 9.0, math.inf])
def test_each_asset_and_each_book_is_student_t(nu):
    drawn = Drawn(StudentT(THREE, MEAN, COVARIANCE, nu), 1, 200_000, seed=1)
    moves = whole(drawn)[:, 0]
    values = np.array([3.0, -1.0, 2.0])
    book = drawn.pnl(dict(zip(THREE, values, strict=True)))
    law = stats.norm if math.isinf(nu) else stats.t(nu)
    shrink = 1.0 if math.isinf(nu) else math.sqrt((nu - 2) / nu)
    for sample, mean, variance in (
        *zip(moves.T, MEAN, np.diag(COVARIANCE), strict=True), (book, MEAN @ values, values @ COVARIANCE @ values),
    ):  # fmt: skip
        standard = (sample - mean) / (math.sqrt(variance) * shrink)
        assert stats.kstest(standard, law.cdf).pvalue > 1e-3
        for level in (0.001, 0.01, 0.5, 0.99):
            below = (standard <= law.ppf(level)).mean()
            assert below == pytest.approx(level, abs=5 * math.sqrt(level * (1 - level) / len(sample)))


def test_the_covariance_is_the_one_given_and_tails_come_together():
    moves = whole(Drawn(StudentT(THREE, MEAN, COVARIANCE, 6.0), 2, 400_000, seed=2))
    np.testing.assert_allclose(np.cov(moves[:, 0].T), COVARIANCE, atol=0.05e-4)
    np.testing.assert_allclose(moves.mean(axis=(0, 1)), MEAN, atol=1e-4)
    across = np.corrcoef(moves[:, 0].T, moves[:, 1].T)[:3, 3:]
    assert np.abs(across).max() < 0.01  # days are independent
    squares = ((moves[:, 0] - MEAN) @ np.linalg.inv(np.linalg.cholesky(COVARIANCE)).T) ** 2
    assert np.corrcoef(squares.T)[0, 1] > 0.1  # uncorrelated numbers, wild together


def test_the_degrees_of_freedom_are_found():
    rng = np.random.default_rng(4)
    for nu in (4.0, 12.0):
        sample = stats.multivariate_t(MEAN, COVARIANCE * (nu - 2) / nu, df=nu, seed=rng).rvs(20_000)
        assert degrees_of(sample, COVARIANCE) == pytest.approx(nu, rel=0.1)
        fitted = StudentT.of(Moves(THREE, sample))
        assert fitted.nu == pytest.approx(nu, rel=0.15)
        np.testing.assert_allclose(fitted.mean, sample.mean(axis=0))
        np.testing.assert_allclose(fitted.covariance, np.cov(sample.T))
    one = stats.t(5.0).rvs(20_000, random_state=rng)[:, None]
    by_scipy = stats.t.fit(one[:, 0])[0]
    assert StudentT.of(Moves(("A",), one)).nu == pytest.approx(by_scipy, rel=0.1)
    assert (StudentT.of(Moves(THREE, sample), mean=np.zeros(3)).mean == 0).all()


def test_a_covariance_is_repaired_a_little_and_refused_beyond():
    np.testing.assert_allclose(root_of(COVARIANCE).lower, np.linalg.cholesky(COVARIANCE))
    assert root_of(COVARIANCE).repaired == 0
    asked = np.array([[1, 0.9, 0.7], [0.9, 1, 0.944], [0.7, 0.944, 1]])
    assert np.linalg.eigvalsh(asked)[0] < 0
    root = root_of(asked)
    found = root.lower @ root.lower.T
    np.testing.assert_allclose(np.diag(found), 1)
    assert root.repaired == pytest.approx(np.linalg.norm(found - asked) / np.linalg.norm(asked))
    assert 0 < root.repaired < 0.01
    assert "repaired by" in StudentT(THREE, MEAN, asked).said
    rank_one = root_of(np.ones((3, 3)))
    np.testing.assert_allclose(rank_one.lower @ rank_one.lower.T, 1, atol=1e-8)
    with pytest.raises(BadInput, match="least eigenvalue"):
        root_of([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    for wrong, said in (
        (np.ones(3), "shape"), ([[1, math.nan], [math.nan, 1]], "NaN"), ([[1, 0.5], [0.2, 1]], "symmetric"),
        ([[1, 0], [0, 0]], "Variance 1 is 0"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            root_of(wrong)


def test_a_law_that_is_none_is_refused():
    for wrong, said in (
        ({"nu": 2.0}, "2.0"), ({"nu": math.nan}, "nan"), ({"mean": MEAN[:2]}, "mean"),
        ({"mean": MEAN * math.nan}, "mean"), ({"covariance": COVARIANCE[:2, :2]}, "shape"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            StudentT(**({"symbols": THREE, "mean": MEAN, "covariance": COVARIANCE} | wrong))


def persistent(days: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.01, days)
    for day in range(1, days):
        moves[day] += 0.4 * moves[day - 1]
    return moves


def test_the_bootstrap_has_the_law_of_archs():
    history = persistent(700, 5)
    block = 12.0
    ours = Drawn(Bootstrap(Moves(("A",), history[:, None]), block), 20, 40_000, seed=6).pnl({"A": 1.0})
    theirs = StationaryBootstrap(block, history, seed=np.random.default_rng(7))
    sums = np.concatenate([data[0][0][:700].reshape(-1, 20)[::3].sum(axis=1) for data in theirs.bootstrap(1500)])
    assert stats.ks_2samp(ours, sums).pvalue > 1e-3
    assert ours.std() == pytest.approx(sums.std(), rel=0.03)
    singly = Drawn(Bootstrap(Moves(("A",), history[:, None]), 1.0), 20, 40_000, seed=6).pnl({"A": 1.0})
    assert singly.std() == pytest.approx(history.std() * math.sqrt(20), rel=0.02)
    assert ours.std() > 1.2 * singly.std()  # the blocks keep what days owe to each other


def test_stretches_have_the_length_that_was_asked_for():
    history = np.arange(1000.0)[:, None] ** 1.5
    moves = whole(Drawn(Bootstrap(Moves(("A",), history), 8.0), 400, 500, seed=3))[:, :, 0]
    days = np.round(moves ** (1 / 1.5)).astype(int)
    joined = (days[:, 1:] == (days[:, :-1] + 1) % 1000).mean()
    assert joined == pytest.approx(1 - 1 / 8 + 1 / 8 / 1000, abs=0.005)
    counts = np.bincount(days.ravel(), minlength=1000)
    assert counts.min() > 50  # ends of the history are drawn as often as its middle
    assert stats.kstest(days[:, 0] / 1000, "uniform").pvalue > 1e-3


def test_assets_of_a_day_stay_together(moves):
    drawn = whole(Drawn(Bootstrap.of(moves), 5, 200, seed=1)).reshape(-1, 3)
    known = {row.tobytes() for row in moves.values}
    assert all(row.tobytes() in known for row in drawn)


def test_the_block_length_is_that_of_politis_and_white(moves):
    rule = optimal_block_length(moves.values)["stationary"].max()
    assert block_length(moves.values) == max(rule, 1)
    assert Bootstrap.of(moves).block == block_length(moves.values)
    assert block_length(persistent(3000, 1)[:, None]) > 3
    with pytest.raises(BadInput, match=r"0\.5"):
        Bootstrap(moves, 0.5)
    with pytest.raises(BadInput, match="nan"):
        Bootstrap(moves, math.nan)


def simulated(days: int, seed: int) -> np.ndarray:
    model = ConstantMean(volatility=GARCH(1, 1, 1), distribution=ArchT(seed=np.random.default_rng(seed)))
    return model.simulate([0.05, 0.04, 0.03, 0.12, 0.86, 6.0], days, burn=500)["data"].to_numpy()


def test_the_volatility_model_is_archs_in_the_units_of_the_moves():
    values = simulated(3000, 1) / 100
    ours = fit_gjr(values)
    model = ConstantMean(values * 100, volatility=GARCH(1, 1, 1), distribution=ArchT(), rescale=False)
    fit = model.fit(disp="off")
    for name, theirs, unit in (
        ("mean", "mu", 100), ("omega", "omega", 1e4), ("alpha", "alpha[1]", 1), ("gamma", "gamma[1]", 1),
        ("beta", "beta[1]", 1), ("nu", "nu", 1),
    ):  # fmt: skip
        assert getattr(ours, name) * unit == pytest.approx(fit.params[theirs], rel=0.02, abs=2e-3), name
    assert ours.beta == pytest.approx(0.86, abs=0.05)
    assert ours.gamma == pytest.approx(0.12, abs=0.06)
    assert ours.persistence == pytest.approx(0.95, abs=0.03)


def test_the_path_begins_as_wild_as_the_history_ended_and_as_arch_forecasts():
    values = simulated(1500, 2) / 100
    values[-3:] = [-0.06, 0.05, -0.07]
    method = Filtered.of(Moves(("A",), values[:, None]))
    model = ConstantMean(values * 100, volatility=GARCH(1, 1, 1), distribution=ArchT(), rescale=False)
    forecast = model.fit(disp="off").forecast(horizon=10).variance.to_numpy()[-1] / 1e4
    moves = whole(Drawn(method, 10, 300_000, seed=4))[:, :, 0]
    drawn = moves.var(axis=0)
    np.testing.assert_allclose(drawn, forecast, rtol=0.05)
    assert drawn[0] > 4 * values[:-3].var()
    assert drawn[9] < drawn[0]


def test_skewed_moves_drift_by_their_mean_whatever_their_volatility_is_now():
    values = simulated(1500, 3) / 100
    values = np.where(values < 0, 1.6 * values, 0.8 * values)
    values[-3:] = [-0.06, 0.05, -0.07]
    drawn = whole(Drawn(Filtered.of(Moves(("A",), values[:, None])), 1, 1_000_000, seed=4))
    assert drawn.std() > 2 * values.std()
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * drawn.std() / 1000)


def test_falls_that_are_larger_than_rises_make_variance_last_and_it_is_said_where_it_has_no_end(moves):
    residuals = np.tile([-1.8, 0.6, 0.6, 0.6], 200)
    made = Filtered(("A",), (Gjr(0.0, 1e-6, 0.0, 0.12, 0.92, 5.0, 1e-4, 0.0, residuals),), ("survivors_only",))
    assert made.models[0].persistence == pytest.approx(0.98)
    assert made.persistence == pytest.approx([0.92 + 0.12 * 0.75])
    assert made.labels == ("survivors_only", "variance_grows_without_end:A")
    assert "variance of A grows without end" in made.said
    wild = whole(Drawn(made, 60, 20_000, seed=1))[:, :, 0].var(axis=0)
    first = 1e-6 + 0.92e-4
    assert wild[0] == pytest.approx(first, rel=0.05)
    assert wild[59] == pytest.approx(1.01**59 * first + 1e-6 * (1.01**59 - 1) / 0.01, rel=0.15)
    calm = Filtered.of(moves)
    assert (calm.persistence < 1).all()
    assert calm.labels == moves.labels
    assert "end" not in calm.said


def test_residuals_keep_the_dependence_of_the_history(moves):
    method = Filtered.of(moves)
    assert method.symbols == moves.symbols
    drawn = whole(Drawn(method, 1, 50_000, seed=9))[:, 0]
    residuals = np.column_stack([model.residuals for model in method.models])
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(residuals.T), atol=0.03)


def test_a_volatility_that_cannot_be_fitted_is_refused(moves):
    with pytest.raises(BadInput, match="GOOG has 300 days"):
        fit_gjr(np.random.default_rng(0).normal(size=300), "GOOG")
    with pytest.raises(BadInput, match="1 models"):
        Filtered(("A", "B"), (Gjr(0, 1, 0, 0, 0, 5, 1, 0, np.ones(500)),))
    stuck, wild = np.zeros(600), np.random.default_rng(0).standard_cauchy(600)
    stuck[300] = 1.0
    for values in (stuck, wild, np.exp(np.arange(600) / 5)):
        with pytest.raises(BadInput, match="PEG fits no GJR-GARCH"):
            fit_gjr(values, "PEG")
