"""Window sums without rounding error, and the means that follow. Pure.

A running sum that adds the newest value and takes the oldest away drifts by a rounding error per step, and what it says
then depends on where history began. Here each step keeps its rounding error (Knuth's two-sum) in a second number. While
the magnitudes in a history differ by less than 2**35, the two numbers together are the sum of the window exactly, so a
mean is the correctly rounded mean of its window, whatever stands before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantdesk.features.kernels.compiled import compiled, extent, strays

__all__ = ["mean_rows", "means", "run_end", "window_sums"]

_EXACT = 2.0**35
"""Magnitudes whose ratio is less leave every bit of a running sum in two numbers."""
_NEAR = 2.0**17
"""Within this ratio of one and the same number, they are."""


@compiled
def run_end(values: Any, start: int) -> int:
    """Where the unbroken run of finite numbers ends that begins at `start`."""
    n = len(values)
    if start < n and strays(values[start:], 1e150) == 0:
        return n
    stop = start
    while stop < n and np.isfinite(values[stop]):
        stop += 1
    return stop


@compiled
def window_sums(high: Any, low: Any, window: int, total: Any, rest: Any, work: Any, plain: bool) -> None:
    """``total + rest``: the sum of the last `window` terms ``high + low``, from position ``window - 1`` on.

    `plain` says that `low` is zero throughout. `work` has 2 rows. Only the two shortest loops wait for their own last
    value; the others run on several lanes at once, for which each must touch few arrays: the compiler checks that they
    do not overlap, and gives up beyond a few.
    """
    s = 0.0
    e = 0.0
    for t in range(window):
        x = high[t]
        a = s + x
        b = a - s
        e += (s - (a - b)) + (x - b)
        s = a
    if not plain:
        for t in range(window):
            e += low[t]
    total[window - 1] = s
    rest[window - 1] = e
    # From here on position 0 is the second window's. Slices, since an index t - window could be negative to the
    # compiler, which then counts it from the end and gives up the lanes.
    count = len(high) - window
    step = work[0, :count]
    error = work[1, :count]
    new = high[window:]
    old = high[:count]
    for t in range(count):
        step[t] = new[t] - old[t]
    for t in range(count):
        b = step[t] - new[t]
        error[t] = (new[t] - (step[t] - b)) + (-old[t] - b)
    if not plain:
        new_low = low[window:]
        old_low = low[:count]
        for t in range(count):
            error[t] += new_low[t] - old_low[t]
    after = total[window:]
    before = total[window - 1 : window - 1 + count]
    for t in range(count):
        s += step[t]
        after[t] = s
    for t in range(count):
        b = after[t] - before[t]
        error[t] += (before[t] - (after[t] - b)) + (step[t] - b)
    left = rest[window:]
    for t in range(count):
        e += error[t]
        left[t] = e


@compiled
def _mean_run(x: Any, window: int, out: Any, work: Any) -> None:
    """Means of one run; `work` has 4 rows."""
    if strays(x, _NEAR) > 0:
        largest, smallest = extent(x)
        if largest > smallest * _EXACT:
            _means_apart(x, window, out)
            return
    total = work[2, : len(x)]
    rest = work[3, : len(x)]
    window_sums(x, x, window, total, rest, work, True)
    size = float(window)
    full = total[window - 1 :]
    left = rest[window - 1 :]
    found = out[window - 1 :]
    for t in range(len(full)):
        found[t] = (full[t] + left[t]) / size


@compiled
def _means_apart(x: Any, window: int, out: Any) -> None:
    """Each window summed for itself: for magnitudes so far apart that a running sum would lose digits."""
    for t in range(window - 1, len(x)):
        s = 0.0
        e = 0.0
        for k in range(t - window + 1, t + 1):
            a = s + x[k]
            b = a - s
            e += (s - (a - b)) + (x[k] - b)
            s = a
        out[t] = (s + e) / window


@compiled
def means(x: Any, window: int, out: Any, work: Any) -> None:
    """Means of one history, run by run; `work` has 4 rows."""
    out[:] = np.nan
    start = 0
    while start < len(x):
        stop = run_end(x, start)
        if stop - start >= window:
            _mean_run(x[start:stop], window, out[start:stop], work)
        start = stop + 1


@compiled
def mean_rows(values: Any, window: int, out: Any) -> None:
    """The mean of the last `window` values."""
    work = np.empty((4, values.shape[1]))
    for row in range(values.shape[0]):
        means(values[row], window, out[row], work)
