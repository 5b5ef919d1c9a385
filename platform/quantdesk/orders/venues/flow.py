"""What everybody else does: the quotes of every venue and the trades of a session, made from bars. Pure.

The model, and where its parts come from:

- The midpoint runs through the bars (:mod:`quantdesk.orders.venues.path`).
- The national spread is ``spread_ratio`` times the volatility per trade (Wyart et al. 2008: they are proportional), at
  least a tick. The national quotes lie on the tick grid around the midpoint.
- A venue stands at the national best with the probability `at_best`, else one or more ticks behind (a geometric
  number); it changes its mind with the probability `switch` a step. One venue always is at the best.
- Sizes at the touch are log-normal around twice the shares that move the price by a tick, the venue's part of them, in
  round lots. Beyond the touch the depth grows with the distance (:mod:`quantdesk.orders.venues.impact`).
- Market orders arrive in proportion to the volume of the bar, at random times (zero intelligence: Farmer, Patelli and
  Zovko 2005; Cont, Stoikov and Talreja 2010), rather in the direction in which the midpoint goes. The part `off_book`
  of the volume prints at the midpoint, away from the books.

The shares of all trades of a bar sum to its volume, and their first, highest, lowest and last price are those of the
bar. The same generator state gives the same bytes. Everything made here is labelled: it is no record of what happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.venues.impact import Impact
from quantdesk.orders.venues.path import LEAST_STEPS, bar_path, range_volatility
from quantdesk.orders.venues.prints import Quoted, Trades, trades_of
from quantdesk.orders.venues.shape import SessionBars, Shape

__all__ = ["Flow", "flow_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TRADE_SHARES = 100
_LEAST_TRADES = 225
"""A spread is at most a fifteenth of the daily volatility, times the ratio."""


@dataclass(frozen=True)
class Flow:
    """The background of one symbol in one session.

    Raises
    ------
    BadInput
        A strain that is none, or not one for each step.

    Attributes
    ----------
    symbol, venues
        Whose, and where.
    opens, closes
        Of the session.
    at
        When quotes change, shape ``(steps,)``; they hold until the next change.
    mid
        The midpoint that the bars imply, shape ``(steps,)``, micro-dollars.
    bid, bid_size, ask, ask_size
        Displayed at the touch, shape ``(steps, venues)``; zeros where a venue does not quote.
    trades
        Market orders and prints.
    impact
        What taking does to the price; None where the book is all there is.
    strain
        By how many times as far as `impact` says the same shares move the price in each step, shape ``(steps,)``:
        behind the displayed quotes the book is thinner by its square. None for 1 throughout.
    tick
        Step of quoted prices.
    weights
        Each venue's part of the market.
    survives
        Probability that an order of the background outlives a step.
    shape
        The parameters.
    label
        ``reconstructed`` (from real bars) or ``simulated``.
    """

    symbol: str
    venues: tuple[str, ...]
    opens: int
    closes: int
    at: Ints
    mid: Ints
    bid: Ints
    bid_size: Ints
    ask: Ints
    ask_size: Ints
    trades: Trades
    tick: int
    weights: tuple[float, ...]
    impact: Impact | None = None
    survives: float = 1.0
    shape: Shape = field(default_factory=Shape)
    label: str = "simulated"
    strain: Floats | None = None

    def __post_init__(self) -> None:
        if self.strain is None:
            return
        if self.strain.shape != self.at.shape or not (np.isfinite(self.strain) & (self.strain > 0)).all():
            raise BadInput(
                f"A strain of the shape {self.strain.shape} for {len(self.at)} steps.",
                "Give one above 0 for each step.",
            )

    def weight(self, step: int) -> float:
        """How many times the shares that are taken in a step weigh what they do under :attr:`impact`."""
        return 1.0 if self.strain is None else float(self.strain[step]) ** 2

    @cached_property
    def layouts(self) -> dict[Any, Any]:
        """What others have made of it, and would make again the same."""
        return {}

    @cached_property
    def best(self) -> tuple[Ints, Ints]:
        """National best bid and offer at each step, 0 where nobody quotes: two arrays of shape ``(steps,)``."""
        offered = np.where(self.ask > 0, self.ask, np.iinfo(np.int64).max).min(axis=1)
        return self.bid.max(axis=1), np.where(offered == np.iinfo(np.int64).max, 0, offered)

    def step(self, at: int) -> int:
        """The step that holds at a moment; -1 before the first."""
        return int(np.searchsorted(self.at, at, side="right")) - 1


def flow_of(
    session: SessionBars,
    venues: Sequence[str],
    rng: np.random.Generator,
    *,
    shape: Shape | None = None,
    stopped: Callable[[int], bool] | None = None,
) -> Flow:
    """The flow of a session.

    Parameters
    ----------
    session
        The bars.
    venues
        Names, in the order of the columns.
    rng
        Where chance comes from.
    shape
        The parameters.
    stopped
        A function of a moment that says whether trading stands still then: no quotes and no trades.

    Raises
    ------
    BadInput
        No venue, weights that are none, bars that are none.
    """
    shape = shape or Shape()
    part = _weights(shape.weights, venues)
    at, mid, anchors, bar_of = _paths(session, shape, rng)
    still = np.zeros(len(at), dtype=bool) if stopped is None else np.array([bool(stopped(int(t))) for t in at])
    sigma = math.sqrt(sum(range_volatility(high, low) ** 2 for _, high, low, _ in session.corners.tolist()))
    volume = int(session.volume.sum())
    price = int(mid.mean())
    impact = Impact(sigma, volume, price, session.tick, shape.y) if sigma > 0 and volume > 0 else None
    per_trade = sigma * price / math.sqrt(max(volume / _TRADE_SHARES, _LEAST_TRADES))
    spread = max(1, round(shape.spread_ratio * per_trade / session.tick)) * session.tick
    bid = np.maximum((2 * mid - spread + session.tick) // (2 * session.tick) * session.tick, session.tick)
    ask = bid + spread
    leader = _held(rng.choice(len(venues), size=len(at), p=part), shape.switch, rng)
    behind = [_behind(leader, (len(at), len(venues)), shape, rng) * session.tick for _ in range(2)]
    typical = part * (0.0 if impact is None else 2 * impact.per_tick)
    sizes = [_sizes((len(at), len(venues)), typical, session.lot, shape, rng) for _ in range(2)]
    bids = np.maximum(bid[:, None] - behind[0], 0)
    quoted = ~still[:, None] & (bids > 0)
    return Flow(
        session.symbol, tuple(venues), session.opens, session.closes, at, mid,
        np.where(quoted, bids, 0), np.where(quoted, sizes[0], 0),
        np.where(still[:, None], 0, ask[:, None] + behind[1]), np.where(still[:, None], 0, sizes[1]),
        trades_of(Quoted(session, at, mid, bid, ask, leader, behind, anchors, bar_of, still), part, shape, rng),
        session.tick, tuple(part.tolist()), impact, math.exp(-shape.cancels_per_s * shape.step_s), shape,
        "reconstructed" if shape.bars_are == "real" else "simulated",
    )  # fmt: skip


def _weights(given: Mapping[str, float] | None, venues: Sequence[str]) -> NDArray[np.float64]:
    part = np.array([1.0 if given is None else given.get(name, 0.0) for name in venues])
    if not part.size or not np.isfinite(part).all() or (part < 0).any() or part.sum() <= 0:
        raise BadInput(f"The weights {given!r} of {len(venues)} venues.", "Give one number of at least 0 a venue.")
    found: NDArray[np.float64] = part / part.sum()
    return found


def _paths(session: SessionBars, shape: Shape, rng: np.random.Generator) -> tuple[Ints, Ints, list[int], Ints]:
    """Moments and midpoints of all steps; the steps of the corners; the bar of each step."""
    moments, prices, anchors, counts = [], [], [], []
    begun = 0
    for start, end, corners in zip(
        session.starts.tolist(), session.ends.tolist(), session.corners.tolist(), strict=True
    ):
        steps = max(LEAST_STEPS, round((end - start) / (shape.step_s * 1e9)))
        path, extremes = bar_path(tuple(corners), steps, rng)
        width = (end - start) / steps
        within = (np.arange(steps) + rng.random(steps) * 0.9) * width
        within[0] = 0.0
        moments.append(start + within.astype(np.int64))
        prices.append(path)
        anchors += [begun, begun + extremes[0], begun + extremes[1], begun + steps - 1]
        counts.append(steps)
        begun += steps
    if not counts:
        raise BadInput(f"There are no bars of {session.symbol}.", "Give at least one.")
    return np.concatenate(moments), np.concatenate(prices), anchors, np.repeat(np.arange(len(counts)), counts)


def _held(drawn: Any, switch: float, rng: np.random.Generator) -> Any:
    """A value of each step that is kept until the next change; changes come with the probability `switch`."""
    changes = rng.random(drawn.shape) < switch
    changes[0] = True
    last = np.maximum.accumulate(
        np.where(changes, np.arange(len(drawn)).reshape(-1, *[1] * (drawn.ndim - 1)), 0), axis=0
    )
    return np.take_along_axis(drawn, last, axis=0)


def _behind(leader: Ints, size: tuple[int, int], shape: Shape, rng: np.random.Generator) -> Ints:
    """Ticks by which each venue stands behind the national best."""
    ticks = np.where(rng.random(size) < shape.at_best, 0, rng.geometric(0.6, size))
    held: Ints = _held(ticks, shape.switch, rng)
    held[np.arange(size[0]), leader] = 0
    return held


def _sizes(
    size: tuple[int, int], typical: NDArray[np.float64], lot: int, shape: Shape, rng: np.random.Generator
) -> Ints:
    """Displayed shares at the touch, around what is typical for each venue; at least a round lot."""
    mean = np.maximum(1.0, typical / lot)
    lots = np.maximum(1, np.rint(mean * np.exp(rng.standard_normal(size) * shape.size_spread)))
    held: Ints = _held(lots.astype(np.int64) * lot, min(1.0, 3 * shape.switch), rng)
    return held
