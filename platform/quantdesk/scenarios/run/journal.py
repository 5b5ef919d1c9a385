"""What a run reads in the ledger of its desk: fills and their costs, refusals, and how orders ended. Pure.

Nothing here is decided by the scenario: a breach is what guardrails wrote down, a failure how the desk ended an order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantdesk.orders.amounts import MICRO
from quantdesk.orders.executions import Kind
from quantdesk.orders.ledger import EntryKind, Stored
from quantdesk.orders.result import OrderStatus
from quantdesk.scenarios.result import Event

__all__ = ["RISK_CODES", "Fill", "Journal"]

RISK_CODES = frozenset(
    {
        "CONCENTRATION", "DAILY_LOSS", "GROSS_EXPOSURE", "MAX_NOTIONAL", "MAX_SHARES", "NET_EXPOSURE",
        "PARTICIPATION", "POSITION_LIMIT", "PRICE_COLLAR",
    }
)  # fmt: skip
"""Guardrails that guard a limit of risk; the others guard conduct, or say that there is no market."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Shares that were traded.

    Attributes
    ----------
    symbol, at
        Of what, when (nanoseconds).
    shares
        Below 0: sold.
    price
        Dollars a share.
    """

    symbol: str
    at: int
    shares: int
    price: float


@dataclass(slots=True)
class _Known:
    """What is known of an order."""

    symbol: str
    side: int
    shares: int
    midpoint: int = 0
    far: int = 0
    filled: int = 0
    refused: list[Mapping[str, Any]] = field(default_factory=list)
    unsent: str = ""
    why: str = ""


class Journal:
    """A fold over the entries of a ledger.

    Parameters
    ----------
    price_of
        Dollars a share of a symbol now: of orders that were never sent, of which the ledger has no price.

    Attributes
    ----------
    spread, impact, fees
        Micro-dollars paid, by symbol: from the midpoint at the decision to the far side, from there to the price of the
        fill (below 0: it was better), and to the venues.
    breaches, failures
        Events so far.
    orders, filled, wished
        Orders sent, shares traded, shares ordered.
    fills
        All of them.
    stopped
        Symbols whose protective stop went off since :meth:`take` was last called.
    """

    def __init__(self, price_of: Callable[[str], float]) -> None:
        self._price_of = price_of
        self.spread: dict[str, int] = {}
        self.impact: dict[str, int] = {}
        self.fees: dict[str, int] = {}
        self.breaches: list[Event] = []
        self.failures: list[Event] = []
        self.orders = self.filled = self.wished = 0
        self.seen = 0
        self.stopped: list[str] = []
        self.fills: list[Fill] = []
        self._orders: dict[str, _Known] = {}

    def take(self, entries: Iterable[Stored]) -> None:
        """Take in new entries, in their order."""
        self.stopped = []
        for stored in entries:
            self.seen = stored.seq
            match stored.kind:
                case EntryKind.ORDER:
                    self._received(stored)
                case EntryKind.RECEIPT:
                    self._routed(stored)
                case EntryKind.EXECUTION if stored.payload["kind"] == Kind.FILL:
                    self._filled(stored)
                case EntryKind.DECISION if not stored.payload["allowed"]:
                    self._refused(stored)
                case EntryKind.STOP_TRIGGERED:
                    self.stopped.append(self._orders[stored.order_id].symbol)
                case EntryKind.RESULT:
                    self._ended(stored)
                case _:
                    pass

    def _received(self, stored: Stored) -> None:
        given = stored.payload
        side = 1 if str(given["action"]).startswith("buy") else -1
        self._orders[stored.order_id] = _Known(str(given["symbol"]), side, int(given["shares"]))
        self.orders += 1
        self.wished += int(given["shares"])

    def _routed(self, stored: Stored) -> None:
        known, nbbo = self._orders[stored.order_id], stored.payload["nbbo"]
        bid, ask = int(nbbo["bid"]), int(nbbo["ask"])
        if not known.midpoint and bid and ask:
            known.midpoint, known.far = (bid + ask) // 2, ask if known.side > 0 else bid
        # Of an order that found no way to any venue the router alone says why: nobody bids, nobody offers ...
        sent = bool(stored.payload["children"])
        known.unsent = "" if sent else str(stored.payload["status"]).upper()
        known.why = "" if sent else next((one for one in stored.payload["reasoning"] if "Nothing is sent" in one), "")

    def _filled(self, stored: Stored) -> None:
        known, given = self._orders[stored.order_id], stored.payload
        shares, price = int(given["shares"]), int(given["price"])
        midpoint, far = known.midpoint or price, known.far or price
        known.filled += shares
        self.filled += shares
        self.fills.append(Fill(known.symbol, int(given["at"]), known.side * shares, price / MICRO))
        for costs, amount in (
            (self.spread, known.side * (far - midpoint) * shares),
            (self.impact, known.side * (price - far) * shares),
            (self.fees, int(given["fee"])),
        ):
            costs[known.symbol] = costs.get(known.symbol, 0) + amount

    def _refused(self, stored: Stored) -> None:
        known = self._orders[stored.order_id]
        known.refused = [one for one in stored.payload["violations"] if one["severity"] == "blocking"]
        self.breaches += [
            Event(
                stored.at,
                "risk_limit_breach",
                one["code"],
                known.symbol,
                one["message"],
                {"shares": known.side * known.shares, "detected_after_s": 0.0},
                "blocking",
            )
            for one in known.refused
            if one["code"] in RISK_CODES
        ]

    def _ended(self, stored: Stored) -> None:
        known, status = self._orders[stored.order_id], stored.payload["status"]
        if status == OrderStatus.FILLED or not OrderStatus(status).is_final:
            return
        codes = ", ".join(dict.fromkeys(one["code"] for one in known.refused))
        told = " ".join(one["message"] for one in known.refused) or str(stored.payload["reason"]) or known.why
        price = known.midpoint / MICRO if known.midpoint else self._price_of(known.symbol)
        numbers = {
            "shares": known.side * known.shares,
            "filled_shares": known.side * known.filled,
            "unfilled_dollars": (known.shares - known.filled) * price,
        }
        self.failures.append(
            Event(
                stored.at,
                "execution_failure",
                codes or known.unsent or str(status).upper(),
                known.symbol,
                told,
                numbers,
            )
        )
