"""The quotes of every session of a path: midpoints, spreads, depth and what lies behind them. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.impact import Impact
from quantdesk.orders.venues.prints import Trades
from quantdesk.orders.venues.shape import Shape
from quantdesk.scenarios.liquidity import Conditions, stress_of
from quantdesk.scenarios.market.config import Effects
from quantdesk.scenarios.market.known import Known
from quantdesk.scenarios.market.sessions import Sessions
from quantdesk.scenarios.path import GRADES, Grade, Path

__all__ = ["Quotes", "tick_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_LOT = 100
_EMPTY = np.zeros(0, dtype=np.int64)


class Quotes:
    """What venues quote, session by session; made when it is asked for, and kept.

    Parameters
    ----------
    known, sessions
        Of the path.
    effects
        What else happens to its market.
    venues
        Which quote, the largest first.
    shape
        Of the flow.

    Attributes
    ----------
    conditions, early
        Of each bar by its close and until then, shape ``(T, traded)``.
    """

    def __init__(
        self, known: Known, sessions: Sessions, effects: Effects, venues: tuple[str, ...], shape: Shape
    ) -> None:
        self._known, self._sessions, self._config = known, sessions, known.config
        self.effects, self.venues, self.shape = effects, venues, shape
        self._place = {symbol: place for place, symbol in enumerate(known.path.traded)}
        self._flows: dict[tuple[str, int], Flow] = {}
        self._seen: dict[tuple[str, int], tuple[list[int], list[int], list[int]]] = {}
        extra = [self._multiple(given) for given in (effects.depth, effects.spread)]
        stress = stress_of(known.path)
        before = np.vstack([_stress_before(known.path), stress[:-1]])
        self.conditions, self.early = (
            _times(self._config.liquidity.at(table[:, known.columns]), extra[0], extra[1]) for table in (stress, before)
        )

    def flow(self, symbol: str, number: int) -> Flow | None:
        """The session of a symbol by number, of those in which it has a bar; None where there is none."""
        opens, closes, days = self._sessions.spans(symbol)
        if not 0 <= number < len(days):
            return None
        key = (symbol, number)
        if key not in self._flows:
            first, end = (int(bound[days[number]]) for bound in self._sessions.bounds)
            self._flows[key] = self._made(symbol, first, end, opens[number], closes[number])
        return self._flows[key]

    def displayed(self, symbol: str, number: int) -> tuple[list[int], list[int], list[int]]:
        """Moments, best bids and best offers of a session; lists, for they are looked up again and again."""
        key = (symbol, number)
        if key not in self._seen:
            flow = self.flow(symbol, number)
            assert flow is not None  # noqa: S101 (its number is that of a session)
            bid, ask = flow.best
            self._seen[key] = flow.at.tolist(), bid.tolist(), ask.tolist()
        return self._seen[key]

    def _made(self, symbol: str, first: int, end: int, opens: int, closes: int) -> Flow:
        place = self._place[symbol]
        at, mid, bar, is_close = self._shown(symbol, *self._sessions.steps(self._known.columns[place], first, end))
        tick = tick_of(float(mid[0]))
        now, early = self.conditions, self.early
        half = mid * np.where(is_close, now.half_spread_bps[bar, place], early.half_spread_bps[bar, place])
        half *= 1e-4 * MICRO
        middle = mid * MICRO
        bid = np.maximum(np.floor((middle - half) / tick), 1).astype(np.int64) * tick
        ask = np.maximum(np.ceil((middle + half) / tick).astype(np.int64) * tick, bid + tick)
        part = np.array([1 / (rank + 1) for rank in range(len(self.venues))])
        part /= part.sum()
        depth = np.where(is_close, now.depth[bar, place], early.depth[bar, place])
        shares = (self._config.displayed * self._known.volume[place] * depth)[:, None] * part
        size = np.maximum(np.rint(shares / _LOT), 1).astype(np.int64) * _LOT
        behind = (np.arange(len(self.venues)) // 2) * tick
        bids = np.maximum(bid[:, None] - behind, tick)
        further = np.where(is_close, now.impact[bar, place], early.impact[bar, place]) / early.impact[first, place]
        impact = Impact(
            float(self._known.sigma[place]),
            float(self._known.volume[place]),
            max(round(float(middle[0])), 1),
            tick,
            self._config.y * float(early.impact[first, place]),
        )
        return Flow(
            symbol, self.venues, opens, closes, at, np.rint(middle).astype(np.int64),
            bids, size, ask[:, None] + behind, size.copy(), Trades(*[_EMPTY] * 5),
            tick, tuple(part.tolist()), impact, 1.0, self.shape,
            "reconstructed" if self.shape.bars_are == "real" else "simulated",
            None if (further == 1).all() else further,
        )  # fmt: skip

    def _shown(
        self, symbol: str, at: Ints, mid: Floats, bar: Ints, is_close: Bools
    ) -> tuple[Ints, Floats, Ints, Bools]:
        """The quotes that reach anybody; the first of a session always does, for a flow begins with one."""
        seen = np.ones(len(at), dtype=bool)
        for symbols, since, until in self.effects.dark:
            if symbol in symbols:
                seen &= (at < since) | (at >= until)
        seen[0] = True
        return at[seen], mid[seen], bar[seen], is_close[seen]

    def _multiple(self, given: Floats | None) -> Floats:
        if given is None:
            return np.ones((1, 1))
        table = np.asarray(given, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table[:, self._known.columns]
        if len(table) != len(self._known.path.ends) or not (np.isfinite(table) & (table > 0)).all():
            raise BadInput(f"Multiples of the shape {table.shape}.", "Give one above 0 for each bar of the path.")
        return table


def _stress_before(path: Path) -> Floats:
    """The stress that is known before the first bar, shape ``(1, N)``."""
    shut = np.full((1, len(path.assets)), np.nan)
    codes = np.full(shut.shape, GRADES.index(Grade.CLOSED), dtype=np.int8)
    return stress_of(replace(path.cut(0, 1), close=shut, grades=codes))


def _times(found: Conditions, depth: Floats, spread: Floats) -> Conditions:
    """Conditions in a market whose depth and spreads are multiples of them."""
    return Conditions(found.half_spread_bps * spread, found.depth * depth, found.volume, found.impact / np.sqrt(depth))


def tick_of(price: float) -> int:
    """The step of quoted prices in micro-dollars: a cent from $20 on; below, about as large a part of the price.

    Levels of adjusted prices are not those of their day, and a cent would be a wide spread on a price that splits have
    made small.
    """
    if price >= 20:
        return MICRO // 100
    step = 10 ** np.floor(np.log10(max(price, 1e-3) * 5e-4 * MICRO))
    return max(int(step), 1)
