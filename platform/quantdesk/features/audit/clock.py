"""The time axis of an audit: labels of rows as numbers that can be compared, and back. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput

__all__ = ["Clock", "Coordinates", "time_level"]

Coordinates = NDArray[Any]
"""int64 nanoseconds for dates, float64 for numbers and positions; shape ``(n,)``."""


def time_level(index: pd.Index) -> int | None:
    """The level of a MultiIndex that holds the times: the one named timestamp or date, else the first of dates."""
    if not isinstance(index, pd.MultiIndex):
        return None
    for number, name in enumerate(index.names):
        if name in {"timestamp", "event_timestamp", "date", "session", "time"}:
            return number
    for number in range(index.nlevels):
        if isinstance(index.levels[number], pd.DatetimeIndex | pd.PeriodIndex):
            return number
    raise BadInput(
        f"The index has the levels {list(index.names)}, and none of them holds times.",
        "Give one level of timestamps, for example (timestamp, symbol).",
    )


@dataclass(frozen=True)
class Clock:
    """How the labels of the data are read.

    Attributes
    ----------
    kind
        ``"aware"`` and ``"naive"`` for dates with and without a time zone, ``"number"`` for an index of numbers,
        ``"position"`` for arrays, whose rows have no labels.
    zone
        The time zone in which dates are shown; None where there is none.
    """

    kind: Literal["aware", "naive", "number", "position"]
    zone: Any = None

    @classmethod
    def of(cls, index: pd.Index) -> Clock:
        """The clock that an index keeps."""
        times = _times(index)
        if isinstance(times, pd.DatetimeIndex):
            return cls("naive") if times.tz is None else cls("aware", times.tz)
        if pd.api.types.is_numeric_dtype(times.dtype) and not pd.api.types.is_bool_dtype(times.dtype):
            return cls("number")
        shown = repr(times[0]) if len(times) else "nothing"
        raise BadInput(
            f"The index holds {shown} ({times.dtype}), which is not a time.",
            "Convert it with pandas.to_datetime, or give arrays in order of time.",
        )

    def read(self, index: pd.Index) -> Coordinates:
        """The coordinate of each row; raises BadInput where the index is of another kind."""
        found = Clock.of(index)
        if found.kind != ("number" if self.kind == "position" else self.kind):
            raise BadInput(
                f"One index holds {_WORDS[found.kind]} and the other {_WORDS[self.kind]}.", "Give both the same kind."
            )
        times = _times(index)
        if times.hasnans:
            raise BadDates("The index holds a missing time (NaT or NaN).", "Drop those rows.")
        if isinstance(times, pd.DatetimeIndex):
            plain = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
            return plain.to_numpy().astype("datetime64[ns]").astype(np.int64)
        return times.to_numpy(dtype=np.float64)

    def moment(self, value: Any) -> int | float:
        """One label as a coordinate."""
        if self.kind in {"number", "position"}:
            if isinstance(value, int | float | np.number):
                return float(value)
            raise BadDates(f"{value!r} is not a number, and the rows are numbered.", "Give a number.")
        try:
            stamp = pd.Timestamp(value)
        except (TypeError, ValueError):
            raise BadDates(f"{value!r} is not a time.", "Give a date such as 2020-03-16.") from None
        if self.kind == "aware":
            stamp = stamp.tz_localize(self.zone) if stamp.tz is None else stamp
            return int(stamp.tz_convert("UTC").tz_localize(None).as_unit("ns").value)
        if stamp.tz is not None:
            raise BadDates(f"{value!r} has a time zone, and the data have none.", "Leave the zone out.")
        return int(stamp.as_unit("ns").value)

    def span(self, value: Any) -> int | float:
        """A length of time as a difference of coordinates."""
        if self.kind in {"number", "position"}:
            if isinstance(value, int | float | np.number):
                return float(value)
            raise BadInput(f"A lag of {value!r} is not a number, and the rows are numbered.", "Give a number of rows.")
        if isinstance(value, str | dt.timedelta | np.timedelta64 | pd.Timedelta):
            return int(pd.Timedelta(value).as_unit("ns").value)
        raise BadInput(f"A lag of {value!r} is not a length of time.", 'Give a timedelta, such as "1D".')

    def label(self, at: int | float) -> pd.Timestamp | int | float:
        """A coordinate as a label that a person reads."""
        if self.kind == "aware":
            return pd.Timestamp(int(at), tz="UTC").tz_convert(self.zone)
        if self.kind == "naive":
            return pd.Timestamp(int(at))
        return int(at) if float(at).is_integer() else float(at)


_WORDS = {"aware": "times with a zone", "naive": "times without a zone", "number": "numbers", "position": "positions"}


def _times(index: pd.Index) -> pd.Index:
    level = time_level(index)
    times = index if level is None else index.get_level_values(level)
    if isinstance(times, pd.PeriodIndex):
        return times.to_timestamp(how="end")  # a period is known when it is over
    if times.dtype == object and len(times) and all(isinstance(one, dt.date) for one in times):
        return pd.DatetimeIndex(times)
    return times
