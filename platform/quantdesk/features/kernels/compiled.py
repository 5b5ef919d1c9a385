"""The compiler of the kernels, and what several of them ask about numbers. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from quantdesk.compute.machine_code import Compiler

__all__ = ["compiled", "extent", "strays"]

compiled = Compiler(Path(__file__).parent)


@compiled
def strays(values: Any, ratio: float) -> int:
    """How many numbers are NaN, infinite, or further than `ratio` from the first in magnitude; a zero is near.

    A count is all that the compiler takes on several lanes at once, and it is nearly always 0.
    """
    first = abs(values[0])
    high = min(first * ratio, 1e300)
    low = first / ratio
    found = 0
    for t in range(len(values)):
        size = abs(values[t])
        found += not ((size <= high) & ((size >= low) | (size == 0.0)))
    return found


@compiled
def extent(values: Any) -> tuple[float, float]:
    """The largest and the smallest magnitude of finite numbers; a zero counts for neither."""
    largest = 0.0
    smallest = np.inf
    for t in range(len(values)):
        size = abs(values[t])
        if size > largest:
            largest = size
        if 0.0 < size < smallest:
            smallest = size
    return largest, smallest
