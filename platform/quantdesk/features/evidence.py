"""The proof that a frame saw only what was known. Pure.

The join is checked after the fact in two ways that do not share its code. Every row: the answer belongs to the row's
symbol, had happened, was known, and had not expired. A seeded sample of rows: the answer is found again by looking at
every feature row of the store's table, one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from quantdesk.features.asof import Integers

if TYPE_CHECKING:
    from quantdesk.features.retrieval import Answer

__all__ = ["RULE", "SAMPLE", "Evidence", "Examination", "content_hash", "examine"]

RULE = (
    "A row asked for time t sees a feature row only if max(event_timestamp, created_timestamp) <= t; of those the "
    "latest event, of its revisions the latest one known. A frame by date range asks each symbol's sessions at the "
    "moment the session was known, close plus publication lag: that moment is the row's timestamp. Trade after it."
)
SAMPLE = 64
"""Rows per view that the brute-force oracle answers again."""


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
        Answers that belong to another symbol, had not happened, were not known, or had expired.
    oracle_rows, oracle_mismatches
        Rows that were answered again by brute force, and those that got another answer.
    """

    view: str
    rows: int
    found: int
    violations: int
    oracle_rows: int
    oracle_mismatches: int


@dataclass(frozen=True)
class Evidence:
    """Why a frame may be believed, or why not.

    Attributes
    ----------
    rule
        The rule that its rows follow, in words.
    views
        What was found in each view.
    seed
        Of the oracle's sample.
    as_of
        The date on which knowledge was cut off, or None.
    sources
        Per file that was read its SHA-256 now.
    registry_version
        The version of the feature definitions that made the files.
    market_version
        The version of the market data that they were made from.
    failures
        Every reason not to believe it; empty when all checks ran and passed.
    not_cured
        What no point-in-time join can cure, said by the data's own labels.
    content
        A hash of the frame as it was checked.
    """

    rule: str
    views: tuple[Examination, ...]
    seed: int
    as_of: str | None
    sources: Mapping[str, str]
    registry_version: str
    market_version: str
    failures: tuple[str, ...]
    not_cured: tuple[str, ...]
    content: str

    @property
    def rows_checked(self) -> int:
        """Rows that were checked, over all views."""
        return sum(view.rows for view in self.views)

    @property
    def violations(self) -> int:
        """Rows that break the rule, and rows on which the oracle disagrees."""
        return sum(view.violations + view.oracle_mismatches for view in self.views)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "rows_checked": self.rows_checked, "violations": self.violations}


def examine(
    view: str,
    answer: Answer,
    keys: Sequence[str],
    row_keys: Sequence[Any],
    row_time: Integers,
    *,
    known_by: int | None,
    ttl: int,
    seed: int,
) -> Examination:
    """Check every answer of a view, and answer a sample again.

    Parameters
    ----------
    view
        Its name.
    answer
        What the join gave.
    keys
        The key columns of the view.
    row_keys
        Per key column what the rows asked for.
    row_time
        Nanoseconds since 1970 (UTC), one per row.
    known_by
        The cut-off of knowledge, or None.
    ttl
        Nanoseconds.
    seed
        Of the sample.
    """
    position, history = answer.match.position, answer.history
    rows = np.flatnonzero(position >= 0)
    place = position[rows]
    wrong = (history.event[place] > row_time[rows]) | (history.created[place] > row_time[rows])
    wrong |= row_time[rows] - history.event[place] > ttl
    if known_by is not None:
        wrong |= history.created[place] > known_by
    theirs, asked = _same_coding(answer, keys, row_keys)
    wrong |= theirs[place] != asked[rows]

    size = min(SAMPLE, len(row_time))
    sample = np.random.default_rng(seed).choice(len(row_time), size=size, replace=False)
    mismatches = 0
    for row in sample:
        limit = row_time[row] if known_by is None else min(row_time[row], known_by)
        mine = (theirs == asked[row]) & (history.event <= row_time[row]) & (history.created <= limit)
        mismatches += int(_best(answer, np.flatnonzero(mine), int(row_time[row]) - ttl) != position[row])
    return Examination(view, len(row_time), len(rows), int(wrong.sum()), size, mismatches)


def _same_coding(answer: Answer, keys: Sequence[str], row_keys: Sequence[Any]) -> tuple[Integers, Integers]:
    """The keys themselves as numbers, made without the join's own coding."""
    size = answer.table.num_rows
    pairs = [
        np.concatenate([answer.table.column(name).to_pandas().to_numpy(object), asked])
        for name, asked in zip(keys, row_keys, strict=True)
    ]
    rows = len(answer.row_key)
    coded = pd.MultiIndex.from_arrays(pairs).factorize()[0] if pairs else np.zeros(size + rows, dtype=np.int64)
    return coded[:size], coded[size:]


def _best(answer: Answer, candidates: Integers, oldest: int) -> int:
    """The latest event, then the latest revision, then the last written; -1 for none, or one older than `oldest`."""
    if not candidates.size:
        return -1
    event = answer.history.event[candidates]
    latest = candidates[event == event.max()]
    created = answer.history.created[latest]
    return int(latest[created == created.max()][-1]) if event.max() >= oldest else -1


def content_hash(values: pd.DataFrame) -> str:
    """A hash of a frame: its columns, its index and every bit of its values."""
    digest = hashlib.sha256("\x1f".join(map(str, values.columns)).encode())
    digest.update(np.asarray(values.index.get_level_values(0), dtype="datetime64[ns]").tobytes())
    digest.update("\x1f".join(map(str, values.index.get_level_values(1))).encode())
    for name in values.columns:
        column = values[name]
        plain = pd.api.types.is_float_dtype(column.dtype)
        digest.update(column.to_numpy(dtype=np.float64).tobytes() if plain else repr(column.tolist()).encode())
    return digest.hexdigest()
