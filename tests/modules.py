"""Modules of the tests, which are no package: one is loaded once, from where it is, under a name of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

__all__ = ["module_at"]


def module_at(path: Path, name: str = "") -> Any:
    """The module in a file, as `name`; that of the file when not given."""
    name = name or path.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]
