"""Values between published ones, where the store has none. Pure.

An anchor is a waypoint, or a real value near one. Between two anchors of which at least one is a waypoint the values
are bridged; nothing is carried beyond the last anchor, and a hole between two real values stays a hole.

- Prices: log-linear in sessions, ``v(k) = a (b/a)^(k/n)``; linear where an anchor is not positive (oil in April 2020).
- Rates: linear in sessions.
- Volatility: log-linear, and on top of that the part of the index's log price that is not on its own straight line
  between the anchors, times a slope. The slope is the least-squares one, through zero, of the changes of log volatility
  between the published closes on the changes of the log index between the same days. That is a regression, corrected
  like a Brownian bridge (Glasserman, *Monte Carlo Methods in Financial Engineering*, 2003, section 3.1), so that every
  anchor is hit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["NOTHING", "REACH", "Bridged", "bridge", "slope_of"]

REACH = dt.timedelta(days=31)
"""How far a real value may lie from a waypoint and still be an anchor."""


@dataclass(frozen=True, eq=False)
class Bridged:
    """What was made.

    Attributes
    ----------
    values
        By session: only those that were reconstructed, the waypoints included.
    method
        How, in words; empty where nothing was made.
    """

    values: pd.Series
    method: str


NOTHING = Bridged(pd.Series(dtype=np.float64, index=pd.DatetimeIndex([])), "")


def bridge(
    kind: str,
    sessions: pd.DatetimeIndex,
    real: pd.Series,
    waypoints: Mapping[dt.date, float],
    driver: pd.Series | None = None,
) -> Bridged:
    """Reconstruct an asset.

    Parameters
    ----------
    kind
        Of the asset.
    sessions
        Days on which it should have a value, ascending.
    real
        Values of the store by session, without NaN.
    waypoints
        Published values by day; a real value of the same day goes before.
    driver
        Of a volatility: closes of the index by session. Without one, or where it lacks a day, log-linear.

    Raises
    ------
    BadInput
        A waypoint stands on a day without a session, or is not positive where it must be.
    """
    points = {pd.Timestamp(day): value for day, value in waypoints.items() if pd.Timestamp(day) not in real.index}
    for day, value in points.items():
        if day not in sessions:
            raise BadInput(f"The waypoint {value:g} on {day.date()} is on a day without a session.", "Name a session.")
        if kind == "volatility" and value <= 0:
            raise BadInput(f"The waypoint {value:g} on {day.date()} is no volatility.", "Give a positive number.")
    if not points:
        return NOTHING
    marks = pd.concat([real, pd.Series(points, dtype=np.float64)]).sort_index()
    marks = marks[marks.index.isin(sessions)]
    slope = slope_of(marks[marks.index.isin(list(points))], driver) if kind == "volatility" else 0.0
    made, driven = dict(points), False
    for (left, a), (right, b) in zip(list(marks.items())[:-1], list(marks.items())[1:], strict=True):
        published = (left in points) + (right in points)
        if published == 0 or (published == 1 and right - left > REACH):
            continue
        days = sessions[(sessions >= left) & (sessions <= right)]
        values, used = _between(kind, days, (float(a), float(b)), driver, slope)
        driven |= used
        made |= dict(zip(days[1:-1], values[1:-1].tolist(), strict=True))
    return Bridged(pd.Series(made, dtype=np.float64).sort_index(), _words(kind, len(points), slope if driven else 0.0))


def slope_of(published: pd.Series, driver: pd.Series | None) -> float:
    """Change of log volatility per change of the log index, between published closes; 0 where it cannot be told.

    Parameters
    ----------
    published
        Closes of the volatility by session.
    driver
        Closes of the index by session.
    """
    if driver is None:
        return 0.0
    both = pd.DataFrame({"volatility": published, "index": driver.reindex(published.index)}).dropna()
    if len(both) < 4:
        return 0.0
    changes = both.apply(np.log).diff().iloc[1:]
    below = float((changes["index"] ** 2).sum())
    return min(float((changes["index"] * changes["volatility"]).sum()) / below, 0.0) if below else 0.0


def _between(
    kind: str, days: pd.DatetimeIndex, ends: tuple[float, float], driver: pd.Series | None, slope: float
) -> tuple[NDArray[np.float64], bool]:
    """Values on `days`, from the first of `ends` to the second; and whether the driver was used."""
    (a, b), share = ends, np.linspace(0.0, 1.0, len(days))
    if kind == "rate" or min(a, b) <= 0:
        return a + (b - a) * share, False
    line = np.log(a) + (np.log(b) - np.log(a)) * share
    index = None if driver is None or not slope else driver.reindex(days)
    if index is None or index.isna().any():
        return np.exp(line), False
    moved = np.log(index.to_numpy(dtype=np.float64))
    off = moved - (moved[0] + (moved[-1] - moved[0]) * share)
    return np.exp(line + slope * off), True


def _words(kind: str, count: int, slope: float) -> str:
    closes = f"{count} published close{'s' if count > 1 else ''}"
    if kind == "rate":
        return f"linear between {closes}"
    if slope:
        return f"log-linear between {closes}, moved by {slope:.2f} times the log S&P 500 off its own line between them"
    return f"log-linear between {closes}"
