"""Rolling and recursive building blocks on one-dimensional arrays. Pure.

Every function looks backwards only: the value at position ``t`` depends on positions ``<= t``. Windows are computed
directly on each window (no running sums), so that a value depends on the numbers inside its window alone and not on
how much history stands before it.

NaN policy, the same everywhere: a window that holds a NaN, or that is not full yet, gives NaN. A recursion starts
again after a NaN: it is seeded by the mean of the next full window.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Array", "lagged", "recursive_mean", "rolling_beta", "rolling_max", "rolling_mean", "rolling_std"]

Array = NDArray[np.float64]


def _windows(values: Array, window: int) -> Array:
    return sliding_window_view(values, window)


def _padded(values: Array, window: int) -> Array:
    """Put the NaN of the unfilled windows in front of one value per full window."""
    return np.concatenate([np.full(window - 1, np.nan), values])


def lagged(values: Array, by: int) -> Array:
    """The value `by` positions earlier; NaN for the first `by` positions.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    by
        Positions to look back, not negative: this function cannot look forward.
    """
    if by < 0:
        raise ValueError(f"A lag of {by} looks into the future; give a lag of 0 or more.")
    if by >= len(values):
        return np.full(len(values), np.nan)
    return np.concatenate([np.full(by, np.nan), values[: len(values) - by]])


def rolling_mean(values: Array, window: int) -> Array:
    """The mean of the last `window` values. Shape ``(n,)`` in and out."""
    if len(values) < window:
        return np.full(len(values), np.nan)
    return _padded(_windows(values, window).mean(axis=1), window)


def rolling_max(values: Array, window: int) -> Array:
    """The largest of the last `window` values. Shape ``(n,)`` in and out."""
    if len(values) < window:
        return np.full(len(values), np.nan)
    return _padded(_windows(values, window).max(axis=1), window)


def rolling_std(values: Array, window: int, *, ddof: int) -> Array:
    """The standard deviation of the last `window` values; exactly 0 where they are all equal.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    window
        Number of values.
    ddof
        1 for the sample estimate, 0 for that of the population.
    """
    if len(values) < window:
        return np.full(len(values), np.nan)
    views = _windows(values, window)
    spread = views.std(axis=1, ddof=ddof)
    # Rounding in the mean leaves 1e-17 instead of 0 on a constant window, and dividing by it would invent a signal.
    constant = views.max(axis=1) == views.min(axis=1)
    return _padded(np.where(constant, 0.0, spread), window)


def rolling_beta(values: Array, benchmark: Array, window: int) -> Array:
    """The slope of the least-squares line of `values` on `benchmark` (with intercept) over the last `window` pairs.

    NaN where the benchmark did not move in the window. Shapes ``(n,)`` and ``(n,)`` in, ``(n,)`` out.
    """
    if len(values) < window:
        return np.full(len(values), np.nan)
    y, x = _windows(values, window), _windows(benchmark, window)
    deviation = x - x.mean(axis=1, keepdims=True)
    covariance = np.einsum("ij,ij->i", deviation, y)
    variance = np.einsum("ij,ij->i", deviation, deviation)
    variance = np.where(x.max(axis=1) == x.min(axis=1), np.nan, variance)
    return _padded(covariance / variance, window)


def recursive_mean(values: Array, window: int, alpha: float) -> Array:
    """Exponential smoothing, ``y[t] = y[t-1] + alpha * (x[t] - y[t-1])``, seeded by a simple mean.

    The first value of each unbroken run of numbers stands at its `window`-th position and is the mean of the run's
    first `window` values; what stands before it is NaN.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    window
        Length of the seed.
    alpha
        The weight of the newest value: ``2 / (window + 1)`` for an exponential moving average, ``1 / window`` for
        Wilder's smoothing.
    """
    result = np.full(len(values), np.nan)
    known = np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start < window:
            continue
        level = float(values[start : start + window].mean())
        smoothed = [level]
        # A plain loop over Python floats: 8,000 sessions take a millisecond, and nothing has to be compiled first.
        for value in values[start + window : stop].tolist():
            level += alpha * (value - level)
            smoothed.append(level)
        result[start + window - 1 : stop] = smoothed
    return result
