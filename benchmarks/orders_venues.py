"""The matching of the simulated venues against the same book in plain Python.

    python benchmarks/orders_venues.py [--json] [--times 3]

A stream of limit, cancel and market orders goes through the book alone; the other one does the same, trade by trade.
What is here besides is for benchmarks/orders_competitors.py, which puts the path of an order beside other engines.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.venues import Book, Shape, SimulatedMarket
from quantdesk.orders.venues.replay import P_ASK, P_ASK_SIZE, P_BID, P_BID_SIZE
from quantdesk.orders.venues.screen import Screen

DAY = dt.date(2026, 3, 2)
EVERY = 10_000_000_000


def market() -> SimulatedMarket:
    """A day of a stock of $100 of which five million shares trade, at one venue."""
    bars = pd.DataFrame({"open": [100.0], "high": [103.0], "low": [99.0], "close": [101.0], "volume": [5e6]},
                        index=pd.to_datetime([DAY]))  # fmt: skip
    terms = [Terms("Venue", -2000, 3000, 3000, 100_000, True, 0.0)]
    return SimulatedMarket.of_bars({"ABC": bars}, DAY, 1, venues=terms, shape=Shape(step_s=1))


def written(world: SimulatedMarket, path: Path) -> None:
    """The flow as others can read it."""
    screen: Screen = world.venues["Venue"].listing("ABC")._screen
    tick, deeper = screen.flow.tick, screen.deeper.tolist()
    steps = []
    for row in screen.plan.tolist():
        bid = [row[P_BID] - level * tick for level in range(len(deeper) + 1)]
        ask = [row[P_ASK] + level * tick for level in range(len(deeper) + 1)]
        steps.append([row[0], bid, [row[P_BID_SIZE], *deeper], ask, [row[P_ASK_SIZE], *deeper]])
    path.write_text(json.dumps({"steps": steps, "trades": screen.tape.tolist()}), encoding="utf-8")


def ours() -> dict[str, Any]:
    """The same strategy through the gateway, as a desk would use it."""
    world = market()
    world.quotes("ABC")
    sent: list[str] = []
    resting = ""
    began = time.perf_counter()
    for turn in range(2339):
        world.advance(world.now() + EVERY)
        if resting:
            world.cancel(resting)
        nbbo = world.nbbo_at("ABC", world.now())
        side, limit = (Action.BUY, nbbo.bid) if turn % 2 else (Action.SELL, nbbo.ask)
        resting = f"{turn}-1"
        world.send(Child(resting, "Venue", "ABC", side, 100, limit=limit, time_in_force=TimeInForce.DAY))
        sent.append(resting)
        if turn % 6 == 0:
            sent.append(f"{turn}-2")
            world.send(Child(sent[-1], "Venue", "ABC", side, 300))
    taken = time.perf_counter() - began
    fills = [one for name in sent for one in world.executions(name) or () if one.kind == "fill"]
    screen: Screen = world.venues["Venue"].listing("ABC")._screen
    events = len(screen.plan) + len(screen.tape)
    return {"seconds": taken, "fills": len(fills), "shares": sum(one.shares for one in fills), "events": events}


def stream(number: int) -> Any:
    """Limit, cancel and market orders around a price that wanders."""
    rng = np.random.default_rng(0)
    rows = np.zeros((number, 5), dtype=np.int64)
    rows[:, 0] = rng.choice([0, 1, 2], number, p=[0.5, 0.35, 0.15])
    rows[0, 0] = 0
    rows[:, 1] = rng.integers(0, 2, number)
    middle = 10_000 + np.cumsum(rng.integers(-1, 2, number)) // 50
    away = rng.geometric(0.3, number)
    rows[:, 2] = np.where(rows[:, 0] == 2, 0, middle + np.where(rows[:, 1] == 0, -away, away))
    rows[:, 3] = rng.integers(1, 10, number) * 100
    back = np.maximum(np.arange(number) - rng.integers(1, 200, number), 0)
    rows[:, 4] = np.where(rows[:, 0] == 1, back, 0)
    rows[rows[:, 0] == 1, 1:4] = 0
    return rows


def by_hand(rows: list[list[int]]) -> list[tuple[int, int, int]]:
    """The same book as one writes it in plain Python: heaps of prices, a deque at each, cancels left in the queue."""
    queues: tuple[dict[int, deque[list[int]]], ...] = ({}, {})
    heaps: tuple[list[int], ...] = ([], [])
    orders: dict[int, list[int]] = {}
    fills = []
    for row, (kind, side, price, shares, reference) in enumerate(rows):
        if kind == 1:
            if reference in orders:
                orders.pop(reference)[1] = 0
            continue
        other, heap = queues[1 - side], heaps[1 - side]
        while shares and heap:
            best = -heap[0] if side == 1 else heap[0]
            if price and (best > price if side == 0 else best < price):
                break
            queue = other[best]
            while queue and shares:
                maker = queue[0]
                traded = min(shares, maker[1])
                if traded:
                    fills.append((row, best, traded))
                shares -= traded
                maker[1] -= traded
                if not maker[1]:
                    queue.popleft()
                    orders.pop(maker[0], None)
            if not queue:
                del other[best]
                heapq.heappop(heap)
        if kind == 0 and shares:
            own = queues[side]
            if price not in own:
                own[price] = deque()
                heapq.heappush(heaps[side], -price if side == 0 else price)
            orders[row] = [row, shares]
            own[price].append(orders[row])
    return fills


def books(number: int, times: int) -> dict[str, Any]:
    """Median seconds of both books, which must give the same fills."""
    rows = stream(number)
    listed = rows.tolist()
    fills, _ = Book().feed(rows)
    if [tuple(one) for one in fills[:, [0, 6, 5]].tolist()] != by_hand(listed):
        sys.exit("the two books trade differently")
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for found, way in zip(taken, (lambda: Book().feed(rows), lambda: by_hand(listed)), strict=True):
            began = time.perf_counter()
            way()
            found.append(time.perf_counter() - began)
    return {
        "what": f"{number:,} orders, cancels and market orders through one book",
        "seconds": statistics.median(taken[0]),
        "alternative": "the same book in plain Python (heaps and deques)",
        "alternative_seconds": statistics.median(taken[1]),
    }


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    given = options.parse_args()
    told([books(300_000, given.times)], as_json=given.json)


def told(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows, for people or for benchmarks/run.py."""
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        figures = f"{row['seconds']:.3f} s against {row['alternative_seconds']:.3f} s, ratio {ratio:.2f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
