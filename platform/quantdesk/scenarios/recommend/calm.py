"""Calm times, in which the price of a change shows: windows of the store as scenarios. Pure.

They were chosen with hindsight, as anything that is called calm must be: at least 100 sessions in which the S&P 500
never closed 5 % below its highest close of the window, with yields in the bundle; and together it rose in them as fast
as on all days outside of the catalogue's crises, by 14 % a year (logarithm, 1990 to 2022), so that the price of a
change is neither that of a boom nor of a standstill. ``tests/scenarios/recommend/test_calm_windows.py`` holds them
against the data. The stocks of the bundle are survivors and rose faster: what cash costs is overstated with them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from quantdesk.scenarios.path import Path
from quantdesk.scenarios.scenario import AssetEntry, Scenario

__all__ = ["CALM_WINDOWS", "calm_scenarios", "entries_of"]

CALM_WINDOWS: dict[str, tuple[dt.date, dt.date]] = {
    "calm_2005": (dt.date(2005, 5, 2), dt.date(2005, 9, 30)),
    "calm_2014": (dt.date(2014, 4, 1), dt.date(2014, 9, 15)),
    "calm_2016": (dt.date(2016, 10, 3), dt.date(2017, 3, 29)),
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
            sources=("Chosen from the bundled S&P 500 closes; see quantdesk.scenarios.recommend.calm.",),
        )
        for name, (first, last) in CALM_WINDOWS.items()
    )


def entries_of(path: Path) -> tuple[AssetEntry, ...]:
    """The assets of a path as a scenario declares them, for a path that no scenario made."""
    return tuple(
        AssetEntry(symbol=one.symbol, kind=one.kind, unit=one.unit, sector=one.sector, calendar=one.calendar)
        for one in path.assets
    )
