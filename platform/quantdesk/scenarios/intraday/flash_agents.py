"""Who traded the E-mini between 14:30 and 15:10 on 6 May 2010: a small model of agents, second by second. Pure.

The price is guided: it goes through the points that were published, and between them it moves in proportion to the
pressure of the agents over the depth that is left. Everything else emerges: what the seller sells in each minute, how
much is traded, how deep the book is, and what the market makers hold.

- **The seller** sells 9 % of what was traded in the minute before, whatever the price, until 75,000 contracts are sold.
- **Other sellers** sell at a steady rate, and **stops** below the market go off when it makes a new low.
- **Fundamental buyers** come slowly: they look at the discount of a minute and a half before. After the pause they come
  in force.
- **Market makers** take what nobody takes until they hold as much as they may, then they sell it on to each other:
  volume without a change of hands.
- **Depth** goes away with the loss of the last two minutes, quickly, and comes back slowly.

Sources: the report of the staffs of the CFTC and the SEC of 2010-09-30, "Findings regarding the market events of May
6, 2010" (points, the burst from 14:45:13 to :27, the pause); Kirilenko, Kyle, Samadi and Tuzun (2017), "The Flash
Crash", for the kinds of agents. Points that are marked in :data:`POINTS` are from memory. The rates of the agents are
ours. They were set so that about 35,000 contracts are sold by 14:45 and market makers pass on about 27,000 in the
burst, so that those two are no evidence for the model.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEGINS", "PAUSED", "POINTS", "Agents", "Tape", "simulate"]

Floats = NDArray[np.float64]

BEGINS = dt.time(14, 30)
"""The first second."""
SECONDS = 2400


def _at(hour: int, minute: int, second: int = 0) -> int:
    return (hour * 60 + minute - 14 * 60 - 30) * 60 + second


STARTS = _at(14, 32)
PAUSED = (_at(14, 45, 28), _at(14, 45, 33))
"""The Stop Logic of the CME stopped trading: seconds after :data:`BEGINS`."""
LOW = 1056.0
_LEAST = 0.0075
"""Share of the morning's depth that somebody always shows: 58 million dollars were left, less than 1 %."""
_RUSH = 0.4
"""A loss in ten seconds, in percent, at which market makers find nobody else to trade with."""
_TRICKLE = 14.0
"""What they still take a second there: about 200 in a quarter of a minute."""
POINTS: tuple[tuple[int, float, str], ...] = (
    (_at(14, 30), 1134.0, "the Dow Jones was down by about 2.5 % (from memory)"),
    (_at(14, 41), LOW / 0.949, "down by more than 5 % from here to the end of 14:45:27"),
    (_at(14, 45), LOW / 0.949 * 0.97, "down by about 3 % in these four minutes"),
    (_at(14, 45, 13), LOW / 0.983, "down by 1.7 % in the next 15 seconds"),
    (_at(14, 45, 28), LOW, "the low of the day"),
    (_at(15, 8), LOW * 1.064, "up by 6.4 % (from memory)"),
)
"""Seconds after :data:`BEGINS`, the E-mini's price in index points, and what was published of it."""


@dataclass(frozen=True, slots=True)
class Agents:
    """The parameters; contracts and seconds.

    Attributes
    ----------
    contracts, share
        What the seller has to sell, and its part of the volume of the minute before.
    background
        Volume a second that has nothing to do with the crash, and how it grows with a move of 1 % in two minutes.
    sellers, buyers
        Rates of the other fundamental traders.
    stops
        Contracts that go off for each percent of a new low.
    inventory
        The most that market makers hold.
    hot
        The most that they pass on to each other in a second.
    depth, loss
        Share of the morning's depth at 14:30, and the loss in two minutes, in percent, at which e-fold of it is gone.
    """

    contracts: int = 75_000
    share: float = 0.09
    background: tuple[float, float] = (226.0, 0.88)
    sellers: float = 58.0
    buyers: float = 64.0
    stops: float = 5_000.0
    inventory: float = 3_300.0
    hot: float = 1_880.0
    depth: float = 0.44
    loss: float = 1.02


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """What came of it, second by second; every array of shape ``(2400,)``.

    Attributes
    ----------
    price
        Index points, at the end of each second.
    volume, sold
        Contracts of each second: of all, and of the seller.
    passed
        Contracts that market makers passed on to each other.
    inventory
        What they hold at the end of each second.
    depth
        Share of the morning's.
    """

    price: Floats
    volume: Floats
    sold: Floats
    passed: Floats
    inventory: Floats
    depth: Floats


@lru_cache(maxsize=16)
def simulate(seed: int, agents: Agents | None = None) -> Tape:
    """The forty minutes; equal seeds give equal tapes.

    Parameters
    ----------
    seed
        Where chance comes from: the path between the points, and how busy each second is.
    agents
        The parameters; those above when left out.
    """
    who = agents or Agents()
    rng = np.random.default_rng([seed, 20100506])
    noise, busy = rng.standard_normal(SECONDS), np.exp(0.25 * rng.standard_normal(SECONDS) - 0.03)
    price, depths = np.empty(SECONDS), np.empty(SECONDS)
    volume, sold, passed, held = (np.zeros(SECONDS) for _ in range(4))
    level, depth, stock, left = POINTS[0][1], who.depth, 0.0, float(who.contracts)
    lowest, waiting, usual, sheds, astir = level, 0.0, 1.0, False, 0.2
    for now in range(SECONDS):
        # After the pause nobody looks back behind it: what was withdrawn begins to come back.
        since = max(now - 120, PAUSED[1] if now >= PAUSED[1] else 0)
        before = price[since] if since < now else level
        loss = max(0.0, 100 * (before - level) / before)
        move = 100 * abs(before - level) / before
        astir += (move - astir) / (15.0 if move > astir else 400.0)
        aim = max(who.depth * math.exp(-((loss / who.loss) ** 2)), _LEAST)
        depth += (aim - depth) / (3.0 if aim < depth else 180.0)
        if PAUSED[0] <= now < PAUSED[1]:
            price[now], depths[now], held[now] = level, depth, stock
            continue
        past = 60 * (now // 60)
        seller = min(left, who.share * volume[max(past - 60, 0) : past].sum() / 60) if now >= STARTS else 0.0
        seen = price[max(now - 90, 0)] if now else level
        discount = max(0.0, 100 * (POINTS[0][1] - seen) / POINTS[0][1])
        buyers = who.buyers * (0.5 + 0.35 * discount) * (1.0 if now < PAUSED[1] else 1.6)
        stops, waiting = waiting / 3, waiting * 2 / 3
        unmet = seller + who.sellers + stops - buyers
        rush = min(1.0, max(0.0, 100 * (price[max(now - 10, 0)] - level) / level / _RUSH)) if now else 0.0
        if rush > 0.5:  # with nobody to sell to, they hold what they have and pass it round
            taken = min(_TRICKLE, who.inventory - stock)
        elif not sheds:
            taken = min(max(0.3 * unmet, -stock), who.inventory - stock)
            sheds = stock + taken >= 0.95 * who.inventory
        else:
            taken = -stock / 20
            sheds = stock > 0.4 * who.inventory
        stock += taken
        passed[now] = who.hot * rush**3 * busy[now]
        pressure = max(abs(unmet - taken), 1.0) / max(depth, 0.002)
        usual += (pressure - usual) / 10
        level = _guided(level, now, pressure / usual, noise[now], depth)
        if level < lowest:
            waiting += who.stops * 100 * (lowest - level) / lowest
            lowest = level
        left -= seller
        rest = who.background[0] * (1 + who.background[1] * astir) * busy[now]
        volume[now] = rest + seller + who.sellers + stops + passed[now]
        price[now], sold[now], depths[now], held[now] = level, seller, depth, stock
    return Tape(price, volume, sold, passed, held, depths)


def _guided(level: float, now: int, pace: float, chance: float, depth: float) -> float:
    """The next price: towards the next point, faster where the pressure is more than usual."""
    ahead = next((point for point in POINTS if point[0] > now), None)
    wild = level * 1.2e-4 * min((0.44 / max(depth, 0.01)) ** 0.5, 4.0) * chance
    if ahead is None:
        return float(level + wild)
    steps = ahead[0] - now
    if steps == 1:
        return ahead[1]
    away = ahead[1] - level
    if now < PAUSED[1]:
        return float(max(LOW, level + away / steps * min(max(pace, 0.7), 1.3) + wild * min(1.0, steps / 10)))
    # After the pause the price stays down for half a minute, until the buyers are there; then it comes back.
    there = min(1.0, max(0.0, (now - PAUSED[1] - 20) / 70))
    return float(max(LOW, level + away * min(1.0, (0.2 + 4.8 * there) / steps) + wild * min(1.0, steps / 60)))
