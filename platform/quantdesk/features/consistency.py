"""Whether the online store says what the offline store says: value by value, to the last bit. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["Consistency", "Difference", "compare", "same_bits"]


@dataclass(frozen=True)
class Difference:
    """One value that is not the same in both stores.

    Attributes
    ----------
    symbol, feature
        Whose value.
    online, offline
        What each says; NaN for null.
    online_event, offline_event
        When the row happened that each took it from (UTC); None for no row.
    """

    symbol: str
    feature: str
    online: float
    offline: float
    online_event: pd.Timestamp | None
    offline_event: pd.Timestamp | None

    @property
    def says(self) -> str:
        """The difference in words; every digit counts, so the numbers are shown to the last bit."""
        if not same_bits(np.array([self.online]), np.array([self.offline]))[0]:
            return f"online {_shown(self.online)}, offline {_shown(self.offline)}"
        return f"online from {_day(self.online_event)}, offline from {_day(self.offline_event)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with the eight bytes of each number."""
        events = (self.online_event, self.offline_event)
        return {
            "symbol": self.symbol,
            "feature": self.feature,
            "online": None if math.isnan(self.online) else self.online,
            "offline": None if math.isnan(self.offline) else self.offline,
            "online_bits": struct.pack(">d", self.online).hex(),
            "offline_bits": struct.pack(">d", self.offline).hex(),
            "online_event": None if events[0] is None else events[0].isoformat(),
            "offline_event": None if events[1] is None else events[1].isoformat(),
            "says": self.says,
        }


@dataclass(frozen=True)
class Consistency:
    """What a comparison found.

    Attributes
    ----------
    until
        The time up to which the online store was filled; the offline store was asked for what was known then.
    symbols, features
        What was compared.
    compared
        How many values: symbols times features.
    with_value
        How many of them are not null in the offline store. A comparison of nulls alone says little.
    differences
        Every value that differs.
    """

    until: pd.Timestamp
    symbols: int
    features: int
    compared: int
    with_value: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, and something was compared."""
        return not self.differences and self.compared > 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "until": self.until.isoformat(),
            "agrees": self.agrees,
            "symbols": self.symbols,
            "features": self.features,
            "compared": self.compared,
            "with_value": self.with_value,
            "differences": [one.to_dict() for one in self.differences],
        }


def same_bits(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the numbers are the same to the last bit. Any NaN is null; 0.0 and -0.0 are not the same."""
    left, right = (np.ascontiguousarray(part, dtype=np.float64) for part in (one, other))
    return np.asarray((left.view(np.int64) == right.view(np.int64)) | (np.isnan(left) & np.isnan(right)))


def compare(
    online: pd.DataFrame,
    offline: pd.DataFrame,
    until: pd.Timestamp,
    events: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    view_of: Mapping[str, str] | None = None,
) -> Consistency:
    """Compare two tables of values.

    Parameters
    ----------
    online, offline
        Index: symbols; columns: features; float64, NaN for null. The same labels in the same order.
    until
        When the online store was filled (UTC).
    events
        Per symbol and view the time of the row that answered, online and offline; NaT for none. Where both have a value
        and the times differ, that is a difference even if the values agree.
    view_of
        The view of each feature; needed with `events`.

    Raises
    ------
    BadInput
        The tables do not have the same symbols and features.
    """
    if not online.index.equals(offline.index) or not online.columns.equals(offline.columns):
        raise BadInput("The two tables do not hold the same symbols and features.", "Ask both stores for the same.")
    left, right = (table.to_numpy(dtype=np.float64) for table in (online, offline))
    differs = ~same_bits(left, right)
    if events is not None and view_of is not None:
        both = ~np.isnan(left) & ~np.isnan(right)
        for place, feature in enumerate(online.columns):
            times = [_column(table, view_of[feature], online.index) for table in events]
            differs[:, place] |= both[:, place] & (times[0] != times[1])
    found = []
    for row, place in zip(*np.nonzero(differs), strict=True):
        symbol, feature = str(online.index[row]), str(online.columns[place])
        stamps = [_stamp(table, symbol, view_of, feature) for table in events] if events else [None, None]
        values = float(left[row, place]), float(right[row, place])
        found.append(Difference(symbol, feature, *values, stamps[0], stamps[1]))
    return Consistency(
        until=until,
        symbols=len(online.index),
        features=len(online.columns),
        compared=left.size,
        with_value=int((~np.isnan(right)).sum()),
        differences=tuple(found),
    )


def _column(events: pd.DataFrame, view: str, symbols: pd.Index[Any]) -> NDArray[np.int64]:
    column = pd.DatetimeIndex(events[view].reindex(symbols)).as_unit("ns")
    return np.asarray(column.astype(np.int64))


def _stamp(events: pd.DataFrame, symbol: str, view_of: Mapping[str, str] | None, feature: str) -> pd.Timestamp | None:
    if view_of is None:
        return None
    when = events.loc[symbol, view_of[feature]]
    return when if isinstance(when, pd.Timestamp) else None


def _shown(value: float) -> str:
    return "null" if math.isnan(value) else repr(value)


def _day(when: pd.Timestamp | None) -> str:
    return "no row" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"
