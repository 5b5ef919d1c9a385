"""What people said of a run, for good. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Comment", "SignOff", "Verdict"]


@dataclass(frozen=True)
class Comment:
    """What somebody said of a run, or of one of its cells. It is not changed any more.

    Attributes
    ----------
    number
        Grows with each.
    run_id, cell_id
        Of what; the cell is empty for the run as a whole.
    author, at, text
        Who, when (UTC), what: plain text, and hostile until it is escaped.
    """

    number: int
    run_id: str
    cell_id: str
    author: str
    at: datetime
    text: str


class Verdict(StrEnum):
    """What a sign-off says."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class SignOff:
    """That somebody answers for a run. The last one of a person counts; the earlier ones stay.

    Attributes
    ----------
    number
        Grows with each.
    run_id, author, at
        Of what, who, when (UTC).
    verdict
        Approved, rejected, or withdrawn.
    note
        Why, in plain text.
    """

    number: int
    run_id: str
    author: str
    at: datetime
    verdict: Verdict
    note: str
