"""How a loop is compiled, and where its machine code is kept. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

__all__ = ["compiled", "extent"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _stamp() -> str:
    """A hash of the code of all kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _stamp()


def compiled(function: _F, **more: Any) -> _F:
    """Compile on the first call, without fast-math unless `more` says so, and without the interpreter's lock.

    The machine code is kept beside the source or, where that cannot be written, in the user's own cache folder
    (``NUMBA_CACHE_DIR``); where neither can, each process compiles for itself.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", **more}
    try:
        kernel: Any = njit(cache=True, **options)(function)
        # Numba would look at the function's own file alone, and keep code that calls what has changed in another.
        kernel._cache._cache_file._source_stamp = _STAMP
    except (RuntimeError, AttributeError):  # numba: "cannot cache function: no locator available"
        kernel = njit(**options)(function)
    return cast("_F", kernel)


def _extent(values: Any) -> tuple[float, float]:
    """The largest and the smallest magnitude of finite numbers; a zero counts for neither."""
    largest = 0.0
    smallest = np.inf
    for t in range(len(values)):
        size = abs(values[t])
        other = size if size > 0.0 else np.inf
        largest = size if size > largest else largest
        smallest = other if other < smallest else smallest
    return largest, smallest


# A maximum does not depend on the order, so it may be taken on several lanes at once: there are no NaN here.
extent = compiled(_extent, fastmath={"nnan", "nsz"})
