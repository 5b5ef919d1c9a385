"""Deviations, scores and slopes on window sums that carry 106 bits. Pure.

A variance from a sum and a sum of squares loses the digits that mean and deviation differ by. With 53 bits that is
fatal for prices; with 106 bits (products by Dekker) the result is right to the last bit or two while the mean is less
than ten million times the deviation. Beyond that, window by window, two passes over the window itself decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantdesk.features.kernels.compiled import compiled, extent, strays
from quantdesk.features.kernels.sums import run_end, window_sums

__all__ = ["beta_rows", "betas", "bollinger_rows", "std_rows", "stds"]

_SPLIT = 134217729.0  # 2**27 + 1: Dekker's constant for doubles
_FADED = 1e8
"""Where sums of squares differ by more, what a large one has left behind could be seen in a small one."""
_NEAR = 1e4
"""Within this ratio of one and the same number, they do not."""
_FLAT = 1e-18
"""A variance below this share of the mean square is looked at again."""


@compiled
def _products(x: Any, y: Any, high: Any, low: Any) -> None:
    """``high + low``: x times y without error."""
    for t in range(len(x)):
        a = x[t]
        b = y[t]
        p = a * b
        c = _SPLIT * a
        a1 = c - (c - a)
        a2 = a - a1
        c = _SPLIT * b
        b1 = c - (c - b)
        b2 = b - b1
        high[t] = p
        low[t] = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@compiled
def _moment(n: float, qh: float, ql: float, xh: float, xl: float, yh: float, yl: float) -> float:
    """``n * q - x * y`` of three unevaluated sums."""
    h = xh + xl
    b = h - xh
    xl = (xh - (h - b)) + (xl - b)
    xh = h
    h = yh + yl
    b = h - yh
    yl = (yh - (h - b)) + (yl - b)
    yh = h
    p = xh * yh
    c = _SPLIT * xh
    a1 = c - (c - xh)
    a2 = xh - a1
    c = _SPLIT * yh
    b1 = c - (c - yh)
    b2 = yh - b1
    pe = (((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2) + (xh * yl + xl * yh)
    h = qh + ql
    b = h - qh
    ql = (qh - (h - b)) + (ql - b)
    qh = h
    t = n * qh
    c = _SPLIT * qh
    a1 = c - (c - qh)
    a2 = qh - a1
    te = ((n * a1 - t) + n * a2) + n * ql  # n is a small whole number: its own split is exact
    d = t - p
    b = d - t
    return d + (((t - (d - b)) + (-p - b)) + (te - pe))


@compiled
def _std_run(x: Any, window: int, ddof: int, out: Any, work: Any) -> None:
    """Standard deviations of one run; `work` has 8 rows, of which 6 and 7 hold the sum afterwards."""
    n = len(x)
    high = work[2, :n]
    low = work[3, :n]
    square = work[4, :n]
    square_rest = work[5, :n]
    total = work[6, :n]
    rest = work[7, :n]
    _products(x, x, high, low)
    window_sums(high, low, window, square, square_rest, work, False)
    window_sums(x, x, window, total, rest, work, True)
    size = float(window)
    divisor = size * float(window - ddof)
    doubtful = 0
    q = square[window - 1 :]
    ql = square_rest[window - 1 :]
    s = total[window - 1 :]
    sl = rest[window - 1 :]
    deviation = out[window - 1 :]
    for t in range(len(q)):
        variance = _moment(size, q[t], ql[t], s[t], sl[t], s[t], sl[t])
        doubtful += variance <= _FLAT * size * q[t]
        deviation[t] = np.sqrt(abs(variance) / divisor)
    largest, smallest = 1.0, 1.0
    if strays(q, _NEAR) > 0:
        largest, smallest = extent(q)
    if largest > smallest * _FADED:
        _std_apart(x, window, ddof, np.inf, square, out)
    elif doubtful > 0:
        _std_apart(x, window, ddof, 2.0 * _FLAT, square, out)


@compiled
def _std_apart(x: Any, window: int, ddof: int, share: float, square: Any, out: Any) -> None:
    """Two passes over each window whose variance is below a share of its mean square; exactly 0 where all are equal.

    A share of infinity means every window: then the sums of squares are not worth a comparison.
    """
    for t in range(window - 1, len(x)):
        if share == np.inf or not out[t] * out[t] * (window - ddof) > share * square[t]:
            first = x[t]
            equal = True
            total = 0.0
            for k in range(t - window + 1, t + 1):
                equal &= x[k] == first
                total += x[k] - first
            mean = total / window
            spread = 0.0
            for k in range(t - window + 1, t + 1):
                spread += (x[k] - first - mean) ** 2
            out[t] = 0.0 if equal else np.sqrt(spread / (window - ddof))


@compiled
def _beta_run(y: Any, x: Any, window: int, out: Any, work: Any, again: bool) -> None:
    """Slopes of one run; `work` has 12 rows. `again`: rows 4, 5, 8 and 9 still hold the sums of this very `x`."""
    n = len(x)
    high = work[2, :n]
    low = work[3, :n]
    xx = work[4, :n]
    xx_rest = work[5, :n]
    xy = work[6, :n]
    xy_rest = work[7, :n]
    sx = work[8, :n]
    sx_rest = work[9, :n]
    sy = work[10, :n]
    sy_rest = work[11, :n]
    if not again:
        _products(x, x, high, low)
        window_sums(high, low, window, xx, xx_rest, work, False)
        window_sums(x, x, window, sx, sx_rest, work, True)
    _products(x, y, high, low)
    window_sums(high, low, window, xy, xy_rest, work, False)
    window_sums(y, y, window, sy, sy_rest, work, True)
    size = float(window)
    doubtful = 0
    first = window - 1
    q, ql, c, cl = xx[first:], xx_rest[first:], xy[first:], xy_rest[first:]
    s, sl, r, rl = sx[first:], sx_rest[first:], sy[first:], sy_rest[first:]
    slope = out[first:]
    for t in range(len(q)):
        slope[t] = _moment(size, c[t], cl[t], s[t], sl[t], r[t], rl[t])
    for t in range(len(q)):
        variance = _moment(size, q[t], ql[t], s[t], sl[t], s[t], sl[t])
        doubtful += variance <= _FLAT * size * q[t]
        slope[t] /= variance
    largest, smallest = 1.0, 1.0
    if strays(q, _NEAR) > 0:
        largest, smallest = extent(q)
    if doubtful > 0 or largest > smallest * _FADED:
        _beta_apart(y, x, window, out)


@compiled
def _beta_apart(y: Any, x: Any, window: int, out: Any) -> None:
    """Two passes over each window; NaN where `x` did not move."""
    for t in range(window - 1, len(x)):
        equal = True
        total = 0.0
        for k in range(t - window + 1, t + 1):
            equal &= x[k] == x[t]
            total += x[k] - x[t]
        mean = total / window
        above = 0.0
        below = 0.0
        for k in range(t - window + 1, t + 1):
            distance = x[k] - x[t] - mean
            above += distance * (y[k] - y[t])
            below += distance * distance
        out[t] = np.nan if equal else above / below


@compiled
def stds(x: Any, window: int, ddof: int, out: Any, work: Any) -> None:
    """Standard deviations of one history, run by run; `work` has 8 rows."""
    out[:] = np.nan
    start = 0
    while start < len(x):
        stop = run_end(x, start)
        if stop - start >= window:
            _std_run(x[start:stop], window, ddof, out[start:stop], work)
        start = stop + 1


@compiled
def std_rows(values: Any, window: int, ddof: int, out: Any) -> None:
    """The standard deviation of the last `window` values."""
    work = np.empty((8, values.shape[1]))
    for row in range(values.shape[0]):
        stds(values[row], window, ddof, out[row], work)


@compiled
def bollinger_rows(price: Any, window: int, out: Any) -> None:
    """Distance from the mean of the window in its (population) deviations; NaN where there is none."""
    work = np.empty((8, price.shape[1]))
    size = float(window)
    for row in range(price.shape[0]):
        x = price[row]
        found = out[row]
        found[:] = np.nan
        start = 0
        while start < len(x):
            stop = run_end(x, start)
            if stop - start >= window:
                run = x[start:stop]
                _std_run(run, window, 0, found[start:stop], work)
                now = run[window - 1 :]
                score = found[start:stop][window - 1 :]
                total = work[6, window - 1 : stop - start]
                rest = work[7, window - 1 : stop - start]
                for t in range(len(now)):
                    distance = (now[t] - (total[t] + rest[t]) / size) / score[t]
                    score[t] = distance if score[t] > 0.0 else np.nan
            start = stop + 1


@compiled
def betas(y: Any, x: Any, window: int, out: Any, work: Any, done: Any) -> None:
    """Slopes of one history on another, over runs in which both are known.

    `work` has 12 rows. `done` holds the beginning and the end of the run of `x` whose sums are in it, or two zeros; the
    caller clears it when `x` is another one.
    """
    n = len(x)
    out[:] = np.nan
    start = 0
    while start < n:
        stop = min(run_end(x, start), run_end(y, start))
        if stop - start >= window:
            again = done[0] == start and done[1] == stop
            _beta_run(y[start:stop], x[start:stop], window, out[start:stop], work, again)
            done[0] = start
            done[1] = stop
        start = stop + 1


@compiled
def beta_rows(values: Any, benchmark: Any, window: int, out: Any) -> None:
    """The slope of `values` on `benchmark` (one row, or one for each) over the last `window` pairs."""
    work = np.empty((12, values.shape[1]))
    done = np.zeros(2, np.int64)
    for row in range(values.shape[0]):
        if len(benchmark) > 1:
            done[:] = 0
        betas(values[row], benchmark[row if len(benchmark) > 1 else 0], window, out[row], work, done)
