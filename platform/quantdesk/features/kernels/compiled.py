"""How a loop is compiled, and where its machine code is kept. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

__all__ = ["compiled", "extent", "strays"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _stamp() -> str:
    """A hash of the code of all kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _stamp()


def compiled(function: _F) -> _F:
    """Compile on the first call, without fast-math and without the interpreter's lock.

    The machine code is kept beside the source or, where that cannot be written, in the user's own cache folder
    (``NUMBA_CACHE_DIR``); where neither can, each process compiles for itself.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        kernel: Any = njit(cache=True, **options)(function)
        # Numba would look at the function's own file alone, and keep code that calls what has changed in another.
        kernel._cache._cache_file._source_stamp = _STAMP
    except (RuntimeError, AttributeError):  # numba: "cannot cache function: no locator available"
        kernel = njit(**options)(function)
    return cast("_F", kernel)


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
