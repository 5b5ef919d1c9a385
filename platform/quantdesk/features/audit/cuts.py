"""Where the data are cut off: places at which leaks show, and a seeded draw between them. Pure.

A leak shows at a cut only if some row before it reads some row behind it. Most do so everywhere; a filled gap does so
only from inside the gap, a fill of the warm-up only from inside the warm-up, a weekly value only inside the week, a
late publication only between the day that it is about and the day on which it came out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput
from quantdesk.features.audit.clock import Clock, Coordinates
from quantdesk.features.audit.material import Material, Part

__all__ = ["CUTS", "chosen", "inside_gaps"]

CUTS = 16
_WARM_UPS = (1, 4, 12, 18, 45, 130, 249)
"""Counts of rows that end inside the first windows of 5, 14, 20, 21, 50, 200 and 252 rows."""


def chosen(data: Material, count: int, seed: int, earliest: float) -> Coordinates:
    """The times at which the data are cut off, ascending.

    Parameters
    ----------
    data
        What is cut.
    count
        How many cuts, at least; special places come on top, up to as many again.
    seed
        Of the draw.
    earliest
        No cut before this time.

    Raises
    ------
    BadInput
        No time is left to cut at.
    """
    moments = data.moments
    usable = moments[(moments >= earliest) & (moments < moments[-1])]
    if not len(usable):
        raise BadInput(
            f"No row is left to cut at after {data.clock.label(earliest)}.", "Give more rows, or a smaller min_rows."
        )
    rng = np.random.default_rng([seed, 1])
    strata = np.array_split(usable, min(count, len(usable)))
    drawn = [stratum[rng.integers(len(stratum))] for stratum in strata]
    special = [moments[place - 1] for place in _WARM_UPS if place < len(moments)]
    special += [usable[-1], *_inside_weeks(usable, data.clock, rng)]
    for part in data.parts:
        special += list(inside_gaps(part, rng)) + list(_before_the_end(part, rng)) + list(_unpublished(part, rng))
    # A special place is any time; the last moment of the main table not after it has the same rows behind it, or is
    # the place itself where another table goes on in between.
    places = np.array(sorted({*drawn, *special}))
    inside: Coordinates = places[(places >= usable[0]) & (places < moments[-1])]
    return inside


def _inside_weeks(usable: Coordinates, clock: Clock, rng: np.random.Generator) -> Coordinates:
    """One Wednesday, and one day in the middle of a month, where the times are dates."""
    if clock.kind not in {"aware", "naive"}:
        return usable[:0]
    dates = pd.DatetimeIndex(usable)
    picks = [np.flatnonzero(dates.dayofweek == 2), np.flatnonzero((dates.day > 10) & (dates.day < 20))]
    found: Coordinates = np.array([usable[rng.choice(pick)] for pick in picks if len(pick)], dtype=usable.dtype)
    return found


def inside_gaps(part: Part, rng: np.random.Generator, most: int = 4) -> Coordinates:
    """Times of rows with a missing value that is followed by a number."""
    rows: Any = pd.DataFrame(part.value).isna().to_numpy()
    there = ~rows
    later = np.flip(np.logical_or.accumulate(np.flip(there, axis=0), axis=0), axis=0)
    places = np.flatnonzero((rows & later).any(axis=1))
    if not len(places):
        return part.known[:0]
    return np.unique(part.known[rng.choice(places, min(most, len(places)), replace=False)])


def _before_the_end(part: Part, rng: np.random.Generator, most: int = 3) -> Coordinates:
    """Times before a column ends or a symbol of a panel has its last row: who is still there is seen from here."""
    symbols = part.symbols
    if symbols is not None:
        ends = pd.Series(part.known).groupby(pd.factorize(pd.Index(symbols))[0]).max().to_numpy()
    else:
        table = pd.DataFrame(part.value).notna().to_numpy()
        ends = np.array([part.known[np.flatnonzero(column)[-1]] for column in table.T if column.any()])
    early = np.unique(ends[ends < part.known.max()]) if len(ends) else ends
    if not len(early):
        return part.known[:0]
    picked = rng.choice(early, min(most, len(early)), replace=False)
    before = np.unique(part.known)
    return before[np.maximum(np.searchsorted(before, picked) - 1, 0)]


def _unpublished(part: Part, rng: np.random.Generator, most: int = 4) -> Coordinates:
    """Times between what a row is about and when it was known; of a main table with no lag, none."""
    late = np.flatnonzero(part.known > part.times)
    if not len(late):
        return part.known[:0]
    rows = rng.choice(late, min(most, len(late)), replace=False)
    between = part.times[rows] + (part.known[rows] - part.times[rows]) // 2
    return np.unique(np.concatenate([between, part.times[rows]]))
