"""Weighted averages, and how sure they are. Pure.

An average of a measure ``x`` with weights ``w`` is ``sum(w x) / sum(w)`` over the fills where ``x`` is known. Fills of
one order share their arrival and the mood of the market, so that they are one observation, not many: the errors count
orders. Where fewer than two orders are known there is no error, NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadInput

__all__ = ["Interval", "Ratios", "bootstrap", "quantiles", "ratios"]

Floats = NDArray[np.float64]
_CELLS = 1 << 20
"""Draws times orders that are held at once: memory does not grow with the number of orders."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Averages by group: arrays with one number for each.

    Attributes
    ----------
    mean
        NaN where nothing is known.
    error
        Standard error with orders as clusters (linearised ratio, Cochran 1977, chapter 6, with n / (n - 1)); NaN
        below two orders.
    weight
        The weights that were known, summed.
    """

    mean: Floats
    error: Floats
    weight: Floats


def ratios(values: ArrayLike, weights: ArrayLike, groups: ArrayLike, clusters: ArrayLike | None, number: int) -> Ratios:
    """Averages by group.

    Parameters
    ----------
    values, weights
        Of each fill; NaN values are left out.
    groups, clusters
        Of each fill the number of its group, from 0, and of its order; without clusters there are no errors.
    number
        How many groups there are.
    """
    x, w = np.asarray(values, float), np.asarray(weights, float)
    known = ~np.isnan(x) & ~np.isnan(w)
    x, w = x[known], w[known]
    group = np.asarray(groups, np.int64)[known]
    weight: Floats = np.bincount(group, w, number).astype(float)
    mean = _over(np.bincount(group, w * x, number), weight)
    if clusters is None:
        return Ratios(mean, np.full(number, np.nan), weight)
    cluster = np.asarray(clusters, np.int64)[known]
    wide = int(cluster.max(initial=0)) + 1
    pairs, place = np.unique(group * wide + cluster, return_inverse=True)
    owner = pairs // wide
    left = np.bincount(place, w * (x - mean[group]), len(pairs))
    counts = np.bincount(owner, minlength=number).astype(float)
    spread = np.bincount(owner, left**2, number) * _over(counts, counts - 1)
    return Ratios(mean, _over(np.sqrt(spread), weight), weight)


def quantiles(values: ArrayLike, weights: ArrayLike, groups: ArrayLike, number: int, at: ArrayLike) -> Floats:
    """Weighted quantiles by group: the smallest value up to which a share of the weight lies.

    Parameters
    ----------
    values, weights, groups, number
        As for :func:`ratios`; NaN values are left out.
    at
        The shares, from 0 to 1.

    Returns
    -------
    numpy.ndarray
        Of shape ``(number, len(at))``; NaN where nothing is known.
    """
    x, w = np.asarray(values, float), np.asarray(weights, float)
    known = ~np.isnan(x)
    x, w, group = x[known], w[known], np.asarray(groups, np.int64)[known]
    order = np.lexsort((x, group))
    x, reached = x[order], np.cumsum(w[order])
    total = np.bincount(group, w, number)
    before = np.cumsum(total) - total
    # A hair less, because 0.7 * 10 is not 7 in binary.
    wanted = before[:, None] + np.outer(total, np.asarray(at, float)) * (1 - 1e-12)
    found: Floats = np.full(wanted.shape, np.nan)
    there = total > 0
    if len(x):
        last = np.cumsum(np.bincount(group, minlength=number)) - 1
        first = last - np.bincount(group, minlength=number) + 1
        place = np.clip(np.searchsorted(reached, wanted, side="left"), first[:, None], last[:, None])
        found[there] = x[place[there]]
    return found


@dataclass(frozen=True, slots=True)
class Interval:
    """An average and where it lies.

    Attributes
    ----------
    mean, low, high
        The average, and the bounds of the interval; NaN where it is not known.
    confidence
        How likely such an interval covers the truth.
    orders, draws
        How many orders it stands on, and how many samples were drawn.
    """

    mean: float
    low: float
    high: float
    confidence: float
    orders: int
    draws: int


def bootstrap(
    values: ArrayLike,
    weights: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A percentile interval of an average (Efron 1979), drawing whole orders with replacement.

    Parameters
    ----------
    values, weights, clusters
        As for :func:`ratios`, of one group.
    rng
        The same generator gives the same interval.
    """
    if not 0 < confidence < 1 or draws < 1:
        raise BadInput(f"{draws} draws at a confidence of {confidence}.", "Give at least 1, and 0 < confidence < 1.")
    x, w = np.asarray(values, float), np.asarray(weights, float)
    known = ~np.isnan(x) & ~np.isnan(w)
    names, place = np.unique(np.asarray(clusters)[known], return_inverse=True)
    number = len(names)
    if not number:
        return Interval(np.nan, np.nan, np.nan, confidence, 0, draws)
    total = np.bincount(place, (w * x)[known], number)
    weight = np.bincount(place, w[known], number)
    mean = float(total.sum() / weight.sum())
    if number < 2:
        return Interval(mean, np.nan, np.nan, confidence, number, draws)
    even, found = np.full(number, 1 / number), []
    step = max(1, _CELLS // number)
    for begun in range(0, draws, step):
        counts = rng.multinomial(number, even, size=min(step, draws - begun))
        found.append((counts @ total) / (counts @ weight))
    low, high = np.quantile(np.concatenate(found), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high), confidence, number, draws)


def _over(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    found: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > 0)
    return found
