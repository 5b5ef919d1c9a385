"""What a watch is shown of a desk at one moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quantdesk.orders.halts.status import HaltStatus
from quantdesk.orders.ledger.entries import Stored
from quantdesk.orders.quotes import Quotes

__all__ = ["Observation", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the market shows of a symbol.

    Attributes
    ----------
    bid, ask
        The national best, micro-dollars a share; 0 where nobody quotes.
    at
        Of when that is: nanoseconds since 1970 (UTC).
    """

    bid: int
    ask: int
    at: int

    @classmethod
    def of(cls, quotes: Quotes) -> Shown:
        """From the books of all venues."""
        best = quotes.nbbo
        return cls(best.bid, best.ask, quotes.at)

    @property
    def midpoint(self) -> int:
        """The middle, rounded down to a micro-dollar; 0 where a side is missing."""
        return (self.bid + self.ask) // 2 if self.bid and self.ask else 0


@dataclass(frozen=True, slots=True)
class Observation:
    """A desk and its market at one moment. What is left out is not known, and fires nothing.

    Attributes
    ----------
    at
        Nanoseconds since 1970 (UTC).
    equity, cash
        Micro-dollars.
    positions
        Shares by symbol, shorts below 0.
    marks
        Micro-dollars a share, by symbol.
    equity_at_start
        Of the day, micro-dollars; 0 before there is one.
    entries
        What was written into the ledger since the observation before, in its order and of this account.
    seq
        The number of the last entry of the ledger.
    shown
        By symbol.
    halts
        By symbol, whether it trades.
    market_halt
        That of the whole market, where there is one.
    in_session
        Whether it is the regular session: outside it nobody need quote.
    down
        Why the venues cannot be reached; empty where they can.
    sectors
        By symbol. One without a sector counts in none.
    normal_spreads
        Basis points of the midpoint on a usual day, by symbol.
    value_at_risk
        Micro-dollars that the account may lose, by whoever works that out; None where nobody does.
    """

    at: int
    equity: int = 0
    cash: int = 0
    positions: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    equity_at_start: int = 0
    entries: Sequence[Stored] = ()
    seq: int = 0
    shown: Mapping[str, Shown] = field(default_factory=dict)
    halts: Mapping[str, HaltStatus] = field(default_factory=dict)
    market_halt: HaltStatus | None = None
    in_session: bool = True
    down: str = ""
    sectors: Mapping[str, str] = field(default_factory=dict)
    normal_spreads: Mapping[str, float] = field(default_factory=dict)
    value_at_risk: int | None = None
