"""Tables of features: one feature as a table, when a row may be acted on, which rows open a new period. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput, UnknownName
from quantdesk.features.frame import FeatureFrame

__all__ = ["Rebalance", "at_sessions", "decision_rows", "rebalance_rows", "wide"]

Rebalance = Literal["daily", "weekly", "monthly", "quarterly"]
_PERIODS: Mapping[str, str | None] = {"daily": None, "weekly": "W-SUN", "monthly": "M", "quarterly": "Q"}


def at_sessions(known: FeatureFrame | pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """File each row under the last session that had closed when the row became known: there it can be decided on.

    A close is known minutes after it, so that the row of a session stays with that session. A series that is published
    days later (spot oil, say) moves to the session at which one really had it. The next session is the first that can
    trade on it, at its close: it closes after the row was known. (At its *open* only when the row was known by then.)

    Parameters
    ----------
    known
        A `quantdesk.features.FeatureFrame`, whose proof is checked once more; or a table like the one that its
        `to_pandas` gives, which proves nothing: index ``(timestamp, symbol)``, where the timestamp is the moment at
        which the row was known (UTC).
    sessions
        The index of the prices that are traded: closes, increasing, aware.

    Returns
    -------
    DataFrame
        Index ``(timestamp, symbol)`` with timestamps out of `sessions`; of several rows of a symbol that fall on one
        session the latest known. Rows known before the first session, or over 20 hours after the last, are left out.

    Raises
    ------
    BadInput
        Another index, naive times, or sessions that do not increase.
    DataError
        The frame is not validated point in time, or was changed since.
    """
    known = check_features(known)
    if not isinstance(sessions, pd.DatetimeIndex) or sessions.tz is None or not _increase(sessions):
        raise BadInput("The sessions do not increase, or have no time zone.", "Give the index of the prices.")
    ordered = known.sort_index(level=0, kind="stable")
    place = sessions.searchsorted(ordered.index.get_level_values(0), side="right") - 1
    # Which session follows the last one is not known here; none closes within 20 hours of it.
    late = ordered.index.get_level_values(0) > sessions[-1] + pd.Timedelta(hours=20)
    usable = (place >= 0) & ~late
    filed = ordered[usable]
    filed.index = pd.MultiIndex.from_arrays(
        [sessions[place[usable]], filed.index.get_level_values(1)], names=["timestamp", "symbol"]
    )
    return filed[~filed.index.duplicated(keep="last")]


def _increase(sessions: pd.DatetimeIndex) -> bool:
    return len(sessions) > 0 and sessions.is_monotonic_increasing and not sessions.has_duplicates


def check_features(features: FeatureFrame | pd.DataFrame) -> pd.DataFrame:
    """The table, if it has rows of ``(timestamp, symbol)`` without duplicates, with aware timestamps.

    A `FeatureFrame` must hold what its evidence says, hash included.
    """
    if isinstance(features, FeatureFrame):
        features = features.proven().to_pandas()
    if not isinstance(features, pd.DataFrame) or features.index.nlevels != 2:
        levels = getattr(getattr(features, "index", None), "nlevels", 0)
        raise BadInput(
            f"Features came as {type(features).__name__} with {levels} index level(s).",
            "Give a frame with the index (timestamp, symbol), as FeatureFrame.to_pandas() returns it.",
        )
    if features.empty:
        raise BadInput("The frame of features has no row.", "Ask for a range of dates that holds data.")
    if features.index.has_duplicates:
        twice = features.index[features.index.duplicated()][0]
        raise BadInput(f"The features hold {twice} twice.", "Give one row per timestamp and symbol.")
    times = cast("pd.MultiIndex", features.index).levels[0]
    if not isinstance(times, pd.DatetimeIndex) or times.tz is None:
        raise BadInput(f"The first index level holds {times.dtype}.", "Give timestamps with a time zone (UTC).")
    return features


def wide(features: FeatureFrame | pd.DataFrame, name: str) -> pd.DataFrame:
    """One feature as a table of timestamps by symbols.

    Parameters
    ----------
    features
        Index ``(timestamp, symbol)`` without duplicates, timestamps aware; one column per feature. The proof of a
        `FeatureFrame` is checked.
    name
        A column of `features`.

    Returns
    -------
    DataFrame
        float64, rows in time order, symbols in alphabetical order; NaN where the feature is null.

    Raises
    ------
    UnknownName
        `features` has no such column.
    BadInput
        Another index, duplicate rows, naive timestamps, or no row at all.
    """
    features = check_features(features)
    if name not in features.columns:
        raise UnknownName("feature", name, [str(column) for column in features.columns])
    table = features[name].unstack(level=1).sort_index().sort_index(axis=1).astype("float64")
    table.columns = pd.Index([str(symbol) for symbol in table.columns], name="symbol")
    table.index.name = "timestamp"
    return table


def rebalance_rows(index: pd.DatetimeIndex, rebalance: Rebalance) -> np.ndarray:
    """Which rows open a new period: the first session of each day, week, month or quarter of the data's own sessions.

    Parameters
    ----------
    index
        Increasing, aware timestamps.
    rebalance
        ``"daily"``, ``"weekly"`` (weeks end on Sunday), ``"monthly"`` or ``"quarterly"``; periods are counted in UTC.

    Returns
    -------
    ndarray of bool, shape (len(index),)
        The first row is always True.

    Raises
    ------
    UnknownName
        Another word for `rebalance`.
    """
    if rebalance not in _PERIODS:
        raise UnknownName("rebalance", str(rebalance), _PERIODS)
    frequency = _PERIODS[rebalance]
    if frequency is None:
        return np.ones(len(index), dtype=bool)
    periods = index.tz_convert("UTC").tz_localize(None).to_period(frequency)
    number = periods.astype("int64").to_numpy()
    return np.concatenate([[True], number[1:] != number[:-1]])[: len(index)]


def decision_rows(scores: pd.DataFrame, rebalance: Rebalance) -> pd.DataFrame:
    """The rebalance rows of `scores`, from the first one on which some symbol has a value."""
    rows = scores[rebalance_rows(cast("pd.DatetimeIndex", scores.index), rebalance)]
    known = rows.notna().any(axis=1).to_numpy()
    if not known.any():
        raise BadInput(
            f"No symbol of {', '.join(map(str, scores.columns[:8]))} has a value on any rebalance row"
            f" between {scores.index[0]} and {scores.index[-1]}.",
            "Start later, or take symbols with a longer history: the feature needs its look-back first.",
        )
    return rows.iloc[int(known.argmax()) :]
