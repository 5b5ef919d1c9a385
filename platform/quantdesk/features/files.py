"""The embedded place of feature rows: the Parquet files of a build. An edge module: it reads files.

A :class:`Build` is one folder, whose link was resolved once; a build that replaces it in the meantime is not seen. What
is read is noted, so that a file which is replaced or written to between the reading and the hashing is found out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import DataError
from quantdesk.features.asof import History, Integers, as_of_join
from quantdesk.features.backend import Asking, Sessions
from quantdesk.features.build import current
from quantdesk.features.definitions import VIEWS, View
from quantdesk.features.keys import Coded, coded, codes
from quantdesk.features.manifest import MANIFEST, Manifest, read_manifest
from quantdesk.features.parquet import Part, Source, fetch, nanoseconds, partition, parts_of
from quantdesk.features.proof import Matched, Recount
from quantdesk.features.retrieval import Answer
from quantdesk.features.revisions import LOAD, reason_column
from quantdesk.records import sha256_of

__all__ = ["CLOCK", "Build", "FilesBackend", "digest_of", "source_of"]

CLOCK = "technical"
"""The view that has a row for every session of every symbol."""

_FRESH = 2.0
"""Seconds for which a hash is not remembered after a file was touched: its times may be too coarse to tell."""
_FOOTERS = 512
"""How many files are remembered by what their footers say."""
_CLOCKS = 128
"""Of how many symbols the sessions are remembered."""
_THREADS = min(2, os.cpu_count() or 1)

_Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Footers:
    """What is known of the files of a build; each entry counts as long as a file stays the one that was opened.

    Attributes
    ----------
    parts
        By the name of a file its row groups.
    sessions
        By symbol its sessions, with what was opened to find them.
    """

    parts: dict[str, tuple[_Identity, Part | None]] = field(default_factory=dict)
    sessions: dict[str, tuple[tuple[_Identity, ...], Sessions]] = field(default_factory=dict)


class FilesBackend:
    """The builds in a folder.

    Parameters
    ----------
    root
        The feature store's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: tuple[Path, _Identity, Manifest, Footers] | None = None

    def snapshot(self) -> Build:
        """The current build; its manifest is read once.

        Raises
        ------
        DataError
            Nothing has been built, or the manifest is damaged.
        """
        folder = current(self.root)
        try:
            identity = _identity(folder / MANIFEST)
        except OSError:
            return Build(folder, read_manifest(folder))
        seen = self._seen  # once: another thread may put another one there
        if seen is None or seen[:2] != (folder, identity):
            seen = self._seen = (folder, identity, read_manifest(folder), Footers())
        return Build(folder, *seen[2:])


def source_of(view: View, build: Path) -> Source:
    """Where a view's rows are in a build."""
    keys = ("symbol",) if view.entity else ()
    return Source(build / view.name, keys, "event_timestamp", "created_timestamp", view.ttl)


class Build:
    """One build in its folder; a :class:`quantdesk.features.backend.Snapshot`.

    Parameters
    ----------
    folder
        Its folder, with no link in it that could be turned elsewhere.
    manifest
        What it holds.
    footers
        What is known of its files already.
    """

    def __init__(self, folder: Path, manifest: Manifest, footers: Footers | None = None) -> None:
        self.folder = folder
        self._manifest = manifest
        self._footers = footers or Footers()
        self._read: dict[str, _Identity] = {}

    @property
    def manifest(self) -> Manifest:
        """What the build holds."""
        return self._manifest

    @property
    def origin(self) -> str:
        """The folder."""
        return str(self.folder)

    def sessions(self, key: str) -> Sessions:
        """The sessions of a symbol: each event once, with the moment at which its first version was known."""
        names = [name for folder in _folders(VIEWS[CLOCK], [key]) for name in self._files.get(folder, ())]
        for name in names:
            self._opened(name)
        opened = tuple(self._read[name] for name in names)
        kept = self._footers.sessions.get(key)
        if kept is not None and kept[0] == opened:
            return kept[1]
        found = self._sessions(key)
        for part in (found.event, found.known, found.session):
            part.flags.writeable = False  # whoever asks next gets them, too
        if len(self._footers.sessions) >= _CLOCKS:
            self._footers.sessions.clear()
        self._footers.sessions[key] = (opened, found)
        return found

    def _sessions(self, key: str) -> Sessions:
        table, _ = self._fetched(VIEWS[CLOCK], ["session", "event_timestamp", "created_timestamp"], [key])
        if not table.num_rows:
            empty = np.zeros(0, dtype=np.int64)
            return Sessions(empty, empty, empty.astype("datetime64[D]"))
        event, created = nanoseconds(table["event_timestamp"]), nanoseconds(table["created_timestamp"])
        known = np.maximum(event, created)
        session = table["session"].to_numpy().astype("datetime64[D]")
        if bool((event[1:] > event[:-1]).all()):
            return Sessions(event, known, session)
        order = np.lexsort((known, event))
        once = order[np.unique(event[order], return_index=True)[1]]
        return Sessions(event[once], known[once], session[once])

    def match(self, view: View, columns: Sequence[str], asking: Asking) -> Matched:
        """Answer the rows from a view, each from what was known at its time."""
        source = source_of(view, self.folder)
        times = [source.event, *([source.created] if source.created else [])]
        table, parts = self._fetched(view, [*source.keys, *times, *columns], asking.keys)
        known = tuple(coded(table.column(name)) for name in source.keys)
        asked = tuple(Coded(asking.code, pd.Index(asking.keys, dtype=object)) for _ in source.keys)
        if known:
            key, row_key = codes(known, asked)
        else:
            key, row_key = np.zeros(table.num_rows, dtype=np.int64), np.zeros(len(asking.time), dtype=np.int64)
        event = nanoseconds(table.column(source.event), source.event)
        created = nanoseconds(table.column(source.created), source.created) if source.created else event
        history = History(key, event, created)
        ttl = view.ttl // pd.Timedelta(1, "ns") or None
        match = as_of_join(history, row_key, asking.time, known_by=asking.known_by, ttl=ttl)
        answer = Answer(
            source, parts, history, row_key, asking.time, match, known, asked, known_by=asking.known_by, ttl=ttl
        )
        matched = answer.matched(view.name, _taken(table, columns, match.position), reason_column)
        return replace(matched, recount=lambda rows: _with_values(answer.recount(rows), table, columns))

    def unproven(self, view: View) -> tuple[str, ...]:
        """Why no answer of the view can be proven; empty when it can be."""
        source = source_of(view, self.folder)
        if source.created is None:
            return (f"The rows of {view.name} do not say when they were known.",)
        if not view.knowledge:
            return (f"Nobody has declared when the rows of {view.name} are known.",)
        return ()

    def digests(self, views: Sequence[View], keys: Sequence[str]) -> dict[str, str | None]:
        """The SHA-256 of every file that the views read for the keys, as it is now.

        None for a file that belongs to the build and is not there, for one that cannot be read, and for one that is no
        longer what was read.
        """
        found: dict[str, str | None] = {}
        for folder in dict.fromkeys(folder for view in views for folder in _folders(view, keys)):
            found |= dict.fromkeys(self._files.get(folder, ()))
            # A file that somebody put beside them is no part of the build; that it is there must be said all the same.
            found |= dict.fromkeys(f"{folder}/{name}" for name in _parquet_in(self.folder / folder))
        return {name: self._digest(name) for name in found}

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, by event and then by time of knowledge."""
        times, reason = ["event_timestamp", "created_timestamp"], reason_column(feature)
        table, _ = self._fetched(view, [*times, feature, reason, LOAD], [key])
        frame: pd.DataFrame = table.to_pandas().astype({reason: object})
        frame = frame.rename(columns={feature: "value", reason: "reason", LOAD: "load"})
        return frame.sort_values(times, kind="stable", ignore_index=True)[[*times, "value", "reason", "load"]]

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """The files of the build by the folder that they lie in."""
        found: dict[str, list[str]] = {}
        for name in self._manifest.files:
            found.setdefault(name.rpartition("/")[0], []).append(name)
        return found

    def _fetched(self, view: View, columns: Sequence[str], keys: Sequence[str]) -> tuple[pa.Table, tuple[Part, ...]]:
        """Some columns of all rows of the keys, from the files that the build names; what was read is noted."""
        names = [name for folder in _folders(view, keys) for name in self._files.get(folder, ())]
        parts = tuple(part for name in names if (part := self._opened(name)) is not None)
        for part in parts:
            part.check(columns)
        return fetch(parts, columns, words=source_of(view, self.folder).keys, threads=_THREADS), parts

    def _opened(self, name: str) -> Part | None:
        """The row groups of a file of the build; None for one without rows."""
        path = self.folder / name
        try:
            identity = _identity(path)
        except OSError as error:
            raise DataError(f"The feature file {path} is not there any more.", "Ask again, or build again.") from error
        self._read.setdefault(name, identity)
        kept = self._footers.parts.get(name)
        if kept is None or kept[0] != identity:
            kept = (identity, next(iter(parts_of(Source(path, (), ""))), None))
            if len(self._footers.parts) >= _FOOTERS:
                self._footers.parts.clear()
            self._footers.parts[name] = kept
        return kept[1]

    def _digest(self, name: str) -> str | None:
        path = self.folder / name
        try:
            digest = digest_of(path)
            # Hashed after it was read: what is there now must be what was opened then.
            return digest if self._read.get(name, _identity(path)) == _identity(path) else None
        except OSError:
            return None


def digest_of(path: Path) -> str:
    """A file's SHA-256 as it is now; what was hashed and has not been touched since is not hashed again."""
    identity = _identity(path)
    settled = time.time() - max(identity[3], identity[4]) / 1e9 > _FRESH
    return _remembered(path, identity) if settled else sha256_of(path)


def _identity(path: Path) -> _Identity:
    """What changes when a file is replaced or written to; the last, the time of the inode, cannot be set back."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=65_536)
def _remembered(path: Path, _seen: _Identity) -> str:
    """A file's hash, worked out once for what is there."""
    return sha256_of(path)


def _parquet_in(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".parquet"))  # noqa: PTH208 - it is quicker
    except OSError:
        return []


def _folders(view: View, keys: Iterable[str]) -> list[str]:
    return [f"{view.name}/{partition('symbol', key)}" for key in dict.fromkeys(keys)] if view.entity else [view.name]


def _taken(table: pa.Table, columns: Sequence[str], position: Integers) -> dict[str, NDArray[np.float64]]:
    """Columns as float64, one value per asking row: NaN where it is null or there is no answer."""
    if not table.num_rows:
        return {name: np.full(len(position), np.nan) for name in columns}
    place, without = np.maximum(position, 0), np.flatnonzero(position < 0)
    found: dict[str, NDArray[np.float64]] = {}
    for name in columns:
        found[name] = table.column(name).to_numpy().astype(np.float64, copy=False)[place]
        found[name][without] = np.nan
    return found


def _with_values(again: Recount, table: pa.Table, columns: Sequence[str]) -> Recount:
    """The values of the rows that brute force found, looked up one by one."""
    rows = [] if again.row is None else again.row.tolist()
    values: dict[str, NDArray[np.float64]] = {}
    for name in columns:
        column = table.column(name)
        single = [None if row < 0 else column[row].as_py() for row in rows]
        values[name] = np.array([np.nan if one is None else one for one in single], dtype=np.float64)
    return replace(again, values=values)
