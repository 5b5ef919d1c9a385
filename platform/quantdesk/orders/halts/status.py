"""Whether a symbol trades, in three states. Pure.

UNKNOWN is an answer of its own: a feed that is old, a page that is no feed and a server that does not answer say
nothing about trading, and nobody may read "no halts" into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["HaltStatus", "Status"]


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
        Seconds since that was known to be so.
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
        """The form of ``check_halt_status``."""
        return {
            "symbol": self.symbol,
            "status": str(self.status),
            "is_halted": self.is_halted,
            "halt_type": self.halt_type,
            "message": self.message,
            "source": self.source,
            "age_s": self.age_s,
        }
