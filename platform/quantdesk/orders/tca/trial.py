"""A trial: orders of every kind at random moments of a session, to see how a desk executes. Pure.

Nobody's strategy: moments, sides, sizes and kinds are drawn independently, so that what is measured is the execution
and not the skill of who sends. The same seed gives the same orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND, dollars
from quantdesk.orders.order import Action, Order, OrderType, TimeInForce, Urgency
from quantdesk.orders.quotes import Nbbo
from quantdesk.orders.tca.facts import Quote

__all__ = ["KINDS", "Wish", "agenda", "trial"]

KINDS = ("market", "marketable limit", "immediate or cancel", "limit inside", "limit at the quote", "midpoint peg")
"""What is drawn from: with the limit at the far quote (and immediate or cancel), a tick inside, at the near quote."""
_TICK = 10_000
_URGENT = {"market": Urgency.HIGH, "marketable limit": Urgency.HIGH, "immediate or cancel": Urgency.NORMAL}


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that is yet to be sent.

    Attributes
    ----------
    number
        Its place in the trial, from 0.
    symbol, action, shares
        What.
    kind
        One of :data:`KINDS`.
    decided_at, arrives_at, ends_at
        When it is decided on, sent, and cancelled if anything is left by then: nanoseconds since 1970 (UTC).
    """

    number: int
    symbol: str
    action: Action
    shares: int
    kind: str
    decided_at: int
    arrives_at: int
    ends_at: int

    def order(self, nbbo: Nbbo | Quote) -> Order:
        """The order, its limit set by the quotes at its arrival; a market order where there are none."""
        bid, ask = nbbo.bid, nbbo.ask
        urgency = _URGENT.get(self.kind, Urgency.LOW)
        given: dict[str, Any] = {"urgency": urgency}
        if self.kind == "midpoint peg":
            given["order_type"] = OrderType.MIDPOINT_PEG
        elif self.kind != "market" and 0 < bid < ask:
            near, far = (bid, ask) if self.action is Action.BUY else (ask, bid)
            inside = near + (_TICK if near < far else -_TICK)
            limit = {"limit at the quote": near, "limit inside": inside if ask - bid > _TICK else near}.get(
                self.kind, far
            )
            given |= {"order_type": OrderType.LIMIT, "limit_price": dollars(limit)}
            if self.kind == "immediate or cancel":
                given["time_in_force"] = TimeInForce.IOC
        return Order(self.symbol, self.action, self.shares, **given)


def trial(
    sessions: Sequence[tuple[int, int]], shares: Mapping[str, int], number: int, seed: int, *, patience_s: float = 300.0
) -> tuple[Wish, ...]:
    """The orders of a trial, by their arrival.

    Parameters
    ----------
    sessions
        Opening and close of each, in nanoseconds. Orders arrive from one minute after the opening on, and end at least
        six minutes before the close, so that the quotes of five minutes later are known.
    shares
        By symbol a typical size: drawn are sizes from a twentieth to five times of it, in round lots of 100 (at least
        one), with the typical size in the middle.
    number
        Orders for each symbol and session.
    seed
        Of everything that is drawn.
    patience_s
        Seconds after which what is left is cancelled.

    Raises
    ------
    BadInput
        A session that is too short, a size below 1 or a negative number.
    """
    if number < 0 or any(size < 1 for size in shares.values()):
        raise BadInput(f"{number} orders of {dict(shares)} shares.", "Give at least 0 orders, of 1 share or more.")
    rng = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = []
    for opens, closes in sessions:
        first, last = opens + 60 * SECOND, closes - int((360 + patience_s) * SECOND)
        if last <= first:
            raise BadInput(f"A session of {(closes - opens) / SECOND:g} s is too short.", "Give whole sessions.")
        for symbol in sorted(shares):
            at = np.sort(rng.integers(first, last, number))
            delay = rng.integers(SECOND // 2, 30 * SECOND, number)
            sizes = shares[symbol] * np.exp(rng.uniform(np.log(0.05), np.log(5.0), number)) / 100
            lots = np.maximum(1, np.rint(sizes).astype(np.int64))
            kinds, sides = rng.integers(len(KINDS), size=number), rng.integers(2, size=number)
            drawn += [
                {
                    "symbol": symbol,
                    "action": (Action.BUY, Action.SELL)[int(side)],
                    "shares": int(lot) * 100,
                    "kind": KINDS[int(kind)],
                    "decided_at": int(when - before),
                    "arrives_at": int(when),
                    "ends_at": int(when) + int(patience_s * SECOND),
                }
                for when, before, lot, kind, side in zip(at, delay, lots, kinds, sides, strict=True)
            ]
    drawn.sort(key=lambda one: (one["arrives_at"], one["symbol"]))
    return tuple(Wish(place, **one) for place, one in enumerate(drawn))


def agenda(wishes: Iterable[Wish]) -> Iterator[tuple[int, Wish, bool]]:
    """What there is to do, by time: when, for which order, and whether it begins (or ends)."""
    both = [(at, wish.number, wish, begins) for wish in wishes for at, begins in
            ((wish.arrives_at, True), (wish.ends_at, False))]  # fmt: skip
    for at, _, wish, begins in sorted(both, key=lambda one: (one[0], one[3], one[1])):
        yield at, wish, begins
