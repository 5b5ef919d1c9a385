"""The feature store: build, apply, materialise, and ask. An edge module: disk, clock, Feast."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import SecretStr

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.features import publish
from quantdesk.features.backend import Backend, Snapshot
from quantdesk.features.build import CURRENT, Built, Progress, Recipe, build
from quantdesk.features.config import FeatureConfig
from quantdesk.features.declared import DeclaredView, Repository, read_declared
from quantdesk.features.definitions import FEATURES, VIEWS, Feature
from quantdesk.features.files import FilesBackend
from quantdesk.features.frame import FeatureFrame
from quantdesk.features.historical import answer, rows_by_range, rows_of_entities
from quantdesk.features.intake import Appended, append, known_symbol
from quantdesk.features.online.answer import OnlineFeatures
from quantdesk.features.online.reader import Reader
from quantdesk.features.online.serving import answered
from quantdesk.features.overlay import overlaid
from quantdesk.features.request import (
    as_of_moment,
    by_view,
    checked_entities,
    checked_features,
    checked_symbols,
)
from quantdesk.market import MarketStore
from quantdesk.market.spans import Bound, span

if TYPE_CHECKING:
    from quantdesk.features.postgres import PostgresBackend

__all__ = ["FeatureStore"]


class FeatureStore:
    """Features of every symbol, as they were known at any time. Cheap to make.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:5432/database`` for a team's store: questions are answered there, and
        :meth:`build` brings what it built there, too. ``QUANTDESK_FEATURES_URL`` when left out; without either, the
        embedded store: files and SQLite in the state directory.
    root
        The store's folder; ``QUANTDESK_FEATURES_ROOT``, else ``features`` in the state directory when left out.
    market
        Where :meth:`build` takes prices from; the configured market store when left out.
    repo
        A folder with Feast definitions of one's own, which :meth:`apply` reads; ``QUANTDESK_FEATURES_REPO``, else
        ``feature_repo/`` of the checkout when left out.

    Raises
    ------
    BadInput
        `url` is no address of a PostgreSQL database.

    Examples
    --------
    >>> fs = FeatureStore()                                                # doctest: +SKIP
    >>> frame = fs.get_historical_features(["AAPL"], ["sma_20", "rsi_14"],
    ...                                    start_date="2020-01-01", end_date="2020-12-31")  # doctest: +SKIP
    >>> frame.is_pit_validated                                             # doctest: +SKIP
    True
    """

    def __init__(
        self,
        url: str | SecretStr | None = None,
        *,
        root: Path | None = None,
        market: MarketStore | None = None,
        repo: Path | None = None,
    ) -> None:
        config = FeatureConfig.from_env()
        self.root = Path(root) if root is not None else config.root
        self._recipe = Recipe(panel=config.panel)
        self._repo = Path(repo) if repo is not None else config.repo
        self._market = market
        self._reader: Reader | None = None
        self._clock = "session"
        self._files = FilesBackend(self.root)
        self._team = _team(config.url if url is None else url)
        self.backend: Backend = self._team or self._files

    def __repr__(self) -> str:
        team = f"{str(self._team.address)!r}, " if self._team else ""
        return f"FeatureStore({team}root={str(self.root)!r})"

    def features(self) -> tuple[Feature, ...]:
        """Every feature: name, description, unit, formula, source, look-back, inputs. The user's own come last."""
        return (*FEATURES.values(), *(one for view in self.declared.views.values() for one in view.features))

    @property
    def declared(self) -> Repository:
        """The user's own views, as they were when the repository was last applied."""
        return read_declared(self.root) if self._team is None else self._team.snapshot().declared

    def symbols(self) -> tuple[str, ...]:
        """Every symbol that has features."""
        return tuple(series.key for series in self.snapshot().manifest.series)

    def build(self, *, progress: Progress | None = None) -> Built:
        """Compute all features from the market store, unless that has been done. See :func:`.build.build`.

        For a team's store they are then loaded into PostgreSQL, in one transaction; see :func:`.postgres.load`.
        """
        built = build(self._market or MarketStore(), self.root, self._recipe, progress=progress)
        shared = self._share(progress)
        return replace(built, changed=built.changed or shared)

    def apply(self, *, progress: Progress | None = None) -> bool:
        """Write the definitions into Feast's registry; False where nothing changed. See :func:`.publish.apply`.

        For a team's store also into the registry in its database; see :func:`.postgres.registry.apply`.
        """
        changed = publish.apply(self.root, self._repo, progress=progress)
        if self._team is not None:
            from quantdesk.features.postgres import registry

            changed = registry.apply(self._team.address, self.root, self._repo) or changed
            if (self.root / CURRENT).exists():
                changed = self._share(progress) or changed
        return changed

    def materialize(self, *, progress: Progress | None = None, afresh: bool = False) -> bool:
        """Fill the online store; False where nothing changed. See :func:`.publish.materialize`.

        With `afresh` everything is brought over again, even over rows that are newer.
        """
        return publish.materialize(self.root, dt.datetime.now(dt.UTC), progress=progress, afresh=afresh)

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
        features = self._features(feature_names)
        own = [view for view in by_view(features) if isinstance(view, DeclaredView)]
        known_by = as_of_moment(as_of, dt.datetime.now(dt.UTC))
        if entity_df is not None:
            if symbols is not None or start_date is not None or end_date is not None:
                raise BadInput(
                    "entity_df is given together with symbols or dates.",
                    "Give either entity_df, or symbols with start_date and end_date.",
                )
            snapshot = self.snapshot()
            rows = rows_of_entities(*checked_entities(entity_df, snapshot.manifest, features))
            columns = {str(name): entity_df[name].to_numpy() for name in entity_df.columns}
            return answer(overlaid(snapshot, own, columns) if own else snapshot, rows, features, known_by)
        wanted = span(start_date, end_date)
        snapshot = self.snapshot()
        names = checked_symbols(symbols, snapshot.manifest)
        rows = rows_by_range(snapshot, names, wanted)
        return answer(overlaid(snapshot, own) if own else snapshot, rows, features, known_by)

    def append(self, view: str, rows: Any, *, now: dt.datetime | None = None, again: bool = False) -> Appended:
        """Append rows to a view of one's own: all of them, or none and one clear error.

        Nothing is overwritten: a row that says something else than the latest version of its event becomes a further
        version, known from then on. The same batch again adds nothing, so an append may be repeated until it is known
        to have worked.

        Parameters
        ----------
        view
            A view that :meth:`apply` has taken down, over a folder, with a knowledge policy.
        rows
            A DataFrame or a pyarrow Table with its keys, its times (aware) and its features; within each key in order
            of time. Under "event plus" and "load time" the created column is left out: appending writes it.
        now
            The time of loading; the clock when left out.
        again
            Append even a batch that was appended before.

        Raises
        ------
        UnknownName
            No such view; the message offers the nearest.
        BadInput, BadDates
            A mistake in the rows; the message names row and value.
        """
        declared = read_declared(self.root)
        if view in VIEWS:
            raise BadInput(f"The view {view} is computed from market data.", "Load prices and build instead.")
        if view in declared.left_out:
            raise BadInput(f"The view {view} cannot take rows here: {declared.left_out[view]}.", "Use Feast's SDK.")
        if view not in declared.views:
            raise UnknownName("view", str(view)[:80], declared.views)
        wanted = declared.views[view]
        if now is not None and now.tzinfo is None:
            raise BadDates(f"The time of loading {now} has no time zone.", "Give an aware datetime.")
        asks = any(key.name == "symbol" for key in wanted.keys) and not wanted.any_symbol
        find = known_symbol(self.snapshot().manifest.find, wanted) if asks else None
        appended = append(wanted, rows, now or dt.datetime.now(dt.UTC), find, again=again)
        self._share(None)
        return appended

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
        (asked,) = self._features([feature])
        view, below = asked.home, self.snapshot()
        key = below.manifest.find(symbol).key
        if isinstance(view, DeclaredView):
            return _changes(overlaid(below, [view]).revisions(view, key, asked.name))
        found = below.revisions(view, key, asked.name)
        loaded = pd.to_datetime([load.at for load in below.manifest.loads], utc=True, format="ISO8601")
        return _changes(found.assign(loaded_at=loaded[found["load"].to_numpy()]))

    def get_online_features(
        self,
        symbols: Sequence[str] | str | None = None,
        feature_names: Sequence[str] | str | None = None,
        now: dt.datetime | None = None,
    ) -> OnlineFeatures:
        """The latest materialised value of each feature.

        "Latest" means the end of each series in the store, which may lie years back; the answer says when. A value of
        another view that is older than the symbol's own latest session by more than the time to live is null.

        Parameters
        ----------
        symbols, feature_names
            As for :meth:`get_historical_features`.
        now
            A moment to count the time to live against instead: a value that is older by then is null. Aware. With
            ``QUANTDESK_ONLINE_CLOCK=now`` it is the moment of the question when left out.

        Raises
        ------
        BadInput, UnknownName
            As for :meth:`get_historical_features`.
        BadDates
            `now` has no zone.
        DataError
            The online store has not been filled.
        EnvironmentProblem
            The online store does not answer.
        """
        features = self._features(feature_names)
        manifest = self.snapshot().manifest
        names = checked_symbols(symbols, manifest)
        if self._reader is None:
            self._reader, self._clock = publish.reader(self.root)
        if now is None and self._clock == "now":
            now = dt.datetime.now(dt.UTC)
        return answered(self._reader, manifest, names, features, now)

    def _share(self, progress: Progress | None) -> bool:
        """Bring the files of this machine into the team's database; whether that changed anything there."""
        if self._team is None:
            return False
        from quantdesk.features.postgres import load

        whole, own = self._files.snapshot(), read_declared(self.root)
        return load(whole.folder, whole.manifest, self._team.address, declared=own, progress=progress).changed

    def close(self) -> None:
        """Let go of the online store and of the database. They are opened again when they are needed."""
        if self._team is not None:
            self._team.close()
        if self._reader is not None:
            self._reader.backend.close()

    def _features(self, names: Sequence[str] | str | None) -> tuple[Feature, ...]:
        """The asked features, the user's own among them."""
        declared = self.declared
        for name in [names] if isinstance(names, str) else names or []:
            view = str(name).partition(":")[0]
            if ":" in str(name) and view in declared.left_out:
                raise BadInput(
                    f"The view {view} cannot be asked for here: {declared.left_out[view]}.", "Ask through Feast's SDK."
                )
        return checked_features(names, declared.views)

    def snapshot(self) -> Snapshot:
        """The current build, resolved once: whatever is asked of it, two builds are never mixed."""
        return self.backend.snapshot()


def _team(url: str | SecretStr | None) -> PostgresBackend | None:
    """The database of a team; psycopg is imported only where there is one."""
    if url is None:
        return None
    from quantdesk.features.postgres import PostgresBackend

    return PostgresBackend(url)


def _changes(chain: pd.DataFrame) -> pd.DataFrame:
    """The versions that differ from the one before of the same event (and of the same other keys)."""
    said = chain["reason"].to_numpy(dtype=object)
    said[chain["reason"].isna().to_numpy()] = None
    chain = chain.assign(reason=pd.Series(said, index=chain.index, dtype=object))
    before, stays = chain.shift(), pd.Series(True, index=chain.index)
    for name in chain.columns.difference(["created_timestamp", "load", "loaded_at"]):
        stays &= (chain[name] == before[name]) | (chain[name].isna() & before[name].isna())
    stays &= chain.index > 0
    return chain[~stays].reset_index(drop=True)
