"""States of trading and changes between them, in words and numbers. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.amounts import moment
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.halts.luld import machine

__all__ = ["STATES", "UNIT", "Change", "Trading", "told"]

UNIT = 10_000
"""Prices are counted in ten-thousandths of a dollar."""


class Trading(Enum):
    """What a stock may do."""

    WAITING = machine.WAITING
    """No reference price yet: the primary has not opened."""
    NORMAL = machine.NORMAL
    LIMIT = machine.LIMIT
    """The best offer stands at the lower band, or the best bid at the upper."""
    STRADDLE = machine.STRADDLE
    """A best quote stands beyond a band."""
    PAUSED = machine.PAUSED
    REOPENING = machine.REOPENING
    """Paused beyond the first segment: the primary reopens when it can."""
    CLOSE_ONLY = machine.CLOSE_ONLY
    """Paused so late that only the closing auction follows."""
    CLOSED = machine.CLOSED

    @property
    def is_halted(self) -> bool:
        """Whether nothing may trade."""
        return self.value >= machine.PAUSED


STATES = tuple(Trading)
"""By their numbers."""
_WHY = {
    machine.OPENED: "the primary opened at {reference}",
    machine.MEAN_FALLBACK: "the primary has not opened: the mean of {detail} trades is the reference",
    machine.MEAN_MOVED: "the mean of five minutes moved the reference from {price} to {reference}",
    machine.DOUBLED: "the parameters double in this part of the session: {lower} to {upper}",
    machine.AT_LOWER: "the best offer stands at the lower band ({detail} shares)",
    machine.AT_UPPER: "the best bid stands at the upper band ({detail} shares)",
    machine.CLEARED: "the quotes at the band were executed or cancelled after {seconds} s",
    machine.BEYOND: "a best quote at {price} stands beyond a band",
    machine.WITHIN: "the best quotes are within the bands again",
    machine.TIMED_OUT: "the limit state at {band} lasted too long: trading pauses (LUDP)",
    machine.PRIMARY: "the primary paused trading (LUDS)",
    machine.EXTENDED: "the primary has not reopened: the pause goes on until {until}, the collar widens",
    machine.NOT_REOPENING: "the pause reached the last part of the session: the closing auction follows",
    machine.REOPENED: "the primary reopened at {reference}",
    machine.TOO_EARLY: "a reopening before the end of the pause does not count",
    machine.SESSION_OVER: "the regular session is over",
}
_HALVED = "the parameters are single again: {lower} to {upper}"
_ON_A_QUOTE = "the primary opened on a quote: the previous close of {reference} is the reference"


@dataclass(frozen=True)
class Change:
    """Something changed.

    Attributes
    ----------
    at
        When; UTC, to the microsecond. What time alone does (the end of a limit state) is dated by when it was due.
    before, after
        The states.
    why
        In words, with the numbers.
    code
        The halt code of the exchanges that goes with it: ``LUDP``, ``LUDS``, or nothing.
    reference, lower, upper
        Dollars, as they are afterwards; NaN before there is a reference.
    event
        The number of the event that brought it out, counted within the call.
    """

    at: dt.datetime
    before: Trading
    after: Trading
    why: str
    code: str
    reference: float
    lower: float
    upper: float
    event: int


def told(rows: NDArray[np.int64]) -> tuple[Change, ...]:
    """Rows of the machine, of shape ``(n, 9)``, as changes."""
    return tuple(_change(*map(int, row)) for row in rows)


def _dollars(units: int) -> str:
    return f"${units / UNIT:,.4f}"


def _change(
    event: int, at: int, before: int, after: int, why: int, reference: int, lower: int, upper: int, detail: int
) -> Change:
    text = _WHY[why]
    if not detail and why in (machine.DOUBLED, machine.OPENED):
        text = _HALVED if why == machine.DOUBLED else _ON_A_QUOTE
    return Change(
        at=moment(at),
        before=Trading(before),
        after=Trading(after),
        why=text.format(
            detail=detail,
            price=_dollars(detail),
            seconds=f"{detail / machine.SECOND:.3f}",
            until=f"{moment(max(detail, 0)).astimezone(NEW_YORK):%H:%M:%S}",
            reference=_dollars(reference),
            lower=_dollars(lower),
            upper=_dollars(upper),
            band=_dollars(lower if detail < 0 else upper),
        ),
        code={machine.TIMED_OUT: "LUDP", machine.PRIMARY: "LUDS"}.get(why, ""),
        reference=reference / UNIT if reference else float("nan"),
        lower=lower / UNIT if reference else float("nan"),
        upper=upper / UNIT if reference else float("nan"),
        event=event,
    )
