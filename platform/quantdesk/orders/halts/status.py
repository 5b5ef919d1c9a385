"""Whether a symbol trades, in three states. Pure.

UNKNOWN is an answer of its own: a feed that is old, a page that is no feed and a server that does not answer say
nothing about trading, and nobody may read "no halts" into them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from quantdesk.orders.halts.phases import Phase

__all__ = ["HaltStatus", "Halts", "Status"]


class Status(StrEnum):
    """Whether it trades."""

    TRADING = "TRADING"
    HALTED = "HALTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class HaltStatus:
    """What is known of a symbol.

    Attributes
    ----------
    symbol
        Which.
    status
        See :class:`Status`.
    halt_type
        The code of the exchanges (``LUDP``, ``T1``, ``MWC1``), or the phase of the day; empty where it trades.
    message
        A sentence for people.
    source
        What says so: ``nasdaq``, ``nyse``, ``luld``, ``breakers``, ``phase``, ``remote``.
    age_s
        Seconds since that was known to be so; infinite where nothing was ever heard.
    """

    symbol: str
    status: Status
    halt_type: str
    message: str
    source: str
    age_s: float

    @property
    def is_halted(self) -> bool:
        """Whether it is known to be halted."""
        return self.status is Status.HALTED

    def to_dict(self) -> dict[str, Any]:
        """The form of ``check_halt_status``, which is JSON: an infinite age is None there."""
        return {
            "symbol": self.symbol,
            "status": str(self.status),
            "is_halted": self.is_halted,
            "halt_type": self.halt_type,
            "message": self.message,
            "source": self.source,
            "age_s": self.age_s if math.isfinite(self.age_s) else None,
        }


class Halts(Protocol):
    """What stops trading, asked by guardrails, desk and venues: the plug-in point of halts.

    Times are nanoseconds since 1970 (UTC), prices micro-dollars. Nothing here waits for a network:
    :class:`~quantdesk.orders.halts.client.HaltClient` answers from what it was fed, and
    :class:`~quantdesk.orders.halts.known.KnownHalts` from what its caller declared.
    """

    def status(self, symbol: str, at: int) -> HaltStatus:
        """Whether a symbol trades."""
        ...

    def market_halt(self, at: int) -> HaltStatus | None:
        """The halt of the whole market that holds, or None where none is known."""
        ...

    def bands(self, symbol: str, at: int) -> tuple[int, int] | None:
        """Lower and upper price band, both still allowed; None where none are known."""
        ...

    def phase(self, symbol: str, at: int) -> Phase:
        """The phase of the day on the listing exchange."""
        ...
