"""The point-in-time join: for each row, the version of the truth that was known at its time. Pure numpy.

A feature row has two times. Its *event* time says what it is about (the session close). Its *created* time says when
the value could first be known. A row asked for time ``t`` may only see feature rows that had happened and were known:
``max(event, created) <= t``. Among them it gets the latest event; where that event was revised, the latest revision
known at ``t``; where two rows agree in both times, the one that was written last.

How it is computed in ``O(n log n)``: sort by (key, available, event, created) with ``available = max(event, created)``.
A row whose event lies before the largest event that stands before it (same key) can never be the answer, because the
better one was available no later; it is dropped. What remains rises in event *and* in availability, so one binary
search on (key, available) gives the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["NOT_A_TIME", "History", "Match", "Outcome", "as_of_join"]

Integers = NDArray[np.int64]
NOT_A_TIME = np.iinfo(np.int64).min
"""What numpy's NaT is when it is read as an integer."""


class Outcome(IntEnum):
    """Why a row has its answer, or has none."""

    FOUND = 0
    NO_HISTORY = 1
    """The key has no feature row at all."""
    NOT_YET_KNOWN = 2
    """The key has feature rows, but none was known at the row's time (or on the `known_by` date)."""
    EXPIRED = 3
    """The latest known row is older than the time to live."""


@dataclass(frozen=True)
class History:
    """The feature rows, in the order in which they were written. Each array has shape ``(n,)``.

    Attributes
    ----------
    key
        Who the row is about, as a code of 0 or more.
    event
        Nanoseconds since 1970 (UTC): what the row is about.
    created
        Nanoseconds since 1970 (UTC): when it could first be known. Equal to `event` where a source has no such time.
    """

    key: Integers
    event: Integers
    created: Integers

    def __post_init__(self) -> None:
        if not len(self.key) == len(self.event) == len(self.created):
            raise BadInput(
                f"A history of {len(self.key)} keys has {len(self.event)} event and {len(self.created)} created times.",
                "Give one of each per row.",
            )
        for name in ("event", "created"):
            missing = np.flatnonzero(getattr(self, name) == NOT_A_TIME)
            if missing.size:
                raise BadInput(
                    f"Feature row {missing[0]} has no {name} time ({missing.size} such rows).",
                    "Every feature row needs both times.",
                )


@dataclass(frozen=True)
class Match:
    """The answer for each row. Each array has shape ``(m,)``.

    Attributes
    ----------
    position
        Position of the answer in the history, or -1 where there is none.
    outcome
        An :class:`Outcome` per row, as ``int8``.
    """

    position: Integers
    outcome: NDArray[np.int8]


def as_of_join(
    history: History,
    row_key: Integers,
    row_time: Integers,
    *,
    known_by: int | None = None,
    ttl: int | None = None,
) -> Match:
    """Find for each row the feature row that was true and known at its time.

    Parameters
    ----------
    history
        The feature rows; any order, duplicates and revisions included.
    row_key
        Shape ``(m,)``: the key of each row in the coding of `history`; negative where the key is unknown.
    row_time
        Shape ``(m,)``: nanoseconds since 1970 (UTC). Rows may repeat and stand in any order.
    known_by
        Nanoseconds since 1970 (UTC). If given, feature rows created later do not exist, whatever the row's time.
    ttl
        Nanoseconds. If given, an answer whose event lies more than this before the row's time has expired.

    Raises
    ------
    BadInput
        A row has no time, or the arrays differ in length.
    """
    if len(row_key) != len(row_time):
        raise BadInput(f"{len(row_key)} row keys do not fit {len(row_time)} row times.", "Give one of each per row.")
    if np.any(row_time == NOT_A_TIME):
        raise BadInput(
            f"Row {int(np.flatnonzero(row_time == NOT_A_TIME)[0])} has no time.", "Give every row an aware time."
        )
    codes = int(max(history.key.max(initial=-1), row_key.max(initial=-1))) + 1
    has_history = np.zeros(codes + 1, dtype=bool)  # the last place stands for "unknown key"
    has_history[history.key] = True
    outcome = np.where(has_history[np.where(row_key < 0, codes, row_key)], Outcome.NOT_YET_KNOWN, Outcome.NO_HISTORY)

    ladder, available = _ladder(history, known_by)
    position = _search(history.key[ladder], available, row_key, row_time)
    found = position >= 0
    position = np.where(found, ladder[np.where(found, position, 0)] if ladder.size else -1, -1)
    outcome = np.where(found, Outcome.FOUND, outcome)
    if ttl is not None and len(history.key):
        expired = found & (row_time - history.event[position] > ttl)
        position = np.where(expired, -1, position)
        outcome = np.where(expired, Outcome.EXPIRED, outcome)
    return Match(position.astype(np.int64), outcome.astype(np.int8))


def _ladder(history: History, known_by: int | None) -> tuple[Integers, Integers]:
    """Positions of the rows that can be an answer, by (key, available), and when each became available."""
    every = np.arange(len(history.key), dtype=np.int64)
    kept = every if known_by is None else every[history.created <= known_by]
    key, event, created = history.key[kept], history.event[kept], history.created[kept]
    available = np.maximum(event, created)
    # lexsort is stable: rows that agree in everything keep the order in which they were written.
    order = np.lexsort((created, event, available, key))
    kept, key, event, available = kept[order], key[order], event[order], available[order]
    if not kept.size:
        return kept, available
    # The running maximum per key, in one sweep: ranks are shifted so that each key starts above all earlier keys.
    rank = np.unique(event, return_inverse=True)[1].astype(np.int64)
    shifted = rank + key * np.int64(rank.max() + 1)
    useful = shifted >= np.maximum.accumulate(shifted)
    return kept[useful], available[useful]


def _search(key: Integers, available: Integers, row_key: Integers, row_time: Integers) -> Integers:
    """The last place with the row's key and ``available <= row_time``, or -1."""
    if not key.size:
        return np.full(len(row_key), -1, dtype=np.int64)
    times = np.unique(available)
    width = np.int64(len(times) + 1)
    ladder = key * width + np.searchsorted(times, available, side="right")
    wanted = row_key * width + np.searchsorted(times, row_time, side="right")
    place = np.searchsorted(ladder, wanted, side="right") - 1
    hit = (place >= 0) & (row_key >= 0) & (key[place] == row_key)
    return np.where(hit, place, -1)
