"""Every feature of one series, session by session, with its two times and the reasons for its nulls. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.features import missing
from quantdesk.features.definitions import View
from quantdesk.features.inputs import Inputs, from_fields
from quantdesk.features.rolling import Array
from quantdesk.market.series import Bars, Series
from quantdesk.market.sessions import event_times, sessions_between

__all__ = ["Hours", "Sheet", "Table", "hours", "sheet", "symbol_table"]


@dataclass(frozen=True)
class Hours:
    """The sessions of a calendar and when their events were; shape ``(n,)`` each.

    Attributes
    ----------
    session
        Local dates without a zone, ascending.
    event
        The close or fixing of each, UTC.
    """

    session: pd.DatetimeIndex
    event: pd.DatetimeIndex


def hours(calendar: str, first: dt.date, last: dt.date) -> Hours:
    """The hours of a calendar between two dates, both included."""
    session = sessions_between(calendar, first, last)
    return Hours(session, event_times(calendar, session))


@dataclass(frozen=True)
class Sheet:
    """One series laid out on its calendar.

    Attributes
    ----------
    series
        Whose it is.
    hours
        Every session that the calendar has between the first and the last bar.
    fields
        The fields on those sessions. A session without a bar is a row of NaN, so that a gap stays visible instead of
        silently stretching a window.
    left_out
        The number of bars on days on which the exchange was closed. They are not used; the quality report of the
        market store names them.
    """

    series: Series
    hours: Hours
    fields: pd.DataFrame
    left_out: int

    @property
    def price(self) -> pd.Series:
        """The adjusted close where there is one, else the close."""
        return self.fields[self.series.main_field]


def sheet(bars: Bars, calendar: Hours | None = None) -> Sheet:
    """Lay a series out on its calendar.

    Parameters
    ----------
    bars
        The series' whole history.
    calendar
        The hours of its calendar, at least from its first to its last bar; worked out when left out.
    """
    series = bars.series
    known = calendar or hours(series.calendar, series.start, series.end)
    inside = (known.session >= pd.Timestamp(series.start)) & (known.session <= pd.Timestamp(series.end))
    own = Hours(known.session[inside], known.event[inside])
    fields = bars.frame.set_index("session")[list(series.fields)]
    return Sheet(series, own, fields.reindex(own.session), int((~fields.index.isin(own.session)).sum()))


@dataclass(frozen=True)
class Table:
    """The rows of one view about one symbol (or about the market), in order of time.

    Attributes
    ----------
    event, created
        When the row happened and when it could first be known; UTC, shape ``(n,)``.
    session
        The local date of the event, without a zone.
    values
        One array per feature; float64, NaN where there is none.
    reasons
        One array per feature: the code of :mod:`quantdesk.features.missing` where the value is NaN, else None.
    """

    event: pd.DatetimeIndex
    created: pd.DatetimeIndex
    session: pd.DatetimeIndex
    values: Mapping[str, Array]
    reasons: Mapping[str, NDArray[np.object_]]


def symbol_table(view: View, own: Sheet, benchmark: Sheet | None = None) -> Table:
    """All features of one view on one series.

    Parameters
    ----------
    view
        A view with the entity ``symbol``.
    own
        The series.
    benchmark
        Needed for a view whose features read one. None where the store holds none.
    """
    series = own.series
    uses_benchmark = any("benchmark" in feature.inputs for feature in view.features)
    against = benchmark if uses_benchmark else None
    inputs = from_fields(own.fields, None if against is None else against.price)
    same_hours = against is None or _same_hours(own.hours, against.hours)

    values: dict[str, Array] = {}
    reasons: dict[str, NDArray[np.object_]] = {}
    for feature in view.features:
        if feature.compute is None:
            raise ValueError(f"{feature.name} is about the market as a whole, not about {series.key}.")
        whole = missing.of_series(feature, inputs, series, same_hours=same_hours)
        if whole is not None:
            values[feature.name] = np.full(len(inputs), np.nan)
            reasons[feature.name] = np.full(len(inputs), whole, dtype=object)
            continue
        result = feature.compute(_joint(inputs) if against is not None else inputs)
        values[feature.name] = np.where(np.isfinite(result), result, np.nan)
        reasons[feature.name] = missing.of_values(feature, inputs, values[feature.name])

    lag = series.publication_lag if against is None else max(series.publication_lag, against.series.publication_lag)
    return Table(own.hours.event, own.hours.event + lag, own.hours.session, values, reasons)


def _same_hours(own: Hours, benchmark: Hours) -> bool:
    """Whether the series closes when the benchmark does, on every session that both have."""
    place = benchmark.session.get_indexer(own.session)
    shared = place >= 0
    theirs, ours = (np.asarray(one.event, dtype="datetime64[ns]") for one in (benchmark, own))
    return bool((theirs[place[shared]] == ours[shared]).all())


def _joint(inputs: Inputs) -> Inputs:
    """Prices on the sessions that both have, so that a return never spans a session that one of them lacks."""
    absent = np.isnan(inputs.price) | np.isnan(inputs.benchmark)
    return replace(
        inputs,
        price=np.where(absent, np.nan, inputs.price),
        benchmark=np.where(absent, np.nan, inputs.benchmark),
    )
