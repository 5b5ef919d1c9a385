"""Splits of time that do not let a label tell the training set what happens in the test set.

A label such as the return over the next 21 sessions is an **interval**: it starts when the features are known and ends
when the outcome is. Two rows whose intervals overlap share their outcome. So a training row is **purged** when its
interval touches the interval of the test set, and rows that start shortly after the test set are dropped as an
**embargo**, because returns and features remember the recent past (Lopez de Prado 2018, "Advances in Financial Machine
Learning", chapter 7).

Both splitters speak scikit-learn's protocol (``split`` and ``get_n_splits``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantdesk.errors import BadInput, BadParameter

__all__ = ["PurgedKFold", "Split", "TimeSplit", "WalkForward", "overlaps"]

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One split, with why rows were left out. All are positions of rows.

    Parameters
    ----------
    train, test
        What the model sees, and what it is judged on.
    purged
        Rows left out because their label interval overlaps that of the test set.
    embargoed
        Rows left out because they start within the embargo after the test set.
    start, end
        The interval of the test set: its first label start and its last label end.
    """

    train: Rows
    test: Rows
    purged: Rows
    embargoed: Rows
    start: pd.Timestamp
    end: pd.Timestamp


class TimeSplit(ABC):
    """What both splitters share: the label intervals, and how a test block becomes a split."""

    def __init__(self, n_splits: int, label_ends: pd.Series, embargo: int | pd.Timedelta) -> None:
        if isinstance(n_splits, bool) or not isinstance(n_splits, (int, np.integer)) or n_splits < 1:
            raise BadParameter(f"n_splits is {n_splits!r}.", "Give a whole number.")
        starts = label_ends.index
        starts = starts.get_level_values(0) if starts.nlevels > 1 else starts
        if not len(label_ends) or label_ends.isna().any() or bool(np.any(starts.isna())):
            raise BadInput("A label interval is missing, or there is none.", "Drop rows without a known outcome.")
        for name, times in (("index", starts), ("values", pd.DatetimeIndex(label_ends))):
            if not isinstance(times, pd.DatetimeIndex) or times.tz is None:
                raise BadInput(f"The {name} of label_ends hold {times.dtype}.", "Give timestamps with a time zone.")
        self._starts = pd.DatetimeIndex(starts).tz_convert("UTC")
        self._ends = pd.DatetimeIndex(label_ends).tz_convert("UTC")
        if (self._ends < self._starts).any():
            wrong = int(np.argmax(self._ends < self._starts))
            raise BadInput(f"The label of row {wrong} ends before it starts.", "A label ends at or after its start.")
        if isinstance(embargo, bool) or not isinstance(embargo, (int, np.integer, pd.Timedelta)):
            raise BadParameter(f"embargo is {embargo!r}.", "Give a number of timestamps or a pandas Timedelta.")
        if (embargo if isinstance(embargo, (int, np.integer)) else embargo.value) < 0:
            raise BadParameter(f"embargo is {embargo!r}.", "Give 0 or more.")
        self.n_splits, self.embargo = int(n_splits), embargo
        self._sessions = self._starts.unique().sort_values()

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803
        """How many splits there are. scikit-learn passes its arguments; none is needed."""
        return self.n_splits

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:  # noqa: ARG002, N803
        """Yield ``(train, test)`` positions of rows, in time order of the test sets.

        Parameters
        ----------
        X
            Anything with as many rows as there are label intervals; only its length is looked at.
        """
        if X is not None and len(X) != len(self._starts):
            raise BadInput(f"X has {len(X)} rows, label_ends has {len(self._starts)}.", "Give one interval per row.")
        for one in self.splits():
            yield one.train, one.test

    @abstractmethod
    def splits(self) -> Iterator[Split]:
        """The same as `split`, with the rows that were left out and why."""

    def _embargo_end(self, end: pd.Timestamp) -> pd.Timestamp:
        if isinstance(self.embargo, pd.Timedelta):
            return end + self.embargo
        after = self._sessions[self._sessions > end]
        if self.embargo == 0 or not len(after):
            return end
        return pd.Timestamp(after[min(int(self.embargo), len(after)) - 1])

    def _split(self, block: pd.DatetimeIndex, eligible: npt.NDArray[np.bool_]) -> Split:
        """The split whose test set is every row that starts in `block`."""
        test = np.asarray(self._starts.isin(block))
        start, end = block[0], self._ends[test].max()
        touches = np.asarray((self._starts <= end) & (self._ends >= start))
        waits = np.asarray((self._starts > end) & (self._starts <= self._embargo_end(end)))
        candidate = eligible & ~test
        train = candidate & ~touches & ~waits
        if not train.any():
            raise BadInput(
                f"No row is left to train on when {start:%Y-%m-%d} to {end:%Y-%m-%d} is tested.",
                "Use fewer splits, a shorter label or embargo, or a longer history.",
            )
        return Split(
            train=np.flatnonzero(train),
            test=np.flatnonzero(test),
            purged=np.flatnonzero(candidate & touches),
            embargoed=np.flatnonzero(candidate & waits),
            start=start,
            end=end,
        )

    def _blocks(self, count: int) -> list[pd.DatetimeIndex]:
        if len(self._sessions) < count:
            raise BadInput(
                f"{len(self._sessions)} sessions cannot be cut into {count} blocks.", "Use fewer splits, or more data."
            )
        return [self._sessions[part] for part in np.array_split(np.arange(len(self._sessions)), count)]


class PurgedKFold(TimeSplit):
    """K blocks of consecutive sessions; each is tested once, trained on the others, purged and embargoed.

    Training rows may lie *after* the test set: this compares models, it is not a history that could have been traded.
    Rows of several symbols at the same time always fall into the same block.

    Parameters
    ----------
    n_splits
        How many blocks, at least 2.
    label_ends
        One value per row: when its outcome is known. Its index says when the row's features are known: aware
        timestamps, or a MultiIndex whose first level is (``(timestamp, symbol)``). Any order of rows.
    embargo
        How long after the test interval no training row may start: a Timedelta, or a number of the rows'
        own timestamps: where only every 21st session is a row, 1 already is 21 sessions.

    Raises
    ------
    BadInput, BadParameter
        Missing, naive or reversed intervals; a negative embargo; more blocks than sessions; nothing left to train on.
    """

    def __init__(self, n_splits: int, label_ends: pd.Series, embargo: int | pd.Timedelta = 0) -> None:
        super().__init__(n_splits, label_ends, embargo)
        if n_splits < 2:
            raise BadParameter(f"n_splits is {n_splits!r}.", "Give at least 2.")

    def splits(self) -> Iterator[Split]:
        """Yield one `Split` per block, in time order."""
        everything = np.ones(len(self._starts), dtype=bool)
        for block in self._blocks(self.n_splits):
            yield self._split(block, everything)


class WalkForward(TimeSplit):
    """Train on the past, test on the block that follows, move on: a history that could have been traded.

    The sessions are cut into ``n_splits + 1`` blocks; the first is only trained on.

    Parameters
    ----------
    n_splits
        How many test blocks.
    label_ends
        As for `PurgedKFold`.
    max_train
        Train on at most this many sessions before the test block (a rolling window); on all of them when None.

    Notes
    -----
    There is no embargo: no training row starts after the test set.
    """

    def __init__(self, n_splits: int, label_ends: pd.Series, max_train: int | None = None) -> None:
        super().__init__(n_splits, label_ends, 0)
        if max_train is not None and max_train < 1:
            raise BadParameter(f"max_train is {max_train!r}.", "Give at least one session, or None.")
        self.max_train = max_train

    def splits(self) -> Iterator[Split]:
        """Yield one `Split` per test block, in time order."""
        blocks = self._blocks(self.n_splits + 1)
        for number in range(1, len(blocks)):
            past = self._sessions[self._sessions < blocks[number][0]]
            window = past if self.max_train is None else past[-self.max_train :]
            yield self._split(blocks[number], np.asarray(self._starts.isin(window)))


def overlaps(label_ends: pd.Series, train: Rows, test: Rows) -> int:
    """How many training rows have a label interval that overlaps some test row's: 0 after a correct purge.

    An independent check, row by row against the union of the test intervals rather than against their hull.
    """
    starts = label_ends.index
    first, last = (_nanoseconds(t) for t in (starts.get_level_values(0) if starts.nlevels > 1 else starts, label_ends))
    if not len(test):
        return 0
    order = np.argsort(first[test], kind="stable")
    test_starts, reach = first[test][order], np.maximum.accumulate(last[test][order])
    # A test interval overlaps [a, b] when it starts at or before b and some such interval ends at or after a.
    before = np.searchsorted(test_starts, last[train], side="right") - 1
    return int(((before >= 0) & (reach[np.maximum(before, 0)] >= first[train])).sum())


def _nanoseconds(times: Any) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).to_numpy(dtype="datetime64[ns]").astype(np.int64)
