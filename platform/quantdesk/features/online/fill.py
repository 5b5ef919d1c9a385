"""From feature files to an online store. An edge module: it reads Parquet and writes to the store.

A view's source is a list of files, its partitions. Each is compared with the mark that the last run left: one that is
unchanged and has nothing more to give is not opened, and of one that grew only what is not older than the mark is read.
The others are brought over by several threads, some at a time, each time rows first and then the marks. A run that ends
early, however it ends, leaves rows that are each old or new, and marks of what is done: the next run does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantdesk.errors import DataError
from quantdesk.features.asof import NOT_A_TIME, Integers
from quantdesk.features.keys import codes
from quantdesk.features.online.backend import Backend, Mark, Writer
from quantdesk.features.online.rows import DUMMY, Rows, Schema, entity_key, entity_keys, pack, pack_floats
from quantdesk.features.retrieval import nanoseconds

__all__ = ["Filled", "Pace", "Partition", "Plan", "fill", "is_filled", "packed_rows"]


@dataclass(frozen=True)
class Partition:
    """One file of a view's source.

    Attributes
    ----------
    name
        What its mark is called: the same in every build.
    path
        The file.
    source
        Changes when its content does: a hash of it.
    key
        The one value of the view's only key that its rows have; None where the rows say it themselves.
    load
        Reads the rows, where they are not simply what is in the file.
    """

    name: str
    path: Path
    source: str
    key: str | None = None
    load: Callable[[], pa.Table] | None = None


@dataclass(frozen=True)
class Plan:
    """What a view is filled from.

    Attributes
    ----------
    view
        What the view is called in the store; see :func:`quantdesk.features.online.reader.table`.
    schema
        The columns to bring over; each is a column of the files.
    partitions
        The files.
    keys
        Join keys by the columns that hold them, and ``"string"``, ``"int64"`` or ``"int32"``; empty for a view about
        everything at once.
    event, created
        The columns of the two times. Without the second, a row is known from its event on.
    definitions, build
        The version of the view's definition and of what it is filled from.
    """

    view: str
    schema: Schema
    partitions: Sequence[Partition]
    keys: Sequence[tuple[str, str, str]]
    event: str
    created: str | None
    definitions: str
    build: str

    @property
    def times(self) -> list[str]:
        """The columns of the times."""
        return [self.event, *([self.created] if self.created else [])]


@dataclass(frozen=True)
class Pace:
    """How a view is filled.

    Attributes
    ----------
    workers
        How many threads read and write.
    partitions
        How many partitions make one step, whose rows and marks are written together.
    keep_every
        Seconds after which what was written is kept even if this process ends.
    """

    workers: int = 4
    partitions: int = 32
    keep_every: float = 2.0


@dataclass(frozen=True)
class Filled:
    """What a run did.

    Attributes
    ----------
    read, skipped
        Partitions that were read, and that were done already.
    written, voided
        Rows that the store took, and keys that are gone.
    """

    read: int
    skipped: int
    written: int
    voided: int


def is_filled(backend: Backend, plan: Plan, now: int) -> bool:
    """Whether a run would find nothing to do."""
    state = backend.states().get(plan.view)
    if state is None or state.until is None or (state.definitions, state.build) != (plan.definitions, plan.build):
        return False
    marks = backend.marks(plan.view)
    return marks.keys() == {one.name for one in plan.partitions} and not any(
        _has_more(one, marks.get(one.name), now) for one in plan.partitions
    )


def fill(
    backend: Backend,
    writer: Writer,
    plan: Plan,
    now: int,
    pace: Pace | None = None,
    tell: Callable[[int, int], None] | None = None,
    *,
    afresh: bool = False,
) -> Filled:
    """Bring over the latest row of each key that was known at a moment.

    Parameters
    ----------
    backend, writer
        The store, and an open session of it.
    plan
        What to bring over.
    now
        Rows that were not known by then are left out. Nanoseconds since 1970 (UTC).
    pace
        How.
    tell
        Called with (partitions done, all partitions).
    afresh
        Bring everything over again, and let it replace even newer rows: for a source from which rows were taken back.

    Raises
    ------
    DataError
        A file is not there or damaged. What was brought over before stays.
    EnvironmentProblem
        The store does not answer. What was brought over before stays.
    """
    pace = pace or Pace()
    tell = tell or (lambda done, total: None)
    era = writer.begin(plan.view, plan.definitions, afresh=afresh)
    state = backend.states().get(plan.view)
    marks = dict(backend.marks(plan.view)) if state is not None and state.era == era else {}
    todo = [one for one in plan.partitions if _has_more(one, marks.get(one.name), now)]
    steps = [todo[start : start + pace.partitions] for start in range(0, len(todo), pace.partitions)]
    run = _Run(writer, plan, now, era, dict(marks))
    done, kept = len(plan.partitions) - len(todo), time.monotonic()
    tell(done, len(plan.partitions))
    written, everyone = 0, set[bytes]()
    pool = ThreadPoolExecutor(max(1, min(pace.workers, len(steps) or 1)), thread_name_prefix="online")
    try:
        waiting: set[Future[_Step]] = {pool.submit(run.step, step) for step in steps}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for step in (future.result() for future in finished):
                marks.update(step.marks)
                everyone |= step.keys
                written += step.written
                done += len(step.marks)
            tell(done, len(plan.partitions))
            if time.monotonic() - kept >= pace.keep_every:
                writer.checkpoint()
                kept = time.monotonic()
    finally:
        # A failed run does not start what it has not begun; what runs is waited for, as it writes; what was done stays.
        pool.shutdown(wait=True, cancel_futures=True)
        if run.done:
            writer.checkpoint()
    voided = 0
    names = {one.name for one in plan.partitions}
    if todo or marks.keys() - names:
        newest = max((marks[name].event for name in names), default=NOT_A_TIME)
        everyone |= run.keys_of([one for one in plan.partitions if one not in todo])
        gone = [key for key in backend.keys(plan.view) if key not in everyone]
        # A source can tell that a key is gone only where it reaches as far as the key's row.
        voided = writer.void(plan.view, gone, as_of=now, era=era, newest=newest) if gone else 0
        writer.unmark(plan.view, sorted(marks.keys() - names))
    writer.finish(plan.view, era=era, until=now, build=plan.build)
    return Filled(len(todo), len(plan.partitions) - len(todo), written, voided)


def _has_more(partition: Partition, mark: Mark | None, now: int) -> bool:
    return mark is None or mark.source != partition.source or (mark.due is not None and mark.due <= now)


@dataclass(frozen=True)
class _Step:
    marks: dict[str, Mark]
    keys: set[bytes]
    written: int


@dataclass(frozen=True)
class _Run:
    """One run over one view; its methods are called from several threads."""

    writer: Writer
    plan: Plan
    now: int
    era: int
    marks: Mapping[str, Mark]
    done: list[str] = field(default_factory=list)

    def step(self, partitions: Sequence[Partition]) -> _Step:
        """Read some partitions and write their rows and marks."""
        taken = [self._read(one) for one in partitions]
        rows = Rows(
            [key for one in taken for key in one.rows.keys],
            np.concatenate([one.rows.event for one in taken]),
            np.concatenate([one.rows.created for one in taken]),
            [packed for one in taken for packed in one.rows.packed],
        )
        marks = {partition.name: one.mark for partition, one in zip(partitions, taken, strict=True)}
        written = self.writer.put(self.plan.view, self.plan.schema, rows, as_of=self.now, era=self.era, marks=marks)
        self.done.extend(marks)
        return _Step(marks, set().union(*(one.keys for one in taken)), written)

    def keys_of(self, partitions: Sequence[Partition]) -> set[bytes]:
        """Every key of some partitions, whether its rows are known yet or not."""
        found: set[bytes] = set()
        for one in partitions:
            if one.key is not None or not self.plan.keys:
                found.add(self._only_key(one))
                continue
            own = [column for _, column, _ in self.plan.keys]
            if one.load is not None:
                table = one.load().select(own)
            else:
                with _opened(one.path) as file:
                    table = file.read(columns=own, use_threads=False)
            # Each combination once: a long history names a key many times.
            found.update(self._keys(table.group_by(table.column_names).aggregate([])))
        return found

    def _read(self, partition: Partition) -> _Taken:
        plan, mark = self.plan, self.marks.get(partition.name)
        single = partition.key is not None or not plan.keys
        own = [] if single else [column for _, column, _ in plan.keys]
        names = [name for name, _ in plan.schema.columns]
        if partition.load is not None:
            table = partition.load()
            values = table.select(names)
        else:
            with _opened(partition.path) as file:
                # Rows before the mark's event are older than what is there; a file of many keys may hold a new key yet.
                groups = _since(file, plan.event, mark.event) if single and mark is not None else _all(file)
                table = _columns(file, groups, [*own, *plan.times], partition.path)
                values = _columns(file, groups, names, partition.path)
        event = nanoseconds(table.column(plan.event))
        created = nanoseconds(table.column(plan.created)) if plan.created else event
        known = np.maximum(event, created)
        usable = (event != NOT_A_TIME) & (created != NOT_A_TIME)
        later = known[usable & (known > self.now)]
        visible = np.flatnonzero(usable & (known <= self.now))
        key = np.zeros(len(event), dtype=np.int64) if single else _codes(table, own)
        place = _latest(key, event, created, visible)
        keys = [self._only_key(partition)] * len(place) if single else self._keys(table.take(pa.array(place)))
        if single:
            every = {self._only_key(partition)}
        elif len(place) == len(np.unique(key)):
            every = set(keys)  # all of them are known by now
        else:
            every = set(self._keys(table.group_by(own).aggregate([])))
        rows = Rows(keys, event[place], created[place], packed_rows(plan.schema, values.take(pa.array(place))))
        before = mark.event if mark is not None else NOT_A_TIME
        newest = int(event[place].max(initial=before))
        due = int(later.min()) if len(later) else None
        return _Taken(rows, every, Mark(partition.source, newest, due))

    def _only_key(self, partition: Partition) -> bytes:
        if partition.key is None:
            return DUMMY
        ((name, _, kind),) = self.plan.keys
        return entity_key([name], [partition.key], [kind])

    def _keys(self, table: pa.Table) -> list[bytes]:
        keys = self.plan.keys
        columns = [table.column(column).to_pylist() for _, column, _ in keys]
        return entity_keys([name for name, _, _ in keys], columns, [kind for _, _, kind in keys])


@dataclass(frozen=True)
class _Taken:
    rows: Rows
    keys: set[bytes]
    mark: Mark


class _opened:  # noqa: N801 - used as a function
    """A Parquet file; a damaged one gets one clear error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> pq.ParquetFile:
        try:
            self._file = pq.ParquetFile(self._path)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(self._path, error) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, pa.ArrowException | OSError):
            raise _damaged(self._path, error) from error


def _damaged(path: Path, error: object) -> DataError:
    return DataError(f"The feature file {path} cannot be read ({error}).", "Build the features again.")


def _all(file: pq.ParquetFile) -> list[int]:
    return list(range(file.num_row_groups))


def _since(file: pq.ParquetFile, column: str, event: int) -> list[int]:
    """The row groups that may hold an event at or after a moment."""
    place = file.schema_arrow.get_field_index(column)
    found = []
    for group in _all(file):
        statistics = file.metadata.row_group(group).column(place).statistics if place >= 0 else None
        if statistics is None or not statistics.has_min_max:
            found.append(group)
            continue
        latest = np.datetime64(statistics.max.replace(tzinfo=None), "ns")
        if int(latest.astype(np.int64)) >= event:
            found.append(group)
    return found


def _columns(file: pq.ParquetFile, groups: list[int], columns: list[str], path: Path) -> pa.Table:
    missing = set(columns) - set(file.schema_arrow.names)
    if missing:
        raise DataError(f"The feature file {path} has no column {min(missing)!r}.", "Build the features again.")
    # One thread: there are several of us already.
    return file.read_row_groups(groups, columns=columns, use_threads=False)


def _codes(table: pa.Table, names: Sequence[str]) -> Integers:
    columns = [table.column(name).to_pandas() for name in names]
    return codes(columns, columns)[1]


def _latest(key: Integers, event: Integers, created: Integers, visible: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each key the place of its latest visible row by (event, created); of equal ones the last."""
    visible = visible[key[visible] >= 0]
    order = visible[np.lexsort((created[visible], event[visible], key[visible]))]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = key[order[1:]] != key[order[:-1]]
    return order[last]


def packed_rows(schema: Schema, table: pa.Table) -> list[bytes]:
    """The rows of a table, packed. A NaN in a file is no value, as Feast takes it."""
    if not table.num_rows:
        return []
    if schema.all_floats:
        columns = [table.column(name) for name, _ in schema.columns]
        values = np.column_stack([column.cast(pa.float64()).to_numpy() for column in columns])
        absent = np.isnan(values)
        return pack_floats(schema, values, absent)
    given: list[list[Any]] = []
    for name, kind in schema.columns:
        values = table.column(name).to_pylist()
        floating = kind in ("double_val", "float_val")
        given.append([None if value != value else value for value in values] if floating else values)
    return [pack(schema, line) for line in zip(*given, strict=True)]
