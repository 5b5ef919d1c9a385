"""Falls from a peak: how deep, from when to when, and how long until the peak was back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput

__all__ = ["Drawdown", "drawdown_table", "drawdowns", "underwater"]


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One fall from a peak.

    Parameters
    ----------
    depth
        Value at the trough over value at the peak, minus 1; negative.
    peak, trough
        When the value was highest before, and lowest during the fall. The peak is None when it is the start of the
        series, which comes before its first return.
    recovery
        The first session with the old value or more; None when the series ends before.
    fall, rise
        Sessions from peak to trough, and from trough to recovery (None without one).
    """

    depth: float
    peak: pd.Timestamp | None
    trough: pd.Timestamp
    recovery: pd.Timestamp | None
    fall: int
    rise: int | None


def underwater(returns: pd.Series) -> pd.Series:
    """Value over its running peak, minus 1: 0 at a peak, negative below one. The start counts as a peak.

    Parameters
    ----------
    returns
        Simple returns per session, no NaN.

    Returns
    -------
    Series
        Same index as `returns`.
    """
    growth = (1 + returns.astype(float)).cumprod()
    if growth.isna().any():
        raise BadInput(f"The return at {growth.index[growth.isna()][0]} is NaN.", "Drop or repair the session first.")
    return (growth / growth.cummax().clip(lower=1.0) - 1).rename("drawdown")


def drawdowns(returns: pd.Series, top: int = 5) -> list[Drawdown]:
    """The `top` deepest drawdowns that do not overlap, deepest first.

    Parameters
    ----------
    returns
        Simple returns per session, increasing index, no NaN.
    top
        How many at most.

    Returns
    -------
    list of Drawdown
        Empty when the value never fell. An episode runs from a peak to the first session at which it is regained.
    """
    depth = underwater(returns).to_numpy()
    below = depth < -1e-12
    starts = np.flatnonzero(below & ~np.concatenate([[False], below[:-1]]))
    ends = np.flatnonzero(below & ~np.concatenate([below[1:], [False]]))
    found = []
    for start, end in zip(starts, ends, strict=True):
        first, last = int(start), int(end)
        trough = first + int(np.argmin(depth[first : last + 1]))
        back = last + 1 < len(depth)
        found.append(
            Drawdown(
                depth=float(depth[trough]),
                peak=returns.index[first - 1] if first > 0 else None,
                trough=returns.index[trough],
                recovery=returns.index[last + 1] if back else None,
                fall=trough - first + 1,
                rise=last + 1 - trough if back else None,
            )
        )
    return sorted(found, key=lambda episode: episode.depth)[:top]


def drawdown_table(episodes: Sequence[Drawdown]) -> pd.DataFrame:
    """Drawdowns as a table for people: dates as text, depth in percent.

    Returns
    -------
    DataFrame
        Columns ``depth %``, ``peak``, ``trough``, ``recovered``, ``sessions down``, ``sessions up``.
    """

    def day(moment: pd.Timestamp | None, otherwise: str) -> str:
        return otherwise if moment is None else f"{moment:%Y-%m-%d}"

    return pd.DataFrame(
        {
            "depth %": [round(100 * one.depth, 2) for one in episodes],
            "peak": [day(one.peak, "start") for one in episodes],
            "trough": [day(one.trough, "") for one in episodes],
            "recovered": [day(one.recovery, "not yet") for one in episodes],
            "sessions down": [one.fall for one in episodes],
            "sessions up": ["" if one.rise is None else str(one.rise) for one in episodes],
        },
        index=pd.RangeIndex(1, len(episodes) + 1),
    )
