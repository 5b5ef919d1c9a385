"""Key columns to integer codes, so that the join works on numbers; and back, so that the proof need not. Pure.

Keys may have any type that pandas can hash, and there may be several of them. A row whose key is null belongs to
nobody: it never matches.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.asof import fixed

__all__ = ["Coded", "belongs", "coded", "codes", "places"]

Integers = NDArray[np.int64]
_FEW = 4096


@dataclass(frozen=True)
class Coded:
    """One key column as numbers.

    Attributes
    ----------
    code
        Shape ``(n,)``: the place of each row's key in `distinct`; -1 for null.
    distinct
        The different keys, each once, none of them null.
    """

    code: Integers
    distinct: pd.Index

    def __len__(self) -> int:
        return len(self.code)


def coded(values: Any) -> Coded:
    """Code one key column: an Arrow column, a numpy array or a pandas Series, of any type that can be hashed."""
    if isinstance(values, Coded):
        return values
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _of_arrow(values)
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, pd.CategoricalDtype):
            return Coded(values.cat.codes.to_numpy().astype(np.int64), _plain(values.cat.categories))
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype == object:
        by_object = _of_objects(values)
        if by_object is not None:
            return by_object
    places, distinct = pd.factorize(values)
    return Coded(places.astype(np.int64), _plain(pd.Index(distinct)))


def codes(source: Sequence[Any], rows: Sequence[Any]) -> tuple[Integers, Integers]:
    """Code the keys of the feature rows and of the asking rows alike.

    Parameters
    ----------
    source
        The key columns of the feature rows, each of shape ``(n,)``.
    rows
        The key columns of the asking rows in the same order, each of shape ``(m,)``.

    Returns
    -------
    tuple
        Codes of shape ``(n,)``, 0 or more, and of shape ``(m,)``, -1 where no feature row has that key.

    Raises
    ------
    BadInput
        The two sides have keys of different types, so that nothing could ever match.
    """
    if not source or len(source) != len(rows):
        raise BadInput(f"{len(source)} key columns do not fit {len(rows)}.", "Give the same keys on both sides.")
    pairs = [(coded(feature_keys), coded(asked)) for feature_keys, asked in zip(source, rows, strict=True)]
    for known, asked in pairs:
        _comparable(known.distinct, asked.distinct)
    left, right = _translated(*pairs[0])
    for known, asked in pairs[1:]:
        new_left, new_right = _translated(known, asked)
        # At most (rows + 1) ** 2, as the codes on the left are made dense again after each key: nothing can overflow.
        width = np.int64(len(known.distinct) + 1)
        left, right = _dense(
            np.where((left < 0) | (new_left < 0), -1, left * width + new_left),
            np.where((right < 0) | (new_right < 0), -1, right * width + new_right),
        )
    if left.max(initial=-1) > len(left):  # a dictionary of many keys, of which few have rows
        left, right = _dense(left, right)
    if left.min(initial=0) < 0:
        # A feature row without a key gets a code that no asking row has.
        left = np.where(left < 0, left.max(initial=-1) + 1, left)
    return left, right


def places(known: Coded, wanted: Sequence[Any] | NDArray[Any]) -> Integers:
    """The code of each wanted value, found by comparing it with every distinct key; -1 for none."""
    found = np.full(len(wanted), -1, dtype=np.int64)
    distinct = known.distinct.to_numpy(dtype=object)
    for place, value in enumerate(wanted):
        if not pd.isna(value):
            hits = np.flatnonzero(distinct == value)
            found[place] = hits[0] if hits.size else -1
    return found


def belongs(source: Sequence[Coded], rows: Sequence[Coded], position: Integers) -> NDArray[np.bool_]:
    """Whether each row's own keys are those of the feature row at its position.

    Compared on the keys, not on the codes that the join used: every pair of an asked key and the key of its answer is
    taken back to the two values, and these are compared. False where there is no position.
    """
    from quantdesk.features import sweeps  # compiled: not before somebody joins

    same = position >= 0
    place = fixed(position)
    for known, asked in zip(source, rows, strict=True):
        state = np.zeros(len(position), dtype=np.int8)
        # The pairs that occur: mostly one per asked key, so that one is compared first, and then the odd ones.
        first = np.full(len(asked.distinct), -1, dtype=np.int64)
        sweeps.pairs(fixed(asked.code), fixed(known.code), place, first, state)
        met = np.flatnonzero(first >= 0)
        equal = np.zeros(len(first) + 1, dtype=bool)  # the last place is read for a null key
        equal[met] = _equal(asked.distinct[met], known.distinct[first[met]])
        odd = np.flatnonzero(state == 2)
        agrees = (state == 1) & equal[asked.code]
        agrees[odd] = _equal(asked.distinct[asked.code[odd]], known.distinct[known.code[position[odd]]])
        same &= agrees
    return same


def _translated(known: Coded, asked: Coded) -> tuple[Integers, Integers]:
    """Both sides in the codes of the feature rows."""
    if not len(asked.distinct):
        return known.code, np.full(len(asked.code), -1, dtype=np.int64)
    table = np.append(known.distinct.get_indexer(asked.distinct), -1).astype(np.int64)  # -1 reads the last place
    return known.code, table[asked.code]


def _dense(left: Integers, right: Integers) -> tuple[Integers, Integers]:
    """The same codes without gaps; -1 stays, and is what a code becomes that the left side does not have."""
    there = left >= 0
    dense, distinct = pd.factorize(left[there])
    new = np.full(len(left), -1, dtype=np.int64)
    new[there] = dense
    return new, pd.Index(distinct, dtype=np.int64).get_indexer(pd.Index(right)).astype(np.int64)


def _equal(one: pd.Index, other: pd.Index) -> NDArray[np.bool_]:
    pairs = zip(one.to_numpy(dtype=object), other.to_numpy(dtype=object), strict=True)
    return np.array([bool(mine == theirs) for mine, theirs in pairs], dtype=bool)


def _of_arrow(values: pa.Array | pa.ChunkedArray) -> Coded:
    column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    if pa.types.is_null(column.type):
        return Coded(np.full(len(column), -1, dtype=np.int64), pd.Index([], dtype=object))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    parts = [part.indices.fill_null(-1).to_numpy(zero_copy_only=False) for part in column.chunks]
    code = np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)
    distinct = _plain(pd.Index(column.chunk(0).dictionary.to_pandas())) if parts else pd.Index([], dtype=object)
    if distinct.hasnans or not distinct.is_unique:  # a writer may repeat itself in a dictionary
        again, distinct = pd.factorize(distinct)
        code = np.append(again, -1).astype(np.int64)[code]
        distinct = _plain(pd.Index(distinct))
    return Coded(code, distinct)


def _of_objects(values: NDArray[np.object_]) -> Coded | None:
    """Code a column of Python objects that are few, and shared by the rows, as strings in a frame mostly are.

    Rows that hold the same object hold the same key, so the objects' addresses are numbered, and only the distinct
    objects are looked at. None when there are too many of them.
    """
    from quantdesk.features import sweeps  # compiled: not before somebody joins

    if len(values) < _FEW:
        return None
    values = np.ascontiguousarray(values)
    address = np.ctypeslib.as_array((ctypes.c_int64 * len(values)).from_address(values.ctypes.data))
    code, seen = np.empty(len(values), dtype=np.int64), np.empty(_FEW, dtype=np.int64)
    count = sweeps.number(address, code, seen)
    if count < 0:
        return None
    example = np.zeros(count, dtype=np.int64)
    example[code] = np.arange(len(values))
    meaning, distinct = pd.factorize(values[example])
    return Coded(meaning.astype(np.int64)[code], _plain(pd.Index(distinct)))


def _plain(index: pd.Index) -> pd.Index:
    return index.astype(index.categories.dtype) if isinstance(index, pd.CategoricalIndex) else index


def _comparable(known: pd.Index, asked: pd.Index) -> None:
    kinds = [pd.api.types.infer_dtype(values, skipna=True) for values in (known, asked)]
    if {"string", "integer"} == set(kinds):
        raise BadInput(
            f"The rows' keys are of type {kinds[1]}, those of the features of type {kinds[0]}.",
            "Give keys of the same type.",
        )
