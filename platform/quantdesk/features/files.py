"""The embedded place of feature rows: the Parquet files of a build. An edge module: it reads files.

A :class:`Build` is one folder, whose link was resolved once; a build that replaces it in the meantime is not seen. What
is read is noted by device, inode, size and times, so that a file which is touched between the reading and the hashing
is found out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import DataError
from quantdesk.features.asof import NOT_A_TIME, History, Integers, Match, as_of_join
from quantdesk.features.backend import Asking, Sessions
from quantdesk.features.build import current
from quantdesk.features.definitions import VIEWS, View
from quantdesk.features.manifest import MANIFEST, Manifest, read_manifest
from quantdesk.features.proof import Matched, Recount
from quantdesk.features.retrieval import Source, files_of, nanoseconds, partition, read
from quantdesk.features.revisions import LOAD, reason_column
from quantdesk.records import sha256_of

__all__ = ["CLOCK", "Build", "FilesBackend", "digest_of", "source_of"]

CLOCK = "technical"
"""The view that has a row for every session of every symbol."""

_FRESH = 2.0
"""Seconds for which a hash is not remembered after a file was touched: its times may be too coarse to tell."""

_Identity = tuple[int, int, int, int, int]


class FilesBackend:
    """The builds in a folder.

    Parameters
    ----------
    root
        The feature store's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: tuple[Path, _Identity, Manifest] | None = None

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
        if self._seen is None or self._seen[:2] != (folder, identity):
            self._seen = (folder, identity, read_manifest(folder))
        return Build(folder, self._seen[2])


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
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self._manifest = manifest
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
        table = self._table(VIEWS[CLOCK], ["session", "event_timestamp", "created_timestamp"], [key])
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
        stamps = [source.event, *([source.created] if source.created else [])]
        table = self._table(view, [*source.keys, *stamps, *columns], asking.keys)
        event = nanoseconds(table.column(source.event))
        created = nanoseconds(table.column(source.created)) if source.created else event
        if source.keys:
            words = _words(table.column(source.keys[0]))
            key, row_key = _coded(words, asking)
        else:
            words, key = None, np.zeros(table.num_rows, dtype=np.int64)
            row_key = np.zeros(len(asking.time), dtype=np.int64)
        ttl = view.ttl // pd.Timedelta(1, "ns") or None
        match = as_of_join(History(key, event, created), row_key, asking.time, known_by=asking.known_by, ttl=ttl)
        found = match.position >= 0
        place = np.where(found, match.position, 0)
        some = len(event) > 0
        return Matched(
            view=view.name,
            columns={name: _floats(table, name, place, found) for name in columns},
            event=np.where(found, event[place], NOT_A_TIME) if some else np.full(len(found), NOT_A_TIME),
            created=np.where(found, created[place], NOT_A_TIME) if some else np.full(len(found), NOT_A_TIME),
            belongs=_belongs(words, place, asking) if words is not None and some else np.ones(len(found), dtype=bool),
            outcome=match.outcome,
            recount=lambda rows: _recount(table, source, list(columns), asking, ttl, rows),
            reasons=lambda feature: self._reasons(view, feature, asking, match),
            row=match.position,
        )

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
        for view in views:
            for folder in _folders(view, keys):
                found |= dict.fromkeys(self._parts.get(folder, ()))
            for path in _files(source_of(view, self.folder), keys):
                name = path.relative_to(self.folder).as_posix()
                found[name] = self._digest(name, path)
        return found

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, by event and then by time of knowledge."""
        times, reason = ["event_timestamp", "created_timestamp"], reason_column(feature)
        table = self._table(view, [*times, feature, reason, LOAD], [key])
        frame: pd.DataFrame = table.to_pandas().astype({reason: object})
        frame = frame.rename(columns={feature: "value", reason: "reason", LOAD: "load"})
        return frame.sort_values(times, kind="stable", ignore_index=True)[[*times, "value", "reason", "load"]]

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """The files of the build by the folder that they lie in."""
        found: dict[str, list[str]] = {}
        for name in self._manifest.files:
            found.setdefault(name.rpartition("/")[0], []).append(name)
        return found

    def _table(self, view: View, columns: Sequence[str], keys: Sequence[str]) -> pa.Table:
        source = source_of(view, self.folder)
        wanted = {name: set(keys) for name in source.keys}
        for path in _files(source, keys):
            self._read.setdefault(path.relative_to(self.folder).as_posix(), _identity(path))
        absent = [
            name for folder in _folders(view, keys) for name in self._parts.get(folder, ()) if name not in self._read
        ]
        if absent:
            raise DataError(
                f"The feature file {self.folder / absent[0]} is not there any more.", "Ask again, or build again."
            )
        return read(source, list(dict.fromkeys(columns)), wanted)

    def _digest(self, name: str, path: Path) -> str | None:
        try:
            identity = _identity(path)
            if self._read.get(name, identity) != identity:
                return None
            digest = digest_of(path)
            return digest if _identity(path) == identity else None
        except OSError:
            return None

    def _reasons(self, view: View, feature: str, asking: Asking, match: Match) -> NDArray[np.object_]:
        column = reason_column(feature)
        table = self._table(view, [column], asking.keys)
        found = match.position >= 0
        if not table.num_rows:
            return np.full(len(found), None, dtype=object)
        written = table[column].cast(pa.string()).to_pandas().to_numpy(dtype=object)
        taken: NDArray[np.object_] = written[np.where(found, match.position, 0)]
        taken[~found] = None
        return taken


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


def _folders(view: View, keys: Iterable[str]) -> list[str]:
    return [f"{view.name}/{partition('symbol', key)}" for key in dict.fromkeys(keys)] if view.entity else [view.name]


def _files(source: Source, keys: Sequence[str]) -> list[Path]:
    try:
        return files_of(source, {name: set(keys) for name in source.keys})
    except OSError as error:
        raise DataError(f"The feature data at {source.path} went away ({error}).", "Ask again.") from error


def _words(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of keys as codes and words."""
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = coded.unify_dictionaries().combine_chunks()
    return whole if isinstance(whole, pa.DictionaryArray) else pa.concat_arrays(whole.chunks)


def _coded(words: pa.DictionaryArray, asking: Asking) -> tuple[Integers, Integers]:
    """The feature rows' keys and the asking rows' in one coding; what nobody asks for, or is null, gets the last."""
    places = {key: place for place, key in enumerate(asking.keys)}
    other = len(places)
    wanted = np.array([places.get(word, other) for word in words.dictionary.to_pylist()] + [other], dtype=np.int64)
    index = words.indices.fill_null(len(words.dictionary)).to_numpy().astype(np.int64)
    there = np.zeros(other + 1, dtype=bool)
    key = wanted[index]
    there[key] = True
    return key, np.where(there[asking.code], asking.code, -1)


def _floats(table: pa.Table, name: str, place: Integers, found: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not table.num_rows:
        return np.full(len(found), np.nan)
    values: NDArray[np.float64] = table.column(name).to_numpy().astype(np.float64, copy=False)[place]
    values[~found] = np.nan
    return values


def _belongs(words: pa.DictionaryArray, place: Integers, asking: Asking) -> NDArray[np.bool_]:
    """Whether the words of both sides are the same: word by word for each pair that occurs."""
    theirs = [None, *words.dictionary.to_pylist()]
    index = words.indices.fill_null(-1).to_numpy()[place].astype(np.int64) + 1
    pairs, which = np.unique(asking.code * np.int64(len(theirs)) + index, return_inverse=True)
    same = [asking.keys[pair // len(theirs)] == theirs[pair % len(theirs)] for pair in pairs.tolist()]
    return np.array(same, dtype=bool)[which]


def _recount(
    table: pa.Table, source: Source, columns: Sequence[str], asking: Asking, ttl: int | None, rows: Integers
) -> Recount:
    """Look at every feature row of the key for each of the rows. Nothing here is shared with the join."""
    stamp = pa.timestamp("ns", tz="UTC")
    event = table.column(source.event).cast(stamp).cast(pa.int64()).to_numpy()
    created = table.column(source.created or source.event).cast(stamp).cast(pa.int64()).to_numpy()
    best = np.full(len(rows), -1, dtype=np.int64)
    own: dict[int, Integers] = {}
    for number, row in enumerate(rows.tolist()):
        asked = int(asking.code[row])
        if asked not in own:
            own[asked] = _rows_of(table, source, asking.keys[asked])
        place, now = own[asked], int(asking.time[row])
        limit = now if asking.known_by is None else min(now, asking.known_by)
        seen = place[(event[place] <= now) & (created[place] <= limit)]
        if not seen.size:
            continue
        latest = seen[event[seen] == event[seen].max()]
        latest = latest[created[latest] == created[latest].max()]
        if ttl is None or now - int(event[latest[-1]]) <= ttl:
            best[number] = latest[-1]
    there = best >= 0
    values = {}
    for name in columns:
        taken = table.column(name).take(pa.array(best, mask=~there))
        values[name] = np.array([np.nan if one is None else one for one in taken.to_pylist()], dtype=np.float64)
    none = np.full(len(rows), NOT_A_TIME)
    if not len(event):
        return Recount(none, none, best, values)
    return Recount(np.where(there, event[best], none), np.where(there, created[best], none), best, values)


def _rows_of(table: pa.Table, source: Source, key: str) -> Integers:
    """The places of the rows whose key column says `key`."""
    if not source.keys:
        return np.arange(table.num_rows)
    places, start = [np.zeros(0, dtype=np.int64)], 0
    for chunk in table.column(source.keys[0]).chunks:
        words = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        mine = [code for code, word in enumerate(words.dictionary.to_pylist()) if word == key]
        places.append(np.flatnonzero(np.isin(words.indices.fill_null(-1).to_numpy(), mine)) + start)
        start += len(chunk)
    return np.concatenate(places)
