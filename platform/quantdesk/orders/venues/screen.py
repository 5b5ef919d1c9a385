"""What everybody else shows of one symbol at one venue in a step, as far as halts and bands allow it. Pure."""

from __future__ import annotations

import numpy as np

from quantdesk.orders.halts.status import Halts
from quantdesk.orders.venues.background import Targets
from quantdesk.orders.venues.book import Side
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.impact import Pressure

__all__ = ["Screen", "halt_code"]

FARTHEST_SIGMAS = 10
"""No sweep goes further from the touch than this many daily volatilities: what is left is not filled."""


def halt_code(halts: Halts | None, symbol: str, at: int) -> str:
    """The code of the halt that holds at a moment; empty where trading goes on, or nobody knows of a halt."""
    if halts is None:
        return ""
    whole = halts.market_halt(at)
    status = whole if whole is not None and whole.is_halted else halts.status(symbol, at)
    return (status.halt_type or "halted") if status.is_halted else ""


class Screen:
    """The quotes of the flow at one venue, moved by what one's own orders had taken before the step began.

    Parameters
    ----------
    flow, venue
        Whose quotes, where.
    pressure
        What one's own orders have taken.
    halts
        What stops trading.
    hidden_share
        Undisplayed size at the touch over the displayed.

    Attributes
    ----------
    step
        The step that is shown; -1 before the first.
    code, bands
        The halt and the price bands for which it is shown.
    """

    def __init__(self, flow: Flow, venue: str, pressure: Pressure, halts: Halts | None, hidden_share: float) -> None:
        self.flow = flow
        self.step = -1
        self.code = ""
        self.bands: tuple[int, int] | None = None
        self.offset = 0
        self._column = flow.venues.index(venue)
        self._pressure = pressure
        self._halts = halts
        self._hidden_share = hidden_share
        self._swept = [flow.shape.levels, flow.shape.levels]

    def code_at(self, at: int) -> str:
        """The code of the halt at a moment."""
        return halt_code(self._halts, self.flow.symbol, at)

    def bands_at(self, at: int) -> tuple[int, int] | None:
        """The price bands at a moment."""
        return None if self._halts is None else self._halts.bands(self.flow.symbol, at)

    def holds(self, at: int) -> bool:
        """Whether what is shown is shown for the halts and bands of a moment."""
        return (self.code, self.bands) == (self.code_at(at), self.bands_at(at))

    def show(self, step: int, at: int) -> Targets:
        """Go to a step, under the halts, bands and pressure of a moment; what the book is to display."""
        self.step, self.code, self.bands = step, self.code_at(at), self.bands_at(at)
        self.offset = self._pressure.offset(at)
        levels = self.flow.shape.levels
        self._swept = [levels, levels]
        shown = np.zeros((2, levels, 2), dtype=np.int64)
        hidden = np.zeros((2, 1, 2), dtype=np.int64)
        for side in (Side.BUY, Side.SELL):
            touch, size = self._touch(side)
            if self.code or touch <= 0 or size <= 0:
                continue
            deeper = self._deeper(1, levels - 1)
            away = -self.flow.tick if side is Side.BUY else self.flow.tick
            rows = [(touch + number * away, shares) for number, shares in enumerate([size, *deeper])]
            rows = [(price, shares) for price, shares in rows if shares > 0 and self.allows(price)]
            for number, row in enumerate(rows):
                shown[side, number] = row
            more = int(self._hidden_share * size) if self.flow.impact else 0
            if more and self.allows(touch):
                hidden[side, 0] = touch, more
        return Targets(shown, hidden)

    def allows(self, price: int) -> bool:
        """Whether the bands let a price trade."""
        return price > 0 and (self.bands is None or self.bands[0] <= price <= self.bands[1])

    def midpoint(self) -> int:
        """The national midpoint to which pegs go; 0 where there is none."""
        bid, ask = (int(side[self.step]) for side in self.flow.best)
        middle = (bid + ask) // 2 + self.offset
        return middle if not self.code and 0 < bid <= ask and self.allows(middle) else 0

    def next_behind(self, side: Side, bound: int) -> tuple[int, int] | None:
        """Price and shares of the next level behind what is displayed on a side, up to a bound; each is given once."""
        flow, impact = self.flow, self.flow.impact
        touch, _ = self._touch(side)
        if impact is None or touch <= 0:
            return None
        away = -1 if side is Side.BUY else 1
        farthest = int(FARTHEST_SIGMAS * impact.sigma * impact.price / flow.tick)
        while self._swept[side] <= farthest:
            ticks = self._swept[side]
            price = touch + away * ticks * flow.tick
            if not self.allows(price) or (bound - price) * away < 0:
                return None
            self._swept[side] += 1
            (shares,) = self._deeper(ticks, ticks)
            if shares:
                return price, shares
        return None

    def _touch(self, side: Side) -> tuple[int, int]:
        flow, where = self.flow, (self.step, self._column)
        price, size = (flow.bid, flow.bid_size) if side is Side.BUY else (flow.ask, flow.ask_size)
        touch = int(price[where])
        return (touch + self.offset if touch else 0), int(size[where])

    def _deeper(self, first: int, last: int) -> list[int]:
        impact = self.flow.impact
        return [] if impact is None else impact.levels(first, last, self.flow.weights[self._column])
