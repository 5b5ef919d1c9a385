"""Exponential recursions. Pure.

A recursion waits for its own last value, about ten cycles a step. Four of them side by side wait at the same time, so
four histories without gaps take as long as one. The operations are the same as for one alone, and so are the bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantdesk.features.kernels.compiled import compiled
from quantdesk.features.kernels.sums import run_end

__all__ = ["atr_rows", "macd_rows", "rsi_rows", "smooth_rows"]


@compiled
def _seed(x: Any, window: int) -> float:
    """The mean of the first `window` values, correctly rounded."""
    total = 0.0
    rest = 0.0
    for t in range(window):
        a = total + x[t]
        b = a - total
        rest += (total - (a - b)) + (x[t] - b)
        total = a
    return (total + rest) / window


@compiled
def _smooth_run(x: Any, window: int, alpha: float, out: Any) -> None:
    """Exponential smoothing of one run."""
    level = _seed(x, window)
    out[window - 1] = level
    new = x[window:]
    found = out[window:]
    for t in range(len(new)):
        level += alpha * (new[t] - level)
        found[t] = level


@compiled
def _smooth(x: Any, window: int, alpha: float, out: Any) -> None:
    """Exponential smoothing of one history, run by run."""
    out[:] = np.nan
    start = 0
    while start < len(x):
        stop = run_end(x, start)
        if stop - start >= window:
            _smooth_run(x[start:stop], window, alpha, out[start:stop])
        start = stop + 1


@compiled
def _smooth_four(x: Any, windows: Any, alphas: Any, out: Any) -> None:
    """Four histories of shape ``(4, n)`` at once, each with its window and weight."""
    n = x.shape[1]
    # The first value of a history of changes is missing; apart from that, one run each.
    there = 0
    for lane in range(4):
        there += np.isfinite(x[lane, 0])
    start = 0 if there == 4 else 1
    latest = start + windows.max()
    whole = latest <= n and there in (0, 4)
    for lane in range(4):
        whole = whole and run_end(x[lane], start) == n
    if not whole:
        for lane in range(4):
            _smooth(x[lane], windows[lane], alphas[lane], out[lane])
        return
    for lane in range(4):
        out[lane, : start + windows[lane] - 1] = np.nan
        _smooth_run(x[lane, start:latest], windows[lane], alphas[lane], out[lane, start:latest])
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    y0, y1, y2, y3 = out[0], out[1], out[2], out[3]
    a0, a1, a2, a3 = alphas[0], alphas[1], alphas[2], alphas[3]
    l0, l1, l2, l3 = y0[latest - 1], y1[latest - 1], y2[latest - 1], y3[latest - 1]
    for t in range(latest, n):
        l0 += a0 * (x0[t] - l0)
        l1 += a1 * (x1[t] - l1)
        l2 += a2 * (x2[t] - l2)
        l3 += a3 * (x3[t] - l3)
        y0[t] = l0
        y1[t] = l1
        y2[t] = l2
        y3[t] = l3


@compiled
def _alike(window: int, alpha: float) -> tuple[Any, Any]:
    """Four equal windows and weights."""
    return np.full(4, window, np.int64), np.full(4, alpha)


@compiled
def smooth_rows(values: Any, window: int, alpha: float, out: Any) -> None:
    """Exponential smoothing, seeded by a mean; starts again after a gap."""
    rows, n = values.shape
    windows, alphas = _alike(window, alpha)
    fours = rows - rows % 4 if n > 1 else 0
    for row in range(0, fours, 4):
        _smooth_four(values[row : row + 4], windows, alphas, out[row : row + 4])
    for row in range(fours, rows):
        _smooth(values[row], window, alpha, out[row])


@compiled
def macd_rows(price: Any, fast: int, slow: int, out: Any) -> None:
    """The fast exponential average less the slow one."""
    rows, n = price.shape
    x = np.empty((4, n))
    y = np.empty((4, n))
    windows = np.array([fast, slow, fast, slow])
    alphas = 2.0 / (windows + 1.0)
    for row in range(0, rows, 2):
        other = min(row + 1, rows - 1)
        x[0] = price[row]
        x[1] = price[row]
        x[2] = price[other]
        x[3] = price[other]
        if n > 0:
            _smooth_four(x, windows, alphas, y)
        for t in range(n):
            out[row, t] = y[0, t] - y[1, t]
            out[other, t] = y[2, t] - y[3, t]


@compiled
def _moves(new: Any, old: Any, gain: Any, loss: Any) -> None:
    """Gains and losses from one session to the next; a NaN stays one."""
    for t in range(len(new)):
        step = new[t] - old[t]
        gain[t] = step if step > 0.0 else step * 0.0
    for t in range(len(new)):
        step = old[t] - new[t]
        loss[t] = step if step > 0.0 else step * 0.0


@compiled
def _reach(high: Any, low: Any, before: Any, out: Any) -> None:
    """True ranges; NaN where one of the three is."""
    for t in range(len(high)):
        top = high[t] if high[t] > before[t] else before[t]
        bottom = low[t] if low[t] < before[t] else before[t]
        out[t] = (top - bottom) + (high[t] * 0.0 + low[t] * 0.0)  # `before` is in both where another one is NaN


@compiled
def rsi_rows(price: Any, window: int, out: Any) -> None:
    """100 times smoothed gains over smoothed moves; NaN where nothing has moved."""
    rows, n = price.shape
    x = np.full((4, n), np.nan)
    y = np.empty((4, n))
    windows, alphas = _alike(window, 1.0 / window)
    for row in range(0, rows, 2):
        other = min(row + 1, rows - 1)
        if n > 1:
            _moves(price[row, 1:], price[row, : n - 1], x[0, 1:], x[1, 1:])
            _moves(price[other, 1:], price[other, : n - 1], x[2, 1:], x[3, 1:])
        if n > 0:
            _smooth_four(x, windows, alphas, y)
        for t in range(n):
            total = y[0, t] + y[1, t]
            share = 100.0 * y[0, t] / total
            out[row, t] = share if total > 0.0 else np.nan
        for t in range(n):
            total = y[2, t] + y[3, t]
            share = 100.0 * y[2, t] / total
            out[other, t] = share if total > 0.0 else np.nan


@compiled
def atr_rows(high: Any, low: Any, close: Any, window: int, out: Any) -> None:
    """The smoothed true range; the first session has none."""
    rows, n = close.shape
    x = np.full((4, n), np.nan)
    y = np.empty((4, n))
    windows, alphas = _alike(window, 1.0 / window)
    for first in range(0, rows, 4):
        count = min(4, rows - first)
        for lane in range(4):
            row = first + min(lane, count - 1)
            if n > 1:
                _reach(high[row, 1:], low[row, 1:], close[row, : n - 1], x[lane, 1:])
        if n > 0:
            _smooth_four(x, windows, alphas, y)
        for lane in range(count):
            out[first + lane] = y[lane]
