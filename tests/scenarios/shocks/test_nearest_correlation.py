"""Correlations that cannot be are repaired to the nearest that can, and the distance is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.shocks.correlation import checked, clipped, higham, mean_of, repaired, towards


def table(seed: int, count: int, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.uniform(-spread, spread, (count, count))
    found = (found + found.T) / 2
    np.fill_diagonal(found, 1.0)
    return found


def test_the_matrix_of_higham_2002_has_the_published_answer():
    # Higham 2002, section 4, and the example of NAG g02aaf: distance 2.134.
    asked = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
    answer = np.array(
        [
            [1.0, -0.8084, 0.1916, 0.1068],
            [-0.8084, 1.0, -0.6562, 0.1916],
            [0.1916, -0.6562, 1.0, -0.8084],
            [0.1068, 0.1916, -0.8084, 1.0],
        ]
    )
    found = higham(asked)
    assert found == pytest.approx(answer, abs=5e-5)
    assert np.linalg.norm(found - asked) == pytest.approx(2.134, abs=5e-4)


def test_the_three_by_three_of_higham_2002_has_the_published_answer():
    # Page 334: for ones beside the diagonal and zeros in the corners.
    asked = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    found = higham(asked)
    assert found[0, 1] == pytest.approx(0.7607, abs=5e-5)
    assert found[0, 2] == pytest.approx(0.1573, abs=5e-5)
    assert np.linalg.norm(found - asked) == pytest.approx(0.5278, abs=5e-5)


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_a_repaired_matrix_is_valid_and_higham_is_never_further_than_clipping(seed, count):
    asked = table(seed, count)
    near, clip = repaired(asked), repaired(asked, "clip")
    for one in (near, clip):
        assert np.array_equal(one.matrix, one.matrix.T)
        assert np.array_equal(np.diag(one.matrix), np.ones(count))
        assert np.abs(one.matrix).max() <= 1
        assert np.linalg.eigvalsh(one.matrix)[0] >= -1e-9
        assert one.distance == pytest.approx(np.linalg.norm(one.matrix - asked), abs=1e-12)
        assert (one.method == "none") == (np.linalg.eigvalsh(asked)[0] >= -1e-10)
    assert near.distance <= clip.distance + 1e-7


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_valid_matrix_near_the_answer_is_nearer(seed):
    asked = table(seed, 4)
    best = np.linalg.norm(higham(asked) - asked)
    rng = np.random.default_rng([seed, 1])
    for _ in range(50):
        other = clipped(higham(asked) + 0.05 * table(int(rng.integers(1e6)), 4) - 0.05 * np.eye(4))
        assert np.linalg.norm(other - asked) >= best - 1e-7


def test_a_valid_matrix_is_left_alone():
    asked = np.array([[1.0, 0.5], [0.5, 1.0]])
    found = repaired(asked)
    assert np.array_equal(found.matrix, asked)
    assert (found.distance, found.largest, found.method) == (0.0, 0.0, "none")
    assert "valid" in found.describe()
    assert higham(asked) == pytest.approx(asked, abs=1e-12)


def test_what_was_asked_in_vain_is_told():
    asked = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    found = repaired(asked)
    assert found.distance > 0.5
    assert f"{found.distance:.3f}" in found.describe()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(np.array([[1.0, 0.2], [0.3, 1.0]]), "mirror"), (np.array([[2.0, 0.2], [0.2, 1.0]]), "diagonal"),
     (np.array([[1.0, np.nan], [np.nan, 1.0]]), "NaN"), (np.array([[1.0, 1.2], [1.2, 1.0]]), "between"),
     (np.ones((2, 3)), "shape"), (np.zeros((0, 0)), "shape")],
)  # fmt: skip
def test_what_is_no_correlation_is_refused_with_the_place(wrong, said):
    with pytest.raises(BadInput, match=said):
        checked(wrong)


def test_higham_refuses_what_is_not_symmetric_or_does_not_end():
    with pytest.raises(BadInput, match="not symmetric"):
        higham(np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(BadInput, match="not finite"):
        higham(np.array([[1.0, np.inf], [np.inf, 1.0]]))
    with pytest.raises(BadInput, match="2 steps"):
        higham(2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1), most=2)
    with pytest.raises(UnknownName, match="clip"):
        repaired(np.eye(2), "clipp")


@given(st.integers(0, 1000), st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_a_block_is_brought_to_its_mean_and_the_rest_stays(seed, target):
    rng = np.random.default_rng(seed)
    start = np.corrcoef(rng.standard_normal((40, 6)) + rng.standard_normal((40, 1)), rowvar=False)
    places = np.array([0, 2, 3])
    found = towards(start, places, target)
    assert mean_of(found[np.ix_(places, places)]) == pytest.approx(target, abs=1e-9)
    rest = np.array([1, 4, 5])
    assert found[rest] == pytest.approx(start[rest], abs=1e-12)
    assert np.abs(found).max() <= 1 + 1e-12
    pairs, before = found[[0, 0, 2], [2, 3, 3]], start[[0, 0, 2], [2, 3, 3]]
    if 1e-3 < abs(target) < 0.999:  # at the ends all are equal
        assert (np.argsort(pairs) == np.argsort(before)).all()


def test_all_correlations_of_one_are_reached_without_a_repair():
    start = np.corrcoef(np.random.default_rng(1).standard_normal((40, 5)), rowvar=False)
    found = towards(start, np.arange(5), 1.0)
    assert found == pytest.approx(np.ones((5, 5)))
    assert repaired(found).method == "none"
    with pytest.raises(BadInput, match="mean correlation"):
        towards(start, np.array([1]), 0.5)
    assert np.isnan(mean_of(np.eye(1)))
