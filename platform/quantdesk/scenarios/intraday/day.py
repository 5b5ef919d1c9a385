"""What is known of a day before it is cut into minutes. Pure."""

from __future__ import annotations

import numpy as np

from quantdesk.scenarios.intraday import bridge
from quantdesk.scenarios.intraday.course import NIGHT, DayOfIndex
from quantdesk.scenarios.intraday.lookback import Lookback
from quantdesk.scenarios.path import Path

__all__ = ["corners_of", "day_of_index", "has_open", "wildness"]

_CALM, _WILD = 0.5, 4.0
"""Bounds of how much wilder a day is than the history."""


def corners_of(daily: Path, row: int, n: int, previous: float, seed: int) -> bridge.Corners | None:
    """Open, high, low and close of a day; an open that is not known is drawn between the close before and the close."""
    if daily.high is None or daily.low is None:
        return None
    high, low, close = (float(table[row, n]) for table in (daily.high, daily.low, daily.close))
    opens = float("nan") if daily.open is None else float(daily.open[row, n])
    if np.isnan(opens) and bridge.is_bar((close, high, low, close)):
        chance = bridge.stream(seed, daily.sessions[row].date(), daily.symbols[n], purpose=2).standard_normal()
        start = close if np.isnan(previous) else previous
        night = bridge.range_deviation(high, low) * np.sqrt(NIGHT * (1 - NIGHT)) * chance
        opens = float(np.clip(start * np.exp(NIGHT * np.log(close / start) + night), low, high))
    corners = (opens, high, low, close)
    return corners if bridge.is_bar(corners) else None


def has_open(daily: Path, row: int, n: int) -> bool:
    """Whether the open of a day is known."""
    return daily.open is not None and not np.isnan(daily.open[row, n])


def day_of_index(daily: Path, lookback: Lookback, row: int, place: int, seed: int) -> DayOfIndex | None:
    """What is known of the index; None where it has no value."""
    close = float(daily.close[row, place])
    if np.isnan(close):
        return None
    before = np.log(lookback.before(row)[-250:, place])
    returns = np.diff(before[~np.isnan(before)])
    deviation = float(returns.std()) if len(returns) > 1 else 0.01
    previous = lookback.previous(row, place)
    corners = corners_of(daily, row, place, previous, seed)
    return DayOfIndex(corners, close if np.isnan(previous) else previous, close, deviation)


def wildness(known: DayOfIndex | None) -> float:
    """How much further the index goes on the day than it did in the history."""
    if known is None or known.corners is None or not known.deviation:
        return 1.0
    _, high, low, _ = known.corners
    return float(np.clip(bridge.range_deviation(high, low) / known.deviation, _CALM, _WILD)) if high > low else _CALM
