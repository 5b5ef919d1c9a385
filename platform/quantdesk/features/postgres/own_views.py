"""The user's own views in PostgreSQL. An edge module: files, when they are loaded; the server, when they are asked.

When a build is loaded, the rows of each declared view go along, each with the time at which it was known under the
view's policy, and the declarations themselves. Whoever asks the database then needs neither the files nor the
repository.

The rows of each key are a part of their own. A key of several columns is written as JSON: ``["AAPL", 7]``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantdesk.errors import BadInput, DataError
from quantdesk.features import overlay
from quantdesk.features.backend import Asking, Sessions
from quantdesk.features.declared import DeclaredView, data_files
from quantdesk.features.definitions import View
from quantdesk.features.knowledge import known_times
from quantdesk.features.manifest import Manifest
from quantdesk.features.proof import Matched
from quantdesk.records import sha256_of

if TYPE_CHECKING:
    from quantdesk.features.postgres.backend import PostgresSnapshot

__all__ = ["KEY", "TeamOverlay", "chain", "key_text", "parts_of", "source", "tables"]

KEY = "_key"
"""The column that says whose a row is."""


# From files to parts.


def source(view: DeclaredView) -> str:
    """A hash of all that the rows of a view depend on: its declaration and its files as they are.

    Raises
    ------
    DataError
        A file is not as it was when the view was applied or appended to.
    """
    expected = dict(overlay.as_built(view))
    said = {name: value for name, value in view.to_dict().items() if name != "adopted"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for path in data_files(view.path):
        own = sha256_of(path)
        if expected.get(str(path)) != own:
            raise DataError(
                f"The file {path} of the view {view.name} is not as it was applied.",
                "Apply the repository again: quantdesk features apply.",
            )
        digest.update(own.encode())
    return digest.hexdigest()


def tables(view: DeclaredView) -> Iterator[tuple[str | None, pa.Table]]:
    """The rows of each key of a view, in the order of writing; None is the key of a view about everything at once."""
    whole = _whole(view)
    if not view.keys:
        yield None, whole.drop_columns([KEY])
        return
    text = whole.column(KEY).to_numpy()
    codes, names = pd.factorize(text)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for number, name in enumerate(names):
        yield str(name), whole.take(pa.array(order[edges[number] : edges[number + 1]]))


def _whole(view: DeclaredView) -> pa.Table:
    stored = {field.name: field.column for field in view.fields if field.name in {one.name for one in view.features}}
    pieces: list[dict[str, NDArray[np.float64]]] = []
    texts: list[str | None] = []
    events, makes, loads, times = [], [], [], []
    for number, path in enumerate(data_files(view.path)):
        part = overlay.PART.fullmatch(path.name)
        table = overlay.read_rows(replace(view, path=path), list(stored.values()))
        event, created = overlay.moments(view, table)
        pieces.append({name: overlay.floats(view, name, table.column(column)) for name, column in stored.items()})
        keys = [table.column(key.column).to_pylist() for key in view.keys]
        texts += [key_text(values) for values in zip(*keys, strict=True)] if keys else [""] * len(event)
        events.append(event)
        makes.append(event if created is None else created)
        loads += [int(part["load"]) if part else number] * len(event)
        said = (pq.read_schema(path).metadata or {}).get(overlay.LOADED_AT) if part else None
        times += [None if said is None else pd.Timestamp(said.decode())] * len(event)
    event = np.concatenate(events) if events else np.zeros(0, dtype=np.int64)
    created = np.concatenate(makes) if makes else event
    code = pd.Series(texts, dtype=object).factorize()[0].astype(np.int64)
    known = known_times(view.policy, code, event, created if view.created else None)
    stamp = pa.timestamp("ns", "UTC")
    columns = {
        "event_timestamp": pa.array(event).cast(stamp),
        "created_timestamp": pa.array(known).cast(stamp),
        "load": pa.array(loads, pa.int32()),
        "loaded_at": pa.array(times, stamp).cast(pa.timestamp("us", "UTC"), safe=False),
    }
    for name in stored:
        values = np.concatenate([piece[name] for piece in pieces]) if pieces else np.zeros(0)
        columns[name] = pa.array(values, pa.float64(), from_pandas=True)
    table = pa.table({**columns, KEY: pa.array(texts, pa.string())})
    # A row without a key belongs to nobody.
    return table.filter(pa.compute.is_valid(table.column(KEY)))


def key_text(values: Sequence[Any]) -> str | None:
    """A key as one text; None where a column of it is null."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if any(value is None or value != value for value in plain):
        return None
    if len(plain) == 1 and isinstance(plain[0], str):
        return plain[0]
    return json.dumps(plain, ensure_ascii=False)


# From parts to answers.


class TeamOverlay:
    """A load in PostgreSQL and the user's views in it; a :class:`quantdesk.features.backend.Snapshot`.

    Parameters
    ----------
    below
        The load.
    columns
        Of the asking rows, besides the symbol: what views with other keys are matched on. Shape ``(m,)`` each.
    """

    def __init__(self, below: PostgresSnapshot, columns: Mapping[str, NDArray[Any]] | None = None) -> None:
        self._below = below
        self._columns = columns or {}
        self._asked: dict[str, tuple[str, ...]] = {}

    @property
    def manifest(self) -> Manifest:
        """What the load holds, the user's views included."""
        return self._below.manifest

    @property
    def origin(self) -> str:
        """The address, without the password."""
        return self._below.origin

    def sessions(self, key: str) -> Sessions:
        """The sessions of a symbol."""
        return self._below.sessions(key)

    def match(self, view: View, columns: Sequence[str], asking: Asking) -> Matched:
        """Answer the rows from a view, each from what was known at its time."""
        if not isinstance(view, DeclaredView):
            return self._below.match(view, columns, asking)
        own = self._own(view, asking)
        self._asked[view.name] = own.keys
        return self._below.match_own(view, columns, own)

    def unproven(self, view: View) -> tuple[str, ...]:
        """Why no answer of the view can be proven, in sentences; empty when it can be."""
        if not isinstance(view, DeclaredView):
            return self._below.unproven(view)
        return overlay.unproven(view)

    def digests(self, views: Sequence[View], keys: Sequence[str]) -> dict[str, str | None]:
        """Per part that the views read for the keys, its hash as it is now."""
        found = self._below.digests([view for view in views if not isinstance(view, DeclaredView)], keys)
        for view in views:
            if isinstance(view, DeclaredView):
                asked = self._asked.get(view.name, tuple(keys)) if view.keys else (None,)
                found |= self._below.digests_of([(view.name, key) for key in asked])
        return found

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, and the load that wrote it."""
        if not isinstance(view, DeclaredView):
            return self._below.revisions(view, key, feature)
        return self._below.revisions_of_own(view, key, feature)

    def _own(self, view: DeclaredView, asking: Asking) -> Asking:
        """The same rows, under the keys of the view."""
        if not view.keys:
            return asking
        names = [one.name for one in view.keys]
        if names == ["symbol"]:
            return asking
        columns = []
        for one in view.keys:
            if one.name == "symbol":
                columns.append(asking.row_keys)
                continue
            if one.name not in self._columns:
                raise BadInput(
                    f"The view {view.name} is keyed by {', '.join(names)}, and the question has no {one.name!r}.",
                    f"Ask with an entity_df that has the columns {', '.join(names)}.",
                )
            columns.append(_typed(one.dtype, one.name, self._columns[one.name]))
        texts = np.array([key_text(values) or "" for values in zip(*columns, strict=True)], dtype=object)
        codes, keys = pd.factorize(texts)
        return Asking(tuple(map(str, keys)), codes.astype(np.int64), asking.time, asking.known_by)


def _typed(dtype: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers stay so where a null has made floats of them; a text is no number."""
    text = dtype == "String"
    given = [value for value in pd.unique(pd.Series(values)) if value is not None and value == value]
    if any(isinstance(value, str) != text for value in given):
        wrong = next(value for value in given if isinstance(value, str) != text)
        raise BadInput(f"The key {name} is asked for as {wrong!r}, and is of type {dtype}.", "Give that type.")
    if text:
        return np.asarray(values, dtype=object)
    return np.array([None if value is None or value != value else int(value) for value in values], dtype=object)


def chain(view: DeclaredView, found: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]) -> pd.DataFrame:
    """Versions as :meth:`.Overlay.revisions` gives them.

    Parameters
    ----------
    view
        Whose they are.
    found
        Per key its rows: the two times, the value, the load and when that was.
    """
    names = [one.name for one in view.keys]
    others = [name for name in names if name != "symbol"]
    rows = []
    for key, versions in found:
        own = dict(zip(names, parts_of(view, key), strict=True)) if names else {}
        rows += [[*(own[name] for name in others), *version] for version in versions]
    frame = pd.DataFrame(rows, columns=[*others, "event_timestamp", "created_timestamp", "value", "load", "loaded_at"])
    for name in ("event_timestamp", "created_timestamp", "loaded_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[ns, UTC]")
    frame["value"] = frame["value"].astype(float)
    frame["reason"] = overlay.why(frame["value"].isna().to_numpy())
    shown = [*others, "event_timestamp", "created_timestamp", "value", "reason", "load", "loaded_at"]
    return frame.sort_values([*others, "event_timestamp", "created_timestamp"], kind="stable", ignore_index=True)[shown]


def parts_of(view: DeclaredView, key: str) -> list[Any]:
    """The inverse of :func:`key_text`: one value per key column."""
    if len(view.keys) == 1 and view.keys[0].dtype == "String":
        return [key]
    return list(json.loads(key))
