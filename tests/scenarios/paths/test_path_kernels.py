"""The compiled loops against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.scenarios.paths import kernels
from quantdesk.scenarios.paths.kernels import TILE

shapes = st.tuples(st.integers(0, 2**31), st.integers(1, 3 * TILE), st.integers(1, 9))


def tiled(seed: int, rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    tiles = np.random.default_rng(seed).standard_normal((-(-rows // TILE), width, TILE))
    return tiles, tiles.transpose(0, 2, 1).reshape(-1, width)[:rows]


@given(shapes)
@settings(max_examples=25, deadline=None)
def test_rows_are_correlated_by_the_triangle(shape):
    seed, rows, width = shape
    rng = np.random.default_rng(seed)
    tiles, normals = tiled(seed, rows, width)
    lower, mean, scale = np.tril(rng.normal(size=(width, width))), rng.normal(size=width), rng.random(rows)
    out = np.empty((rows, width))
    kernels.correlated(tiles, lower, mean, scale, out)
    np.testing.assert_allclose(out, mean + scale[:, None] * (normals @ lower.T), rtol=1e-12, atol=1e-12)


@given(shapes)
@settings(max_examples=25, deadline=None)
def test_a_weighed_row_is_its_dot_product(shape):
    seed, rows, width = shape
    rng = np.random.default_rng(seed)
    tiles, normals = tiled(seed, rows, width)
    weights, scale, out = rng.normal(size=width), rng.random(rows), np.empty(rows)
    kernels.weighed(tiles, weights, 0.25, scale, out)
    np.testing.assert_allclose(out, 0.25 + scale * (normals @ weights), rtol=1e-12, atol=1e-12)


def plain_days(raw: np.ndarray, count: int, threshold: int) -> np.ndarray:
    out = np.empty(raw.shape, dtype=np.int64)
    for path, bits in enumerate(raw.tolist()):
        for day, number in enumerate(bits):
            begins = day == 0 or (number & 0xFFFFFFFF) < threshold
            out[path, day] = ((number >> 32) * count) >> 32 if begins else (out[path, day - 1] + 1) % count
    return out


@given(st.integers(0, 2**31), st.integers(1, 5000), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_stretches_are_those_of_the_definition(seed, count, threshold):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 2**64 - 1, (7, 13), dtype=np.uint64, endpoint=True)
    expected, days, totals = plain_days(raw, count, threshold), np.empty((7, 13), dtype=np.int64), np.empty(7)
    kernels.chosen_days(raw, count, np.uint64(threshold), days)
    np.testing.assert_array_equal(days, expected)
    moves = rng.normal(size=(count, 2))
    kernels.weighed_days(raw, count, np.uint64(threshold), np.ascontiguousarray(moves[:, 0]), totals)
    np.testing.assert_allclose(totals, moves[:, 0][expected].sum(axis=1), rtol=1e-12, atol=1e-12)
    out = np.empty((7, 13, 2))
    kernels.gathered(days, moves, out)
    np.testing.assert_array_equal(out, moves[expected])
    kernels.picked_days(raw, count, days)
    np.testing.assert_array_equal(days, plain_days(raw, count, 2**32))


def test_the_extreme_bits_stay_inside_of_the_history():
    raw = np.array([[0, 2**64 - 1]], dtype=np.uint64)
    out = np.empty((1, 2), dtype=np.int64)
    kernels.picked_days(raw, 2500, out)
    assert out.tolist() == [[0, 2499]]


@pytest.mark.parametrize("seed", range(3))
def test_filtered_moves_follow_the_recursion(seed):
    rng = np.random.default_rng(seed)
    residuals, days = rng.normal(size=(50, 2)), rng.integers(0, 50, (4, 6))
    mean, omega, alpha, gamma, beta = parameters = rng.random((5, 2)) * [[0.1], [0.1], [0.1], [0.1], [0.8]]
    variance, surprise = rng.random(2), rng.normal(size=2)
    out = np.empty((4, 6, 2))
    kernels.filtered(days, residuals, parameters, variance, surprise, out)
    for path in range(4):
        v, e = variance, surprise
        for day in range(6):
            v = omega + (alpha + gamma * (e < 0)) * e**2 + beta * v
            e = np.sqrt(v) * residuals[days[path, day]]
            np.testing.assert_allclose(out[path, day], mean + e, rtol=1e-12)
