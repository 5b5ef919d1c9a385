"""A question too large for memory, answered part by part: a part holds all rows of some keys. Edge: it reads files.

Rows of one key depend on no other key, so parts can be answered in any order and anywhere, and each row gets what it
gets when all are answered together. A part needs memory for its own rows and for the feature rows of its own keys: the
rest is never read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from quantdesk.compute import Compute, InProcess
from quantdesk.errors import BadParameter
from quantdesk.features.asof import Integers
from quantdesk.features.keys import Coded, coded
from quantdesk.features.proof import Examination
from quantdesk.features.question import Question, RetrievalEvidence

__all__ = ["PART_ROWS", "Streamed", "merged", "parts"]

PART_ROWS = 1_000_000
"""Asking rows per part, unless said otherwise."""


class Streamed:
    """The answer of a question, part by part; its evidence when all parts have been taken.

    Parameters
    ----------
    question
        What is asked.
    compute
        Where the parts are answered.
    rows
        Asking rows per part, about: the rows of a key stay together, and a key with more has a part of its own.
    """

    def __init__(self, question: Question, compute: Compute | None = None, rows: int = PART_ROWS) -> None:
        self._question = question
        self._compute = compute or InProcess()
        self._rows = rows
        self.evidence: RetrievalEvidence | None = None

    def __iter__(self) -> Iterator[pa.Table]:
        """The tables: rows of the same keys together, within a part in the order in which they asked."""
        for _, table in self.placed():
            yield table

    def placed(self) -> Iterator[tuple[Integers, pa.Table]]:
        """The same, each with the places that its rows have among the asking rows."""
        found: list[RetrievalEvidence] = []
        places = list(parts(self._question, self._rows))
        questions = (_part(self._question, place) for place in places)
        for place, (table, evidence) in zip(places, self._compute.map(_answer, questions), strict=True):
            found.append(evidence)
            yield place, table
        self.evidence = merged(found)


def parts(question: Question, rows: int) -> Iterator[Integers]:
    """The places of the rows of each part, ascending within a part; every row is in exactly one.

    Parameters
    ----------
    question
        What is asked. Its first key column tells the parts apart; without any key they are runs of rows.
    rows
        Asking rows per part, about.
    """
    if rows < 1:
        raise BadParameter(f"A part of {rows} rows is none.", "Give 1 or more.")
    size = len(question.time)
    column = next((name for view in question.views for name in view.keys.values() if name in question.rows), None)
    if size <= rows or column is None:
        for begin in range(0, max(size, 1), rows):
            yield np.arange(begin, min(begin + rows, size))
        return
    code = _ranked(coded(question.rows[column])) + 1  # null keys are a key like the others here
    count = np.bincount(code)
    group = np.zeros(len(count), dtype=np.int64)
    number, filled = 0, 0
    for key, its in enumerate(count.tolist()):
        if filled and filled + its > rows:
            number, filled = number + 1, 0
        group[key] = number
        filled += its
    order = np.argsort(group[code], kind="stable")
    ends = np.cumsum(np.bincount(group[code], minlength=number + 1))
    yield from (part for part in np.split(order, ends[:-1]) if len(part))


def _ranked(column: Coded) -> Integers:
    """The codes by the order of the keys: files are mostly in it, so that a part needs few of their row groups."""
    try:
        order = np.argsort(column.distinct.to_numpy(), kind="stable")
    except TypeError:  # keys that cannot be compared
        return column.code
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return rank[column.code]


def merged(found: Sequence[RetrievalEvidence]) -> RetrievalEvidence:
    """The evidence of all parts as one: counts are added up, and files are named once."""
    views: dict[str, Examination] = {}
    for one in (view for evidence in found for view in evidence.views):
        before = views.get(one.view)
        if before is None:
            views[one.view] = one
            continue
        views[one.view] = Examination(
            one.view,
            before.rows + one.rows,
            before.found + one.found,
            before.violations + one.violations,
            before.oracle_rows + one.oracle_rows,
            before.oracle_mismatches + one.oracle_mismatches,
            {kind: before.kinds.get(kind, 0) + one.kinds.get(kind, 0) for kind in {*before.kinds, *one.kinds}},
        )
    sources: dict[str, str | None] = {}
    for evidence in found:
        for name, digest in evidence.sources.items():
            # A file that was not the same for all parts has no one hash.
            sources[name] = digest if sources.get(name, digest) == digest else None
    return replace(found[0], views=tuple(views.values()), sources=sources, content="")


def _part(question: Question, place: Integers) -> Question:
    rows = question.rows.iloc[place].reset_index(drop=True)
    return replace(question, rows=rows, time=question.time[place], _coded={})


def _answer(question: Question) -> tuple[pa.Table, RetrievalEvidence]:
    """Answer a part. Importable by name: it may run in another process."""
    return question.table()
