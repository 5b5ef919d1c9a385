"""The site of the fault tests, found by name; tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def sites() -> Any:
    """The module that starts sites."""
    if "fault_site" not in sys.modules:
        spec = importlib.util.spec_from_file_location("fault_site", Path(__file__).with_name("site.py"))
        assert spec
        assert spec.loader
        module = sys.modules["fault_site"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["fault_site"]
