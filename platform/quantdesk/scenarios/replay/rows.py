"""The rows of a daily replay: which days there are, and from when to when each lasts. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.market.sessions import sessions_between
from quantdesk.orders.halts.closures import closures
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.scenarios.scenario import ClosureEntry

__all__ = ["hours_of", "sessions_of"]

_OPENS, _CLOSES = dt.time(9, 30), dt.time(16, 0)


def hours_of(days: pd.DatetimeIndex) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When the bar of each day begins and ends.

    Parameters
    ----------
    days
        Days in New York as midnights without a zone.

    Returns
    -------
    tuple of numpy.ndarray
        Nanoseconds since 1970, UTC: the regular session in New York, early closes honoured. Where New York was shut,
        09:30 to 16:00 of that day.
    """
    moments = []
    for day in days:
        hours = regular_hours(day.date())
        if hours is None:
            opens, closes = (pd.Timestamp.combine(day.date(), at).tz_localize(NEW_YORK) for at in (_OPENS, _CLOSES))
        else:
            opens, closes = pd.Timestamp(hours.opens), pd.Timestamp(hours.closes)
        moments.append((opens.as_unit("ns").value, closes.as_unit("ns").value))
    table = np.array(moments, dtype=np.int64).reshape(len(moments), 2)
    return table[:, 0].copy(), table[:, 1].copy()


def sessions_of(calendar: str, first: dt.date, last: dt.date, shut: Iterable[ClosureEntry]) -> pd.DatetimeIndex:
    """The days on which an asset should have a bar: those of its calendar, without the closures.

    Parameters
    ----------
    calendar
        A name from :mod:`quantdesk.market.sessions`.
    first, last
        Bounds, both included.
    shut
        Closures that the scenario declares; those of :mod:`quantdesk.orders.halts.closures` count as well.
    """
    days = sessions_between(calendar, first, last)
    spans = [(one.first, one.last) for one in closures(calendar)]
    spans += [(one.first, one.last) for one in shut if one.exchange == calendar]
    for begin, end in spans:
        days = days[(days < pd.Timestamp(begin)) | (days > pd.Timestamp(end))]
    return days
