"""Calm times, in which the price of a change shows: windows of the store as scenarios. Pure.

They were chosen with hindsight, as anything that is called calm must be: at least 100 sessions in which the S&P 500
never closed 5 % below its highest close of the window, spread over the bundled years, and with yields in the bundle.
``tests/scenarios/recommend/test_calm_windows.py`` holds them against the data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from quantdesk.scenarios.path import Path
from quantdesk.scenarios.scenario import AssetEntry, Scenario

__all__ = ["CALM_WINDOWS", "calm_scenarios", "entries_of"]

CALM_WINDOWS: dict[str, tuple[dt.date, dt.date]] = {
    "calm_2005": (dt.date(2005, 5, 2), dt.date(2005, 9, 30)),
    "calm_2013": (dt.date(2012, 12, 3), dt.date(2013, 5, 15)),
    "calm_2017": (dt.date(2016, 10, 3), dt.date(2017, 3, 29)),
}
"""First and last session by name."""


def calm_scenarios(assets: Sequence[AssetEntry]) -> tuple[Scenario, ...]:
    """The calm windows, with the assets of the scenario that is asked about.

    Parameters
    ----------
    assets
        What moves; one that has no value in a window is missing there.
    """
    return tuple(
        Scenario(
            name=name,
            title=f"Calm times, {first:%B %Y} to {last:%B %Y}",
            summary="A calm window, chosen with hindsight, that shows what a change costs when nothing happens.",
            start=first,
            end=last,
            assets=tuple(assets),
            sources=("Chosen from the bundled S&P 500 closes: never 5 % below the highest close of the window.",),
        )
        for name, (first, last) in CALM_WINDOWS.items()
    )


def entries_of(path: Path) -> tuple[AssetEntry, ...]:
    """The assets of a path as a scenario declares them, for a path that no scenario made."""
    return tuple(
        AssetEntry(symbol=one.symbol, kind=one.kind, unit=one.unit, sector=one.sector, calendar=one.calendar)
        for one in path.assets
    )
