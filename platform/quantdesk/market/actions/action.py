"""A split or a dividend: what it is, when it takes effect, and since when it was known. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from quantdesk.errors import BadInput

__all__ = ["KINDS", "LABELS", "Action", "Kind", "Label", "known_by", "merged"]

Kind = Literal["split", "dividend"]
KINDS: tuple[str, ...] = get_args(Kind)

Label = Literal["real", "reconstructed"]
LABELS: tuple[str, ...] = get_args(Label)


@dataclass(frozen=True, kw_only=True)
class Action:
    """One corporate action.

    Attributes
    ----------
    symbol
        Whose it is: a plain symbol.
    kind
        ``"split"`` (also stock dividends and reverse splits) or ``"dividend"`` (cash).
    ex_date
        The first session whose price is without it (local date).
    known_at
        When it could first be known, UTC: the announcement where a file says it, else the opening of the ex-date.
        A correction is a second action of the same symbol, kind and ex-date that was known later.
    value
        Of a split, the shares after it for one before it (7.0 for 7:1, 0.1 for a reverse split 1:10; 1.0 takes an
        earlier announcement back). Of a dividend, cash per share held before the ex-date, before a split of the same
        day (0.0 takes it back).
    currency
        Of a dividend; empty for a split.
    source
        The file or series that says so.
    label
        ``"real"`` where a source states the action, ``"reconstructed"`` where it was worked out from prices.
    note
        What a reader should know; may be empty.
    """

    symbol: str
    kind: Kind
    ex_date: dt.date
    known_at: dt.datetime
    value: float
    currency: str
    source: str
    label: Label
    note: str = ""

    def __post_init__(self) -> None:
        floor = "above 0" if self.kind == "split" else "at least 0"
        fits = self.value > 0 if self.kind == "split" else self.value >= 0
        if not fits or self.value == float("inf"):
            said = f"The {self.kind} of {self.symbol} on {self.ex_date} has the value {self.value:g}."
            raise BadInput(said, f"It is a finite number {floor}.")
        if self.known_at.utcoffset() is None:
            said = f"The {self.kind} of {self.symbol} on {self.ex_date} was known at {self.known_at}: without a zone."
            raise BadInput(said, "Give an aware time.")

    @property
    def event(self) -> tuple[str, str, dt.date]:
        """What it is about: actions with the same event are revisions of each other."""
        return self.symbol, self.kind, self.ex_date

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "ex_date": self.ex_date.isoformat(), "known_at": self.known_at.isoformat()}


def known_by(actions: Iterable[Action], moment: dt.datetime | None) -> tuple[Action, ...]:
    """Per event the last revision that was known at `moment`, by ex-date; all knowledge where `moment` is None.

    An action that was taken back (a dividend of 0, a split of 1) is left out.
    """
    last: dict[tuple[str, str, dt.date], Action] = {}
    for action in sorted(actions, key=lambda one: one.known_at):
        if moment is None or action.known_at <= moment:
            last[action.event] = action
    kept = [one for one in last.values() if one.value != (1.0 if one.kind == "split" else 0.0)]
    return tuple(sorted(kept, key=lambda one: (one.ex_date, one.kind, one.symbol)))


def merged(derived: Sequence[Action], loaded: Sequence[Action]) -> tuple[Action, ...]:
    """What a file states replaces what was worked out, kind by kind.

    A file that was loaded for a symbol is taken to be complete for the kinds that it holds: two lists of the same
    dividends whose dates differ by a day would otherwise pay them twice.
    """
    stated = {action.kind for action in loaded}
    return (*(action for action in derived if action.kind not in stated), *loaded)
