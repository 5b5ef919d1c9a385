"""From a feature store to the facts of every feature, one symbol at a time. An edge module: it reads the store."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quantdesk.errors import QuantdeskError
from quantdesk.features.backend import Sessions
from quantdesk.features.build import Progress
from quantdesk.features.definitions import Feature, View
from quantdesk.features.frame import Labels
from quantdesk.features.freshness import summary
from quantdesk.features.lineage import carries, lineage
from quantdesk.features.watch import fresh, own_views
from quantdesk.reports.catalogue.facts import (
    NOT_AUDITED,
    Coverage,
    Distribution,
    Facts,
    Nulls,
    Overview,
    Revised,
    Verdict,
    distribution,
    full_name,
)
from quantdesk.reports.catalogue.uses import uses

if TYPE_CHECKING:
    from quantdesk.features.manifest import Manifest
    from quantdesk.features.store import FeatureStore
    from quantdesk.market.series import Series

__all__ = ["gather"]

_MOST = 2_000_000
"""Rows of a build whose values are all drawn; of larger ones every so-manieth row is, which the page says."""


def gather(
    store: FeatureStore, audits: Mapping[str, Verdict], progress: Progress | None = None
) -> tuple[Overview, tuple[Facts, ...]]:
    """The facts of every feature of the current build.

    Parameters
    ----------
    store
        The feature store.
    audits
        Per feature what an audit found.
    progress
        Called with (what, done, total), one step per series.

    Raises
    ------
    DataError
        Nothing has been built, or the build is damaged.
    """
    tell = progress or (lambda what, done, total: None)
    snapshot = store.snapshot()
    manifest = snapshot.manifest
    features = store.features()
    # Freshness is measured at the last load, not now: the same store gives the same pages, whenever they are made.
    at = dt.datetime.fromisoformat(manifest.loads[-1].at) if manifest.loads else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    tables = (*fresh(snapshot, at), *own_views(store, at))
    used = uses([full_name(feature) for feature in features])
    found = _Sums(store, features, max(1, -(-sum(one.rows for one in manifest.series) // _MOST)))
    for number, series in enumerate(manifest.series):
        tell(f"history of {series.key}", number, len(manifest.series))
        found.add(manifest, series)
    tell("history", len(manifest.series), len(manifest.series))
    overview = Overview(
        build=manifest.key,
        market=manifest.market,
        definitions=manifest.definitions,
        built_by=manifest.version,
        at=at,
        rows=manifest.rows,
        series=len(manifest.series),
        loads=[{**asdict(one), "at": one.at[:19].replace("T", " ")} for one in manifest.loads],
        knowledge=manifest.knowledge,
    )
    facts = []
    for feature in features:
        view, name = feature.home, full_name(feature)
        own = {series.key for series in manifest.series if carries(feature, series)}
        about = own if view.entity and view.flags is None else {None}
        facts.append(
            Facts(
                feature=feature,
                view=view,
                lineage=lineage(feature, view, manifest, used_by=used[name]),
                labels=_labels(manifest, view, own),
                distributions=found.distributions(name),
                coverage=tuple(found.coverage[name]),
                nulls=found.nulls(name),
                freshness=summary(one for one in tables if one.view == view.name and one.series in about),
                latest=found.latest.get(name),
                revised=tuple(found.revised[name]),
                proven=(found.proven, found.asked),
                audit=audits.get(name, NOT_AUDITED),
                sampled=found.every,
            )
        )
    return overview, tuple(facts)


def _labels(manifest: Manifest, view: View, own: set[str]) -> tuple[str, ...]:
    if view.flags is not None:
        flags = asdict(view.flags)
        return ("real" if flags.pop("real") else "not_real", *(name for name, holds in flags.items() if holds))
    if view.entity and not own:
        return ()  # without data there is nothing to say about them
    words = Labels.of(manifest.behind(view.name, tuple(sorted(own)))).words
    return tuple("not_real" if word == "not real" else word for word in words)


class _Sums:
    """What adds up while one series after the other is read."""

    def __init__(self, store: FeatureStore, features: Sequence[Feature], every: int) -> None:
        self._store, self._features, self.every = store, features, every
        names = [full_name(feature) for feature in features]
        self.coverage: dict[str, list[Coverage]] = {name: [] for name in names}
        self.revised: dict[str, list[Revised]] = {name: [] for name in names}
        self.latest: dict[str, dt.date] = {}
        self.proven = self.asked = 0
        self._values: dict[tuple[str, str], list[np.ndarray]] = {}
        self._series: dict[tuple[str, str], int] = {}
        self._nulls: dict[str, dict[str, list[int]]] = {name: {} for name in names}
        self._market_done: set[str] = set()

    def add(self, manifest: Manifest, series: Series) -> None:
        """Read one series: its values as they were first known, session by session."""
        sessions = self._store.snapshot().sessions(series.key)
        if not len(sessions.known):
            return
        # A view about the market as a whole says the same beside every symbol: it is counted once, with the panel.
        asked = [
            feature
            for feature in self._features
            if feature.home.entity or (series.key in manifest.panel and full_name(feature) not in self._market_done)
        ]
        own = [feature for feature in asked if feature.home.flags is not None]
        asked = [feature for feature in asked if feature.home.flags is None]
        self._read(manifest, series, sessions, asked)
        for feature in own:
            # A view of the user's own may ask for more than a symbol, or know nothing about this one.
            with contextlib.suppress(QuantdeskError):
                self._read(manifest, series, sessions, [feature])

    def _read(self, manifest: Manifest, series: Series, sessions: Sessions, asked: Sequence[Feature]) -> None:
        frame = self._store.get_historical_features([series.key], [full_name(feature) for feature in asked])
        self.asked += 1
        self.proven += bool(frame.is_pit_validated)
        values = frame.to_pandas()
        order = np.argsort(sessions.known, kind="stable")
        days = sessions.session[order]
        years = days.astype("datetime64[Y]").astype(int) + 1970
        reasons = frame.reasons()
        for place, feature in enumerate(asked):
            market = feature.home.entity is None
            if market:
                self._market_done.add(full_name(feature))
            column = values.iloc[:, place].to_numpy(dtype=np.float64)
            self._column(feature, series, column, days, years, market=market)
        for (name, code), rows in reasons.groupby(["feature", "reason"], sort=True):
            known = str(name) if len(asked) > 1 else full_name(asked[0])
            entry = self._nulls[known].setdefault(str(code), [0, 0])
            entry[0] += len(rows)
            entry[1] += 1
        if len(manifest.loads) > 1:
            self._revisions(series, asked)

    def _column(
        self, feature: Feature, series: Series, column: np.ndarray, days: np.ndarray, years: np.ndarray, *, market: bool
    ) -> None:
        there = np.isfinite(column)
        name = full_name(feature)
        masks = {int(year): years == year for year in np.unique(years)}
        by_year = {year: (int(mask.sum()), int(there[mask].sum())) for year, mask in masks.items()}
        title, kind = ("the market", "market") if market else (series.key, series.kind)
        self.coverage[name].append(Coverage(title, kind, series.source, by_year))
        if not there.any():
            return
        last = days[there].max().astype(object)
        self.latest[name] = max(self.latest.get(name, last), last)
        self._values.setdefault((name, kind), []).append(column[there][:: self.every])
        self._series[name, kind] = self._series.get((name, kind), 0) + 1

    def _revisions(self, series: Series, asked: Sequence[Feature]) -> None:
        for feature in asked:
            chain = self._store.revisions(series.key, full_name(feature))
            several = chain[chain["event_timestamp"].duplicated(keep=False)]
            if len(several):
                newest = pd.Timestamp(several["created_timestamp"].max()).to_pydatetime()
                events = int(several["event_timestamp"].nunique())
                self.revised[full_name(feature)].append(Revised(series.key, events, len(several), newest))

    def distributions(self, name: str) -> tuple[Distribution, ...]:
        """One per kind of series, the kind with the most values first."""
        found = [
            distribution(kind, self._series[name, kind], np.concatenate(parts))
            for (feature, kind), parts in self._values.items()
            if feature == name
        ]
        return tuple(sorted((one for one in found if one is not None), key=lambda one: (-one.values, one.kind)))

    def nulls(self, name: str) -> tuple[Nulls, ...]:
        """The reasons for nulls, the most frequent first."""
        found = [Nulls(code, count, series) for code, (count, series) in self._nulls[name].items()]
        return tuple(sorted(found, key=lambda one: (-one.count, one.code)))
