"""What a venue or a broker says of a child order, and how it can be reached: the plug-in point of execution. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from quantdesk.orders.order import Child
from quantdesk.orders.quotes import Quotes

__all__ = ["Execution", "ExecutionMode", "Gateway", "GatewayDown", "Kind"]


class ExecutionMode(StrEnum):
    """Where fills come from. It stands on every result, in the ledger, on every page."""

    SIMULATED = "simulated"
    """A simulated exchange with books, queues and halts."""
    MOCK = "mock"
    """The remote router could not be reached; nothing was traded anywhere."""
    PAPER = "paper"
    """A broker's paper account."""
    LIVE = "live"


class Kind(StrEnum):
    """What happened to a child order."""

    ACCEPTED = "accepted"
    FILL = "fill"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can come (a fill is final when it fills the last share)."""
        return self in (Kind.CANCELLED, Kind.REJECTED)


@dataclass(frozen=True, slots=True)
class Execution:
    """One report about one child order.

    Attributes
    ----------
    execution_id
        Unique for its gateway: the same report, told twice, has the same one.
    client_id
        The child's.
    kind
        What happened.
    at
        When, at the venue: nanoseconds since 1970 (UTC).
    venue
        Where.
    shares
        Of a fill: how many. Of a cancel: how many were left.
    price
        Of a fill: micro-dollars a share.
    fee
        Of a fill: micro-dollars for all its shares; below 0 is a rebate.
    liquidity
        Of a fill: ``add`` or ``remove``.
    text
        Of a rejection: the reason.
    """

    execution_id: str
    client_id: str
    kind: Kind
    at: int
    venue: str
    shares: int = 0
    price: int = 0
    fee: int = 0
    liquidity: str = ""
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Text and whole numbers."""
        return {
            "execution_id": self.execution_id,
            "client_id": self.client_id,
            "kind": str(self.kind),
            "at": self.at,
            "venue": self.venue,
            "shares": self.shares,
            "price": self.price,
            "fee": self.fee,
            "liquidity": self.liquidity,
            "text": self.text,
        }


class GatewayDown(Exception):
    """A gateway cannot be reached, or what it answered cannot be understood.

    Parameters
    ----------
    sent
        Whether the request may have arrived: False only where it provably did not.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class Gateway(Protocol):
    """Where child orders go: simulated venues, or a broker. It outlives the desk, or says that it does not."""

    @property
    def mode(self) -> ExecutionMode:
        """Where its fills come from."""
        ...

    def now(self) -> int:
        """Its clock: nanoseconds since 1970 (UTC)."""
        ...

    def quotes(self, symbol: str) -> Quotes:
        """The books now. Raises :class:`GatewayDown`, or ``UnknownName`` for a symbol that is not traded there."""
        ...

    def send(self, child: Child) -> Sequence[Execution]:
        """Send a child order; what happened at once. A client id that it knows already is not taken a second time.

        Raises
        ------
        GatewayDown
            It may or may not have arrived, as `sent` says.
        """
        ...

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Ask for the cancelling of what is left; what happened at once."""
        ...

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """Everything that happened to a child so far, in order; None where it never arrived.

        Raises
        ------
        GatewayDown
            It cannot be asked.
        """
        ...

    def open_children(self) -> Sequence[str]:
        """The client ids of what is open there, whoever sent it: the other side of a reconciliation."""
        ...
