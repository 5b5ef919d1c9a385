"""What an audit says: findings with their evidence, for a program, a terminal and a notebook. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from quantdesk.features.audit.kinds import KINDS, Kind

__all__ = ["AuditReport", "Finding", "Line"]

Label = Any
"""The label of a row: a Timestamp, or a number where rows are numbered."""


@dataclass(frozen=True)
class Line:
    """The likely line.

    Attributes
    ----------
    file
        The name of the file; ``"notebook cell"`` for a cell; empty for a step of an estimator.
    number
        The line, from 1; None for a step of an estimator.
    text
        The statement as written, in one line.
    expression
        The part of it that brought the future in, where that could be told.
    function
        The function that it belongs to.
    confirmed
        True where two runs were compared statement by statement, and this is the first whose result differs though
        nothing that it reads does. False where the statement was told from its words.
    """

    file: str
    number: int | None
    text: str
    expression: str
    function: str
    confirmed: bool

    def __str__(self) -> str:
        where = f"{self.file}:{self.number}" if self.number is not None else self.file
        return f"{where}  {self.expression or self.text}".strip()


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Attributes
    ----------
    feature
        The column of the answer, or the name of the function where that has one column.
    kind
        A name out of :data:`quantdesk.features.audit.KINDS`.
    detail
        What happened here, in a sentence or two.
    first
        The label of the first row found that depends on later data; None for a problem.
    magnitude
        The largest absolute change of a value that was seen, in the unit of the feature; NaN where values only appear
        or vanish.
    relative
        The same in standard deviations of the feature.
    appears
        How many rows had a value in one run and none in the other, at the cut that showed it best.
    ahead
        How many rows the first leaking row looks ahead; None where that is not known.
    to_the_end
        True where it looks as far as the data go.
    line
        The likely line; None where it could not be told.
    also
        Other columns with the same finding.
    """

    feature: str
    kind: str
    detail: str
    first: Label = None
    magnitude: float = math.nan
    relative: float = math.nan
    appears: int = 0
    ahead: int | None = None
    to_the_end: bool = False
    line: Line | None = None
    also: tuple[str, ...] = ()

    @property
    def about(self) -> Kind:
        """What its kind means, and what would be right."""
        return KINDS[self.kind]

    @property
    def is_leak(self) -> bool:
        """False for a problem that kept the question from being answered."""
        return self.about.leak

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; NaN and infinity as None."""
        first = self.first.isoformat() if hasattr(self.first, "isoformat") else self.first
        line = self.line
        return {
            "feature": self.feature,
            "also": list(self.also),
            "kind": self.kind,
            "title": self.about.title,
            "is_leak": self.is_leak,
            "detail": self.detail,
            "remedy": self.about.remedy,
            "first": first,
            "magnitude": self.magnitude if math.isfinite(self.magnitude) else None,
            "relative": self.relative if math.isfinite(self.relative) else None,
            "appears": self.appears,
            "ahead": self.ahead,
            "to_the_end": self.to_the_end,
            "line": None if line is None else {**vars(line)},
        }


@dataclass(frozen=True)
class AuditReport:
    """The result of one audit.

    Attributes
    ----------
    name
        What was audited.
    findings
        Leaks first, then problems.
    columns
        The columns of the answer.
    rows
        Rows of the data.
    cuts
        How many places the data were cut at.
    calls
        How often the function was called.
    seed
        Of the cuts and of the other futures. The same seed and data give the same report.
    first, last
        Labels of the first and last cut; None where it did not come to cutting.
    notes
        What limits the answer, in sentences.
    """

    name: str
    findings: tuple[Finding, ...]
    columns: tuple[str, ...] = ()
    rows: int = 0
    cuts: int = 0
    calls: int = 0
    seed: int = 0
    first: Label = None
    last: Label = None
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that are leaks."""
        return tuple(finding for finding in self.findings if finding.is_leak)

    @property
    def verdict(self) -> Literal["no leak found", "leaks", "undecided"]:
        """Undecided where there was a problem and no leak: that is not a pass."""
        if self.leaks:
            return "leaks"
        return "undecided" if self.findings else "no leak found"

    @property
    def passed(self) -> bool:
        """True only when everything could be compared and nothing differed."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        ends = (one.isoformat() if hasattr(one, "isoformat") else one for one in (self.first, self.last))
        return {
            "name": self.name,
            "verdict": self.verdict,
            "passed": self.passed,
            "findings": [finding.to_dict() for finding in self.findings],
            "columns": list(self.columns),
            "rows": self.rows,
            "cuts": self.cuts,
            "calls": self.calls,
            "seed": self.seed,
            "cut_range": list(ends),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        lines = [f"{_SHAPES[self.verdict]} {self.name}: {self.verdict}. {self._basis()}"]
        for finding in self.findings:
            lines.append(f"  {finding.feature}: {finding.about.title}. {finding.detail}")
            if finding.line is not None:
                lines.append(f"    {'line' if finding.line.confirmed else 'perhaps'}  {finding.line}")
            lines.append(f"    {finding.about.remedy}")
        lines += [f"  Note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = (
            f'<div class="qd-audit"><p><strong>{_SHAPES[self.verdict]} {escape(self.name)}: {self.verdict}.</strong> '
            f"{escape(self._basis())}</p>"
        )
        if self.findings:
            cells = "".join(_html_row(finding) for finding in self.findings)
            titles = ("feature", "finding", "first row", "looks ahead", "size", "likely line")
            row = "".join(f'<th scope="col" style="text-align:left">{title}</th>' for title in titles)
            head += f"<table><thead><tr>{row}</tr></thead><tbody>{cells}</tbody></table>"
        head += "".join(f"<p>Note: {escape(note)}</p>" for note in self.notes)
        return head + "</div>"

    def _basis(self) -> str:
        if not self.cuts:
            return f"{self.rows:,} rows."
        days = "" if self.first is None else f" between {_short(self.first)} and {_short(self.last)}"
        return f"{self.rows:,} rows, {self.cuts} cuts{days}, {self.calls} calls, seed {self.seed}."


_SHAPES = {"no leak found": "✓", "leaks": "✗", "undecided": "?"}


def _short(label: Label) -> str:
    if not hasattr(label, "isoformat"):
        return str(label)
    return str(label.date()) if label == label.normalize() else f"{label:%Y-%m-%d %H:%M}"


def _html_row(finding: Finding) -> str:
    more = f" and {len(finding.also)} more" if finding.also else ""
    line = ""
    if finding.line is not None:
        place = f"{finding.line.file}:{finding.line.number}" if finding.line.number is not None else finding.line.file
        shown = finding.line.expression or finding.line.text
        doubt = "" if finding.line.confirmed else "perhaps "
        line = f"{doubt}{escape(place)}<br><code>{escape(shown)}</code>"
    cells = (
        f"<code>{escape(finding.feature)}</code>{more}",
        f"<strong>{escape(finding.about.title)}</strong>",
        "" if finding.first is None else escape(_short(finding.first)),
        finding_ahead(finding),
        finding_size(finding),
        line,
    )
    style = 'style="text-align:left;vertical-align:top"'
    told = f"{escape(finding.detail)} <em>{escape(finding.about.remedy)}</em>"
    row = "".join(f"<td {style}>{cell}</td>" for cell in cells)
    return f'<tr>{row}</tr><tr><td {style} colspan="{len(cells)}">{told}</td></tr>'


def finding_ahead(finding: Finding) -> str:
    """How far a finding looks ahead, in words."""
    if finding.to_the_end:
        return "to the last row"
    if finding.ahead is None:
        return ""
    return f"{finding.ahead} row{'s' if finding.ahead != 1 else ''}"


def finding_size(finding: Finding) -> str:
    """How large a finding is, in words."""
    if math.isfinite(finding.magnitude):
        deviations = f" ({finding.relative:.2g} standard deviations)" if math.isfinite(finding.relative) else ""
        return f"{finding.magnitude:.3g}{deviations}"
    if finding.appears:
        return f"{finding.appears} value{'s' if finding.appears != 1 else ''} appear"
    return ""
