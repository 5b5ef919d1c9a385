"""Every feature of one series, session by session, with its two times and the reasons for its nulls. Pure."""

from __future__ import annotations

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

__all__ = ["Benchmark", "Table", "on_calendar", "symbol_table"]


@dataclass(frozen=True)
class Benchmark:
    """What others are measured against: its price by session (local date without a zone) and its series."""

    series: Series
    price: pd.Series


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


def on_calendar(bars: Bars) -> pd.DataFrame:
    """The fields of a series on every session that its calendar has between its first and its last bar.

    Index: local dates without a zone. A session without a bar is a row of NaN, so that a gap stays visible instead of
    silently stretching a window. A bar on a day on which an exchange was closed is left out, and the quality report of
    the market store names it.
    """
    series = bars.series
    fields = bars.frame.set_index("session")[list(series.fields)]
    return fields.reindex(sessions_between(series.calendar, series.start, series.end))


def symbol_table(view: View, bars: Bars, benchmark: Benchmark | None = None) -> Table:
    """All features of one view on one series.

    Parameters
    ----------
    view
        A view with the entity ``symbol``.
    bars
        The series' whole history.
    benchmark
        Needed for a view whose features read one. None where the store holds none.
    """
    series = bars.series
    fields = on_calendar(bars)
    uses_benchmark = any("benchmark" in feature.inputs for feature in view.features)
    against = benchmark if uses_benchmark else None
    inputs = from_fields(fields, None if against is None else against.price)
    same_calendar = against is None or against.series.calendar == series.calendar
    daily = series.frequency == "daily"

    values: dict[str, Array] = {}
    reasons: dict[str, NDArray[np.object_]] = {}
    for feature in view.features:
        if feature.compute is None:
            raise ValueError(f"{feature.name} is about the market as a whole, not about {series.key}.")
        whole = missing.of_series(feature, inputs, series.kind, daily=daily, same_calendar=same_calendar)
        if whole is not None:
            values[feature.name] = np.full(len(fields), np.nan)
            reasons[feature.name] = np.full(len(fields), whole, dtype=object)
            continue
        values[feature.name] = _finite(feature.compute(_joint(inputs) if against is not None else inputs))
        reasons[feature.name] = missing.of_values(feature, inputs, values[feature.name])

    lag = series.publication_lag if against is None else max(series.publication_lag, against.series.publication_lag)
    sessions = pd.DatetimeIndex(fields.index)
    event = event_times(series.calendar, sessions)
    return Table(event, event + lag, sessions, values, reasons)


def _joint(inputs: Inputs) -> Inputs:
    """Prices on the sessions that both have, so that a return never spans a session that one of them lacks."""
    absent = np.isnan(inputs.price) | np.isnan(inputs.benchmark)
    return replace(
        inputs,
        price=np.where(absent, np.nan, inputs.price),
        benchmark=np.where(absent, np.nan, inputs.benchmark),
    )


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)
