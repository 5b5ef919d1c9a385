"""Other futures: the same rows with other values, drawn from a seed. Pure.

Rows stay plausible where they can: one factor for all columns of a row keeps a low below its high and prices positive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.features.audit.material import Mask, Part

__all__ = ["BOLD", "FUTURES", "LOUD", "another"]

Draw = np.random.Generator

FUTURES = ("noise", "shuffle", "extreme", "cells", "deaths")
"""How a future differs: each row scaled; rows in another order; rows a thousand times larger or smaller; each cell
scaled on its own, each column to another level; some columns or symbols without values from then on."""
BOLD = frozenset({"extreme", "cells", "deaths"})
"""Futures that need not be possible, so that a function may refuse them."""
LOUD = 1e3
"""How much larger an extreme future is; rounding errors may grow by as much."""


def another(how: str, rng: Draw) -> Callable[[Part, Mask], Any]:
    """A change of the masked rows of a table, for :meth:`quantdesk.features.audit.material.Material.changed`."""

    def change(part: Part, mask: Mask) -> Any:
        if how == "shuffle":
            return _shuffled(part, mask, rng)
        if how == "deaths":
            return _deaths(part, mask, rng)
        count = int(mask.sum())
        common = _draw(how, count, rng)
        if isinstance(part.value, pd.DataFrame):
            other = part.value.copy()
            for place in range(other.shape[1]):
                own = _draw(how, count, rng) if how == "cells" else common
                column = other.iloc[:, place]
                other.isetitem(place, _filled(column, mask, own, rng).array)
            return other
        if isinstance(part.value, pd.Series):
            return _filled(part.value, mask, common, rng)
        if part.value.ndim == 1:
            return _filled(pd.Series(part.value), mask, common, rng).to_numpy()
        columns = [
            _filled(pd.Series(column), mask, _draw(how, count, rng) if how == "cells" else common, rng).to_numpy()
            for column in part.value.T
        ]
        return np.column_stack(columns).astype(part.value.dtype)

    return change


def _draw(how: str, count: int, rng: Draw) -> NDArray[np.float64]:
    """How far each row moves, in units of its own scale: the logarithm of a factor."""
    if how == "extreme":
        return np.asarray(rng.choice([-1.0, 1.0], count) * np.log(LOUD) * rng.uniform(0.5, 1.0, count))
    # Other cells also have another level for good, so that whoever is ranked by it changes places.
    return rng.normal(0.0 if how == "noise" else rng.normal(0.0, 2.0), 0.7, count)


def _filled(column: pd.Series, mask: Mask, move: NDArray[np.float64], rng: Draw) -> pd.Series:
    """The column with other values of its own type in the masked rows; missing values stay missing."""
    other = column.copy()
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    if kind == "f" or (kind in "iu" and column.nunique() > 20):
        values = column.to_numpy(dtype=np.float64, copy=True)
        seen = values[np.isfinite(values)]
        if seen.size and seen.min() > 0:
            values[mask] *= np.exp(move)
        else:
            scale = float(np.std(seen)) if seen.size else 0.0
            values[mask] += np.sign(move) * np.expm1(np.abs(move)) * (scale if scale > 0 else 1.0)
        if kind in "iu":
            limits = np.iinfo(str(column.dtype))
            values = np.clip(np.round(values), limits.min / 2, limits.max / 2)
        other[:] = values.astype(str(column.dtype))
        return other
    if kind not in "biu":
        return other  # times and words are keys more often than values; a shuffle moves words with their rows
    # Flags and codes: drawn from those that occur, any of which is possible in another future.
    pool = column.drop_duplicates().to_numpy()
    drawn = rng.integers(0, len(pool), int(mask.sum()))
    other.iloc[np.flatnonzero(mask)] = (
        pd.Series(pool[drawn], dtype=column.dtype).to_numpy() if kind in "biu" else pool[drawn]
    )
    return other


def _shuffled(part: Part, mask: Mask, rng: Draw) -> Any:
    """The masked rows in another order; within each symbol of a panel. The index stays where it is."""
    order = np.arange(len(mask))
    symbols = part.symbols
    groups = [np.flatnonzero(mask)]
    if symbols is not None:
        codes = pd.factorize(pd.Index(symbols))[0]
        groups = [np.flatnonzero(mask & (codes == code)) for code in np.unique(codes[mask])]
    for places in groups:
        order[places] = rng.permutation(places)
    if isinstance(part.value, np.ndarray):
        return part.value[order]
    other = part.value.iloc[order].set_axis(part.value.index, axis="index")
    if isinstance(other, pd.DataFrame):
        for place, one in enumerate(part.value.dtypes):
            if pd.api.types.is_datetime64_any_dtype(one):  # dates stay in order, as their readers expect
                other.isetitem(place, part.value.iloc[:, place].array)
    return other


def _deaths(part: Part, mask: Mask, rng: Draw) -> Any:
    """Half of the columns, or of the symbols of a panel, without values from the cut on; at least one of them."""
    value, symbols = part.value, part.symbols
    if symbols is not None:
        names = pd.unique(pd.Series(symbols))
        dead = pd.Index(names[rng.permutation(len(names))[: max(1, len(names) // 2)]])
        rows = mask & pd.Index(symbols).isin(dead)
        return value.where(pd.Series(~rows, index=value.index), axis=0) if _floats(value).all() else value
    if value.ndim == 1:
        return _emptied(value, mask) if isinstance(value, pd.Series) else _emptied(pd.Series(value), mask).to_numpy()
    floats = np.flatnonzero(_floats(value))
    other = value.copy()
    for place in rng.permutation(floats)[: max(1, len(floats) // 2)]:
        if isinstance(other, pd.DataFrame):
            other.isetitem(place, _emptied(other.iloc[:, place], mask))
        else:
            other[mask, place] = np.nan
    return other


def _emptied(column: pd.Series, mask: Mask) -> Any:
    if not _floats(column).all():
        return column
    return column.where(pd.Series(~mask, index=column.index))


def _floats(value: Any) -> NDArray[np.bool_]:
    types = (
        value.dtypes if isinstance(value, pd.DataFrame) else [value.dtype] * (value.shape[1] if value.ndim == 2 else 1)
    )
    return np.array([isinstance(one, np.dtype) and one.kind == "f" for one in types])
