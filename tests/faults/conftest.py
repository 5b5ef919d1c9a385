"""The site of the fault tests, found by name; tests are no package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules import module_at


@pytest.fixture(scope="session")
def sites() -> Any:
    """The module that starts sites."""
    return module_at(Path(__file__).with_name("site.py"), "fault_site")
