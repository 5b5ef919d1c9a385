"""Key columns to integer codes, so that the join works on numbers. Pure.

Keys may have any type that pandas can hash, and there may be several of them. A row whose key is null belongs to
nobody: it never matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["codes"]

Integers = NDArray[np.int64]


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
    left = np.zeros(len(source[0]), dtype=np.int64)
    right = np.zeros(len(rows[0]), dtype=np.int64)
    for feature_keys, asked_keys in zip(source, rows, strict=True):
        new_left, known = _factorized(feature_keys)
        places, asked = _factorized(asked_keys)
        _comparable(known, asked)
        new_right = np.where(places >= 0, known.get_indexer(asked)[places] if len(asked) else -1, -1)
        width = np.int64(len(known) + 1)
        absent_left, absent_right = (left < 0) | (new_left < 0), (right < 0) | (new_right < 0)
        left = np.where(absent_left, -1, left * width + new_left)
        right = np.where(absent_right, -1, right * width + new_right)
        # Made dense again after each key, so that many keys cannot overflow.
        dense = np.unique(left[left >= 0])
        right = np.where((right >= 0) & np.isin(right, dense), np.searchsorted(dense, right), -1)
        left = np.where(left >= 0, np.searchsorted(dense, left), -1)
    # A feature row without a key gets a code that no asking row has.
    return np.where(left < 0, left.max(initial=-1) + 1, left), right


def _factorized(values: Any) -> tuple[Integers, pd.Index]:
    """Codes (-1 for null) and the distinct values."""
    places, distinct = pd.factorize(values)
    index = pd.Index(distinct)
    if isinstance(index, pd.CategoricalIndex):
        index = index.astype(index.categories.dtype)
    return places.astype(np.int64), index


def _comparable(known: pd.Index, asked: pd.Index) -> None:
    kinds = [pd.api.types.infer_dtype(values, skipna=True) for values in (known, asked)]
    if {"string", "integer"} == set(kinds):
        raise BadInput(
            f"The rows' keys are of type {kinds[1]}, those of the features of type {kinds[0]}.",
            "Give keys of the same type.",
        )
