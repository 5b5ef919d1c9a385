"""Trying every cut, and following up what differs: first row, reach, line and name. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.features.audit.answers import Difference
from quantdesk.features.audit.blame import Suspect
from quantdesk.features.audit.follow import Evidence, Follow
from quantdesk.features.audit.futures import BOLD, FUTURES
from quantdesk.features.audit.inquiry import CUT_OFF, Inquiry
from quantdesk.features.audit.report import Finding
from quantdesk.features.audit.trial import Failure

__all__ = ["Leak", "examine"]


@dataclass(frozen=True)
class Leak:
    """What came of the cuts: findings and notes."""

    findings: list[Finding] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def joined(self, other: Leak) -> Leak:
        """These, and what another pass found in columns that this one did not accuse."""
        accused = {name for one in self.findings if one.is_leak for name in (one.feature, *one.also)}
        more = [one for one in other.findings if not {one.feature, *one.also} & accused]
        return replace(self, findings=self.findings + more, notes=self.notes + other.notes)


def examine(
    inquiry: Inquiry, at: Any, name: str, tell: Callable[[int, int], None], *, only_leaks: bool = False
) -> Leak:
    """Try every cut until every column is found to leak; then follow each up.

    Parameters
    ----------
    inquiry
        The function and its data.
    at
        The cuts.
    name
        The name for an answer with one column.
    tell
        Called with how many cuts are done, and how many there are.
    only_leaks
        Leave failures out: the data are some that the function never promised to take.
    """
    evidence: dict[str, Evidence] = {}
    failures: list[tuple[str, float, Failure]] = []
    rest = [how for how in FUTURES if how != "noise"]
    for number, cut in enumerate(np.asarray(at).tolist()):
        ways = [*([CUT_OFF] if inquiry.steady else []), "noise", rest[number % len(rest)]]
        for how in ways:
            found = inquiry.ask(how, cut)
            if isinstance(found, Failure):
                failures.append((how, cut, found))
                continue
            for one in found:
                _kept(evidence, how, cut, one)
        tell(number + 1, len(at))
        if set(evidence) >= set(inquiry.whole.columns):
            break
    findings = [] if only_leaks else _failed(inquiry, failures, len(at), name)
    return Leak(findings + _leaks(inquiry, evidence, name), () if only_leaks else _notes(inquiry))


def _kept(evidence: dict[str, Evidence], how: str, cut: float, one: Difference) -> None:
    """Keep the earliest differing row of a column, and the clearest size: that of a future that merely ends."""
    before = evidence.get(one.column)
    if before is None:
        evidence[one.column] = Evidence(how, cut, one)
    elif one.first < before.difference.first:
        evidence[one.column] = Evidence(how, cut, one, before.size or before.difference)
    elif how == CUT_OFF and np.isfinite(one.magnitude) and before.size is None:
        evidence[one.column] = replace(before, size=one)


def _leaks(inquiry: Inquiry, evidence: dict[str, Evidence], name: str) -> list[Finding]:
    """One finding per line: columns that the same statement spoils are told together."""
    follow = Follow(inquiry)
    groups: dict[Any, list[tuple[str, Evidence, Suspect | None]]] = {}
    for column, one in evidence.items():
        shown, suspect = follow.line(one)
        step = None if suspect is None else (suspect.step.code, suspect.step.span, shown.expression if shown else "")
        groups.setdefault((step, one.difference.vanished), []).append((column, one, suspect))
    return [follow.finding(members, name) for members in groups.values()]


def _failed(inquiry: Inquiry, failures: list[tuple[str, float, Failure]], cuts: int, name: str) -> list[Finding]:
    findings = []
    ended = [(cut, failure) for how, cut, failure in failures if how == CUT_OFF]
    if ended:
        cut, failure = ended[-1]
        rows = int((inquiry.data.moments <= cut).sum())
        kind = "fails_when_truncated" if failure.kind == "fails" else failure.kind
        words = f"With the first {rows} rows: {failure.words.rstrip('.')}. So it went at {len(ended)} of {cuts} cuts"
        findings.append(Finding(name, kind, f"{words}; it answers from {_enough(inquiry, rows)} rows on."))
    changed = [(how, failure) for how, _, failure in failures if how != CUT_OFF and how not in BOLD]
    if changed:
        how, failure = changed[0]
        kind = "fails_on_another_future" if failure.kind == "fails" else failure.kind
        findings.append(Finding(name, kind, f"With other values after the cut ({how}): {failure.words}"))
    return findings


def _enough(inquiry: Inquiry, rows: int) -> int:
    """The fewest rows that the function answers to, by bisection between a failure and the whole."""
    low, high = rows, len(inquiry.data.moments)
    while high - low > 1:
        middle = (low + high) // 2
        if isinstance(inquiry.ask(CUT_OFF, inquiry.data.moments[middle - 1].item()), Failure):
            low = middle
        else:
            high = middle
    return high


def _notes(inquiry: Inquiry) -> tuple[str, ...]:
    notes = []
    rows, own = inquiry.data.main.times, inquiry.whole.times
    if not pd.Index(own).isin(pd.Index(rows)).all():
        notes.append(
            f"The answer has rows of its own ({len(own):,} for {len(rows):,} of the data), compared by their labels: "
            "a row is taken to be used at its label."
        )
    if inquiry.judged_after > -np.inf:
        label = inquiry.data.clock.label(inquiry.judged_after)
        notes.append(f"Rows up to {label} trained the estimator and were not judged.")
    return tuple(notes)
