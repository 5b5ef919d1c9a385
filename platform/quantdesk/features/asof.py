"""The point-in-time join: for each row, the version of the truth that was known at its time. Pure.

A feature row has two times. Its *event* time says what it is about (the session close). Its *created* time says when
the value could first be known. A row asked for time ``t`` may only see feature rows that had happened and were known:
``max(event, created) <= t``. Among them it gets the latest event; where that event was revised, the latest revision
known at ``t``; where two rows agree in both times, the one that was written last.

How it is computed: the feature rows are put by key and brought into the order of (event, created, writing), which a
file mostly has already. In that order a row can be the answer only while no later one is available, with
``available = max(event, created)``: one sweep from the end keeps the rows that are available before all that follow
them. What remains rises in event *and* in availability, so one search per asking row finds its answer; where rows ask
in the order of time, the search goes on from the answer before and takes a step or two. Rows in order cost
``O(n + m)``, any others ``O(n log n + m log n)``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["NOT_A_TIME", "History", "Match", "Outcome", "as_of_join", "each_part", "fixed"]

Integers = NDArray[np.int64]
NOT_A_TIME = np.iinfo(np.int64).min
"""What numpy's NaT is when it is read as an integer."""
_WORTH_A_THREAD = 200_000


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
            times = getattr(self, name)
            if times.min(initial=0) == NOT_A_TIME:
                missing = np.flatnonzero(times == NOT_A_TIME)
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
    threads: int = 1,
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
    threads
        Over how many threads the work may be split. They end with the call.

    Raises
    ------
    BadInput
        A row has no time, the arrays differ in length, or the codes are not codes: they count up to many times the
        number of feature rows.
    """
    from quantdesk.features import sweeps  # compiled: not before somebody joins

    if len(row_key) != len(row_time):
        raise BadInput(f"{len(row_key)} row keys do not fit {len(row_time)} row times.", "Give one of each per row.")
    if row_time.min(initial=0) == NOT_A_TIME:
        raise BadInput(
            f"Row {int(np.flatnonzero(row_time == NOT_A_TIME)[0])} has no time.", "Give every row an aware time."
        )
    key, event, created = fixed(history.key), fixed(history.event), fixed(history.created)
    asked, time = fixed(row_key), fixed(row_time)
    codes = int(key.max(initial=-1)) + 1
    if key.min(initial=0) < 0 or codes > 4 * (len(key) + len(asked)) + 2**20:
        raise BadInput(
            f"The keys run from {int(key.min(initial=0))} to {codes - 1} for {len(key)} feature rows.",
            "Code them from 0 upwards; quantdesk.features.keys.codes does.",
        )
    threads = threads if len(key) + len(asked) > _WORTH_A_THREAD else 1
    start, order = sweeps.by_key(key, codes)
    first, row, available = np.empty(codes, np.int64), np.empty(len(key), np.int64), np.empty(len(key), np.int64)
    cut = np.iinfo(np.int64).max if known_by is None else known_by
    each_part(
        lambda begin, end: sweeps.ladders(start, order, event, created, cut, begin, end, first, row, available),
        codes,
        threads,
    )
    position, outcome = np.empty(len(asked), np.int64), np.empty(len(asked), np.int8)
    age = -1 if ttl is None else ttl
    each_part(
        lambda begin, end: sweeps.climb(
            start, first, row, available, event, asked, time, age, position, outcome, begin, end
        ),
        len(asked),
        threads,
    )
    return Match(position, outcome)


def each_part(do: Callable[[int, int], object], size: int, threads: int) -> None:
    """Call ``do(begin, end)`` for `threads` parts of ``range(size)`` at the same time.

    The threads live no longer than the call: a process that forks later takes none of them along.
    """
    parts = min(threads, size)
    if parts <= 1:
        do(0, size)
        return
    bounds = [size * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(do, begin, end) for begin, end in itertools.pairwise(bounds)]:
            done.result()


def fixed(numbers: Integers) -> Integers:
    """The same numbers as the loops were compiled for them: contiguous, 64 bits, not to be written to."""
    plain = np.ascontiguousarray(numbers, dtype=np.int64).view()
    plain.flags.writeable = False
    return plain
