"""What a broker says beside what the ledger says: every difference, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Difference", "Fault", "Statement", "Subject", "compare"]


class Subject(StrEnum):
    """What differs."""

    ORDER = "order"
    """Shares of an open order that are not traded yet."""
    POSITION = "position"
    FILL = "fill"


class Fault(StrEnum):
    """How."""

    MISSING_HERE = "missing_here"
    """The broker has it, the ledger does not."""
    MISSING_THERE = "missing_there"
    """The ledger has it, the broker does not."""
    OTHER_QUANTITY = "other_quantity"
    """Both have it, and not alike."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One side of a reconciliation.

    Attributes
    ----------
    open_orders
        Client ids of open orders, and the shares of each that are not traded yet.
    positions
        Shares by symbol, shorts below 0; a symbol that is left out, and one of 0, are the same.
    fills
        Execution ids of fills, each with its client id, shares, and price in micro-dollars.
    """

    open_orders: Mapping[str, int] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
    fills: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes
    ----------
    subject, fault
        What differs, and how.
    name
        The client id, symbol or execution id.
    here, there
        What the ledger and what the broker says: shares, or for a fill client id, shares and price; None where it is
        missing.
    """

    subject: Subject
    fault: Fault
    name: str
    here: int | tuple[str, int, int] | None
    there: int | tuple[str, int, int] | None

    def __str__(self) -> str:
        return f"{self.subject} {self.name}: {_said(self.here)} here, {_said(self.there)} at the broker"

    def to_dict(self) -> dict[str, Any]:
        """Text, numbers and lists."""
        here, there = (list(side) if isinstance(side, tuple) else side for side in (self.here, self.there))
        return {
            "subject": str(self.subject),
            "fault": str(self.fault),
            "name": self.name,
            "here": here,
            "there": there,
        }


def compare(here: Statement, there: Statement) -> tuple[Difference, ...]:
    """Every difference between the ledger and the broker, sorted by subject and name; empty where they agree.

    Parameters
    ----------
    here
        What the ledger says.
    there
        What the broker says. Both must be about the same span of time, or fills of the one will be missing in the
        other.
    """
    pairs: tuple[tuple[Subject, Mapping[str, Any], Mapping[str, Any]], ...] = (
        (Subject.ORDER, here.open_orders, there.open_orders),
        (Subject.POSITION, _held(here.positions), _held(there.positions)),
        (Subject.FILL, here.fills, there.fills),
    )
    return tuple(
        Difference(subject, _fault(ours.get(name), theirs.get(name)), name, ours.get(name), theirs.get(name))
        for subject, ours, theirs in pairs
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    )


def _held(positions: Mapping[str, int]) -> dict[str, int]:
    return {symbol: shares for symbol, shares in positions.items() if shares}


def _fault(here: object, there: object) -> Fault:
    if here is None:
        return Fault.MISSING_HERE
    return Fault.MISSING_THERE if there is None else Fault.OTHER_QUANTITY


def _said(side: int | tuple[str, int, int] | None) -> str:
    if side is None:
        return "nothing"
    return f"{side[1]} shares at {side[2]} micro-dollars of {side[0]}" if isinstance(side, tuple) else f"{side} shares"
