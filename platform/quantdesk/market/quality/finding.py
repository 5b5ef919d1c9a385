"""Small helpers that make findings out of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantdesk.market.quality.report import Degree, Example, Finding
from quantdesk.market.series import PRICE_FIELDS, Description

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXAMPLES", "Rows", "finding", "runs"]

EXAMPLES = 5
"""How many examples a finding carries."""


@dataclass(frozen=True)
class Rows:
    """A series under inspection: its description, and its rows numbered from 0."""

    description: Description
    frame: pd.DataFrame

    def ascending(self) -> Rows:
        """The same rows, one per session, in order: what checks on changes need."""
        frame = self.frame.drop_duplicates("session").sort_values("session", ignore_index=True)
        return Rows(self.description, frame)

    @property
    def main(self) -> pd.Series:
        """adj_close where there is one, else close."""
        return self.frame[self.description.main_field]

    @property
    def prices(self) -> list[str]:
        """The price fields that there are."""
        return [name for name in PRICE_FIELDS if name in self.description.fields]

    def day(self, row: int) -> str:
        """The session of a row, in ISO form."""
        return str(self.frame["session"].iloc[row].date())

    def example(self, row: int, value: float, says: str) -> Example:
        """An example at one row; the phrase starts with the date."""
        return Example(self.frame["session"].iloc[row].date(), float(value), f"{self.day(row)}: {says}")


def finding(check: str, degree: Degree, count: Any, of: int, says: str, examples: Iterable[Example]) -> Finding | None:
    """A finding, or None when nothing was found."""
    if not count:
        return None
    return Finding(check, degree, int(count), int(count) / of if of else 1.0, says, tuple(examples)[:EXAMPLES])


def runs(hit: Any) -> list[tuple[int, int]]:
    """Where a boolean array is True without a break: (start, length), the longest first, then the earliest."""
    import numpy as np

    padded = np.concatenate([[False], np.asarray(hit, dtype=bool), [False]]).astype("int8")
    edges = np.flatnonzero(np.diff(padded))
    found = [(int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return sorted(found, key=lambda run: (-run[1], run[0]))
