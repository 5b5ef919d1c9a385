"""Following one leak up: since when, how far ahead, how large, which line, and which kind. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.features.audit.answers import Answer, Difference
from quantdesk.features.audit.blame import Suspect, suspect
from quantdesk.features.audit.futures import FUTURES, another
from quantdesk.features.audit.inquiry import CUT_OFF, Inquiry
from quantdesk.features.audit.marks import Past
from quantdesk.features.audit.naming import Behaviour, kind_of
from quantdesk.features.audit.report import Finding, Line
from quantdesk.features.audit.source import lines_of, shown_file, text_of
from quantdesk.features.audit.tracing import Record, recorded
from quantdesk.features.audit.trial import Failure, code_of

__all__ = ["Evidence", "Follow"]


_KEPT = 16


@dataclass(frozen=True)
class Evidence:
    """How a leak was seen: the way, the cut, the difference, and the one that says best how large it is."""

    how: str
    cut: float
    difference: Difference
    size: Difference | None = None


class Follow:
    """Follow-up questions about the leaks of one function."""

    def __init__(self, inquiry: Inquiry) -> None:
        self.inquiry = inquiry
        self.moments = inquiry.data.moments
        self._asked_before: dict[tuple[str, float], list[Difference] | Failure] = {}
        self._records: dict[tuple[str, float], tuple[Record, Record]] = {}
        self._by_values: dict[tuple[str, float], tuple[str, float] | None] = {}

    def finding(self, group: list[tuple[str, Evidence, Suspect | None]], name: str) -> Finding:
        """The finding about columns that share a line; the first one is followed up."""
        column, evidence, found = min(group, key=lambda one: one[1].difference.first)
        first = self._first(column, evidence)
        ahead, to_the_end, others = self._reach(column, evidence, first)
        behaviour = Behaviour(
            ahead=(ahead, *others) if ahead is not None else (),
            to_the_end=to_the_end,
            only_there=self._only_the_furthest(column, first, ahead),
            members=self.inquiry.whole.members or evidence.difference.vanished,
            membership=self.inquiry.whole.flags,
            dates_only=self._shown_by_values(column, evidence) is None,
            fitted=self.inquiry.fitted is not None,
            published_late=self._published_late(column, evidence),
        )
        line, _ = self.line(evidence)
        size = evidence.size or evidence.difference
        spread = float(np.nanstd(_numbers(self.inquiry.whole.columns.get(column))))
        return Finding(
            feature=column or name,
            kind=kind_of(found, behaviour),
            detail=self._told(evidence),
            first=self.inquiry.data.clock.label(first),
            magnitude=size.magnitude,
            relative=size.magnitude / spread if spread > 0 else math.nan,
            appears=size.appears,
            ahead=ahead,
            to_the_end=to_the_end,
            line=line,
            also=tuple(other for other, _, _ in group if other != column),
        )

    def line(self, evidence: Evidence) -> tuple[Line | None, Suspect | None]:
        """The likely line, and what was found out about it."""
        column = evidence.difference.column
        how, cut = self._shown_by_values(column, evidence) or (evidence.how, evidence.cut)
        fitted = self.inquiry.fitted
        one, other = self._recorded(how, cut)
        found = suspect(one, other, column or None)
        if found is None and fitted is not None:
            part = fitted.culprit(self.inquiry.data, self.inquiry.other(how, cut), cut)
            return (None if part is None else Line("", None, part, part, type(fitted.estimator).__name__, True)), None
        if found is None:
            return self._only_statement(), None
        step = found.step
        expression = _expression(found)
        text = " ".join(lines_of(step.code, step.span).split())
        number = step.span[0]
        if found.calls and found.calls[0].where is not None:
            number = found.calls[0].where[1]
        return Line(shown_file(step.code), number, text, expression, step.code.co_name, True), found

    def _only_statement(self) -> Line | None:
        """The whole function, where nothing more is known and it has one line."""
        code = code_of(self.inquiry.trial.function)
        text = "" if code is None else " ".join(lines_of(code, (code.co_firstlineno,) * 2).split())
        if code is None or not text:
            return None
        return Line(shown_file(code), code.co_firstlineno, text, "", code.co_name, False)

    def _recorded(self, how: str, cut: float) -> tuple[Record, Record]:
        key = (how, cut)
        if key not in self._records:
            inquiry = self.inquiry
            home = None if inquiry.fitted is not None else code_of(inquiry.trial.function)
            seen = cut - inquiry.delay
            one, other = (
                recorded(partial(inquiry.trial.raw, data, data.given()), home, Past(data, seen))
                for data in (inquiry.data, inquiry.other(how, cut))
            )
            self._records[key] = (one, other)
        return self._records[key]

    def _differs(self, column: str, how: str, cut: float) -> Difference | None:
        found = self._ask(how, cut)
        if isinstance(found, Failure):
            return None
        return next((one for one in found if one.column == column), None)

    def _ask(self, how: str, cut: float) -> list[Difference] | Failure:
        """The same question is asked about many columns, and answered once; of the answers the last few are kept."""
        key = (how, cut)
        if key not in self._asked_before:
            while len(self._asked_before) >= _KEPT:
                self._asked_before.pop(next(iter(self._asked_before)))
            self._asked_before[key] = self.inquiry.ask(how, cut)
        return self._asked_before[key]

    def _shown_by_values(self, column: str, evidence: Evidence) -> tuple[str, float] | None:
        """A way and a cut at which other values alone, with the same dates, show the leak; None where none does."""
        key = (column, evidence.cut)
        if key not in self._by_values:
            self._by_values[key] = self._search_by_values(column, evidence)
        return self._by_values[key]

    def _search_by_values(self, column: str, evidence: Evidence) -> tuple[str, float] | None:
        at = self._position(evidence.difference.first)
        last = len(self.moments) - 2
        # The middle first: with much before it and much behind it, two runs tell lines apart best.
        near = [self.moments[min(place, last)].item() for place in (len(self.moments) // 2, at, at + 2)]
        for cut in dict.fromkeys([near[0], evidence.cut, *near[1:]]):
            for how in FUTURES:
                if self._differs(column, how, cut) is not None:
                    return how, cut
        return None if evidence.how == CUT_OFF else (evidence.how, evidence.cut)

    def _position(self, at: float) -> int:
        """The last moment of the data that is not after a time."""
        return max(int(np.searchsorted(self.moments, at, side="right")) - 1, 0)

    def _first(self, column: str, evidence: Evidence) -> float:
        """The first leaking row, by bisection. It does leak; rows before it may too where a leak comes and goes."""
        best = evidence.difference.first
        low, high = 0, self._position(best)
        while low < high:
            middle = (low + high) // 2
            found = self._differs(column, evidence.how, self.moments[middle].item())
            if found is None:
                low = middle + 1
            else:
                best = min(best, found.first)
                high = min(middle, self._position(best))
        return best

    def _reach(self, column: str, evidence: Evidence, first: float) -> tuple[int | None, bool, tuple[int, ...]]:
        """How far ahead the first row looks and some other ones do, and whether all look to the end."""
        times = evidence.difference.times
        rows = list(dict.fromkeys([first, times[len(times) // 2].item(), times[-1].item()]))
        found = [self._reach_of(column, evidence.how, row) for row in rows]
        known = [one for one in found if one is not None]
        if not known or found[0] is None:
            return None, False, ()
        last = len(self.moments) - 2
        ends = [self._position(row) + one - 1 for row, one in zip(rows, found, strict=True) if one is not None]
        to_the_end = all(end >= last for end in ends) and max(known) > 2
        return known[0], to_the_end, tuple(known[1:])

    def _reach_of(self, column: str, how: str, row: float) -> int | None:
        start = self._position(row)
        low, high = start, len(self.moments) - 2
        if not self._row_differs(column, how, row, start):
            return None
        while low < high:  # the last cut that still changes this row
            middle = (low + high + 1) // 2
            if self._row_differs(column, how, row, middle):
                low = middle
            else:
                high = middle - 1
        return low - start + 1

    def _row_differs(self, column: str, how: str, row: float, place: int) -> bool:
        found = self._differs(column, how, self.moments[place].item())
        return found is not None and bool((found.times == row).any())

    def _only_the_furthest(self, column: str, row: float, ahead: int | None) -> bool:
        """Whether nothing between a row and the furthest that it reads changes it."""
        if ahead is None or ahead < 2:
            return ahead == 1
        start = self._position(row)
        until = self.moments[min(start + ahead - 1, len(self.moments) - 1)].item()
        rng = np.random.default_rng([self.inquiry.seed, 4])
        between = self.inquiry.data.changed(another("noise", rng), self.moments[start].item(), until)
        answer = self.inquiry.trial(between)
        if not isinstance(answer, Answer):
            return False
        return not any(one.column == column for one in self.inquiry.against(answer, "noise", row))

    def _published_late(self, column: str, evidence: Evidence) -> bool:
        """Whether the leak comes from a table that was known later than its dates say, and from no other."""
        data = self.inquiry.data
        late = [part.name for part in data.parts if (part.known > part.times).any()]
        if not late:
            return False
        how, cut = self._shown_by_values(column, evidence) or (evidence.how, evidence.cut)
        other = self.inquiry.other(how, cut)
        shows = {
            part.name: any(one.column == column for one in self._asked(how, cut, data.only(part.name, other)))
            for part in data.parts
        }
        return any(shows[name] for name in late) and not any(shows[name] for name in shows if name not in late)

    def _asked(self, how: str, cut: float, data: Any) -> list[Difference]:
        found = self.inquiry.ask(how, cut, data)
        return [] if isinstance(found, Failure) else found

    def _told(self, evidence: Evidence) -> str:
        """How it was seen, in a sentence."""
        one, day = evidence.difference, _day(self.inquiry.data.clock.label(evidence.cut))
        way = {CUT_OFF: "Without the rows after", "deaths": "With some values that end after"}
        count = len(one.times)
        rows = "one row" if count == 1 else f"{count:,} rows"
        verb = "change" if one.appears < count else "gain or lose a value"
        verb = verb if count > 1 else verb.replace("change", "changes").replace("gain or lose", "gains or loses")
        return f"{way.get(evidence.how, 'With other values after')} {day}, {rows} up to it {verb}."


def _expression(found: Suspect) -> str:
    for call in found.calls:
        if call.where is not None:
            text = text_of(found.step.code, call.where)
            if text:
                return text
    return ""


def _numbers(values: Any) -> Any:
    if values is None or values.dtype == object:
        return np.array([0.0])
    kept = values[np.isfinite(values)]
    return kept if len(kept) else np.array([0.0])


def _day(label: Any) -> str:
    if not isinstance(label, pd.Timestamp):
        return str(label)
    return str(label.date()) if label == label.normalize() else f"{label:%Y-%m-%d %H:%M}"
