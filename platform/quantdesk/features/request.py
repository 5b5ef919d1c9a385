"""What a caller asks for, checked before anything is read. Pure. Every mistake gets one clear error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.features.asof import Integers
from quantdesk.features.definitions import VIEWS, Feature, View
from quantdesk.market.spans import span

if TYPE_CHECKING:
    from quantdesk.features.manifest import Manifest

__all__ = ["as_of_moment", "by_view", "checked_entities", "checked_features", "checked_symbols", "nanosecond"]

_ROWS = 'Give a DataFrame with the columns "symbol" and "event_timestamp" (times with a zone).'


def checked_symbols(given: Sequence[str] | str | None, manifest: Manifest) -> tuple[str, ...]:
    """The symbols that a caller names, as given.

    Raises
    ------
    BadInput
        None, or one twice.
    UnknownName
        One that the store does not hold.
    """
    names = _names("symbol", given)
    for name in names:
        manifest.find(name)
    return names


def checked_features(
    given: Sequence[str] | str | None, declared: Mapping[str, View] = MappingProxyType({})
) -> tuple[Feature, ...]:
    """The features that a caller names, in that order.

    Parameters
    ----------
    given
        ``"sma_20"``, or with the view before it: ``"technical:sma_20"``, as Feast writes it.
    declared
        The views that the user declared, by name.

    Raises
    ------
    BadInput
        None, one twice, or a plain name that several views have.
    UnknownName
        One that is not defined; the message offers the nearest, the user's own among them.
    """
    views = {**VIEWS, **declared}
    by_name: dict[str, list[Feature]] = {}
    for view in views.values():
        for feature in view.features:
            by_name.setdefault(feature.name, []).append(feature)
            by_name[f"{view.name}:{feature.name}"] = [feature]
    names = _names("feature", given)
    found = []
    for name in names:
        if name not in by_name:
            known = by_name if ":" in name else [known for known in by_name if ":" not in known]
            raise UnknownName("feature", name[:80], known)
        if len(by_name[name]) > 1:
            homes = [f"{one.view}:{name}" for one in by_name[name]]
            raise BadInput(f"The feature {name} is in {len(homes)} views.", f"Say which: {' or '.join(homes)}.")
        found.append(by_name[name][0])
    twice = sorted({one.name for one in found if sum(other.name == one.name for other in found) > 1})
    if twice:
        raise BadInput(f"The feature {twice[0]} is named twice.", "Columns have plain names: ask for one at a time.")
    return tuple(found)


def by_view(features: Sequence[Feature]) -> Mapping[View, tuple[Feature, ...]]:
    """The asked features of each view."""
    found: dict[View, tuple[Feature, ...]] = {}
    for feature in sorted(features, key=lambda one: _order(one.view)):
        found[feature.home] = (*found.get(feature.home, ()), feature)
    return found


def _order(view: str) -> int:
    """The views of the platform first, in their own order; then those of the user, in the order of the question."""
    return list(VIEWS).index(view) if view in VIEWS else len(VIEWS)


def _names(what: str, given: Sequence[str] | str | None) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given) if given is not None else ()
    if not names:
        raise BadInput(f"No {what} is named.", f"Name at least one {what}.")
    for name in names:
        if not isinstance(name, str):
            raise BadInput(f"The {what} {name!r} is a {type(name).__name__}.", "Give names as text.")
    if len(set(names)) < len(names):
        twice = min(name for name in names if names.count(name) > 1)
        raise BadInput(f"The {what} {twice} is named twice.", f"Name each {what} once.")
    return names


def checked_entities(rows: Any, manifest: Manifest, features: Sequence[Feature]) -> tuple[pd.DataFrame, Integers]:
    """The rows of an entity frame and their times in nanoseconds (UTC). Order and duplicates stay.

    Raises
    ------
    BadInput
        No frame, no rows, a column that is not there, times that are text or numbers, or a column that is also the
        name of an asked feature.
    BadDates
        Times without a zone, or a row without a time.
    UnknownName
        A symbol that the store does not hold.
    """
    if not isinstance(rows, pd.DataFrame):
        raise BadInput(f"entity_df is a {type(rows).__name__}.", _ROWS)
    absent = [name for name in ("symbol", "event_timestamp") if name not in rows.columns]
    if absent:
        raise BadInput(f"entity_df has no column {absent[0]!r}; it has {list(rows.columns)[:8]}.", _ROWS)
    if not len(rows):
        raise BadInput("entity_df has no rows.", "Give at least one row.")
    clash = [feature.name for feature in features if feature.name in rows.columns]
    if clash:
        raise BadInput(f"entity_df already has a column {clash[0]!r}.", "Rename it, or do not ask for that feature.")
    times = _times(rows["event_timestamp"])
    for name in pd.unique(rows["symbol"]):
        if not isinstance(name, str):
            raise BadInput(f"entity_df holds the symbol {name!r}, a {type(name).__name__}.", "Give symbols as text.")
        manifest.find(name)
    return rows, times


def _times(column: pd.Series) -> Integers:
    zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
    if not zoned and column.dtype == object:
        values = column.tolist()
        kinds = {type(value).__name__ for value in values if not isinstance(value, dt.datetime)}
        if kinds:
            raise BadInput(f"entity_df's event_timestamp holds values of type {sorted(kinds)[0]}.", _ROWS)
        naive = [value for value in values if value == value and value.tzinfo is None]
        if naive:
            raise BadDates(f"entity_df's event_timestamp {naive[0]} has no time zone.", _ROWS)
        present = [value for value in values if value == value]
        zones = list(dict.fromkeys(str(value.tzinfo) for value in present))
        if len(zones) > 1:
            raise BadDates(
                f"entity_df's event_timestamp mixes the time zones {zones[0]} and {zones[1]}.",
                "Put all of them into one, for example with pandas.to_datetime(..., utc=True).",
            )
        for value in present:
            nanosecond(value)
        column, zoned = pd.to_datetime(column, utc=True), True
    if not zoned:
        if pd.api.types.is_datetime64_dtype(column.dtype):
            raise BadDates(f"entity_df's event_timestamp {column.iloc[0]} has no time zone.", _ROWS)
        raise BadInput(f"entity_df's event_timestamp is of type {column.dtype}.", _ROWS)
    missing = np.flatnonzero(column.isna().to_numpy())
    if missing.size:
        raise BadDates(f"Row {missing[0]} of entity_df has no event_timestamp.", _ROWS)
    for edge in (column.min(), column.max()):
        nanosecond(edge)
    return np.asarray(column.dt.tz_convert("UTC").dt.as_unit("ns").astype(np.int64).to_numpy())


def as_of_moment(given: Any, now: dt.datetime) -> pd.Timestamp | None:
    """The moment after which nothing is known: an aware datetime, or the end of a date in UTC.

    Raises
    ------
    BadDates
        It is no date, has a time of day but no zone, or lies in the future.
    """
    if given is None:
        return None
    bound = cast("dt.date", span(given).start)
    first = bound if isinstance(bound, dt.datetime) else dt.datetime.combine(bound, dt.time(), dt.UTC)
    if first > now:
        raise BadDates(f"The as-of time {first} lies in the future.", "Give a past date: the future is not known.")
    moment = nanosecond(first)
    if isinstance(bound, dt.datetime):
        return moment
    end_of_day = moment + pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
    return min(end_of_day, nanosecond(now))


def nanosecond(when: dt.datetime) -> pd.Timestamp:
    """An aware time as a timestamp in UTC that counts nanoseconds.

    Raises
    ------
    BadDates
        It lies outside of the years 1678 to 2261, which nanoseconds can count.
    """
    try:
        return pd.Timestamp(when).tz_convert("UTC").as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        raise BadDates(f"The time {when} is out of range.", "Give a time from 1678 to 2261.") from None
