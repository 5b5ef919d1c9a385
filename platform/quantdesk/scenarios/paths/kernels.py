"""The loops over drawn numbers, compiled. Pure.

Each is a plain loop whose order of sums is fixed, so that a path is the same, bit for bit, whatever is computed beside
it. tests/scenarios/paths/test_path_kernels.py holds each against numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantdesk.compute.machine_code import Compiler

__all__ = ["TILE", "chosen_days", "correlated", "filtered", "gathered", "picked_days", "weighed", "weighed_days"]

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = Compiler(Path(__file__).parent)


TILE = 64
"""Rows whose normals lie side by side, so that one instruction takes several of them."""


@compiled
def correlated(tiles, lower, mean, scale, out):  # type: ignore[no-untyped-def]
    """``out[i] = mean + scale[i] * lower @ z`` with the normals z of row i.

    Parameters
    ----------
    tiles
        Normals, shape ``(number, N, TILE)``: those of row i are ``tiles[i // TILE, :, i % TILE]``. The last tile may
        reach beyond the rows.
    lower
        A lower triangle, shape ``(N, N)``.
    mean, scale, out
        Shapes ``(N,)``, ``(rows,)`` and ``(rows, N)``.
    """
    number, width, _ = tiles.shape
    rows = len(out)
    sums = np.empty(TILE)
    for t in range(number):
        first = t * TILE
        many = min(TILE, rows - first)
        for j in range(width):
            sums[:] = 0.0
            for k in range(j + 1):
                factor = lower[j, k]
                for r in range(TILE):
                    sums[r] += factor * tiles[t, k, r]
            for r in range(many):
                out[first + r, j] = mean[j] + scale[first + r] * sums[r]


@compiled
def weighed(tiles, weights, drift, scale, out):  # type: ignore[no-untyped-def]
    """``out[i] = drift + scale[i] * weights @ z``: a linear book needs one number a row, not N.

    Parameters
    ----------
    tiles
        As in :func:`correlated`.
    weights
        ``lower.T @ values``, shape ``(N,)``.
    drift
        ``mean @ values``.
    scale, out
        Shape ``(rows,)``.
    """
    number, width, _ = tiles.shape
    rows = len(out)
    sums = np.empty(TILE)
    for t in range(number):
        first = t * TILE
        many = min(TILE, rows - first)
        sums[:] = 0.0
        for k in range(width):
            factor = weights[k]
            for r in range(TILE):
                sums[r] += factor * tiles[t, k, r]
        for r in range(many):
            out[first + r] = drift + scale[first + r] * sums[r]


@compiled
def _start(raw, count):  # type: ignore[no-untyped-def]
    """A day below `count`, from the upper half of 64 random bits: each as likely as another to 1 in 2**32 / count."""
    return np.int64(((raw >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))


@compiled
def chosen_days(raw, count, threshold, out):  # type: ignore[no-untyped-def]
    """Days of a stationary bootstrap: the next one, or with probability ``threshold / 2**32`` any.

    Parameters
    ----------
    raw
        Random bits, ``uint64``, shape ``(paths, days)``.
    count
        Days of the history; the first follows the last.
    threshold
        ``uint64``.
    out
        ``int64``, like `raw`.
    """
    paths, days = raw.shape
    low = np.uint64(0xFFFFFFFF)
    for p in range(paths):
        at = _start(raw[p, 0], count)
        out[p, 0] = at
        for d in range(1, days):
            at += 1
            if at == count:
                at = 0
            if (raw[p, d] & low) < threshold:
                at = _start(raw[p, d], count)
            out[p, d] = at


@compiled
def picked_days(raw, count, out):  # type: ignore[no-untyped-def]
    """Days drawn one by one, each as likely as another. As :func:`chosen_days`."""
    paths, days = raw.shape
    for p in range(paths):
        for d in range(days):
            out[p, d] = _start(raw[p, d], count)


@compiled
def weighed_days(raw, count, threshold, moves, out):  # type: ignore[no-untyped-def]
    """The sums of `moves`, shape ``(count,)``, over the days that :func:`chosen_days` finds; `out` is ``(paths,)``."""
    paths, days = raw.shape
    low = np.uint64(0xFFFFFFFF)
    for p in range(paths):
        at = _start(raw[p, 0], count)
        total = moves[at]
        for d in range(1, days):
            at += 1
            if at == count:
                at = 0
            if (raw[p, d] & low) < threshold:
                at = _start(raw[p, d], count)
            total += moves[at]
        out[p] = total


@compiled
def gathered(days, moves, out):  # type: ignore[no-untyped-def]
    """``out[p, d] = moves[days[p, d]]``: shapes ``(paths, days)``, ``(count, N)``, ``(paths, days, N)``."""
    paths, length = days.shape
    width = moves.shape[1]
    for p in range(paths):
        for d in range(length):
            at = days[p, d]
            for j in range(width):
                out[p, d, j] = moves[at, j]


@compiled
def filtered(days, residuals, parameters, variance, surprise, out):  # type: ignore[no-untyped-def]
    """Moves whose volatility follows GJR-GARCH(1,1), driven by residuals of the days given.

    ``v' = omega + (alpha + gamma [e < 0]) e**2 + beta v`` and ``move = mean + sqrt(v') residual``.

    Parameters
    ----------
    days
        Shape ``(paths, days)``: one day's residuals drive all assets.
    residuals
        Standardised, shape ``(count, N)``.
    parameters
        Rows mean, omega, alpha, gamma, beta; shape ``(5, N)``.
    variance, surprise
        v and e of the last day known, shape ``(N,)``.
    out
        Shape ``(paths, days, N)``.
    """
    paths, length = days.shape
    width = residuals.shape[1]
    v = np.empty(width)
    e = np.empty(width)
    for p in range(paths):
        for j in range(width):
            v[j] = variance[j]
            e[j] = surprise[j]
        for d in range(length):
            at = days[p, d]
            for j in range(width):
                lever = parameters[2, j] + (parameters[3, j] if e[j] < 0.0 else 0.0)
                v[j] = parameters[1, j] + lever * e[j] * e[j] + parameters[4, j] * v[j]
                e[j] = np.sqrt(v[j]) * residuals[at, j]
                out[p, d, j] = parameters[0, j] + e[j]
