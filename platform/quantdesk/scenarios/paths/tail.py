"""What a book could lose by drawn paths, and how sure that is. Pure.

Losses are positive amounts of currency. VaR and expected shortfall are the historical ones of
:func:`quantdesk.backtest.tail_risk`, of amounts instead of returns. Their intervals hold the error of drawing finitely
many paths, and nothing of whether the method is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from quantdesk.errors import BadInput, BadParameter

__all__ = ["Tail", "tail_of"]

_LEAST = 20
"""Paths in the tail below which an interval means little."""


@dataclass(frozen=True, slots=True)
class Tail:
    """VaR and expected shortfall with their intervals.

    Attributes
    ----------
    confidence
        Of the two: 0.99.
    var, es
        In currency, above 0 for a loss.
    var_interval, es_interval
        Low and high.
    interval
        With what probability each interval holds the true number.
    paths
        That went in.
    """

    confidence: float
    var: float
    es: float
    var_interval: tuple[float, float]
    es_interval: tuple[float, float]
    interval: float
    paths: int


def tail_of(pnl: ArrayLike, confidence: float = 0.99, interval: float = 0.95) -> Tail:
    """VaR and expected shortfall of independent draws.

    Parameters
    ----------
    pnl
        Profit and loss of each path, shape ``(paths,)``, without NaN.
    confidence
        Above 0.5 and below 1. The tail must hold at least 20 paths.
    interval
        Probability of the intervals, above 0 and below 1.

    Returns
    -------
    Tail
        VaR is minus the quantile (type 7 of Hyndman and Fan 1996), ES minus the mean at and below it. The interval of
        VaR lies between two order statistics whose ranks are binomial (David and Nagaraja 2003, section 7.1): it needs
        no density. That of ES is normal, with the variance ``(var(tail) + confidence (ES - VaR)**2) / (paths (1 -
        confidence))`` (Manistre and Hancock 2005; Scaillet 2004): where the tail is so fat that its variance is
        infinite, it is too short.

    Raises
    ------
    BadParameter
        A probability out of range.
    BadInput
        Too few paths, or one that is not finite.
    """
    if not 0.5 < confidence < 1 or not 0 < interval < 1:
        raise BadParameter(
            f"The confidence is {confidence!r} and the interval {interval!r}.",
            "Give a confidence between 0.5 and 1, and an interval between 0 and 1.",
        )
    values = np.array(pnl, dtype=np.float64)
    tail = 1 - confidence
    count = values.size
    if values.ndim != 1 or count * tail < _LEAST:
        raise BadInput(
            f"There are {count} paths in the shape {values.shape}.",
            f"Give one column of at least {math.ceil(_LEAST / tail - 1e-6):,}: {_LEAST} beyond the VaR.",
        )
    if not np.isfinite(values).all():
        raise BadInput(f"The profit and loss of path {int(np.argmin(np.isfinite(values)))} is not finite.", "Drop it.")
    side = (1 - interval) / 2
    low = int(stats.binom.ppf(side, count, tail))
    high = int(stats.binom.ppf(1 - side, count, tail)) + 1
    place = (count - 1) * tail
    wanted = sorted({max(low - 1, 0), math.floor(place), min(math.floor(place) + 1, count - 1), high - 1})
    values.partition(wanted)
    near = values[math.floor(place) : math.floor(place) + 2]
    quantile = float(near[0] + (place - math.floor(place)) * (near[-1] - near[0]))
    worst = values[values <= quantile]
    var, es = -quantile, -float(worst.mean())
    spread = float(worst.var(ddof=1)) + confidence * (es - var) ** 2
    error = float(special.ndtri(1 - side)) * math.sqrt(spread / (count * tail))
    return Tail(
        confidence=confidence,
        var=var,
        es=es,
        var_interval=(-float(values[high - 1]), -float(values[low - 1]) if low else math.inf),
        es_interval=(es - error, es + error),
        interval=interval,
        paths=count,
    )
