"""One row per key and view, packed: what the online stores keep. Pure.

A row is its schema's tag (8 bytes), then the values in the order of the columns: all numbers first, 8 bytes each, then,
where the schema has columns that are not floats, one bit per column that says whether it is there, then texts and
other values, each behind its length. A table of floats, the common case, is so one array behind 8 bytes, and a hundred
rows become a matrix in one step.

A float that is not there is a NaN of its own, as in R: a reader that computes sees NaN, and one that asks can tell
"there is no value" from "the value is not a number".
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import DataError
from quantdesk.features.asof import NOT_A_TIME, Integers

__all__ = [
    "DUMMY",
    "NULL",
    "Found",
    "Rows",
    "Schema",
    "entity_key",
    "entity_keys",
    "floats",
    "pack",
    "pack_floats",
    "unpack",
]

TAG = 8
_NULL_BITS = 0x7FF8_0000_0000_07A2
NULL = struct.unpack("<d", struct.pack("<Q", _NULL_BITS))[0]
"""The NaN that means: no value."""
_NULL_BYTES = struct.pack("<Q", _NULL_BITS)

_AGAIN = "Materialise the view again."
_FLOATS = ("double_val", "float_val")
_INTEGERS = ("int64_val", "int32_val", "bool_val", "unix_timestamp_val")


@dataclass(frozen=True)
class Schema:
    """The columns of a view's rows.

    Attributes
    ----------
    columns
        Per column its name and the kind of its values, as Feast's ``Value`` message calls it: ``"double_val"``,
        ``"string_val"`` and so on.
    """

    columns: tuple[tuple[str, str], ...]

    @classmethod
    def of_floats(cls, names: Sequence[str]) -> Schema:
        """Columns that are all float64."""
        return cls(tuple((name, "double_val") for name in names))

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """What :meth:`to_json` wrote."""
        return cls(tuple((str(name), str(kind)) for name, kind in json.loads(text)))

    def to_json(self) -> str:
        """As text, which the store keeps under the tag."""
        return json.dumps(self.columns)

    @cached_property
    def tag(self) -> bytes:
        """Eight bytes that stand for exactly these columns."""
        return hashlib.sha256(self.to_json().encode()).digest()[:TAG]

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Of each column of a table of floats, which one it is."""
        return {name: number for number, (name, _) in enumerate(self.columns)}

    @cached_property
    def all_floats(self) -> bool:
        """Whether a row is one array of float64."""
        return all(kind in _FLOATS for _, kind in self.columns)

    @cached_property
    def _fixed(self) -> tuple[int, ...]:
        return tuple(n for n, (_, kind) in enumerate(self.columns) if kind in _FLOATS or kind in _INTEGERS)

    @cached_property
    def _bits(self) -> tuple[int, ...]:
        """The columns whose absence is told by a bit; that of a float is told by its value."""
        return tuple(n for n, (_, kind) in enumerate(self.columns) if kind not in _FLOATS)

    @cached_property
    def _variable(self) -> tuple[int, ...]:
        return tuple(n for n in self._bits if self.columns[n][1] not in _INTEGERS)

    @cached_property
    def _layout(self) -> struct.Struct:
        kinds = "".join("d" if self.columns[n][1] in _FLOATS else "q" for n in self._fixed)
        return struct.Struct(f"<{TAG}s{kinds}{(len(self._bits) + 7) // 8}s")


@dataclass(frozen=True)
class Rows:
    """Rows on their way into a store. Each key at most once: see :meth:`latest`.

    Attributes
    ----------
    keys
        The entity keys, as Feast serialises them.
    event, created
        Nanoseconds since 1970 (UTC). Shape ``(n,)``.
    packed
        See :func:`pack`.
    """

    keys: Sequence[bytes]
    event: Integers
    created: Integers
    packed: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.keys)

    def latest(self) -> Rows:
        """Of each key the row with the latest (event, created), of equal ones the last; sorted by key."""
        best: dict[bytes, int] = {}
        event, created = self.event.tolist(), self.created.tolist()
        for number, key in enumerate(self.keys):
            other = best.get(key)
            if other is None or (event[number], created[number]) >= (event[other], created[other]):
                best[key] = number
        # Writers that take their rows in one order cannot wait for each other in a circle.
        order = [best[key] for key in sorted(best)]
        return Rows(
            [self.keys[n] for n in order], self.event[order], self.created[order], [self.packed[n] for n in order]
        )


Found = tuple[int, int, bytes]
"""A row that was read: event, created (nanoseconds since 1970, UTC) and what was packed."""


def entity_key(names: Sequence[str], values: Sequence[str | int], kinds: Sequence[str] | None = None) -> bytes:
    """The serialised key of an entity: version 3 of Feast's encoding, without Feast.

    Parameters
    ----------
    names, values
        The join keys and what they are.
    kinds
        Per join key ``"string"``, ``"int64"`` or ``"int32"``; all texts when left out.
    """
    return entity_keys(names, [[value] for value in values], kinds)[0]


def entity_keys(
    names: Sequence[str], columns: Sequence[Sequence[Any]], kinds: Sequence[str] | None = None
) -> list[bytes]:
    """As :func:`entity_key` for many rows: one column of values per join key."""
    parts = sorted(zip(names, columns, kinds or ["string"] * len(names), strict=True), key=lambda part: part[0])
    head = [struct.pack("<I", len(parts))]
    for name, _, _ in parts:
        raw = name.encode()
        head += [struct.pack("<II", _KEY_KINDS["string"], len(raw)), raw]
    packed = [_key_values(values, kind) for _, values, kind in parts]
    first = b"".join(head)
    return [first + b"".join(each) for each in zip(*packed, strict=True)]


_KEY_KINDS = {"string": 2, "int32": 3, "int64": 4}


def _key_values(values: Sequence[Any], kind: str) -> list[bytes]:
    if kind == "string":
        start = struct.pack("<I", _KEY_KINDS[kind])
        raws = [value.encode() for value in values]
        return [start + len(raw).to_bytes(4, "little") + raw for raw in raws]
    size = 8 if kind == "int64" else 4
    start = struct.pack("<II", _KEY_KINDS[kind], size)
    return [start + int(value).to_bytes(size, "little", signed=True) for value in values]


DUMMY = entity_key(["__dummy_id"], [""])
"""The key of the one row of a view without entities."""


def pack_floats(schema: Schema, values: NDArray[np.float64], absent: NDArray[np.bool_] | None = None) -> list[bytes]:
    """Pack the rows of a matrix.

    Parameters
    ----------
    schema
        Floats only, in the order of the columns of `values`.
    values
        Shape ``(rows, columns)``; any NaN is kept as it is.
    absent
        Same shape: where there is no value.
    """
    width = TAG + 8 * values.shape[1]
    block = np.empty((len(values), width), dtype=np.uint8)
    block[:, :TAG] = np.frombuffer(schema.tag, dtype=np.uint8)
    bits = np.ascontiguousarray(values, dtype="<f8").view("<u8")
    if absent is not None:
        bits = np.where(absent, np.uint64(_NULL_BITS), bits)
    block[:, TAG:] = np.ascontiguousarray(bits).view(np.uint8).reshape(len(values), width - TAG)
    whole = block.tobytes()
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def pack(schema: Schema, values: Sequence[Any]) -> bytes:
    """Pack one row.

    Parameters
    ----------
    schema
        The columns.
    values
        One per column, None for none: float, int or bool for numbers, str for texts, bytes for all else.
    """
    bits = bytearray((len(schema._bits) + 7) // 8)
    for place, number in enumerate(schema._bits):
        if values[number] is not None:
            bits[place // 8] |= 1 << place % 8
    fixed = [
        values[n] if values[n] is not None else NULL if schema.columns[n][1] in _FLOATS else 0 for n in schema._fixed
    ]
    parts = [schema._layout.pack(schema.tag, *fixed, bytes(bits))]
    for number in schema._variable:
        value = values[number]
        if value is not None:
            raw = value.encode() if isinstance(value, str) else value
            parts += [struct.pack("<I", len(raw)), raw]
    return b"".join(parts)


def unpack(schema: Schema, row: bytes) -> list[Any]:
    """The values of a row, one per column, None where there is none.

    Raises
    ------
    DataError
        The row is cut short.
    """
    given: list[Any] = [None] * len(schema.columns)
    try:
        _, *fixed, bits = schema._layout.unpack_from(row)
        there = {n for place, n in enumerate(schema._bits) if bits[place // 8] >> place % 8 & 1}
        for place, (number, value) in enumerate(zip(schema._fixed, fixed, strict=True)):
            kind = schema.columns[number][1]
            if kind in _FLOATS:
                start = TAG + 8 * place
                given[number] = None if value != value and row[start : start + 8] == _NULL_BYTES else value
            elif number in there:
                given[number] = bool(value) if kind == "bool_val" else value
        at = schema._layout.size
        for number in schema._variable:
            if number in there:
                (size,) = struct.unpack_from("<I", row, at)
                raw = row[at + 4 : at + 4 + size]
                if len(raw) < size:
                    raise struct.error(f"{size} bytes are promised, {len(raw)} are there")
                given[number] = raw.decode() if schema.columns[number][1] == "string_val" else raw
                at += 4 + size
    except (struct.error, UnicodeDecodeError) as error:
        raise DataError(f"A row of the online store is damaged ({error}).", _AGAIN) from error
    return given


def floats(
    schemas: Mapping[bytes, Schema], rows: Sequence[Found | None], columns: Sequence[str]
) -> tuple[NDArray[np.float64], Integers, Integers]:
    """Rows as a matrix.

    Parameters
    ----------
    schemas
        By tag, every schema that the rows have.
    rows
        One per asked key; None where there is none.
    columns
        Which columns, in this order. One that a row does not have is NaN there.

    Returns
    -------
    values, event, created
        Shapes ``(n, len(columns))``, ``(n,)``, ``(n,)``; NaN and NaT where there is no row.
    """
    there = [row for row in rows if row is not None]
    whole = len(there) == len(rows)
    tags = {row[2][:TAG] for row in there}
    unknown = tags - schemas.keys()
    if unknown:
        raise DataError(f"The online store has rows of an unknown layout ({unknown.pop().hex()}).", _AGAIN)
    if len(tags) == 1 and (schema := schemas[next(iter(tags))]).all_floats and schema.place.keys() >= set(columns):
        width = 1 + len(schema.columns)
        joined = b"".join([row[2] for row in there])
        if len(joined) != 8 * width * len(there):
            raise DataError("A row of the online store is damaged (its length is wrong).", _AGAIN)
        block = np.frombuffer(joined, dtype="<f8").reshape(len(there), width)
        values = block[:, [1 + schema.place[name] for name in columns]]
        values[np.isnan(values)] = np.nan  # which NaN it was is for the store to know
    else:
        values = np.full((len(there), len(columns)), np.nan)
        for line, row in enumerate(there):
            schema = schemas[row[2][:TAG]]
            given = unpack(schema, row[2])
            for place, name in enumerate(columns):
                value = given[schema.place[name]] if name in schema.place else None
                values[line, place] = np.nan if value is None else float(value)
    event = np.array([row[0] for row in there], dtype=np.int64)
    created = np.array([row[1] for row in there], dtype=np.int64)
    if whole:
        return values, event, created
    mask = np.array([row is not None for row in rows], dtype=bool)
    spread = np.full((len(rows), len(columns)), np.nan)
    times = np.full((2, len(rows)), NOT_A_TIME)
    spread[mask], times[0, mask], times[1, mask] = values, event, created
    return spread, times[0], times[1]
