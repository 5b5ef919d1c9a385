"""What everybody else shows of one symbol at one venue in a step, as far as halts and bands allow it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.halts.status import Halts
from quantdesk.orders.venues.background import Targets
from quantdesk.orders.venues.book import Side
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.impact import Pressure
from quantdesk.orders.venues.replay import P_ASK, P_BID, P_MIDPOINT, PLAN_SIZE, fill_targets

__all__ = ["Screen", "halt_code"]

Ints = NDArray[np.int64]
FARTHEST_SIGMAS = 10
"""No sweep goes further from the touch than this many daily volatilities: what is left is not filled."""
_FEW = 2048
"""Steps of a flow whose layouts are kept with it."""


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
    offset
        Micro-dollars by which the step's prices are moved.
    plan, tape
        Steps and market orders of the session, as :mod:`~quantdesk.orders.venues.replay` has them.
    deeper
        Shares of the displayed levels behind the touch: a row for each step, or one for all of them.
    """

    def __init__(self, flow: Flow, venue: str, pressure: Pressure, halts: Halts | None, hidden_share: float) -> None:
        self.flow = flow
        self._layout = layout = _layout_of(flow, venue, hidden_share if flow.impact else 0.0)
        self.plan, self.tape, self.deeper = layout.plan, layout.tape, layout.deeper
        self.step = -1
        self.code = ""
        self.bands: tuple[int, int] | None = None
        self.offset = 0
        self._pressure = pressure
        self._halts = halts
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

    def is_free(self, since: int, until: int, first_trade: int) -> bool:
        """Whether neither halts nor bands have a say from a step on until a moment; `first_trade` is not done yet."""
        if self._halts is None:
            return True
        last, end = self.flow.step(until), int(np.searchsorted(self.tape[:, 0], until, side="right"))
        moments = self.plan[max(since, 0) : last + 1, 0].tolist() + self.tape[first_trade:end, 0].tolist()
        return not any(self.bands_at(at) or self.code_at(at) for at in moments)

    def go(self, step: int, at: int, offset: int) -> None:
        """Go to a step, under the halts and bands of a moment."""
        self.step, self.offset = step, offset
        self.code, self.bands = self.code_at(at), self.bands_at(at)
        self._swept = [self.flow.shape.levels, self.flow.shape.levels]

    def show(self, step: int, at: int) -> Targets:
        """Go to a step, under the halts, bands and pressure of a moment; what the book is to display."""
        self.go(step, at, self._pressure.offset(at, self.flow.impact))
        shown = np.zeros((2, self.flow.shape.levels, 2), dtype=np.int64)
        hidden = np.zeros((2, 1, 2), dtype=np.int64)
        if not self.code:
            deeper = self.deeper[min(step, len(self.deeper) - 1)]
            fill_targets(self.plan[step], deeper, self.flow.tick, self.offset, shown, hidden)
        if self.bands is not None:
            for rows in (shown, hidden):
                rows[(rows[..., 0] < self.bands[0]) | (rows[..., 0] > self.bands[1])] = 0
        return Targets(shown, hidden)

    def allows(self, price: int) -> bool:
        """Whether the bands let a price trade."""
        return price > 0 and (self.bands is None or self.bands[0] <= price <= self.bands[1])

    def midpoint(self) -> int:
        """The national midpoint to which pegs go; 0 where there is none."""
        middle = int(self.plan[self.step, P_MIDPOINT])
        return middle + self.offset if middle and not self.code and self.allows(middle + self.offset) else 0

    def behind(self, side: Side, bound: int, wanted: int) -> list[tuple[int, int]]:
        """Prices and shares of the next levels behind what is displayed on a side; each is given once.

        Parameters
        ----------
        side
            Of the book.
        bound
            The last price that is asked for.
        wanted
            Shares: the levels end where they hold so many, or at the bound, at the bands, or :data:`FARTHEST_SIGMAS`
            away.
        """
        flow, impact = self.flow, self.flow.impact
        quoted = int(self.plan[self.step, P_BID if side is Side.BUY else P_ASK])
        found: list[tuple[int, int]] = []
        if impact is None or not quoted:
            return found
        away = -1 if side is Side.BUY else 1
        farthest = int(FARTHEST_SIGMAS * impact.sigma * impact.price / flow.tick)
        weight, ticks = self._layout.weight / flow.weight(self.step), self._swept[side]
        inner = impact.depth(ticks - 1, weight)
        while wanted > 0 and ticks <= farthest:
            price = quoted + self.offset + away * ticks * flow.tick
            if not self.allows(price) or (bound - price) * away < 0:
                break
            outer = impact.depth(ticks, weight)
            if outer > inner:
                found.append((price, outer - inner))
                wanted -= outer - inner
            ticks, inner = ticks + 1, outer
        self._swept[side] = ticks
        return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a screen makes of a flow before anything happens: of one venue, and the same for all who look there."""

    plan: Ints
    tape: Ints
    deeper: Ints
    weight: float


def _layout_of(flow: Flow, venue: str, share: float) -> _Layout:
    """The layout of a venue with a part of undisplayed shares; kept with a flow of few steps, and made anew for others.

    A path of days has many flows of few steps, on which one account after another trades.
    """
    key = venue, share
    if key not in flow.layouts:
        made = _arranged(flow, venue, share)
        if len(flow.at) > _FEW:
            return made
        flow.layouts[key] = made
    found: _Layout = flow.layouts[key]
    return found


def _arranged(flow: Flow, venue: str, share: float) -> _Layout:
    column = flow.venues.index(venue)
    bid, ask = flow.best
    plan = np.zeros((len(flow.at), PLAN_SIZE), dtype=np.int64)
    sizes = flow.bid_size[:, column], flow.ask_size[:, column]
    hidden = [(share * size).astype(np.int64) for size in sizes]
    middle = np.where((bid > 0) & (bid <= ask), (bid + ask) // 2, 0)
    columns = (flow.at, flow.bid[:, column], sizes[0], flow.ask[:, column], sizes[1], *hidden, middle)
    for number, values in enumerate(columns):
        plan[:, number] = values
    here, trades = flow.trades.venue == column, flow.trades
    side = np.where(trades.side > 0, int(Side.BUY), int(Side.SELL))
    tape = np.stack([values[here] for values in (trades.at, side, trades.price, trades.shares)], axis=1)
    return _Layout(plan, tape, _deeper(flow, flow.weights[column]), flow.weights[column])


def _deeper(flow: Flow, weight: float) -> Ints:
    """Shares of the displayed levels behind the touch: a row for all steps, or one for each where strain changes."""
    ticks = np.arange(flow.shape.levels, dtype=np.int64)
    if flow.impact is None:
        return np.zeros((1, len(ticks) - 1), dtype=np.int64)
    strain = np.ones(1) if flow.strain is None else flow.strain
    weights = weight / (strain * strain)
    depth = np.floor(weights[:, None] * flow.impact.per_tick * ticks * ticks)
    return np.diff(depth, axis=1).astype(np.int64)
