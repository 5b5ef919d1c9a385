"""How a loop is compiled, and where its machine code is kept. An edge module: it reads the source that it compiles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["Compiler"]

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class Compiler:
    """A decorator: compile on the first call, without fast-math and without the interpreter's lock.

    The machine code is kept beside the source or, where that cannot be written, in the user's own cache folder
    (``NUMBA_CACHE_DIR``); where neither can, each process compiles for itself. What is kept is used as long as no file
    of the loops has changed: numba itself would look at the function's own file alone, and keep code that calls what
    has changed in another.

    Parameters
    ----------
    folder
        With all loops that call each other.
    """

    def __init__(self, folder: Path) -> None:
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
        self._stamp = digest.hexdigest()

    def __call__(self, function: _F) -> _F:
        """The function, compiled when it is first called."""
        try:
            kernel: Any = njit(cache=True, **_OPTIONS)(function)
            kernel._cache._cache_file._source_stamp = self._stamp
        except (RuntimeError, AttributeError):  # numba: "cannot cache function: no locator available"
            kernel = njit(**_OPTIONS)(function)
        return cast("_F", kernel)
