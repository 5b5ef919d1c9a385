"""How the feature store stands: what it holds, how fresh it is, whether online is offline. An edge module.

It fetches; what is found is judged by :mod:`quantdesk.features.freshness` and :mod:`quantdesk.features.consistency`,
which are pure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quantdesk.errors import QuantdeskError
from quantdesk.features import publish
from quantdesk.features.backend import Asking, Snapshot
from quantdesk.features.build import Progress, definitions_version
from quantdesk.features.consistency import Consistency, compare
from quantdesk.features.declared import DeclaredView, data_files
from quantdesk.features.definitions import FEATURES, VIEWS, Feature, View
from quantdesk.features.freshness import AGREED, Agreement, Fresh, broken, freshness, gone, own_view, summary
from quantdesk.features.lineage import carries
from quantdesk.features.manifest import Manifest
from quantdesk.features.online.reader import table
from quantdesk.features.online.serving import answered
from quantdesk.features.request import by_view, checked_features, checked_symbols
from quantdesk.market import MarketStore, Series, bundled
from quantdesk.market.sessions import time_zone

if TYPE_CHECKING:
    from quantdesk.features.store import FeatureStore

__all__ = ["Status", "consistency", "fresh", "own_views", "status"]

_CLOCK = "technical"
_NEVER = dt.timedelta(0)
"""A time to live that never ends."""


@dataclass(frozen=True)
class Status:
    """How a feature store stands.

    Attributes
    ----------
    origin
        Where the build is.
    build, built_by
        Its key, and the version of quantdesk that built it.
    definitions, definitions_current
        The version of the formulas of the build, and whether it is that of this program.
    market, market_current
        The version of the market data that was built, and whether the market store still holds that; None where there
        is no market store to ask.
    rows, series, loads
        Feature rows, series, and loads that went into it; the last entry is the latest.
    applied
        Whether the registry holds the definitions as they are now.
    online_until, online_current
        Up to when the online store was filled, None where it never was; and whether from this build.
    freshness
        Every view and series.
    consistency
        What a comparison of online and offline values found; None where it could not be made.
    problems
        Everything that is not as it should be, in sentences.
    """

    origin: str
    build: str
    built_by: str
    definitions: str
    definitions_current: bool
    market: str
    market_current: bool | None
    rows: int
    series: int
    loads: tuple[Mapping[str, Any], ...]
    applied: bool
    online_until: dt.datetime | None
    online_current: bool
    freshness: tuple[Fresh, ...]
    consistency: Consistency | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "origin": self.origin,
            "build": self.build,
            "built_by": self.built_by,
            "definitions": self.definitions,
            "definitions_current": self.definitions_current,
            "market": self.market,
            "market_current": self.market_current,
            "rows": self.rows,
            "series": self.series,
            "loads": [dict(one) for one in self.loads],
            "applied": self.applied,
            "online_until": self.online_until.isoformat() if self.online_until else None,
            "online_current": self.online_current,
            "freshness": summary(self.freshness),
            "tables": [one.to_dict() for one in self.freshness],
            "consistency": self.consistency.to_dict() if self.consistency else None,
        }


def status(
    store: FeatureStore,
    now: dt.datetime,
    *,
    agreed: Mapping[str, Agreement] = AGREED,
    progress: Progress | None = None,
) -> Status:
    """Look at everything once.

    Parameters
    ----------
    store
        The feature store.
    now
        When the question is asked; aware.
    agreed
        What may be missing before a source is late.
    progress
        Called with (what, done, total).

    Raises
    ------
    DataError
        Nothing has been built, or the build is damaged.
    """
    tell = progress or (lambda what, done, total: None)
    tell("freshness", 0, 3)
    snapshot = store.snapshot()
    manifest = snapshot.manifest
    tables = (*fresh(snapshot, now, agreed=agreed), *own_views(store, now, agreed=agreed))
    tell("online against offline", 1, 3)
    until, same_build, checked, trouble = _online(store, manifest)
    tell("registry and market data", 2, 3)
    applied = publish.applied(store.root, store._repo)
    market = _market(store, manifest)
    current = manifest.definitions == definitions_version()
    tell("status", 3, 3)
    return Status(
        origin=snapshot.origin,
        build=manifest.key,
        built_by=manifest.version,
        definitions=manifest.definitions,
        definitions_current=current,
        market=manifest.market,
        market_current=market,
        rows=manifest.rows,
        series=len(manifest.series),
        loads=tuple({"at": one.at, "why": one.why, **_counts(one)} for one in manifest.loads),
        applied=applied,
        online_until=until,
        online_current=same_build,
        freshness=tables,
        consistency=checked,
        problems=(*_stale(tables), *_out_of_date(current, market, applied), *trouble),
    )


def _counts(load: Any) -> dict[str, int]:
    return {"added": load.added, "restated": load.restated, "withdrawn": load.withdrawn}


def _stale(tables: Sequence[Fresh]) -> list[str]:
    groups = summary(broken(tables))
    return [
        f"{one['view']} of {one['source']} is {one['state']} ({one['series']} series): {one['says']}." for one in groups
    ]


def _out_of_date(definitions: bool, market: bool | None, applied: bool) -> list[str]:
    said = [
        (
            definitions,
            "The features were built by other definitions than these: run `quantdesk features build`.",
        ),
        (market is not False, "The market store holds other data than were built: run `quantdesk features build`."),
        (applied, "The registry does not hold these definitions: run `quantdesk features apply`."),
    ]
    return [text for holds, text in said if not holds]


def _market(store: FeatureStore, manifest: Manifest) -> bool | None:
    """Whether the market store still holds what was built; None where there is none."""
    try:
        return (store._market or MarketStore()).version == manifest.market
    except (QuantdeskError, OSError):
        return None


def _online(
    store: FeatureStore, manifest: Manifest
) -> tuple[dt.datetime | None, bool, Consistency | None, tuple[str, ...]]:
    """Up to when and from which build the online store was filled, what a comparison found, and what is wrong."""
    try:
        until = publish.filled_until(store.root)
    except QuantdeskError as error:
        return None, False, None, (str(error),)
    trouble = []
    same_build = _builds(store.root) == {manifest.key}
    if not same_build:
        trouble.append("The online store was filled from another build: run `quantdesk features materialize`.")
    try:
        found = consistency(store)
    except (QuantdeskError, OSError) as error:
        return until, same_build, None, (*trouble, f"Online cannot be compared: {error}")
    if found.differences:
        first = found.differences[0]
        trouble.append(
            f"{len(found.differences)} online values are not the offline ones, {first.feature} of {first.symbol} among "
            f"them: {first.says}."
        )
    return until, same_build, found, tuple(trouble)


def _builds(root: Path) -> set[str]:
    """The builds that the views of the online store were filled from."""
    backend = publish.online_store(root)
    try:
        states = backend.states()
    finally:
        backend.close()
    found = (states.get(table(publish.PROJECT, view)) for view in VIEWS)
    return {"" if state is None else state.build for state in found}


def fresh(snapshot: Snapshot, now: dt.datetime, *, agreed: Mapping[str, Agreement] = AGREED) -> tuple[Fresh, ...]:
    """The freshness of every view and series of a build. See :func:`quantdesk.features.freshness.freshness`."""
    finished = frozenset(source.name for source in bundled())
    manifest = snapshot.manifest
    found: list[Fresh] = []
    for view in VIEWS.values():
        if view.entity is not None:
            # Every series has rows in every view; in all but the first only those count that can have a value.
            some = [one for one in manifest.series if view.name == _CLOCK or _can_have(view, one)]
            last = _latest(snapshot, view, [series.key for series in some], now)
            for series, event in zip(some, last, strict=True):
                day = None if event is None else event.tz_convert(time_zone(series.calendar)).date()
                if series.key in manifest.gone:
                    found.append(gone(view.name, series, day))
                else:
                    found.append(freshness(view.name, series, day, now, finished=finished, agreed=agreed))
        elif manifest.panel:
            slowest = max(
                (manifest.find(key) for key in manifest.panel), key=lambda one: (one.end, one.publication_lag)
            )
            (event,) = _latest(snapshot, view, [""], now)
            day = None if event is None else event.tz_convert(time_zone(slowest.calendar)).date()
            found.append(freshness(view.name, slowest, day, now, finished=finished, agreed=agreed, about=None))
    return tuple(found)


def own_views(store: FeatureStore, now: dt.datetime, *, agreed: Mapping[str, Agreement] = AGREED) -> tuple[Fresh, ...]:
    """The freshness of the views of the user's own. One that cannot be read is empty, and says why."""
    found = []
    for view in store.declared.views.values():
        try:
            last = newest(view, now)
        except (QuantdeskError, OSError, pa.ArrowException, IndexError) as error:
            found.append(replace(own_view(view.name, None, now), says=f"it cannot be read: {error}"))
        else:
            found.append(own_view(view.name, last, now, agreed))
    return tuple(found)


def newest(view: DeclaredView, now: dt.datetime) -> dt.datetime | None:
    """When the latest row of a declared view happened that had happened by now."""
    latest = None
    for file in data_files(view.path):
        column = (
            pq.read_table(file, columns=[view.event], partitioning=None).column(0).cast(pa.timestamp("us", tz="UTC"))
        )
        top = pc.max(pc.filter(column, pc.less_equal(column, pa.scalar(now, column.type)))).as_py()
        latest = top if latest is None or (top is not None and top > latest) else latest
    return latest


def _can_have(view: View, series: Series) -> bool:
    return any(carries(feature, series) for feature in view.features)


def _latest(snapshot: Snapshot, view: View, keys: Sequence[str], now: dt.datetime) -> list[pd.Timestamp | None]:
    """When the latest row of each key happened that is known by now."""
    events = snapshot.match(replace(view, ttl=_NEVER), [], _asking(keys, pd.Timestamp(now), None)).event
    stamps = pd.DatetimeIndex(events.view("datetime64[ns]")).tz_localize("UTC")
    return [None if pd.isna(stamp) else stamp for stamp in stamps]


def _asking(keys: Sequence[str], at: pd.Timestamp, known_by: pd.Timestamp | None) -> Asking:
    """One row per key, all at one moment."""
    moment = at.tz_convert("UTC").as_unit("ns").value
    limit = None if known_by is None else known_by.tz_convert("UTC").as_unit("ns").value
    return Asking(tuple(keys), np.arange(len(keys)), np.full(len(keys), moment, dtype=np.int64), limit)


def consistency(
    store: FeatureStore, symbols: Sequence[str] | None = None, feature_names: Sequence[str] | None = None
) -> Consistency:
    """Compare what the online store answers with what the offline store knew when the online store was filled.

    The offline side is asked by the point-in-time join for the time of filling; a row of another view that is older
    than the symbol's own latest session by more than the time to live counts as null on both sides.

    Parameters
    ----------
    store
        The feature store.
    symbols, feature_names
        What to compare; everything when left out.

    Raises
    ------
    DataError
        Nothing has been built, or the online store has not been filled, or is damaged.
    UnknownName
        A symbol or feature that does not exist.
    """
    snapshot = store.snapshot()
    manifest = snapshot.manifest
    names = checked_symbols(symbols or [series.key for series in manifest.series], manifest)
    features = checked_features(feature_names or list(FEATURES))
    until = pd.Timestamp(publish.filled_until(store.root)).as_unit("ns")
    reader, _ = publish.reader(store.root)
    try:
        # Not through the door: it may count the time to live against the moment of the question.
        online = answered(reader, manifest, names, features)
    finally:
        reader.backend.close()
    values, events = _offline(snapshot, names, features, until)
    return compare(
        online.values,
        values,
        until,
        (online.events, events),
        {feature.name: feature.view for feature in features},
    )


def _offline(
    snapshot: Snapshot, names: Sequence[str], features: Sequence[Feature], until: pd.Timestamp
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values that were known at a moment, and the times of their rows."""
    keys = [snapshot.manifest.find(name).key for name in names]
    index = pd.Index(names, name="symbol")
    asking = _asking(keys, until, until)

    def times(event: Any) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(event.view("datetime64[ns]")).tz_localize("UTC")

    clock = times(snapshot.match(replace(VIEWS[_CLOCK], ttl=_NEVER), [], asking).event)
    values, events = {}, {}
    for view, some in by_view(features).items():
        matched = snapshot.match(replace(view, ttl=_NEVER), [feature.name for feature in some], asking)
        events[view.name] = times(matched.event)
        stale = np.asarray((clock - events[view.name]) > pd.Timedelta(view.ttl))
        for feature in some:
            column = np.array(matched.columns[feature.name], dtype=np.float64)
            column[stale] = np.nan
            values[feature.name] = column
    ordered = {feature.name: values[feature.name] for feature in features}
    return pd.DataFrame(ordered, index=index), pd.DataFrame(events, index=index)
