"""The catalogue of crises: one TOML file each, read into :class:`~quantdesk.scenarios.scenario.Scenario`.

A file holds data alone: window, closures, assets, the figures that a replay must reproduce, and the published values
that it is led through where the bundled data have none. A user's file is read by the same code and runs at once.

>>> from quantdesk.scenarios import catalog
>>> catalog.resolve("flash_crash")
'flash_crash_2010'
>>> str(catalog.load("covid").start)
'2020-02-19'
"""

from __future__ import annotations

from quantdesk.scenarios.catalog.files import ScenarioConfig, load, names, read, resolve
from quantdesk.scenarios.catalog.files import all_scenarios as all  # noqa: A004 - `catalog.all()` is what it is called
from quantdesk.scenarios.catalog.text import parse

__all__ = ["ScenarioConfig", "all", "load", "names", "parse", "read", "resolve"]
