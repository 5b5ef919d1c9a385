"""The user's own views on their way online, each row known when its policy says. An edge module: it reads files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from quantdesk.features.declared import DeclaredView, data_files
from quantdesk.features.keys import codes
from quantdesk.features.knowledge import known_times
from quantdesk.features.online.fill import Partition, Plan
from quantdesk.features.online.reader import table
from quantdesk.features.online.rows import Schema
from quantdesk.features.overlay import moments, read_rows

__all__ = ["plan_of"]

_KINDS = {
    "Float64": "double_val",
    "Float32": "float_val",
    "Int64": "int64_val",
    "Int32": "int32_val",
    "Bool": "bool_val",
    "String": "string_val",
}
_KEYS = {"String": "string", "Int64": "int64", "Int32": "int32"}
_EVENT, _KNOWN = "event of the row", "known at"


def plan_of(project: str, view: DeclaredView) -> Plan | None:
    """What a declared view is filled from; None where only Feast can: it has no data yet, or lists among its values."""
    files = data_files(view.path)
    kinds = [(field.name, _KINDS.get(field.dtype)) for field in view.fields]
    columns = tuple((name, kind) for name, kind in kinds if kind is not None)
    if not files or len(columns) < len(kinds) or any(key.dtype not in _KEYS for key in view.keys):
        return None
    content = _fingerprint(files)
    # One partition: when a row was known can depend on rows of the same event in another file.
    partition = Partition(view.name, view.path, content, load=lambda: _rows(view))
    return Plan(
        view=table(project, view.name),
        schema=Schema(columns),
        partitions=[partition],
        keys=[(key.name, key.name, _KEYS[key.dtype]) for key in view.keys],
        event=_EVENT,
        created=_KNOWN,
        definitions=hashlib.sha256(repr((columns, view.keys, view.policy, view.event)).encode()).hexdigest(),
        build=content,
    )


def _rows(view: DeclaredView) -> pa.Table:
    """All rows, under the names of the features, with the moment at which each was known."""
    given = read_rows(view, [field.column for field in view.fields])
    event, created = moments(view, given)
    keys = [given.column(key.column).to_pandas() for key in view.keys]
    key = codes(keys, keys)[0] if keys else np.zeros(len(event), dtype=np.int64)
    known = known_times(view.policy, key, event, created)
    stamp = pa.timestamp("ns", tz="UTC")
    named = {field.name: given.column(field.column) for field in (*view.keys, *view.fields)}
    times = {_EVENT: event, _KNOWN: known}
    return pa.table({**named, **{name: pa.array(values.view("M8[ns]"), stamp) for name, values in times.items()}})


def _fingerprint(files: list[Path]) -> str:
    """Changes when a file does: names, sizes and times, as a hash of large files would take longer than the rest."""
    digest = hashlib.sha256()
    for path in files:
        there = path.stat()
        digest.update(f"{path}|{there.st_size}|{there.st_mtime_ns}|{there.st_ino}\n".encode())
    return digest.hexdigest()
