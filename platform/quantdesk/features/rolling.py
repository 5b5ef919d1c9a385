"""Rolling and recursive building blocks along the last axis. Pure.

Every function looks backwards only: the value at position ``t`` depends on positions ``<= t``, to the last bit: a
history that ends earlier has the same values. It takes one history of shape ``(n,)``, or a table ``(rows, n)`` of one
history per row, whose rows are shared out among threads where there is enough to do. A row gives the same bits alone
and in a table.

How much a value may depend on where its history began: a mean and a maximum not at all, since sums are exact (see
:mod:`quantdesk.features.kernels.sums`); a deviation and a slope in the last bit at most; a recursion by design, as its
memory fades but never ends.

NaN policy, the same everywhere: a window that holds a NaN or an infinity, or that is not full yet, gives NaN. A
recursion starts again after a NaN: it is seeded by the mean of the next full window.

The loops are compiled on first use and kept on the disk (beside the code, or in the user's own cache folder). No
thread lives longer than the call that started it, so a process may fork at any time.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "computed",
    "lagged",
    "recursive_mean",
    "rolling_beta",
    "rolling_max",
    "rolling_mean",
    "rolling_std",
]

Array = NDArray[np.float64]

_PER_THREAD = 200_000
"""Values for which it pays to start one more thread: about a millisecond of work."""
_MOST_THREADS = 8


def computed(kernel: str, histories: Sequence[Array], *parameters: float) -> Array:
    """Run one of :mod:`quantdesk.features.kernels` on histories of shape ``(n,)`` or ``(rows, n)``.

    Parameters
    ----------
    kernel
        Its module and name, as in ``"sums.mean_rows"``.
    histories
        What it reads. The first says how many rows there are; a further one of shape ``(n,)`` serves all of them.
    parameters
        Its windows and weights.

    Returns
    -------
    ndarray
        float64, of the shape of the first history.

    Raises
    ------
    ValueError
        Histories of different lengths, more than two axes, or a window that is not positive.
    """
    tables = [np.atleast_2d(np.require(history, np.float64, ["C", "W"])) for history in histories]
    rows, n = tables[0].shape[0], tables[0].shape[-1]
    if any(table.ndim != 2 or table.shape[1] != n or table.shape[0] not in (1, rows) for table in tables):
        raise ValueError(f"The histories have the shapes {[np.shape(history) for history in histories]}.")
    if any(isinstance(one, int) and one < 0 for one in parameters):
        raise ValueError(f"The parameters {parameters} of {kernel} hold a negative number of sessions.")
    module, _, name = kernel.partition(".")
    function = getattr(importlib.import_module(f"quantdesk.features.kernels.{module}"), name)
    out = np.empty((rows, n))

    def block(first: int, last: int) -> None:
        some = [table if table.shape[0] == 1 else table[first:last] for table in tables]
        function(*some, *parameters, out[first:last])

    threads = min(rows, rows * n // _PER_THREAD, _cores())
    if threads < 2:
        block(0, rows)
    else:
        edges = np.linspace(0, rows, 4 * threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(block, edges[:-1], edges[1:]))
    return out.reshape(np.shape(histories[0]))


def _cores() -> int:
    given: Any = getattr(os, "sched_getaffinity", None)
    return min(len(given(0)) if given else os.cpu_count() or 1, _MOST_THREADS)


def _positive(window: int) -> int:
    if window < 1:
        raise ValueError(f"A window of {window} sessions holds nothing; give 1 or more.")
    return int(window)


def lagged(values: Array, by: int) -> Array:
    """The value `by` positions earlier; NaN for the first `by` positions.

    Parameters
    ----------
    values
        Shape ``(n,)`` or ``(rows, n)``.
    by
        Positions to look back, not negative: this function cannot look forward.
    """
    if by < 0:
        raise ValueError(f"A lag of {by} looks into the future; give a lag of 0 or more.")
    found = np.full(values.shape, np.nan)
    if by < values.shape[-1]:
        found[..., by:] = values[..., : values.shape[-1] - by]
    return found


def rolling_mean(values: Array, window: int) -> Array:
    """The mean of the last `window` values, correctly rounded. The shape of `values` in and out."""
    return computed("sums.mean_rows", [values], _positive(window))


def rolling_max(values: Array, window: int) -> Array:
    """The largest of the last `window` values. The shape of `values` in and out."""
    return computed("windows.max_rows", [values], _positive(window))


def rolling_std(values: Array, window: int, *, ddof: int) -> Array:
    """The standard deviation of the last `window` values; exactly 0 where they are all equal.

    Parameters
    ----------
    values
        Shape ``(n,)`` or ``(rows, n)``.
    window
        Number of values.
    ddof
        1 for the sample estimate, 0 for that of the population.
    """
    return computed("moments.std_rows", [values], _positive(window), ddof)


def rolling_beta(values: Array, benchmark: Array, window: int) -> Array:
    """The slope of the least-squares line of `values` on `benchmark` (with intercept) over the last `window` pairs.

    NaN where the benchmark did not move in the window. The shape of `values` in and out; one `benchmark` of shape
    ``(n,)`` serves all rows.
    """
    return computed("moments.beta_rows", [values, benchmark], _positive(window))


def recursive_mean(values: Array, window: int, alpha: float) -> Array:
    """Exponential smoothing, ``y[t] = y[t-1] + alpha * (x[t] - y[t-1])``, seeded by a simple mean.

    The first value of each unbroken run of numbers stands at its `window`-th position and is the mean of the run's
    first `window` values; what stands before it is NaN.

    Parameters
    ----------
    values
        Shape ``(n,)`` or ``(rows, n)``.
    window
        Length of the seed.
    alpha
        The weight of the newest value: ``2 / (window + 1)`` for an exponential moving average, ``1 / window`` for
        Wilder's smoothing.
    """
    return computed("smoothing.smooth_rows", [values], _positive(window), float(alpha))
