"""Returns, maxima, and features that are made of several loops over one history at a time. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantdesk.features.kernels.compiled import compiled
from quantdesk.features.kernels.moments import betas, stds
from quantdesk.features.kernels.sums import means

__all__ = [
    "amihud_rows",
    "change_rows",
    "drawdown_rows",
    "max_rows",
    "mean_product_rows",
    "return_beta_rows",
    "return_std_rows",
]


@compiled
def _changes(price: Any, near: int, far: int, out: Any) -> None:
    """``price[t - near] / price[t - far] - 1``; NaN where one of them is not positive."""
    n = len(price)
    out[: min(far, n)] = np.nan
    if far < n:
        new = price[far - near : n - near]
        old = price[: n - far]
        found = out[far:]
        for t in range(n - far):
            change = new[t] / old[t] - 1.0
            found[t] = change if (new[t] > 0.0) & (old[t] > 0.0) else np.nan


@compiled
def change_rows(price: Any, near: int, far: int, out: Any) -> None:
    """The return from `far` sessions ago to `near` sessions ago; ``near <= far``."""
    for row in range(price.shape[0]):
        _changes(price[row], near, far, out[row])


@compiled
def return_std_rows(price: Any, window: int, scale: float, out: Any) -> None:
    """The sample deviation of the last `window` returns, times `scale`."""
    work = np.empty((8, price.shape[1]))
    change = np.empty(price.shape[1])
    for row in range(price.shape[0]):
        _changes(price[row], 0, 1, change)
        stds(change, window, 1, out[row], work)
        for t in range(price.shape[1]):
            out[row, t] *= scale


@compiled
def return_beta_rows(price: Any, benchmark: Any, window: int, out: Any) -> None:
    """The slope of the returns of `price` on those of `benchmark` (one row, or one for each)."""
    n = price.shape[1]
    work = np.empty((12, n))
    own = np.empty(n)
    market = np.empty(n)
    done = np.zeros(2, np.int64)
    for row in range(price.shape[0]):
        _changes(price[row], 0, 1, own)
        if row == 0 or len(benchmark) > 1:
            _changes(benchmark[row], 0, 1, market)
            done[:] = 0
        betas(own, market, window, out[row], work, done)


@compiled
def mean_product_rows(a: Any, b: Any, window: int, out: Any) -> None:
    """The mean of the last `window` products."""
    product = np.empty(a.shape[1])
    work = np.empty((4, a.shape[1]))
    for row in range(a.shape[0]):
        for t in range(a.shape[1]):
            product[t] = a[row, t] * b[row, t]
        means(product, window, out[row], work)


@compiled
def amihud_rows(price: Any, close: Any, volume: Any, window: int, out: Any) -> None:
    """The mean of absolute return / money traded over `window`, times a million."""
    n = price.shape[1]
    each = np.empty(n)
    work = np.empty((4, n))
    for row in range(price.shape[0]):
        _changes(price[row], 0, 1, each)
        for t in range(n):
            traded = close[row, t] * volume[row, t]
            share = abs(each[t]) / traded
            each[t] = share if traded > 0.0 else np.nan
        means(each, window, out[row], work)
        for t in range(n):
            out[row, t] *= 1e6


@compiled
def _maxima(x: Any, window: int, out: Any, after: Any) -> None:
    """The largest of the last `window` values (van Herk, Gil and Werman); `after` holds ``2 * window`` numbers.

    A run is cut into blocks of `window`. A window covers the end of one block and the beginning of the next: the larger
    of a running maximum backward through the one and forward through the other.
    """
    n = len(x)
    out[:] = np.nan
    start = 0
    while start < n:
        stop = start
        while stop < n and x[stop] == x[stop]:
            stop += 1
        if stop - start >= window:
            best = x[start + window - 1]
            for j in range(window - 1, -1, -1):
                best = x[start + j] if x[start + j] > best else best
                after[j] = best
            out[start + window - 1] = best
            here = 0
            for block in range(start + window, stop, window):
                forward = -np.inf
                ends = after[here + 1 : here + window]
                here = window - here
                if block + window <= stop:
                    # Both directions in one loop: neither waits for the other.
                    news = x[block : block + window]
                    found = out[block : block + window]
                    backs = after[here : here + window]
                    best = -np.inf
                    for j in range(window - 1):
                        forward = news[j] if news[j] > forward else forward
                        found[j] = ends[j] if ends[j] > forward else forward
                        k = window - 1 - j
                        best = news[k] if news[k] > best else best
                        backs[k] = best
                    forward = news[window - 1] if news[window - 1] > forward else forward
                    found[window - 1] = forward
                    backs[0] = news[0] if news[0] > best else best
                else:
                    for j in range(stop - block):
                        forward = x[block + j] if x[block + j] > forward else forward
                        out[block + j] = ends[j] if ends[j] > forward else forward
        start = stop + 1


@compiled
def max_rows(values: Any, window: int, out: Any) -> None:
    """The largest of the last `window` values."""
    after = np.empty(2 * window)
    for row in range(values.shape[0]):
        _maxima(values[row], window, out[row], after)


@compiled
def drawdown_rows(price: Any, window: int, out: Any) -> None:
    """Price over the largest of the last `window` prices, less 1; a price that is not positive breaks the window."""
    n = price.shape[1]
    positive = np.empty(n)
    after = np.empty(2 * window)
    for row in range(price.shape[0]):
        for t in range(n):
            positive[t] = price[row, t] if price[row, t] > 0.0 else np.nan
        _maxima(positive, window, out[row], after)
        for t in range(n):
            out[row, t] = positive[t] / out[row, t] - 1.0
