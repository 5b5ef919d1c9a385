"""The trades of a session: market orders at the venues, and prints at the midpoint, that add up to its bars. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.orders.venues.shape import SessionBars, Shape

__all__ = ["OFF_BOOK", "Quoted", "Trades", "trades_of"]

Ints = NDArray[np.int64]
OFF_BOOK = -1


@dataclass(frozen=True, slots=True)
class Trades:
    """A tape. All of shape ``(n,)``, by time.

    Attributes
    ----------
    at
        Nanoseconds since 1970 (UTC).
    venue
        Number of the venue; -1 for a print away from the books.
    side
        1 where the buyer was the aggressor, -1 where it was the seller, 0 for a print at the midpoint.
    price, shares
        Micro-dollars and shares.
    """

    at: Ints
    venue: Ints
    side: Ints
    price: Ints
    shares: Ints

    def upto(self, at: int) -> Trades:
        """Those until a moment, which is included."""
        end = int(np.searchsorted(self.at, at, side="right"))
        return Trades(*(getattr(self, name)[:end] for name in ("at", "venue", "side", "price", "shares")))


@dataclass(frozen=True, slots=True)
class Quoted:
    """What trades are made from.

    Attributes
    ----------
    session
        The bars.
    at, mid, bid, ask
        Moments, midpoints and national best of each step.
    leader
        A venue that stands at the national best, for each step.
    behind
        For bids and for offers, micro-dollars by which each venue stands behind it, shape ``(steps, venues)``.
    anchors
        The steps of open, high, low and close of each bar, one after the other.
    bar_of
        The bar of each step.
    still
        Steps in which nothing trades.
    """

    session: SessionBars
    at: Ints
    mid: Ints
    bid: Ints
    ask: Ints
    leader: Ints
    behind: list[Ints]
    anchors: list[int]
    bar_of: Ints
    still: NDArray[np.bool_]


def trades_of(given: Quoted, part: NDArray[np.float64], shape: Shape, rng: np.random.Generator) -> Trades:
    """Trades whose shares sum to the volume of each bar, and whose prices have its corners.

    A bar of less than four shares has no room for its corners. The print that closes a bar is the last one of it.
    """
    session, steps = given.session, len(given.at)
    shares = _shares(given, shape, rng)
    each = shape.trades_per_step
    up = np.sign(np.diff(given.mid, append=given.mid[-1]))[:, None]
    side = np.where(rng.random((steps, each)) < 0.5 + 0.3 * up, 1, -1)
    where = rng.choice(len(part), size=(steps, each), p=part)
    rows = np.arange(steps)[:, None]
    away = np.where(side > 0, given.behind[1][rows, where], given.behind[0][rows, where])
    where = np.where(away > 0, given.leader[:, None], where)
    price = np.where(side > 0, given.ask[:, None], given.bid[:, None])
    high, low = session.corners[given.bar_of, 1][:, None], session.corners[given.bar_of, 2][:, None]
    beyond = (price > high) | (price < low)  # nobody traded there: it prints at the midpoint instead
    where, side = np.where(beyond, OFF_BOOK, where), np.where(beyond, 0, side)
    price = np.where(beyond, given.mid[:, None], price)
    ends = np.append(given.at[1:], session.closes)[:, None]
    when = given.at[:, None] + (np.sort(rng.random((steps, each)), axis=1) * (ends - given.at[:, None])).astype(
        np.int64
    )
    columns = [
        np.concatenate([first[:, None], rest], axis=1).ravel()
        for first, rest in (
            (given.at, when),
            (np.full(steps, OFF_BOOK), where),
            (np.zeros(steps, dtype=np.int64), side),
            (given.mid, price),
        )
    ]
    traded = shares.ravel() > 0
    return Trades(*(column[traded].astype(np.int64) for column in (*columns, shares.ravel())))


def _shares(given: Quoted, shape: Shape, rng: np.random.Generator) -> Ints:
    """Shares of each trade of each step; the first column prints at the midpoint."""
    session, each = given.session, shape.trades_per_step
    shares = np.zeros((len(given.at), each + 1), dtype=np.int64)
    anchors = np.asarray(given.anchors).reshape(-1, 4)
    for number, volume in enumerate(session.volume.tolist()):
        own = np.flatnonzero((given.bar_of == number) & ~given.still)
        if not volume or not own.size:
            continue
        pins = [step for step in dict.fromkeys(anchors[number].tolist()) if not given.still[step]]
        pins = pins[: min(len(pins), volume)]
        shares[pins, 0] += 1
        day = (given.at[own] - session.opens) / (session.closes - session.opens)
        busy = (1 + 1.5 * (2 * day - 1) ** 2) * rng.gamma(2.0, size=own.size)  # more at the open and the close
        by_step = _dealt(np.array([volume - len(pins)]), busy, rng)[0]
        split = np.array([shape.off_book, *[(1 - shape.off_book) / each] * each])
        shares[own] += _dealt(by_step, split, rng)
    last = anchors[:, 3]
    shares[last, 0] += shares[last, 1:].sum(axis=1)  # the close prints last
    shares[last, 1:] = 0
    return shares


def _dealt(whole: Ints, weights: NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """Whole numbers dealt out by weights, each to its sum: shape ``(n, len(weights))``.

    Systematic sampling (Madow 1949): one draw a row, and shares that differ by less than one from what the weights say.
    It needs no binomial numbers, which numpy draws in another way from version to version: the same seed is the same
    market on every Python.
    """
    ends = np.append(np.cumsum(weights)[:-1] / weights.sum(), 1.0)
    steps = np.floor(whole[:, None] * ends + rng.random((len(whole), 1))).astype(np.int64)
    dealt: Ints = np.diff(steps, axis=1, prepend=0)
    return dealt
