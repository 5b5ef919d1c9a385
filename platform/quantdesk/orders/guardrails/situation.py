"""What is known at the moment of a decision: all that guardrails look at, and nothing that a caller claims. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from quantdesk.errors import BadInput
from quantdesk.orders.guardrails.day import DayRules
from quantdesk.orders.guardrails.kills import Kills
from quantdesk.orders.guardrails.recent import Recent
from quantdesk.orders.halts.status import HaltStatus
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.quotes import Quotes

__all__ = ["Resting", "Situation", "Use"]

Use = Literal["research", "live"]


@dataclass(frozen=True, slots=True)
class Resting:
    """An order of the desk that rests in the market, and could be traded against.

    Attributes
    ----------
    order_id
        Which.
    side
        1 buys, -1 sells.
    limit
        Micro-dollars; 0 for a midpoint peg without a bound.
    peg
        Whether it rests at the midpoint, `limit` bounding it.
    """

    order_id: str
    side: int
    limit: int
    peg: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """The moment of a decision about one order. What is left out is unknown, and no check passes on it in silence.

    Attributes
    ----------
    at
        Nanoseconds since 1970 (UTC).
    use
        ``research`` or ``live``: which fail mode of each check holds.
    portfolio
        The account, its open orders included; without the order that is asked about. It is read, never changed.
    quotes
        The books of the order's symbol, or None.
    halt
        The status of the symbol, or None where nobody was asked.
    market_halt
        The halt of the whole market; None where none is known, and the status of the symbol speaks for the market too.
    bands
        Lower and upper price band in micro-dollars; None where there are none, or they are not known.
    phase
        A value of :class:`~quantdesk.orders.halts.phases.Phase`; empty where it is not known.
    short_sale_restricted
        Whether Rule 201 restricts short sales of the symbol now; None where that is not known.
    previous_close, last
        Micro-dollars: the close before, the last trade; 0 where they are not known.
    average_daily_volume
        Shares; 0 where it is not known.
    recent
        What was sent lately, or None where that is not known.
    rules
        The rules of the day, see :func:`~quantdesk.orders.guardrails.day.day_rules`, or None.
    kill
        The kill switches that are thrown.
    resting
        Orders of the desk that rest in the symbol, or None where they are not known.
    groups
        Groups that the symbol belongs to, as a ban of short sales names them (``financial``); None where that is not
        known.
    triggered
        The order follows from a stop that passed before and whose price was reached: it is no new message, and its stop
        price counts no more.

    Raises
    ------
    BadInput
        A use that does not exist, or a figure that is no whole number of at least 0.
    """

    at: int
    use: Use
    portfolio: Portfolio
    quotes: Quotes | None = None
    halt: HaltStatus | None = None
    market_halt: HaltStatus | None = None
    bands: tuple[int, int] | None = None
    phase: str = ""
    short_sale_restricted: bool | None = None
    previous_close: int = 0
    average_daily_volume: int = 0
    recent: Recent | None = None
    rules: DayRules | None = None
    kill: Kills = field(default_factory=Kills)
    resting: tuple[Resting, ...] | None = None
    groups: frozenset[str] | None = None
    last: int = 0
    triggered: bool = False

    def __post_init__(self) -> None:
        if self.use not in ("research", "live"):
            raise BadInput(f"There is no use {self.use!r}.", "Give research or live.")
        for name in _FIGURES:
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise BadInput(f"The {name} {value!r} is no whole number.", "Give micro-dollars, shares, nanoseconds.")
        if self.bands is not None and not _are_bands(self.bands):
            raise BadInput(f"The bands {self.bands!r} enclose nothing.", "Give lower and upper, in micro-dollars.")


def _are_bands(bands: object) -> bool:
    if not isinstance(bands, tuple) or len(bands) != 2 or any(type(band) is not int for band in bands):
        return False
    return bool(0 <= bands[0] <= bands[1])


_FIGURES = ("at", "previous_close", "average_daily_volume", "last")
