"""A path of prices between the four corners of a bar. Pure.

Three Brownian bridges lead from the open over the two extremes to the close. Their volatility is that of the bar's
range (Parkinson 1980), and they are folded back at the extremes, so that the path visits open, high, low and close
exactly, to the micro-dollar, and never leaves the bar. Which extreme comes first is drawn: the shorter way is the
likelier one.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["LEAST_STEPS", "bar_path", "range_volatility"]

Ints = NDArray[np.int64]
LEAST_STEPS = 4
"""Open, two extremes and close."""


def range_volatility(high: int, low: int) -> float:
    """Standard deviation of the logarithmic return over a bar, from its range: ln(H/L) / (2 sqrt(ln 2)) (Parkinson)."""
    return math.log(high / low) / (2 * math.sqrt(math.log(2)))


def bar_path(corners: tuple[int, int, int, int], steps: int, rng: np.random.Generator) -> tuple[Ints, tuple[int, int]]:
    """A path through a bar.

    Parameters
    ----------
    corners
        Open, high, low and close in micro-dollars.
    steps
        Number of prices, at least 4.
    rng
        Where chance comes from.

    Returns
    -------
    path
        Shape ``(steps,)``: begins with the open, ends with the close.
    extremes
        The steps at which it is at the high and at the low.

    Raises
    ------
    BadInput
        Corners that are no bar, or too few steps.
    """
    opens, high, low, close = corners
    if not 0 < low <= min(opens, close) or not high >= max(opens, close):
        raise BadInput(
            f"Open {opens}, high {high}, low {low}, close {close} are no bar.", "Give low <= open, close <= high."
        )
    if steps < LEAST_STEPS:
        raise BadInput(f"A path of {steps} steps.", f"Give at least {LEAST_STEPS}.")
    first, second = np.sort(rng.choice(np.arange(1, steps - 1), 2, replace=False)).tolist()
    over_low = (opens - low) + (high - close)
    over_high = (high - opens) + (close - low)
    low_first = bool(rng.random() * (over_low + over_high) < over_high)
    at_high, at_low = (second, first) if low_first else (first, second)
    noise = rng.standard_normal(steps) * (high - low) / (2 * math.sqrt(math.log(2) * steps))
    pivots = [(0, opens), (first, low if low_first else high), (second, high if low_first else low), (steps - 1, close)]
    path = np.empty(steps)
    for (begin, start), (end, stop) in pairwise(pivots):
        walk = np.concatenate([[0.0], np.cumsum(noise[begin + 1 : end + 1])])
        part = np.linspace(0.0, 1.0, end - begin + 1)
        path[begin : end + 1] = start + (stop - start) * part + walk - walk[-1] * part
    width = high - low
    if width:
        away = np.mod(path - low, 2 * width)
        path = low + width - np.abs(away - width)
    whole = np.rint(path).astype(np.int64) if width else np.full(steps, opens, dtype=np.int64)
    for place, price in pivots:
        whole[place] = price
    return whole, (at_high, at_low)
