"""The feature store: build, apply, materialise, and ask. An edge module: disk, clock, Feast."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput
from quantdesk.features import publish
from quantdesk.features.backend import Backend, Snapshot
from quantdesk.features.build import Built, Progress, Recipe, build
from quantdesk.features.config import FeatureConfig
from quantdesk.features.definitions import FEATURES, VIEWS, Feature
from quantdesk.features.files import FilesBackend
from quantdesk.features.frame import FeatureFrame, Labels, OnlineFeatures
from quantdesk.features.historical import answer, rows_by_range, rows_of_entities
from quantdesk.features.request import as_of_moment, checked_entities, checked_features, checked_symbols
from quantdesk.market import MarketStore
from quantdesk.market.spans import Bound, span

__all__ = ["FeatureStore"]


class FeatureStore:
    """Features of every symbol, as they were known at any time. Cheap to make.

    Parameters
    ----------
    url
        None for the embedded store: files and SQLite in the state directory. Nothing else is supported yet.
    root
        The store's folder; ``QUANTDESK_FEATURES_ROOT``, else ``features`` in the state directory when left out.
    market
        Where :meth:`build` takes prices from; the configured market store when left out.

    Raises
    ------
    BadInput
        `url` asks for a store that does not exist yet.

    Examples
    --------
    >>> fs = FeatureStore()                                                # doctest: +SKIP
    >>> frame = fs.get_historical_features(["AAPL"], ["sma_20", "rsi_14"],
    ...                                    start_date="2020-01-01", end_date="2020-12-31")  # doctest: +SKIP
    >>> frame.is_pit_validated                                             # doctest: +SKIP
    True
    """

    def __init__(self, url: str | None = None, *, root: Path | None = None, market: MarketStore | None = None) -> None:
        if url is not None:
            scheme = urlsplit(str(url)).scheme or "no"
            raise BadInput(
                f"A feature store behind a {scheme} address is not supported yet.",
                "Leave the url out for the embedded store; PostgreSQL comes in a later version.",
            )
        config = FeatureConfig.from_env()
        self.root = Path(root) if root is not None else config.root
        self._recipe = Recipe(panel=config.panel)
        self._market = market
        self._feast: tuple[object, Any, weakref.finalize[..., Any]] | None = None
        self.backend: Backend = FilesBackend(self.root)

    def __repr__(self) -> str:
        return f"FeatureStore(root={str(self.root)!r})"

    def features(self) -> tuple[Feature, ...]:
        """Every feature: name, description, unit, formula, source, look-back, inputs."""
        return tuple(FEATURES.values())

    def symbols(self) -> tuple[str, ...]:
        """Every symbol that has features."""
        return tuple(series.key for series in self.snapshot().manifest.series)

    def build(self, *, progress: Progress | None = None) -> Built:
        """Compute all features from the market store, unless that has been done. See :func:`.build.build`."""
        return build(self._market or MarketStore(), self.root, self._recipe, progress=progress)

    def apply(self, *, progress: Progress | None = None) -> bool:
        """Write the definitions into Feast's registry; False where nothing changed. See :func:`.publish.apply`."""
        return publish.apply(self.root, progress=progress)

    def materialize(self, *, progress: Progress | None = None) -> bool:
        """Fill the online store; False where nothing changed. See :func:`.publish.materialize`."""
        return publish.materialize(self.root, dt.datetime.now(dt.UTC), progress=progress)

    def get_historical_features(
        self,
        symbols: Sequence[str] | str | None = None,
        feature_names: Sequence[str] | str | None = None,
        start_date: Bound = None,
        end_date: Bound = None,
        as_of: Bound = None,
        entity_df: pd.DataFrame | None = None,
    ) -> FeatureFrame:
        """Features as they were known.

        By `symbols` and dates: one row per symbol and session of its exchange, at the moment the session was known
        (close plus publication lag). By `entity_df`: one row per given row, at its time; order and duplicates stay.

        Parameters
        ----------
        symbols
            Plain symbols or ``SYMBOL@source``. Not together with `entity_df`.
        feature_names
            Which features, in this order; see :meth:`features`.
        start_date, end_date
            Both included; a side that is left out is open. ISO dates and dates bound sessions, aware datetimes bound
            the rows' timestamps.
        as_of
            Only what was known then, whatever the row's time: an aware datetime, or a date, whose end in UTC it means.
        entity_df
            Columns ``symbol`` and ``event_timestamp`` (aware). Others are carried along.

        Returns
        -------
        FeatureFrame
            Index ``(timestamp, symbol)``, float64, NaN for null. ``is_pit_validated`` says whether all checks passed.

        Raises
        ------
        BadInput
            Both ways of asking or neither, an empty or doubled list, an entity frame without its columns.
        UnknownName
            A symbol or feature that does not exist; the message offers the nearest.
        BadDates
            Naive or reversed dates, a range in which a symbol has no session, an `as_of` in the future.
        DataError
            Nothing was built yet, or a file is damaged.
        """
        features = checked_features(feature_names)
        known_by = as_of_moment(as_of, dt.datetime.now(dt.UTC))
        if entity_df is not None:
            if symbols is not None or start_date is not None or end_date is not None:
                raise BadInput(
                    "entity_df is given together with symbols or dates.",
                    "Give either entity_df, or symbols with start_date and end_date.",
                )
            snapshot = self.snapshot()
            rows = rows_of_entities(*checked_entities(entity_df, snapshot.manifest, features))
            return answer(snapshot, rows, features, known_by)
        wanted = span(start_date, end_date)
        snapshot = self.snapshot()
        names = checked_symbols(symbols, snapshot.manifest)
        return answer(snapshot, rows_by_range(snapshot, names, wanted), features, known_by)

    def revisions(self, symbol: str, feature: str) -> pd.DataFrame:
        """Every version of a feature of one symbol that was ever loaded: nothing is overwritten.

        A row of the store is restated as a whole; a version in which this feature stayed as it was is left out.

        Returns
        -------
        pandas.DataFrame
            One row per version, by event and then by the time it was known: ``event_timestamp`` and
            ``created_timestamp`` (UTC), ``value`` (float64, NaN for null), ``reason`` (why it is null, else None),
            ``load`` (the number of the load that wrote it, from 0) and ``loaded_at`` (when that was, UTC).

        Raises
        ------
        UnknownName
            A symbol or feature that does not exist; the message offers the nearest.
        """
        (asked,) = checked_features([feature])
        snapshot = self.snapshot()
        manifest = snapshot.manifest
        found = snapshot.revisions(VIEWS[asked.view], manifest.find(symbol).key, asked.name)
        loaded = pd.to_datetime([load.at for load in manifest.loads], utc=True)
        return _changes(found.assign(loaded_at=loaded[found["load"].to_numpy()]))

    def get_online_features(
        self, symbols: Sequence[str] | str | None = None, feature_names: Sequence[str] | str | None = None
    ) -> OnlineFeatures:
        """The latest materialised value of each feature, through Feast's online store.

        "Latest" means the end of each series in the store, which may lie years back; the answer says when. A value of
        another view that is older than the symbol's own latest session by more than the time to live is null.

        Raises
        ------
        BadInput, UnknownName
            As for :meth:`get_historical_features`.
        DataError
            The online store has not been filled.
        """
        features = checked_features(feature_names)
        manifest = self.snapshot().manifest
        names = checked_symbols(symbols, manifest)
        until = publish.filled_until(self.root)
        keys = [manifest.find(name).key for name in names]
        clock = FEATURES["ret_1d"]  # of the view that has a row for every session of every symbol
        asked = list(dict.fromkeys([*features, clock]))
        response = self._online().get_online_features(
            features=[f"{feature.view}:{feature.name}" for feature in asked],
            entity_rows=[{"symbol": key} for key in keys],
        )
        given = response.to_dict(include_event_timestamps=True)
        index = pd.Index(names, name="symbol")
        values = pd.DataFrame({f.name: np.array(given[f.name], dtype=np.float64) for f in features}, index=index)
        stamps = {f.view: _instants(given[f"{f.name}__ts"]) for f in asked}
        views = dict.fromkeys(feature.view for feature in features)
        for feature in features:
            # The mood of 2022 says nothing beside a price of 2026: the same rule as in a historical question.
            stale = (stamps[clock.view] - stamps[feature.view]) > pd.Timedelta(VIEWS[feature.view].ttl)
            values.loc[stale, feature.name] = np.nan
        events = pd.DataFrame({view: stamps[view] for view in views}, index=index)
        labels = Labels.of([one for view in views for one in manifest.behind(view, tuple(keys))])
        return OnlineFeatures(values, events, labels, pd.Timestamp(until))

    def close(self) -> None:
        """Let go of the online files. They are opened again when they are needed; nothing else stays open."""
        if self._feast is not None:
            self._feast[2]()
            self._feast = None

    def snapshot(self) -> Snapshot:
        """The current build, resolved once: whatever is asked of it, two builds are never mixed."""
        return self.backend.snapshot()

    def _online(self) -> Any:
        """Feast on the current files; made again when they were replaced."""
        files = [self.root / publish.REGISTRY, self.root / publish.ONLINE]
        seen = tuple((path.stat().st_ino, path.stat().st_mtime_ns) for path in files)
        if self._feast is None or self._feast[0] != seen:
            self.close()
            feast = publish.open_feast(*files)
            self._feast = (seen, feast, weakref.finalize(self, publish.release, feast))
        return self._feast[1]


def _changes(chain: pd.DataFrame) -> pd.DataFrame:
    """The versions that differ from the one before of the same event."""
    before = chain.shift()
    same = [(chain[name] == before[name]) | (chain[name].isna() & before[name].isna()) for name in ("value", "reason")]
    stays = (chain["event_timestamp"] == before["event_timestamp"]) & same[0] & same[1]
    return chain[~stays].reset_index(drop=True)


def _instants(seconds: Sequence[int]) -> pd.DatetimeIndex:
    """Feast gives seconds since 1970, and 0 for a key that it does not hold."""
    return pd.DatetimeIndex([pd.NaT if not one else pd.Timestamp(one, unit="s", tz="UTC") for one in seconds])
