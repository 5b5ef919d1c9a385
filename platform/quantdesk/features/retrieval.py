"""Feature rows from Parquet, joined point in time. An edge module: it reads files. It knows nothing of Feast.

Both doors lead here: :class:`quantdesk.features.FeatureStore` and the Feast offline store of
:mod:`quantdesk.features.offline`.

Keys and times are read first, from the row groups that can hold an asked key. When the join is done, the other columns
follow, from those row groups alone in which an answer stands; each is put in place as soon as it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import BadInput, DataError
from quantdesk.features import parquet
from quantdesk.features.asof import NOT_A_TIME, History, Integers, Match, as_of_join, each_part, fixed
from quantdesk.features.keys import Coded, belongs, coded, codes, places
from quantdesk.features.knowledge import known_times
from quantdesk.features.parquet import Part, Source, files_of, nanoseconds, partition, read
from quantdesk.features.proof import Matched, Recount

__all__ = ["Answer", "Source", "files_of", "join", "nanoseconds", "partition", "read"]


@dataclass(frozen=True)
class Answer:
    """What a view answers to some rows.

    Attributes
    ----------
    source
        Where its feature rows are.
    parts
        The files and row groups whose keys and times were read; `history` holds their rows in this order.
    history, row_key, row_time
        Keys and times of the feature rows and of the asking rows, as the join saw them.
    match
        Which feature row answers which asking row.
    source_keys, asked_keys
        Per key column the keys themselves.
    known_by, ttl
        The limits under which was joined, nanoseconds; None for none.
    threads
        Over how many threads work may be split.
    """

    source: Source
    parts: tuple[Part, ...]
    history: History
    row_key: Integers
    row_time: Integers
    match: Match
    source_keys: tuple[Coded, ...] = ()
    asked_keys: tuple[Coded, ...] = ()
    known_by: int | None = None
    ttl: int | None = None
    threads: int = 1
    _kept: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def types(self) -> Mapping[str, pa.DataType]:
        """The types of the columns as they are stored; empty where there is no file at all."""
        return parquet.types(self.source, self.parts)

    @property
    def table(self) -> pa.Table:
        """Every column of every feature row that was looked at."""
        return parquet.fetch(self.parts, None)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, one value per asking row, of the type that it is stored in; null where there is no answer."""
        return self.columns([name])[name]

    def columns(self, names: Sequence[str]) -> Mapping[str, pa.ChunkedArray]:
        """Columns as they are stored (words as words), one value per asking row; null where there is no answer."""
        parts, position = self._answering()
        if not parts:
            kind = self.types()
            return {name: pa.chunked_array([pa.nulls(len(position), kind.get(name, pa.null()))]) for name in names}
        places = pa.array(position, mask=position < 0)
        found: dict[str, pa.ChunkedArray] = {}

        def take(name: str, column: pa.ChunkedArray) -> None:
            taken = column.take(places)
            found[name] = taken.cast(taken.type.value_type) if pa.types.is_dictionary(taken.type) else taken

        parquet.each_column(parts, names, take, self.threads)
        return {name: found[name] for name in names}

    def floats(self, name: str) -> NDArray[np.float64]:
        """A numeric column as float64, shape ``(m,)``; NaN where it is null or there is no answer."""
        if name not in self._kept:
            self.fill([name], self.block(1))
        return self._kept[name]

    def block(self, width: int) -> NDArray[np.float64]:
        """Room for `width` columns: shape ``(width, m)``, one column after the other."""
        return np.empty((width, len(self.match.position)))

    def fill(self, names: Sequence[str], block: NDArray[np.float64]) -> None:
        """Write numeric columns into the rows of `block`: all at once, which is faster than one by one."""
        from quantdesk.features import sweeps  # compiled: not before somebody joins

        parts, position = self._answering()
        place = {name: number for number, name in enumerate(names)}
        self._kept.update({name: block[number] for name, number in place.items()})
        if not parts:
            block[:] = np.nan
            return
        position = position.view()
        position.flags.writeable = False
        # As many columns at a time as there are threads; fewer columns than threads are split by rows instead.
        inside = max(1, self.threads // max(1, len(names)))

        def put(name: str, column: pa.ChunkedArray) -> None:
            values = _numbers(name, column)
            out = block[place[name]]
            each_part(lambda begin, end: sweeps.gather(values, position, out, begin, end), len(position), inside)

        parquet.each_column(parts, names, put, self.threads)

    def matched(
        self,
        view: str,
        columns: Mapping[str, NDArray[np.float64] | pa.ChunkedArray],
        reason_of: Callable[[str], str] | None = None,
    ) -> Matched:
        """The answer as a proof wants it.

        Parameters
        ----------
        view
            Its name.
        columns
            The values that were taken from it.
        reason_of
            The stored column that says why a feature is null; None where the source stores none.
        """

        def reasons(feature: str) -> NDArray[np.object_]:
            if reason_of is None:
                return np.full(len(self.match.position), None, dtype=object)
            stored: NDArray[np.object_] = self.column(reason_of(feature)).to_pandas().to_numpy(dtype=object)
            stored[self.match.position < 0] = None
            return stored

        return Matched(
            view=view,
            columns=columns,
            event=self._times(self.history.event),
            created=self._times(self.history.created),
            belongs=belongs(self.source_keys, self.asked_keys, self.match.position),
            outcome=self.match.outcome,
            recount=self.recount,
            reasons=reasons,
            row=self.match.position,
        )

    def recount(self, rows: Integers) -> Recount:
        """Answer some asking rows again by looking at every feature row, one by one: the oracle."""
        from quantdesk.features import sweeps  # compiled: not before somebody joins

        size = len(self.history.event)
        keys = np.zeros((1, size), dtype=np.int64)
        if self.source_keys:
            one = self.source_keys[0].code.reshape(1, -1)
            keys = one if len(self.source_keys) == 1 else np.vstack([known.code for known in self.source_keys])
        wanted = np.zeros((len(rows), len(keys)), dtype=np.int64)
        for number, (known, asked) in enumerate(zip(self.source_keys, self.asked_keys, strict=True)):
            values = [asked.distinct[code] if code >= 0 else None for code in asked.code[rows].tolist()]
            wanted[:, number] = places(known, values)
        best = np.full(len(rows), -1, dtype=np.int64)
        cut = np.iinfo(np.int64).max if self.known_by is None else self.known_by
        time = np.ascontiguousarray(self.row_time[rows])
        if size:
            columns = fixed(self.history.event), fixed(self.history.created)
            sweeps.scan(fixed(keys), wanted, *columns, time, cut, best)
        if self.ttl is not None and size:
            ages = [int(when) - int(self.history.event[row]) for when, row in zip(time, best, strict=True)]
            best = np.where((best >= 0) & np.array([age <= self.ttl for age in ages], dtype=bool), best, -1)
        event, created = self.history.event, self.history.created
        times = [
            np.array([column[row] if row >= 0 else NOT_A_TIME for row in best], dtype=np.int64)
            for column in (event, created)
        ]
        return Recount(times[0], times[1], best)

    def _times(self, times: Integers) -> Integers:
        from quantdesk.features import sweeps  # compiled: not before somebody joins

        out = np.empty(len(self.match.position), dtype=np.int64)
        source, position = fixed(times), fixed(self.match.position)
        each_part(
            lambda begin, end: sweeps.pick(source, position, NOT_A_TIME, out, begin, end),
            len(out),
            self.threads if len(out) > 100_000 else 1,
        )
        return out

    def _answering(self) -> tuple[tuple[Part, ...], Integers]:
        """The row groups in which answers stand, and the positions within them."""
        return parquet.only_where(self.parts, self.match.position)


def join(
    source: Source,
    columns: Sequence[str],
    row_keys: Sequence[Any],
    row_time: Integers,
    *,
    known_by: int | None = None,
    threads: int = 1,
) -> Answer:
    """Answer some rows from a view, each from what was known at its time.

    Parameters
    ----------
    source
        The view's data.
    columns
        Those that will be asked of the answer; that they are there is found out before anything is joined.
    row_keys
        Per key of the source the values of the asking rows.
    row_time
        Nanoseconds since 1970 (UTC).
    known_by
        Nanoseconds since 1970 (UTC): feature rows created later do not exist.
    threads
        Over how many threads the work may be split. They end with the call.

    Raises
    ------
    BadInput
        Keys of another type than those of the source, or a row without a time.
    DataError
        A file is not there, is cut short, lacks a column, or has a row without a time; the message names it.
    """
    asked = tuple(coded(values) for values in row_keys)
    for name, column in zip(source.keys, asked, strict=True):
        if len(column) != len(row_time):
            raise BadInput(f"{len(column)} keys {name!r} do not fit {len(row_time)} times.", "Give one per row.")
    wanted = {name: column.distinct for name, column in zip(source.keys, asked, strict=True)}
    parts = parquet.parts_of(source, wanted)
    for part in parts:
        part.check(columns)
    times = [source.event, *([source.created] if source.created else [])]
    table = parquet.fetch(parts, [*source.keys, *times], words=source.keys, threads=threads)
    known = tuple(coded(table.column(name)) for name in source.keys)
    if known:
        key, row_key = codes(known, asked)
    else:
        key, row_key = np.zeros(table.num_rows, dtype=np.int64), np.zeros(len(row_time), dtype=np.int64)
    event = nanoseconds(table.column(source.event), source.event)
    written = nanoseconds(table.column(source.created), source.created) if source.created else None
    created = known_times(source.policy, key, event, written)
    try:
        history = History(key, event, created)
    except BadInput as error:
        raise DataError(f"{source.path}: {error.problem}", "Every feature row needs its times.") from error
    ttl = min(source.ttl // timedelta(microseconds=1) * 1000, np.iinfo(np.int64).max) if source.ttl else None
    match = as_of_join(history, row_key, row_time, known_by=known_by, ttl=ttl, threads=threads)
    return Answer(
        source, parts, history, row_key, row_time, match, known, asked, known_by=known_by, ttl=ttl, threads=threads
    )


def _numbers(name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column as contiguous float64 that is not to be written to; null is NaN."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        raise DataError(f"The column {name!r} holds {column.type}, not numbers.", "Ask for it as an Arrow column.")
    values = np.ascontiguousarray(column.to_numpy(), dtype=np.float64).view()
    values.flags.writeable = False
    return values
