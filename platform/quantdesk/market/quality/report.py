"""Findings, and the report that holds them."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "DEGREES", "Degree", "Example", "Finding", "Report"]

Degree = Literal["wrong", "doubtful", "notable"]
DEGREES: tuple[Degree, ...] = ("wrong", "doubtful", "notable")

COLUMNS = ("series", "check", "degree", "count", "share", "says", "worst")


@dataclass(frozen=True)
class Example:
    """One place at which a check found something.

    Attributes
    ----------
    session
        The date; the first one of a run.
    value
        What stands there, or the size of what was found; its meaning is in `says`.
    says
        The example as a phrase.
    """

    session: dt.date
    value: float
    says: str


@dataclass(frozen=True)
class Finding:
    """What one check found in one series.

    Attributes
    ----------
    check
        Its name, for example ``"missing_sessions"``.
    degree
        ``"wrong"`` contradicts itself or its kind; ``"doubtful"`` is more likely an error than the market;
        ``"notable"`` can well be the market, and matters to some uses.
    count
        Rows (or sessions) concerned.
    share
        Their share of all rows (or sessions), 0 to 1.
    says
        What the check looks for.
    examples
        The worst first; at most five.
    """

    check: str
    degree: Degree
    count: int
    share: float
    says: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Report:
    """All findings on one series.

    Attributes
    ----------
    series
        ``SYMBOL@source``.
    rows
        Rows that were looked at.
    sessions
        How many there should be between the first and the last.
    findings
        Only checks that found something, the worst degree first.
    """

    series: str
    rows: int
    sessions: int
    findings: tuple[Finding, ...]

    @property
    def degree(self) -> str:
        """The worst degree of any finding, or ``"clean"``."""
        found = {finding.degree for finding in self.findings}
        return next((degree for degree in DEGREES if degree in found), "clean")

    def finding(self, check: str) -> Finding | None:
        """What one check found, or None."""
        return next((finding for finding in self.findings if finding.check == check), None)

    def to_frame(self) -> pd.DataFrame:
        """One row per finding; the columns are :data:`COLUMNS`. `worst` is the first example as a phrase."""
        import pandas as pd

        rows = [
            (
                self.series,
                finding.check,
                finding.degree,
                finding.count,
                finding.share,
                finding.says,
                finding.examples[0].says if finding.examples else "",
            )
            for finding in self.findings
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"count": "int64", "share": "float64"})

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "series": self.series,
            "degree": self.degree,
            "rows": self.rows,
            "sessions": self.sessions,
            "findings": [
                {
                    **asdict(finding),
                    "examples": [
                        {**asdict(example), "session": example.session.isoformat()} for example in finding.examples
                    ],
                }
                for finding in self.findings
            ],
        }
