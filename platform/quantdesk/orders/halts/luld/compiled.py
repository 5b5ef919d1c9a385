"""How the machine is compiled, and where its machine code is kept. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import njit

__all__ = ["compiled"]

_F = Callable[..., Any]


def _stamp() -> str:
    """A hash of everything that is compiled."""
    digest = hashlib.sha256()
    for name in ("compiled.py", "loop.py", "machine.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


_STAMP = _stamp()


def compiled(function: _F) -> _F:
    """Compile on the first call; integers only, without the interpreter's lock.

    The machine code is kept beside the source or in the user's cache folder; where neither can be written, each process
    compiles for itself.
    """
    try:
        kernel: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
        # Numba would look at the function's own file alone, and keep code that calls what has changed in another.
        kernel._cache._cache_file._source_stamp = _STAMP
    except (RuntimeError, AttributeError):  # numba: "cannot cache function: no locator available"
        kernel = njit(nogil=True, error_model="numpy")(function)
    return cast("_F", kernel)
