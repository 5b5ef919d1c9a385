"""From the market store to tables of features on the disk. An edge module: it reads prices and writes Parquet.

On the disk::

    <state>/features/
        builds/<key>/manifest.json                         what went in, and the hash of each file
        builds/<key>/technical/symbol=AAPL/rows.parquet    one file per view and symbol
        builds/<key>/market_model/symbol=AAPL/rows.parquet
        builds/<key>/sentiment/rows.parquet                one row per session, for all symbols
        offline -> builds/<key>                            the current build; replaced in one rename

A build is written beside the current one and takes its place when it is whole, so a reader sees the old one or the new
one. Its key is a hash of all that goes in, the build before included; while nothing of that changes, a second call has
nothing to do.

A build under the same definitions is added to the one before: see :mod:`quantdesk.features.revisions`. Other
definitions, another recipe or another layout begin anew, and the manifest says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quantdesk.errors import DataError
from quantdesk.features import definitions, inputs, missing, rolling, sentiment, tables, transforms
from quantdesk.features.definitions import BENCHMARK, VIEWS, View
from quantdesk.features.manifest import LAYOUT, MANIFEST, Load, Manifest, read_manifest
from quantdesk.features.retrieval import partition
from quantdesk.features.revisions import Grown, grown, reason_column, rows_of
from quantdesk.features.sentiment import Breadth, Calm, Panel, SentimentSource
from quantdesk.features.tables import Hours, hours, sheet, symbol_table
from quantdesk.market import MarketStore, Series
from quantdesk.records import atomic_directory, atomic_write, exclusive, sha256_of

__all__ = ["CURRENT", "Built", "Progress", "Recipe", "build", "current", "definitions_version", "reason_column"]

CURRENT = "offline"
"""The link to the current build. Its path is what the Feast repository names."""

_PURE = (rolling, inputs, transforms, definitions, missing, tables, sentiment)

Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, how many there are."""


@dataclass(frozen=True)
class Recipe:
    """What to build besides what the definitions say.

    Attributes
    ----------
    panel
        The market source whose equities make the mood of the market.
    sources
        What scores the mood.
    """

    panel: str = "skfolio"
    sources: tuple[SentimentSource, ...] = field(default_factory=lambda: (Breadth(), Calm()))

    def __str__(self) -> str:
        named = [f"{type(source).__module__}.{type(source).__qualname__}:{source!r}" for source in self.sources]
        return "|".join([self.panel, *named])


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes
    ----------
    key
        The build that is current now.
    changed
        False where it was current already and nothing was done.
    series, rows
        How many series and feature rows it holds.
    """

    key: str
    changed: bool
    series: int
    rows: int


@cache
def definitions_version() -> str:
    """A hash of the code that makes the features: equal versions compute equal values from equal prices.

    Worked out once: a process goes on with the code that it has, whatever is installed beside it.
    """
    digest = hashlib.sha256()
    for module in _PURE:
        digest.update(Path(str(module.__file__)).read_bytes())
    kernels = Path(str(rolling.__file__)).with_name("kernels")  # read, not imported: numba takes a while
    for path in sorted(kernels.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def current(root: Path) -> Path:
    """The folder of the current build, with the link resolved once, so that one read never mixes two builds.

    Raises
    ------
    DataError
        Nothing has been built.
    """
    try:
        return (root / CURRENT).resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError, RuntimeError):
        raise DataError(f"There are no features in {root} yet.", "Run `quantdesk features build`.") from None


def build(
    market: MarketStore,
    root: Path,
    recipe: Recipe,
    *,
    now: dt.datetime | None = None,
    anew: bool = False,
    progress: Progress | None = None,
) -> Built:
    """Compute every feature of every series, unless that has been done.

    Parameters
    ----------
    market
        Where the prices are.
    root
        The feature store's folder.
    recipe
        What the mood is made from.
    now
        When the load is: what it finds changed counts as known from then on. The clock when left out.
    anew
        Begin anew and forget what was known before.
    progress
        Called with (what, done, total), one step per series.

    Raises
    ------
    DataError
        The market store is not there or damaged.
    EnvironmentProblem
        The disk is full or read-only, or another build holds the lock.
    """
    tell = progress or (lambda what, done, total: None)
    version = definitions_version()
    done = None if anew else _done(root, market.version, version, recipe)
    if done is not None:
        # Before the lock is taken: whoever may only read the store is told so, too.
        tell("features", len(done.series), len(done.series))
        return Built(done.key, False, len(done.series), done.rows)
    with exclusive(root / ".lock"):
        done = None if anew else _done(root, market.version, version, recipe)
        if done is not None:  # by whoever held the lock until now
            return Built(done.key, False, len(done.series), done.rows)
        before, why = _before(root, version, recipe, anew=anew)
        parent = None if before is None else before[1].key
        when = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        since = when.isoformat() if anew else parent
        key = hashlib.sha256(f"{LAYOUT}|{market.version}|{version}|{recipe}|{since}".encode()).hexdigest()
        target = root / "builds" / key
        if _whole(target, key) is None:
            shutil.rmtree(target, ignore_errors=True)
            with atomic_directory(target) as folder:
                _Loading(market, folder, recipe, before, when).write(key, version, why, tell)
                _open_to_readers(folder)
            for folder in (root, root / "builds"):
                folder.chmod(0o755)
        held = (root / CURRENT).readlink().name if (root / CURRENT).is_symlink() else key
        _point(root / CURRENT, target)
        _sweep(root / "builds", keep={key, held})
        manifest = read_manifest(target)
        return Built(key, True, len(manifest.series), manifest.rows)


def _whole(folder: Path, key: str | None = None) -> Manifest | None:
    """The manifest of a build that has all of its files (and this key)."""
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    there = key in (None, manifest.key) and all((folder / name).is_file() for name in manifest.files)
    return manifest if there else None


def _done(root: Path, market: str, version: str, recipe: Recipe) -> Manifest | None:
    """The current build, if it is what these inputs make."""
    manifest = _whole(root / CURRENT)
    made = None if manifest is None else (manifest.market, manifest.definitions, manifest.recipe)
    return manifest if made == (market, version, str(recipe)) else None


_Before = tuple[Path, Manifest]


def _before(root: Path, version: str, recipe: Recipe, *, anew: bool) -> tuple[_Before | None, str]:
    """The build to add to, or none; and why there is a load."""
    try:
        folder = current(root)
    except DataError:
        return None, "the first load"
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return None, f"begun anew: {error.problem}"
    changes = {
        "begun anew, as asked": anew,
        "begun anew: the definitions of the features changed": manifest.definitions != version,
        "begun anew: the recipe changed": manifest.recipe != str(recipe),
    }
    for why, changed in changes.items():
        if changed:
            return None, f"{why} (the build before was {manifest.key[:12]})"
    return (folder, manifest), "the market data changed"


class _Loading:
    """One load, table by table, into a folder that nobody sees yet."""

    def __init__(
        self, market: MarketStore, folder: Path, recipe: Recipe, before: _Before | None, when: dt.datetime
    ) -> None:
        self._market, self._folder, self._recipe = market, folder, recipe
        self._before = before
        self._loads = before[1].loads if before else ()
        # Knowledge never goes backwards, even if the clock does.
        earlier = [dt.datetime.fromisoformat(load.at) + dt.timedelta(microseconds=1) for load in self._loads]
        self._when = max([when, *earlier])
        self._files: dict[str, str] = {}
        self._lost: list[str] = []
        self._counts = {"added": 0, "restated": 0, "withdrawn": 0}
        self._rows = 0

    def write(self, key: str, version: str, why: str, tell: Progress) -> None:
        """Compute and write everything, the manifest last."""
        every = self._market.series()
        calendars = _calendars(every)
        panel = [series for series in every if series.source == self._recipe.panel and series.kind == "equity"]
        benchmark = next((series for series in every if series.key == BENCHMARK), None)
        against = (
            sheet(self._market.bars(benchmark.id), calendars[benchmark.calendar]) if benchmark is not None else None
        )
        left_out: dict[str, int] = {}
        prices: dict[str, pd.Series] = {}
        for number, series in enumerate(every):
            tell(f"features of {series.key}", number, len(every))
            own = sheet(self._market.bars(series.id), calendars[series.calendar])
            if own.left_out:
                left_out[series.key] = own.left_out
            if series in panel:
                prices[series.key] = own.price
            for view in (view for view in VIEWS.values() if view.entity is not None):
                table = symbol_table(view, own, against)
                names = [feature.name for feature in view.features]
                self._save(_file(view, series.key), rows_of(table, names, series.key, len(self._loads)))
        (self._folder / "sentiment").mkdir()
        if panel:
            mood = sentiment.sentiment_table(_panel(panel, prices, calendars[panel[0].calendar]), self._recipe.sources)
            names = [feature.name for feature in VIEWS["sentiment"].features]
            self._save(_file(VIEWS["sentiment"], None), rows_of(mood, names, None, len(self._loads)))
        gone = self._keep_what_went(every)
        load = Load(self._when.isoformat(), self._market.version, why, **self._counts, lost=tuple(self._lost))
        manifest = Manifest(
            key=key,
            market=self._market.version,
            definitions=version,
            series=(*every, *gone),
            benchmark=benchmark.key if benchmark else None,
            panel=tuple(series.key for series in panel),
            left_out=left_out,
            files=dict(sorted(self._files.items())),
            rows=self._rows,
            loads=(*self._loads, load),
            gone=tuple(series.key for series in gone),
            recipe=str(self._recipe),
            parent=self._before[1].key if self._before else None,
        )
        with atomic_write(self._folder / MANIFEST) as temporary:
            temporary.write_text(manifest.to_json(), encoding="utf-8")
        tell("features", len(every), len(every))

    def _keep_what_went(self, every: Sequence[Series]) -> list[Series]:
        """Tables whose source is gone: their rows stay, and from now on say so. Returns the series that went."""
        if self._before is None:
            return []
        for name in self._before[1].files:
            if name not in self._files and name not in self._lost:
                self._save(name, None)
        keys = {series.key for series in every}
        return [series for series in self._before[1].series if series.key not in keys]

    def _save(self, name: str, fresh: pa.Table | None) -> None:
        """Write one table, added to what the build before had of it. Equal tables give equal bytes."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        old = self._old(name)
        if old is None:
            if fresh is None:
                return
            result = Grown(fresh, fresh.num_rows, 0, 0)
        else:
            at = (self._when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
            result = grown(old, fresh, at, len(self._loads))
        if old is not None and not result.changed and self._before is not None:
            shutil.copyfile(self._before[0] / name, path)
        else:
            words = [column for column in ("symbol",) if column in result.table.column_names]
            words += [column for column in result.table.column_names if column.startswith("why_")]
            pq.write_table(result.table, path, compression="lz4", use_dictionary=words, row_group_size=4096)
        for count in self._counts:
            self._counts[count] += getattr(result, count)
        self._rows += result.table.num_rows
        self._files[name] = sha256_of(path)

    def _old(self, name: str) -> pa.Table | None:
        """What the build before has of a table. What is not as it was written is not carried on, and named."""
        if self._before is None or name not in self._before[1].files:
            return None
        path = self._before[0] / name
        if not path.is_file() or sha256_of(path) != self._before[1].files[name]:
            self._lost.append(name)
            return None
        return pq.read_table(path, partitioning=None)


def _file(view: View, symbol: str | None) -> str:
    """The path of a table below the folder of a build."""
    return f"{view.name}/{partition('symbol', symbol)}/rows.parquet" if symbol else f"{view.name}/rows.parquet"


def _calendars(every: Sequence[Series]) -> dict[str, Hours]:
    """The hours of each calendar over the range of all series that keep it: once, as one takes half a second."""
    ranges: dict[str, tuple[dt.date, dt.date]] = {}
    for series in every:
        first, last = ranges.get(series.calendar, (series.start, series.end))
        ranges[series.calendar] = (min(first, series.start), max(last, series.end))
    return {name: hours(name, *bounds) for name, bounds in ranges.items()}


def _panel(panel: Sequence[Series], prices: dict[str, pd.Series], calendar: Hours) -> Panel:
    """The panel on the sessions from the first to the last price of any member; they share the first one's calendar."""
    table = pd.concat(prices, axis="columns").sort_index()
    inside = calendar.session.isin(table.index)
    event = calendar.event[inside]
    lag = max(series.publication_lag for series in panel)
    return Panel(event, event + lag, calendar.session[inside], table.reindex(calendar.session[inside]))


def _open_to_readers(folder: Path) -> None:
    """Whoever works under another account reads the features; a strict umask must not lock them out."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _point(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.relative_to(link.parent))
    os.replace(temporary, link)


def _sweep(builds: Path, keep: set[str]) -> None:
    """Remove older builds. The one before stays, for a reader that has just resolved the link."""
    for folder in builds.iterdir():
        if folder.name not in keep and not folder.name.startswith("."):
            shutil.rmtree(folder, ignore_errors=True)
