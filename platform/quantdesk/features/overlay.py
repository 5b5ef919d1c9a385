"""A build with the user's own views laid over it: one question may ask both. An edge module: it reads Parquet files.

An :class:`Overlay` is a :class:`~quantdesk.features.backend.Snapshot`. What concerns a built-in view it hands on to the
snapshot below; a declared view it answers itself, with the same join, under the knowledge policy of the view, and with
a recount of its own.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantdesk.errors import BadInput, DataError
from quantdesk.features.asof import NOT_A_TIME, History, Integers, as_of_join
from quantdesk.features.backend import Asking, Sessions, Snapshot
from quantdesk.features.declared import DeclaredView, data_files
from quantdesk.features.definitions import View
from quantdesk.features.files import digest_of
from quantdesk.features.keys import codes
from quantdesk.features.knowledge import EventPlus, Knowledge, known_times
from quantdesk.features.manifest import Manifest
from quantdesk.features.proof import Matched, Recount
from quantdesk.features.retrieval import Source, files_of, nanoseconds, read

__all__ = [
    "LOADED_AT",
    "PART",
    "Overlay",
    "as_built",
    "floats",
    "moments",
    "overlaid",
    "part_name",
    "read_rows",
    "source_of",
    "unproven",
    "why",
]

PART = re.compile(r"part-(?P<load>\d{6})-(?P<batch>[0-9a-f]{16})-(?P<sha256>[0-9a-f]{64})\.parquet")
"""The name of a file that an append wrote. It says what the file hashes to, so one rename makes both known."""
LOADED_AT = b"quantdesk.loaded_at"
"""The entry of a part's Parquet metadata that says when it was appended."""


def part_name(load: int, batch: str, sha256: str) -> str:
    """The name of the part of a load."""
    return f"part-{load:06d}-{batch[:16]}-{sha256}.parquet"


def source_of(view: DeclaredView) -> Source:
    """Where the rows of a declared view are."""
    keys = tuple(key.column for key in view.keys)
    return Source(view.path, keys, view.event, view.created, view.ttl or None)


class Overlay:
    """A snapshot and the user's views.

    Parameters
    ----------
    below
        The build.
    views
        The declared views that the question needs.
    columns
        Of the asking rows, besides the symbol: what views with other keys are matched on. Shape ``(m,)`` each.
    """

    def __init__(
        self, below: Snapshot, views: Iterable[DeclaredView], columns: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        self._below = below
        self._views = tuple(views)
        self._columns = columns or {}

    @cached_property
    def manifest(self) -> Manifest:
        """What the build holds, and the files of the declared views with what they should hash to."""
        below = self._below.manifest
        return replace(below, files={**below.files, **{k: v for view in self._views for k, v in as_built(view)}})

    @property
    def origin(self) -> str:
        """Where the build is. The files of declared views are named by their absolute paths."""
        return self._below.origin

    def sessions(self, key: str) -> Sessions:
        """The sessions of a symbol."""
        return self._below.sessions(key)

    def match(self, view: View, columns: Sequence[str], asking: Asking) -> Matched:
        """Answer the rows from a view, each from what was known at its time."""
        if not isinstance(view, DeclaredView):
            return self._below.match(view, columns, asking)
        stored = {field.name: field.column for field in view.fields}
        row_keys = self._row_keys(view, asking)
        wanted = {key.column: set(keys) for key, keys in zip(view.keys, row_keys, strict=True)}
        table = read_rows(view, [stored[name] for name in columns], wanted)
        event, created = moments(view, table)
        if view.keys:
            key, row_key = codes([table.column(one.column).to_pandas() for one in view.keys], row_keys)
        else:
            key, row_key = np.zeros(len(event), dtype=np.int64), np.zeros(len(asking.time), dtype=np.int64)
        known = known_times(view.policy, key, event, created)
        ttl = view.ttl // pd.Timedelta(1, "ns") or None
        match = as_of_join(History(key, event, known), row_key, asking.time, known_by=asking.known_by, ttl=ttl)
        found, place = match.position >= 0, pa.array(match.position, mask=match.position < 0)
        shown = {name: stored[name] for name in columns}
        values = {name: floats(view, name, table.column(shown[name]).take(place)) for name in columns}
        theirs = [table.column(one.column).take(place).to_pandas().to_numpy(dtype=object) for one in view.keys]
        belongs = np.ones(len(found), dtype=bool)
        for mine, other in zip(row_keys, theirs, strict=True):
            belongs &= np.asarray(mine, dtype=object) == other
        return Matched(
            view=view.name,
            columns=values,
            event=_taken(event, match.position),
            created=_taken(known, match.position),
            belongs=belongs,
            outcome=match.outcome,
            recount=lambda rows: _recount(
                view, table, {name: stored[name] for name in columns}, row_keys, asking, rows
            ),
            reasons=lambda name: why(found & np.isnan(values[name])),
            row=match.position,
        )

    def unproven(self, view: View) -> tuple[str, ...]:
        """Why no answer of the view can be proven, in sentences; empty when it can be."""
        if not isinstance(view, DeclaredView):
            return self._below.unproven(view)
        return unproven(view)

    def digests(self, views: Sequence[View], keys: Sequence[str]) -> dict[str, str | None]:
        """Per part that the views read for the keys, its hash as it is now."""
        found = dict(self._below.digests([view for view in views if not isinstance(view, DeclaredView)], keys))
        for view in views:
            if isinstance(view, DeclaredView):
                wanted = {key.column: set(keys) for key in view.keys if key.name == "symbol"}
                for path in files_of(source_of(view), wanted):
                    try:
                        found[str(path)] = digest_of(path)
                    except OSError:
                        found[str(path)] = None
        return found

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, and the load that wrote it.

        For a declared view also ``loaded_at`` (NaT for files that nobody appended), and its keys besides the symbol.
        """
        if not isinstance(view, DeclaredView):
            return self._below.revisions(view, key, feature)
        column = {field.name: field.column for field in view.fields}[feature]
        pieces = []
        for number, path in enumerate(data_files(view.path)):
            part = PART.fullmatch(path.name)
            table = read_rows(replace(view, path=path), [column])
            event, created = moments(view, table)
            piece = pd.DataFrame({one.name: table.column(one.column).to_pandas() for one in view.keys})
            piece["event"], piece["created"] = event, event if created is None else created
            piece["value"] = floats(view, feature, table.column(column))
            piece["load"] = int(part["load"]) if part else number
            piece["loaded_at"] = _loaded_at(path) if part else None
            pieces.append(piece)
        if not pieces:
            raise _no_data(view)
        chain = pd.concat(pieces, ignore_index=True)
        names = [one.name for one in view.keys]
        coded = chain.groupby(names, sort=False).ngroup().to_numpy() if names else np.zeros(len(chain), dtype=np.int64)
        given = chain["created"].to_numpy() if view.created else None
        known = known_times(view.policy, coded.astype(np.int64), chain["event"].to_numpy(), given)
        chain["event_timestamp"], chain["created_timestamp"] = _utc(chain["event"].to_numpy()), _utc(known)
        chain["loaded_at"] = pd.to_datetime(chain["loaded_at"], utc=True, format="ISO8601")
        chain["reason"] = why(chain["value"].isna().to_numpy())
        if "symbol" in names:
            chain = chain[chain["symbol"] == key]
        others = [name for name in names if name != "symbol"]
        shown = [*others, "event_timestamp", "created_timestamp", "value", "reason", "load", "loaded_at"]
        ordered = chain.sort_values([*others, "event_timestamp", "created_timestamp"], kind="stable")
        return ordered[shown].reset_index(drop=True)

    def _row_keys(self, view: DeclaredView, asking: Asking) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        for key in view.keys:
            if key.name == "symbol":
                found.append(asking.row_keys)
            elif key.name in self._columns:
                found.append(self._columns[key.name])
            else:
                names = ", ".join(one.name for one in view.keys)
                raise BadInput(
                    f"The view {view.name} is keyed by {names}, and the question has no {key.name!r}.",
                    f"Ask with an entity_df that has the columns {names}.",
                )
        return found


def overlaid(
    below: Snapshot, views: Iterable[DeclaredView], columns: Mapping[str, NDArray[Any]] | None = None
) -> Snapshot:
    """The snapshot with the user's views, which a database holds itself. The arguments of :class:`Overlay`."""
    itself = getattr(below, "with_own_views", None)
    return itself(columns) if itself is not None else Overlay(below, views, columns)


def unproven(view: DeclaredView) -> tuple[str, ...]:
    """Why no answer of a declared view can be proven, in sentences; empty when it can be."""
    if view.policy is None and view.created is None:
        return (f"Nobody has declared when the rows of {view.name} were known; it was taken to be at their event.",)
    return ()


def as_built(view: DeclaredView) -> list[tuple[str, str]]:
    """What each file should hash to: by its own name where an append wrote it, else as it was when it was declared."""
    adopted = dict(view.adopted)
    parts = [(path, PART.fullmatch(path.name)) for path in data_files(view.path)]
    found = [(str(path), part["sha256"] if part else adopted.get(str(path))) for path, part in parts]
    return [(name, digest) for name, digest in found if digest is not None]


def _no_data(view: DeclaredView) -> DataError:
    return DataError(
        f"The view {view.name} has no data yet: {view.path} holds no Parquet file.",
        f"Append rows to it: FeatureStore().append({view.name!r}, rows).",
    )


def read_rows(
    view: DeclaredView, columns: Sequence[str], wanted: Mapping[str, Iterable[Any]] | None = None
) -> pa.Table:
    """Keys, times and some columns of a declared view's rows."""
    if not data_files(view.path):
        raise _no_data(view)
    source = source_of(view)
    times = [source.event, *([source.created] if source.created else [])]
    return read(source, list(dict.fromkeys([*source.keys, *times, *columns])), wanted)


def moments(view: DeclaredView, table: pa.Table) -> tuple[Integers, Integers | None]:
    """The two times as the files have them."""
    for name in (view.event, view.created):
        kind = table.schema.field(name).type if name else pa.timestamp("ns")
        if not (pa.types.is_timestamp(kind) or (pa.types.is_null(kind) and not table.num_rows)):
            raise DataError(
                f"The column {name!r} of the view {view.name} holds {kind}, not times.",
                f"Write timestamps with a zone into {view.path}.",
            )
    event = nanoseconds(table.column(view.event))
    created = nanoseconds(table.column(view.created)) if view.created else None
    if created is not None and isinstance(view.policy, EventPlus):
        # Nobody wrote down when it was loaded; under this policy that does not matter for the first version.
        created = np.where(created == NOT_A_TIME, event, created)
    return event, created


def floats(view: DeclaredView, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A feature as numbers, NaN for null."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    endless = np.flatnonzero(np.isinf(values))
    if endless.size:
        raise DataError(
            f"The view {view.name} holds {values[endless[0]]} in {name!r}.",
            f"Write null for no value into {view.path}.",
        )
    return values


def why(null: NDArray[np.bool_]) -> NDArray[np.object_]:
    """The reason for each null, None for the others."""
    return np.array([None, "null_in_source"], dtype=object)[null.astype(np.int64)]


def _taken(times: Integers, position: Integers) -> Integers:
    found = np.full(len(position), NOT_A_TIME)
    hit = position >= 0
    found[hit] = times[position[hit]]
    return found


def _utc(nanos: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanos.view("datetime64[ns]")).tz_localize("UTC")


def _loaded_at(path: Path) -> str | None:
    said = (pq.read_schema(path).metadata or {}).get(LOADED_AT)
    return None if said is None else said.decode()


def _recount(
    view: DeclaredView,
    table: pa.Table,
    columns: Mapping[str, str],
    row_keys: Sequence[NDArray[Any]],
    asking: Asking,
    rows: Integers,
) -> Recount:
    """Go through every feature row of the key, version by version. Nothing here is shared with the join."""
    places = _of_keys(view, table, row_keys, rows)
    whole, table = table, table.take(places)
    stamp = pa.timestamp("ns", tz="UTC")
    event = table.column(view.event).cast(stamp).cast(pa.int64()).to_pylist()
    said = table.column(view.created).cast(stamp).cast(pa.int64()).to_pylist() if view.created else event
    whose = list(zip(*(table.column(key.column).to_pylist() for key in view.keys), strict=True)) or [()] * len(event)
    asked = [tuple(_plain(keys[row]) for keys in row_keys) for row in rows.tolist()]
    own: dict[Any, list[int]] = {key: [] for key in asked}
    for place, key in enumerate(whose):
        if key in own:
            own[key].append(place)
    ttl = view.ttl // pd.Timedelta(1, "ns")
    best, known = np.full(len(rows), -1, dtype=np.int64), np.full(len(rows), NOT_A_TIME)
    for number, row in enumerate(rows.tolist()):
        now = int(asking.time[row])
        limit = now if asking.known_by is None else min(now, asking.known_by)
        versions: dict[int, list[tuple[int, int]]] = {}
        for place in own[asked[number]]:
            made = said[place]
            versions.setdefault(event[place], []).append((event[place] if made is None else made, place))
        for when in sorted((when for when in versions if when <= now), reverse=True):
            seen = [
                (_known(view.policy, when, made, first=first == 0), place)
                for first, (made, place) in enumerate(sorted(versions[when]))
            ]
            seen = [one for one in seen if one[0] <= limit]
            if seen:
                if not ttl or now - when <= ttl:
                    known[number], best[number] = max(seen)
                break
    found = np.array([NOT_A_TIME if at < 0 else event[at] for at in best], dtype=np.int64)
    best = np.array([-1 if at < 0 else places[int(at)].as_py() for at in best], dtype=np.int64)
    place = pa.array(best, mask=best < 0)
    values = {name: floats(view, name, whole.column(stored).take(place)) for name, stored in columns.items()}
    return Recount(found, known, best, values)


def _of_keys(view: DeclaredView, table: pa.Table, row_keys: Sequence[NDArray[Any]], rows: Integers) -> pa.Array:
    """The places of the rows that could be about any of the asked keys, by the first of the keys."""
    if not view.keys:
        return pa.array(np.arange(table.num_rows))
    column = table.column(view.keys[0].column)
    asked = list({_plain(key) for key in row_keys[0][rows]} - {None})
    return pc.indices_nonzero(pc.is_in(column, value_set=pa.array(asked, column.type))).cast(pa.int64())


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _known(policy: Knowledge | None, event: int, said: int, *, first: bool) -> int:
    """When a version was known: the definition of the policies, for one row at a time."""
    if not isinstance(policy, EventPlus):
        return said
    lagged = event + policy.lag // dt.timedelta(microseconds=1) * 1000
    return lagged if first else max(lagged, said)
