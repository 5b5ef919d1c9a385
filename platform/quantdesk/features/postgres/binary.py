"""PostgreSQL's binary formats as numpy arrays, both ways. Pure.

Millions of values go to the server and come back without one Python object per value. All is big-endian; a value is
preceded by its length in bytes; a time counts microseconds since 2000. Described in PostgreSQL's manual under COPY
("Binary Format") and in its sources under ``array_send``, ``record_send`` and ``timestamptz_send``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from quantdesk.errors import BadInput

__all__ = [
    "DUMPERS",
    "Encoded",
    "Int4s",
    "Moments",
    "content",
    "encode",
    "from_moments",
    "header",
    "to_moments",
    "trailer",
    "unpack",
]

_EPOCH_US = 946_684_800_000_000
_EPOCH_DAYS = 10_957
_INT4, _INT8, _TIMESTAMPTZ, _DATE, _TEXT = 23, 20, 1184, 1082, 25

Integers = NDArray[np.int64]


# Arrays as parameters and as results.


@dataclass(frozen=True)
class Int4s:
    """Whole numbers as one parameter of type ``int4[]``."""

    values: Integers


@dataclass(frozen=True)
class Moments:
    """Times as one parameter of type ``timestamptz[]``: microseconds since 2000 (UTC)."""

    values: Integers


class _Int4Dumper(Dumper):
    format = Format.BINARY
    oid = 1007

    def dump(self, obj: Int4s) -> Buffer | None:
        return _array(obj.values, _INT4, 4)


class _MomentsDumper(Dumper):
    format = Format.BINARY
    oid = 1185

    def dump(self, obj: Moments) -> Buffer | None:
        return _array(obj.values, _TIMESTAMPTZ, 8)


DUMPERS: tuple[tuple[type, type[Dumper]], ...] = ((Int4s, _Int4Dumper), (Moments, _MomentsDumper))
"""What a connection must know to send them."""


def _array(values: Integers, oid: int, width: int) -> bytes:
    body = np.empty(len(values), np.dtype([("length", ">i4"), ("value", f">i{width}")]))
    body["length"], body["value"] = width, values
    head = [1, 0, oid, len(values), 1] if len(values) else [0, 0, oid]
    return np.array(head, dtype=">i4").tobytes() + body.tobytes()


def unpack(raw: bytes | None, kind: str) -> NDArray[np.generic]:
    """The elements of an array that the server sent. None, as aggregated over no rows, is an empty one.

    Parameters
    ----------
    raw
        The array in binary. One dimension, no nulls.
    kind
        The type of its elements in numpy's letters, without the byte order: ``f8``, ``i8``, ``i4``, ``b1``.
    """
    native = np.dtype(kind)
    if raw is None or len(raw) <= 12:
        return np.empty(0, native)
    dimensions, nulls = np.frombuffer(raw, dtype=">i4", count=2)
    if dimensions != 1 or nulls:
        raise ValueError("An array of one dimension without nulls was expected.")
    layout = np.dtype([("length", ">i4"), ("value", native.newbyteorder(">"))])
    return np.frombuffer(raw, dtype=layout, offset=20)["value"].astype(native)


def to_moments(nanos: Integers) -> Integers:
    """Nanoseconds since 1970 as microseconds since 2000; a part of a microsecond falls away downwards."""
    return np.asarray(np.floor_divide(nanos, 1000) - _EPOCH_US)


def from_moments(micros: Integers) -> Integers:
    """Microseconds since 2000 as nanoseconds since 1970."""
    return np.asarray((micros + _EPOCH_US) * 1000)


# Rows for COPY, and the hash of what they hold.


@dataclass(frozen=True)
class Encoded:
    """Rows in a binary format, one after the other.

    Attributes
    ----------
    body
        All bytes.
    start
        Shape ``(n + 1,)``: where each row begins, and the end.
    """

    body: NDArray[np.uint8]
    start: Integers


def header() -> bytes:
    """What COPY wants before the first row."""
    return b"PGCOPY\n\xff\r\n\0" + bytes(8)


def trailer() -> bytes:
    """What COPY wants after the last row."""
    return b"\xff\xff"


def content(columns: Sequence[pa.ChunkedArray]) -> str:
    """A hash of rows: the SHA-256 of the SHA-256 of each row, as ``record_send`` writes it, in order.

    The server works out the same from what it holds; see :mod:`quantdesk.features.postgres.schema`.
    """
    rows = encode(columns, typed=True)
    body, start = rows.body.data, rows.start.tolist()
    each = [hashlib.sha256(body[begin:end]).digest() for begin, end in pairwise(start)]
    return hashlib.sha256(b"".join(each)).hexdigest()


def encode(columns: Sequence[pa.ChunkedArray], *, typed: bool = False) -> Encoded:
    """Rows of some columns.

    Parameters
    ----------
    columns
        All of one length: int16, int32, int64, float32, float64, bool, date32, timestamp or string, dictionaries of
        strings included. Null is null.
    typed
        With the type of each value before it, as in a record; else without, as COPY has it.

    Raises
    ------
    BadInput
        A column of another type, or a time that is no whole microsecond, which PostgreSQL cannot keep.
    """
    size = len(columns[0])
    parts = [_Part.of(column) for column in columns]
    front = 8 if typed else 4
    width = np.full(size, 4 if typed else 2, dtype=np.int64)
    for part in parts:
        width += front + part.width
    start = np.concatenate([[0], np.cumsum(width)])
    body = np.empty(int(start[-1]), dtype=np.uint8)
    place = start[:-1].copy()
    _put(body, place, np.full(size, len(columns), dtype=">i4" if typed else ">i2"))
    place += 4 if typed else 2
    for part in parts:
        if typed:
            _put(body, place, np.full(size, part.oid, dtype=">i4"))
            place += 4
        _put(body, place, np.where(part.null, -1, part.width).astype(">i4"))
        place += 4
        part.write(body, place)
        place += part.width
    return Encoded(body, start)


def _put(body: NDArray[np.uint8], place: Integers, values: NDArray[np.generic]) -> None:
    """Write one value of fixed size at each place."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)
    body[place[:, None] + np.arange(raw.shape[1])] = raw


@dataclass(frozen=True)
class _Part:
    """One column: the width of each value in bytes (0 for null) and what is written there."""

    oid: int
    null: NDArray[np.bool_]
    width: Integers
    fixed: NDArray[np.generic] | None
    words: tuple[bytes, ...] = ()
    code: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> _Part:
        kind = column.type
        if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return cls._text(column)
        null = np.asarray(column.is_null().to_numpy(), dtype=bool)
        oid, values = _fixed(column)
        width = np.where(null, 0, values.dtype.itemsize)
        return cls(oid, null, width, values)

    @classmethod
    def _text(cls, column: pa.ChunkedArray) -> _Part:
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        whole = coded.unify_dictionaries().combine_chunks()
        whole = whole if isinstance(whole, pa.DictionaryArray) else pa.concat_arrays(whole.chunks)
        words = tuple(("" if word is None else word).encode() for word in whole.dictionary.to_pylist())
        if any(b"\0" in word for word in words):
            raise BadInput("A text holds a zero byte, which PostgreSQL cannot keep.", "Leave it out.")
        null = np.asarray(whole.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        code = np.asarray(whole.indices.fill_null(0).to_numpy(), dtype=np.int64)
        lengths = np.array([len(word) for word in words] or [0], dtype=np.int64)
        return cls(_TEXT, null, np.where(null, 0, lengths[code]), None, words, code)

    def write(self, body: NDArray[np.uint8], place: Integers) -> None:
        there = np.flatnonzero(~self.null)
        if self.fixed is not None:
            _put(body, place[there], self.fixed[there])
            return
        code = self.code[there]
        order = np.argsort(code, kind="stable")
        edges = np.searchsorted(code[order], np.arange(len(self.words) + 1))
        for number, word in enumerate(self.words):
            rows = there[order[edges[number] : edges[number + 1]]]
            if word and rows.size:
                body[place[rows][:, None] + np.arange(len(word))] = np.frombuffer(word, dtype=np.uint8)


def _fixed(column: pa.ChunkedArray) -> tuple[int, NDArray[np.generic]]:
    """The type's number at the server, and the values as it reads them; whatever stands where there is none."""
    kind = column.type
    if pa.types.is_floating(kind):
        return 701, column.cast(pa.float64()).fill_null(0.0).to_numpy().astype(">f8")
    if pa.types.is_boolean(kind):
        return 16, column.fill_null(False).to_numpy().astype(np.uint8)
    if pa.types.is_date32(kind):
        return _DATE, (column.cast(pa.int32()).fill_null(0).to_numpy() - _EPOCH_DAYS).astype(">i4")
    if pa.types.is_timestamp(kind):
        try:
            micros = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        except pa.ArrowInvalid:
            raise BadInput(
                "A time is no whole microsecond, which is the finest that PostgreSQL keeps.",
                "Round the times up to microseconds: a value must not be known earlier than it was.",
            ) from None
        return _TIMESTAMPTZ, (micros.fill_null(0).to_numpy() - _EPOCH_US).astype(">i8")
    for arrow, oid, width in ((pa.int16(), 21, 2), (pa.int32(), _INT4, 4), (pa.int64(), _INT8, 8)):
        if kind == arrow:
            return oid, column.fill_null(0).to_numpy().astype(f">i{width}")
    raise BadInput(f"A column is of type {kind}, which this store does not keep.", "Give numbers, texts or times.")
