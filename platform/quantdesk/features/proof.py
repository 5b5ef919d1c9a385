"""The proof that a view's answers saw only what was known. Pure.

What a view answers is checked after the fact, in two ways that do not share the join's code. Every row: the answer
belongs to the row's own key, had happened, was known, had not expired. A seeded sample of rows: the answer is found
again by brute force, by whoever holds the data (:class:`Matched` carries the function), and its times, its place and
its values are compared.

The same for every backend: the embedded files and PostgreSQL hand over a :class:`Matched` each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.asof import NOT_A_TIME, Integers, Outcome

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SAMPLE", "Examination", "Matched", "Recount", "examine"]

SAMPLE = 64
"""Rows per view that the brute-force oracle answers again."""


@dataclass(frozen=True)
class Recount:
    """What brute force answers to some asking rows. Arrays of shape ``(k,)``.

    Attributes
    ----------
    event, created
        Of the feature row that answers, nanoseconds since 1970 (UTC); :data:`~quantdesk.features.asof.NOT_A_TIME`
        where none does.
    row
        Which feature row it is, named as in :attr:`Matched.row`; -1 for none. None where rows have no names.
    values
        Its values, per column; a column that is left out is not compared.
    """

    event: Integers
    created: Integers
    row: Integers | None = None
    values: Mapping[str, Sequence[Any] | NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Matched:
    """What one view answers: one entry per asking row, in their order. Arrays of shape ``(m,)``.

    Attributes
    ----------
    view
        The view's name.
    columns
        Per column one value per asking row: float64 with NaN for none, or an Arrow column with null for none.
    event, created
        The two times of the feature row that answered, nanoseconds since 1970 (UTC);
        :data:`~quantdesk.features.asof.NOT_A_TIME` where none did.
    belongs
        Whether the answering feature row's own key is the asking row's key, compared on the keys themselves and not on
        the codes that the join used. What it says of a row without an answer does not matter.
    outcome
        An :class:`~quantdesk.features.asof.Outcome` per row, ``int8``.
    recount
        Answers some asking rows (given by their positions) again by brute force, with code that shares nothing with the
        join.
    reasons
        Per column the stored code that says why a value is null, one per asking row; None where there is none.
    row
        Which feature row answered: a number that names it within its source, and that rises in the order of writing
        (place in the file, serial number in a database); -1 for none. Two rows can agree in key and in both times, and
        only this tells them apart. None where rows have no names.
    """

    view: str
    columns: Mapping[str, NDArray[np.float64] | pa.ChunkedArray]
    event: Integers
    created: Integers
    belongs: NDArray[np.bool_]
    outcome: NDArray[np.int8]
    recount: Callable[[Integers], Recount]
    reasons: Callable[[str], NDArray[np.object_]]
    row: Integers | None = None

    def __post_init__(self) -> None:
        size = len(self.outcome)
        parts = {"event": self.event, "created": self.created, "belongs": self.belongs, **self.columns}
        for name, part in parts.items():
            if len(part) != size:
                raise BadInput(
                    f"{self.view}: {name!r} has {len(part)} entries for {size} rows.", "Give one per asking row."
                )

    @property
    def found(self) -> NDArray[np.bool_]:
        """The rows that have an answer."""
        return np.asarray(self.outcome == Outcome.FOUND)


@dataclass(frozen=True)
class Examination:
    """What was found in one view's answers.

    Attributes
    ----------
    view
        The view.
    rows, found
        Rows that asked, and rows that have an answer.
    violations
        Rows that break the rule in at least one way.
    oracle_rows, oracle_mismatches
        Rows that were answered again by brute force, and those that got another answer.
    kinds
        Per way in which the rule was broken the number of rows; only what occurred. The ways: ``another_key``,
        ``not_happened`` (event after the row's time), ``not_known`` (created after it), ``known_after_as_of``,
        ``expired``, ``value_without_answer``.
    """

    view: str
    rows: int
    found: int
    violations: int
    oracle_rows: int
    oracle_mismatches: int
    kinds: Mapping[str, int] = field(default_factory=dict)


def examine(
    matched: Matched,
    row_time: Integers,
    *,
    known_by: int | None,
    ttl: int | None,
    seed: int,
    sample: int = SAMPLE,
) -> Examination:
    """Check every answer of a view, and have a sample answered again.

    Parameters
    ----------
    matched
        What the view answered.
    row_time
        Shape ``(m,)``: when each row asked, nanoseconds since 1970 (UTC).
    known_by
        The cut-off of knowledge, nanoseconds since 1970 (UTC), or None.
    ttl
        How old an answer may be, nanoseconds; None for ever.
    seed
        Of the sample.
    sample
        How many rows are answered again; all, when there are fewer.
    """
    if len(row_time) != len(matched.outcome):
        raise BadInput(
            f"{matched.view}: {len(row_time)} row times do not fit {len(matched.outcome)} answers.",
            "Give the times of the rows that asked.",
        )
    found = matched.found
    broken = {
        "another_key": found & ~matched.belongs,
        "not_happened": found & (matched.event > row_time),
        "not_known": found & (matched.created > row_time),
        "value_without_answer": _shown_without_answer(matched, found),
    }
    if known_by is not None:
        broken["known_after_as_of"] = found & (matched.created > known_by)
    if ttl is not None:
        # Not `time - event > ttl`, nor `time - ttl` as it is: times far in the past would overflow.
        oldest = np.maximum(row_time, NOT_A_TIME + np.int64(ttl)) - np.int64(ttl)
        broken["expired"] = found & (matched.event < oldest)
    kinds = {name: int(np.count_nonzero(rows)) for name, rows in broken.items()}
    violations = 0
    if any(kinds.values()):
        violations = int(np.count_nonzero(np.logical_or.reduce(list(broken.values()))))
    size = min(sample, len(row_time))
    rows = np.sort(np.random.default_rng(seed).choice(len(row_time), size=size, replace=False)).astype(np.int64)
    return Examination(
        matched.view,
        len(row_time),
        int(np.count_nonzero(found)),
        violations,
        size,
        _mismatches(matched, rows) if size else 0,
        {name: count for name, count in kinds.items() if count},
    )


def _shown_without_answer(matched: Matched, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows without an answer that nevertheless carry a time or a number."""
    wrong = np.zeros(len(found), dtype=bool)
    without = np.flatnonzero(~found)
    if not without.size:
        return wrong
    shown = (matched.event[without] != NOT_A_TIME) | (matched.created[without] != NOT_A_TIME)
    for column in matched.columns.values():
        if isinstance(column, np.ndarray):
            shown |= ~np.isnan(column[without])
    wrong[without] = shown
    return wrong


def _mismatches(matched: Matched, rows: Integers) -> int:
    """How many of the rows brute force answers otherwise: other times, another row, or another value."""
    again = matched.recount(rows)
    other = (again.event != matched.event[rows]) | (again.created != matched.created[rows])
    if matched.row is not None and again.row is not None:
        other |= again.row != matched.row[rows]
    for name, values in again.values.items():
        column = matched.columns[name]
        if isinstance(column, np.ndarray) and isinstance(values, np.ndarray) and values.dtype == np.float64:
            mine = column[rows]
            other |= (mine != values) & ~(np.isnan(mine) & np.isnan(values))
            continue
        given = column[rows] if isinstance(column, np.ndarray) else column.take(rows).to_pylist()
        other |= np.array([not _same(mine, theirs) for mine, theirs in zip(given, values, strict=True)], dtype=bool)
    return int(np.count_nonzero(other))


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same; nothing is the same as nothing."""
    nothing = [value is None or bool(np.ndim(value) == 0 and value != value) for value in (one, other)]
    if any(nothing):
        return all(nothing)
    return bool(np.array_equal(one, other))
