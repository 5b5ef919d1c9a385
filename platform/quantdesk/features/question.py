"""One question to files, from rows to a proven table, whoever asks. An edge module: it reads files; it knows no Feast.

:mod:`quantdesk.features.offline` turns what Feast asks into a :class:`Question`; this module answers it as a frame, as
an Arrow table, or batch by batch, and says with each answer how far it is proven.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.asof import Integers
from quantdesk.features.evidence import RULE
from quantdesk.features.files import digest_of
from quantdesk.features.keys import Coded, coded
from quantdesk.features.proof import Examination, examine
from quantdesk.features.retrieval import Answer, Source, join

__all__ = ["Asked", "Question", "RetrievalEvidence", "content_of"]

SEED = 20_000
"""Of the sample that the oracle answers again."""


@dataclass(frozen=True)
class Asked:
    """What is asked of one view.

    Attributes
    ----------
    name
        The view.
    source
        Where its rows are.
    keys
        Per key column of the source the column of the asking rows that holds it.
    columns
        Per name in the answer the column of the source.
    """

    name: str
    source: Source
    keys: Mapping[str, str]
    columns: Mapping[str, str]


@dataclass(frozen=True)
class RetrievalEvidence:
    """How far an answer is proven.

    Attributes
    ----------
    rule
        The rule that its rows follow, in words.
    views
        What was found in each view's answers.
    seed
        Of the oracle's sample.
    as_of
        The moment at which knowledge was cut off, nanoseconds since 1970 (UTC); None for none.
    sources
        Per file that was read its SHA-256; None where it was replaced before it could be hashed.
    registry_version
        What the registry called the version of the views; empty where it has none.
    knowledge
        Per view how it is known when its rows were known; None where nothing says so.
    content
        The hash of the frame as it was checked; empty for an answer that is no frame. See :func:`content_of`.
    """

    rule: str
    views: tuple[Examination, ...]
    seed: int
    as_of: int | None
    sources: Mapping[str, str | None]
    registry_version: str
    knowledge: Mapping[str, str | None]
    content: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """Every reason not to believe the answer; empty when all checks ran and passed."""
        found = [
            f"{view.violations} of {view.rows} rows of {view.view} saw what they could not know ({dict(view.kinds)})."
            for view in self.views
            if view.violations
        ]
        found += [
            f"The oracle gives {view.oracle_mismatches} of {view.oracle_rows} sampled rows of {view.view} another one."
            for view in self.views
            if view.oracle_mismatches
        ]
        found += [
            f"Nothing says when the rows of {name} were known: no created column and no knowledge policy."
            for name, policy in self.knowledge.items()
            if policy is None
        ]
        found += [
            f"{name} was replaced before it could be hashed." for name, digest in self.sources.items() if not digest
        ]
        return tuple(found) if self.views else ("No view was examined.",)

    @property
    def is_pit_validated(self) -> bool:
        """Whether every check ran and passed. For a frame that may have changed since, ask :meth:`holds_for`."""
        return not self.failures

    def holds_for(self, frame: pd.DataFrame) -> bool:
        """Whether every check passed and the frame is still the one that was checked."""
        return self.is_pit_validated and bool(self.content) and content_of(frame) == self.content


@dataclass(frozen=True)
class Question:
    """Rows that ask some views.

    Attributes
    ----------
    rows
        The asking rows as the caller gave them; they come back, in order and as often, beside the answers.
    stamp
        The column of their times.
    time
        The same as nanoseconds since 1970 (UTC). Shape ``(m,)``.
    views
        What is asked.
    known_by
        The cut-off of knowledge, nanoseconds since 1970 (UTC); None for none.
    registry_version
        What to say about the views' definitions.
    threads
        Over how many threads the work may be split.
    """

    rows: pd.DataFrame
    stamp: str
    time: Integers
    views: tuple[Asked, ...]
    known_by: int | None = None
    registry_version: str = ""
    threads: int = 1
    _coded: dict[str, Coded] = field(default_factory=dict, repr=False, compare=False)

    def frame(self) -> tuple[pd.DataFrame, RetrievalEvidence]:
        """The answer as a frame: float64 with NaN for none, other types as Arrow gives them to pandas."""
        columns: dict[str, Any] = {name: self.rows[name].array for name in self.rows.columns}
        columns[self.stamp] = pd.DatetimeIndex(self.time.view("datetime64[ns]")).tz_localize("UTC").array
        found: list[Examination] = []
        answers = []
        for view in self.views:
            answer = self._joined(view)
            answers.append(answer)
            values = self._values(answer, view)
            found.append(self._examined(view, answer, {k: v for k, v in values.items() if isinstance(v, np.ndarray)}))
            for shown, column in values.items():
                self._new(shown, columns)
                columns[shown] = column if isinstance(column, np.ndarray) else column.to_pandas().array
        frame = pd.DataFrame(columns, index=pd.RangeIndex(len(self.time)), copy=False)
        evidence = self._evidence(answers, found)
        return frame, replace(evidence, content=content_of(frame, self.threads, self._coded))

    def table(self) -> tuple[pa.Table, RetrievalEvidence]:
        """The answer as Arrow: the types of the sources, null where there is no answer."""
        stamps = pd.DatetimeIndex(self.time.view("datetime64[ns]")).tz_localize("UTC")
        table = pa.Table.from_pandas(self.rows.assign(**{self.stamp: stamps}), preserve_index=False)
        found: list[Examination] = []
        answers = []
        for view in self.views:
            answer = self._joined(view)
            answers.append(answer)
            stored = answer.columns(list(dict.fromkeys(view.columns.values())))
            for shown, column in view.columns.items():
                self._new(shown, table.column_names)
                table = table.append_column(shown, stored[column])
            found.append(self._examined(view, answer, dict(stored)))
        return table, self._evidence(answers, found)

    def _joined(self, view: Asked) -> Answer:
        keys = [self._key(column) for column in view.keys.values()]
        wanted = list(dict.fromkeys(view.columns.values()))
        return join(view.source, wanted, keys, self.time, known_by=self.known_by, threads=self.threads)

    def _key(self, column: str) -> Coded:
        """The rows' keys as numbers, worked out once for all views."""
        if column not in self.rows.columns:
            raise BadInput(
                f"entity_df has no column {column!r}; it has {list(self.rows.columns)[:8]}.", "Add it to every row."
            )
        if column not in self._coded:
            self._coded[column] = coded(self.rows[column])
        return self._coded[column]

    def _values(self, answer: Answer, view: Asked) -> dict[str, NDArray[np.float64] | pa.ChunkedArray]:
        kinds = answer.types()
        stored = list(dict.fromkeys(view.columns.values()))
        numbers = [name for name in stored if pa.types.is_float64(kinds.get(name, pa.float64()))]
        block = answer.block(len(numbers))
        answer.fill(numbers, block)
        found: dict[str, Any] = dict(zip(numbers, block, strict=True))
        found |= answer.columns([name for name in stored if name not in found])
        return {shown: found[name] for shown, name in view.columns.items()}

    def _examined(self, view: Asked, answer: Answer, values: Mapping[str, Any]) -> Examination:
        matched = answer.matched(view.name, values)
        return examine(matched, self.time, known_by=self.known_by, ttl=answer.ttl, seed=SEED)

    def _evidence(self, answers: Sequence[Answer], found: Sequence[Examination]) -> RetrievalEvidence:
        sources = {
            str(part.path): digest_of(part.path) if part.is_there() else None
            for answer in answers
            for part in answer.parts
        }
        return RetrievalEvidence(
            rule=RULE,
            views=tuple(found),
            seed=SEED,
            as_of=self.known_by,
            sources=sources,
            registry_version=self.registry_version,
            knowledge={view.name: view.source.knowledge for view in self.views},
        )

    def _new(self, shown: str, there: Sequence[str] | Mapping[str, Any]) -> None:
        if shown in there:
            raise BadInput(
                f"Two columns of the answer are called {shown!r}.",
                "Ask with full_feature_names=True, or rename the column of entity_df.",
            )


def content_of(frame: pd.DataFrame, threads: int = 1, known: Mapping[str, Coded] | None = None) -> str:
    """A hash of a frame: the names, types and order of its columns, and every bit of its values.

    Parameters
    ----------
    frame
        A frame with a plain index.
    threads
        Over how many threads the hashing may be split.
    known
        Columns that were coded already.
    """

    def digest(name: str) -> bytes:
        column = frame[name]
        found = hashlib.sha256(f"{name}\x1f{column.dtype}".encode())
        if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind in "mM":
            found.update(np.ascontiguousarray(column.to_numpy(dtype="datetime64[ns]")).view(np.int64).data)
        elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
            found.update(np.ascontiguousarray(column.to_numpy()).data.cast("B"))
        else:
            try:
                words = known[name] if known and name in known else coded(column)
            except TypeError:  # lists and the like cannot be coded
                found.update(repr(column.tolist()).encode())
            else:
                found.update("\x1f".join(map(repr, words.distinct)).encode())
                found.update(np.ascontiguousarray(words.code).data.cast("B"))
        return found.digest()

    names = [str(name) for name in frame.columns]
    if threads > 1 and len(frame) > 100_000:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(digest, names))
    else:
        parts = [digest(name) for name in names]
    return hashlib.sha256(b"".join(parts)).hexdigest()
