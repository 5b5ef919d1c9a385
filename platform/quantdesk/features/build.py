"""From the market store to tables of features on the disk. An edge module: it reads prices and writes Parquet.

On the disk::

    <state>/features/
        builds/<key>/manifest.json                         what went in, and the hash of each file
        builds/<key>/technical/symbol=AAPL/rows.parquet    one file per view and symbol
        builds/<key>/market_model/symbol=AAPL/rows.parquet
        builds/<key>/sentiment/rows.parquet                one row per session, for all symbols
        offline -> builds/<key>                            the current build; replaced in one rename

A build is written beside the current one and takes its place when it is whole, so a reader sees the old one or the new
one. Its key is a hash of all that goes in: a second call finds the key and has nothing to do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quantdesk.errors import DataError
from quantdesk.features import definitions, inputs, missing, rolling, sentiment, tables, transforms
from quantdesk.features.definitions import BENCHMARK, FEATURES, VIEWS, View
from quantdesk.features.manifest import MANIFEST, Manifest, read_manifest
from quantdesk.features.retrieval import partition
from quantdesk.features.sentiment import Breadth, Calm, Panel, SentimentSource
from quantdesk.features.tables import Hours, Table, hours, sheet, symbol_table
from quantdesk.market import MarketStore, Series
from quantdesk.records import atomic_directory, atomic_write, exclusive, sha256_of

__all__ = ["CURRENT", "Built", "Progress", "Recipe", "build", "current", "definitions_version", "reason_column"]

CURRENT = "offline"
"""The link to the current build. Its path is what the Feast repository names."""

_LAYOUT = 1
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


def definitions_version() -> str:
    """A hash of the code that makes the features: equal versions compute equal values from equal prices."""
    digest = hashlib.sha256()
    for module in _PURE:
        digest.update(Path(str(module.__file__)).read_bytes())
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


def build(market: MarketStore, root: Path, recipe: Recipe, *, progress: Progress | None = None) -> Built:
    """Compute every feature of every series, unless that has been done.

    Parameters
    ----------
    market
        Where the prices are.
    root
        The feature store's folder.
    recipe
        What the mood is made from.
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
    recipe_key = hashlib.sha256(f"{_LAYOUT}|{market.version}|{version}|{recipe}".encode()).hexdigest()
    done = _whole(root / CURRENT, recipe_key)
    if done is not None:
        # Before the lock is taken: whoever may only read the store is told so, too.
        tell("features", len(done.series), len(done.series))
        return Built(recipe_key, False, len(done.series), done.rows)
    with exclusive(root / ".lock"):
        target = root / "builds" / recipe_key
        if _whole(target, recipe_key) is None:
            shutil.rmtree(target, ignore_errors=True)
            with atomic_directory(target) as folder:
                _write(market, folder, recipe, (recipe_key, version), tell)
                _open_to_readers(folder)
            for folder in (root, root / "builds"):
                folder.chmod(0o755)
        before = (root / CURRENT).readlink().name if (root / CURRENT).is_symlink() else recipe_key
        _point(root / CURRENT, target)
        _sweep(root / "builds", keep={recipe_key, before})
        manifest = read_manifest(target)
        return Built(recipe_key, True, len(manifest.series), manifest.rows)


def _whole(folder: Path, key: str) -> Manifest | None:
    """The manifest of a build that has this key and all of its files."""
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    there = manifest.key == key and all((folder / name).is_file() for name in manifest.files)
    return manifest if there else None


def _write(market: MarketStore, folder: Path, recipe: Recipe, versions: tuple[str, str], tell: Progress) -> None:
    every = market.series()
    calendars = _calendars(every)
    panel = [series for series in every if series.source == recipe.panel and series.kind == "equity"]
    benchmark = next((series for series in every if series.key == BENCHMARK), None)
    against = sheet(market.bars(benchmark.id), calendars[benchmark.calendar]) if benchmark else None
    files: dict[str, str] = {}
    left_out: dict[str, int] = {}
    prices: dict[str, pd.Series] = {}
    rows = 0
    for number, series in enumerate(every):
        tell(f"features of {series.key}", number, len(every))
        own = sheet(market.bars(series.id), calendars[series.calendar])
        if own.left_out:
            left_out[series.key] = own.left_out
        if series in panel:
            prices[series.key] = own.price
        for view in (view for view in VIEWS.values() if view.entity is not None):
            name = f"{view.name}/{partition('symbol', series.key)}/rows.parquet"
            files[name] = _save(symbol_table(view, own, against), view, folder / name, series.key)
            rows += len(own.hours.session)
    if panel:
        mood = sentiment.sentiment_table(_panel(panel, prices, calendars[panel[0].calendar]), recipe.sources)
        files["sentiment/rows.parquet"] = _save(mood, VIEWS["sentiment"], folder / "sentiment/rows.parquet", None)
        rows += len(mood.event)
    else:
        (folder / "sentiment").mkdir()
    manifest = Manifest(
        key=versions[0],
        market=market.version,
        definitions=versions[1],
        series=every,
        benchmark=benchmark.key if benchmark else None,
        panel=tuple(series.key for series in panel),
        left_out=left_out,
        files=files,
        rows=rows,
    )
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(manifest.to_json(), encoding="utf-8")
    tell("features", len(every), len(every))


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


def _save(table: Table, view: View, path: Path, symbol: str | None) -> str:
    """Write one table; returns the hash of the file. Equal tables give equal bytes."""
    columns: dict[str, pa.Array] = {}
    if symbol is not None:
        zeros = pa.array(np.zeros(len(table.event), dtype=np.int32))
        columns["symbol"] = pa.DictionaryArray.from_arrays(zeros, pa.array([symbol]))
    columns["session"] = pa.array(table.session.to_numpy()).cast(pa.date32())
    stamp = pa.timestamp("us", tz="UTC")
    columns["event_timestamp"] = pa.array(table.event).cast(stamp)
    columns["created_timestamp"] = pa.array(table.created).cast(stamp)
    for feature in view.features:
        columns[feature.name] = pa.array(table.values[feature.name], from_pandas=True)
    for feature in view.features:
        columns[reason_column(feature.name)] = pa.array(table.reasons[feature.name], pa.string()).dictionary_encode()
    path.parent.mkdir(parents=True)
    words = [name for name in columns if name == "symbol" or (name not in FEATURES and name.startswith("why_"))]
    pq.write_table(pa.table(columns), path, compression="lz4", use_dictionary=words, row_group_size=4096)
    return sha256_of(path)


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


def reason_column(feature: str) -> str:
    """The column that says why a feature is null."""
    return f"why_{feature}"
