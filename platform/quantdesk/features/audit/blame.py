"""Which line of the caller's own made the past depend on the future. Pure.

Two runs are recorded whose data differ only behind a cut. Where the answer's past differs, the search walks back from
the statement that returned it: to the statement that first left a differing value in a name that it reads, into a
function of the caller's own that it called, or up to the call that handed a differing argument in; until a statement
reads nothing that differs and still leaves something that does. That is the line; the first library call in it that
returned a difference is the expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from quantdesk.features.audit.marks import Mark, differing
from quantdesk.features.audit.source import lines_of
from quantdesk.features.audit.tracing import Call, Frame, Record, Step, names_of

__all__ = ["Suspect", "suspect"]


@dataclass(frozen=True)
class Suspect:
    """Where the search ended.

    Attributes
    ----------
    step
        The execution of the statement.
    calls
        Library calls of that statement that returned a difference, first to last.
    others
        All library calls of that statement.
    around
        The statements through which it was called, innermost first.
    feeding
        The statements that assigned what it reads.
    """

    step: Step
    calls: tuple[Call, ...]
    others: tuple[Call, ...]
    around: tuple[Step, ...]
    feeding: tuple[Step, ...]


def suspect(one: Record, other: Record, column: str | None) -> Suspect | None:
    """The statement that brought the future in; None where no statement of the caller's can be told.

    Parameters
    ----------
    one, other
        Records of the two runs.
    column
        The column of the answer that differs.
    """
    found = _Search(one, other).from_the_end(column)
    if found is None or found.step.result is None:
        return found
    # The search did not get past the last statement. A branch that only the other run took shows from its side.
    turned = _Search(other, one).from_the_end(column)
    return found if turned is None or turned.step.result is not None else turned


class _Search:
    def __init__(self, one: Record, other: Record) -> None:
        self.one = one
        self.theirs = {step.key: step for step in other.steps}
        self.place = {id(step): place for place, step in enumerate(one.steps)}
        self.within: dict[Frame, list[Step]] = {}
        for step in one.steps:
            self.within.setdefault(step.frame, []).append(step)
        self.seen: set[int] = set()

    def from_the_end(self, column: str | None) -> Suspect | None:
        roots = [frame for frame, holder in self.one.made_by.items() if holder is None and frame in self.within]
        ends = [self._end_of(frame) for frame in roots]
        for end in ends:
            if end is not None and self._result_differs(end, column):
                return self._found(self._back(end, column), column)
        if not any(ends) and not self.one.complete:
            return self._from_the_start()
        return None

    def _from_the_start(self) -> Suspect | None:
        """For a record that ended before the function did: the first statement that spoiled something old."""
        for step in self.one.steps:
            pair = self.theirs.get(step.key)
            if pair is None or step.entered:
                continue
            for name, mark in step.left.items():
                if mark is not None and mark.aligned and differing(mark, pair.left.get(name)):
                    return self._found(self._back(step, None), None)
        return None

    def _end_of(self, frame: Frame) -> Step | None:
        return next((step for step in reversed(self.within.get(frame, [])) if step.result is not None), None)

    def _result_differs(self, step: Step, column: str | None) -> bool:
        pair = self.theirs.get(step.key)
        named = column if step.result is not None and column in step.result.columns else None
        return pair is None or differing(step.result, pair.result, named)

    def _back(self, step: Step, column: str | None) -> Step:
        """The origin of the difference that `step` leaves."""
        if id(step) in self.seen:
            return step
        self.seen.add(id(step))
        if step.entered:
            # The arguments differed already: whoever made the call handed them in.
            holder = self.one.made_by.get(step.frame)
            captured = self._captured(step, holder)
            if captured is not None:
                return self._back(captured, None)
            return step if holder is None else self._back(holder, None) if id(holder) not in self.seen else holder
        if step.key not in self.theirs:
            # The other run took another branch: the decision is the last statement that both took.
            before = [one for one in self.within[step.frame] if self._earlier(one, step) and one.key in self.theirs]
            return self._back(before[-1], None) if before else step
        for name in names_of(step.code, step.span).reads:
            mark = step.left.get(name)
            start = self._since(name, step, _columns_read(step, name, mark, column))
            if start is not None:
                return self._back(start, column)
        for child in step.children:
            end = self._end_of(child)
            if end is not None and self._result_differs(end, column):
                origin = self._back(end, column)
                return step if origin.entered else origin
        return step

    def _captured(self, entry: Step, holder: Step | None) -> Step | None:
        """Where a name got its difference that a function reads from the one that it was written in."""
        while holder is not None:
            for name in entry.code.co_freevars:
                start = self._since(name, holder, (None,))
                if start is not None:
                    return start
            holder = self.one.made_by.get(holder.frame)
        return None

    def _earlier(self, one: Step, other: Step) -> bool:
        return self.place[id(one)] < self.place[id(other)]

    def _since(self, name: str, step: Step, columns: tuple[str | None, ...]) -> Step | None:
        """The statement since which `name` differs when `step` reads it; None where it does not."""
        start = None
        for earlier in reversed(self.within[step.frame]):
            if not self._earlier(earlier, step) or name not in earlier.left:
                continue
            pair = self.theirs.get(earlier.key)
            if pair is not None and not any(
                differing(earlier.left[name], pair.left.get(name), column) for column in columns
            ):
                break
            if pair is None and start is not None:
                break
            start = earlier
            if name in names_of(earlier.code, earlier.span).assigns:
                break
        if start is not None and start.entered and self.one.made_by.get(start.frame) is None:
            return None  # the data themselves: a row about the past that was published later differs from the start
        return start

    def _found(self, step: Step, column: str | None) -> Suspect:
        pair = self.theirs.get(step.key)
        theirs = pair.calls if pair is not None else []
        calls = tuple(
            mine for mine, other in zip(step.calls, theirs, strict=False)
            if mine.name == other.name and differing(mine.left, other.left)
        )  # fmt: skip
        calls = _for_column(step, calls, column) or calls
        around: list[Step] = []
        holder = self.one.made_by.get(step.frame)
        while holder is not None and len(around) < 5:
            around.append(holder)
            holder = self.one.made_by.get(holder.frame)
        reads = set(names_of(step.code, step.span).reads)
        feeding = (
            one for one in self.within[step.frame]
            if self._earlier(one, step) and reads & names_of(one.code, one.span).assigns
        )  # fmt: skip
        return Suspect(step, calls, tuple(step.calls), tuple(around), tuple(feeding)[-8:])


def _for_column(step: Step, calls: tuple[Call, ...], column: str | None) -> tuple[Call, ...]:
    """Of a statement that makes several columns: the calls inside the expression that made this one."""
    marks = [one.columns for one in (step.result, *step.left.values()) if one is not None]
    made = {columns[column] for columns in marks if column is not None and column in columns}
    for outer in calls:
        if outer.left is not None and outer.where is not None and outer.left.columns.get("") in made:
            first, last = outer.where[0::2], outer.where[1::2]
            return tuple(
                one for one in calls
                if one.where is not None and first <= one.where[0::2] and one.where[1::2] <= last
            )  # fmt: skip
    return ()


def _columns_read(step: Step, name: str, mark: Mark | None, column: str | None) -> tuple[str | None, ...]:
    """Which columns of a table a statement reads, where it names each; else all of it, or the one that is traced."""
    if mark is None or set(mark.columns) == {""}:
        return (None,)
    text = lines_of(step.code, step.span)
    uses: list[Any] = re.findall(rf"(?<![\w.]){re.escape(name)}\b(?:\[(['\"])([^'\"]+)\1\]|\.(\w+))?", text)
    named = [quoted or attribute for _, quoted, attribute in uses]
    if named and all(one in mark.columns for one in named):
        return tuple(named)
    return (column if column in mark.columns else None,)
