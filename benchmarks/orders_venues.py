"""The matching and fill path of the simulated venues, side by side with what else one would take.

    python benchmarks/orders_venues.py [--json] [--times 3] [--keep FOLDER]

One day of synthetic flow of one stock at one venue: five levels of quotes that change every second, and two market
orders a second. The same strategy in every engine (see benchmarks/orders_competitors.py). backtrader, nautilus_trader
and hftbacktest want other versions of packages, so each is installed by name into an environment of its own, in a
temporary folder. What cannot be installed is said on the way, and left out. The engines do not do the same work, which
is why docs/explanation/simulated-venues.md says what each of them leaves out.

A second pair of rows feeds a stream of limit, cancel and market orders through the book alone, against a book of plain
Python that does the same, trade by trade.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
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

ENGINES = ("backtrader", "nautilus_trader", "hftbacktest")
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


def environment(folder: Path, name: str) -> Path | None:
    """A Python that has an engine; None where it could not be installed, which is said."""
    python = folder / name / "bin" / "python"
    if python.exists():
        return python
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    made = (
        [uv, "venv", "-q", "--python", sys.executable, str(folder / name)]
        if uv
        else [sys.executable, "-m", "venv", str(folder / name)]
    )
    install = (
        [uv, "pip", "install", "-q", "--python", str(python), name]
        if uv
        else [str(python), "-m", "pip", "install", "-q", name]
    )
    for command in (made, install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name} could not be installed: {done.stderr.strip()[-400:]}", file=sys.stderr)
            return None
    return python


def measure(folder: Path, times: int) -> list[dict[str, Any]]:
    """Rows of all engines, taken turn by turn."""
    flow = folder / "flow.json"
    world = market()
    world.quotes("ABC")
    written(world, flow)
    pythons = {name: python for name in ENGINES if (python := environment(folder, name)) is not None}
    ours()  # compiles
    found: dict[str, list[dict[str, Any]]] = {"ours": [], **{name: [] for name in pythons}}
    for _ in range(times):
        found["ours"].append(ours())
        for name, python in pythons.items():
            command = [str(python), str(Path(__file__).with_name("orders_competitors.py")), name, str(flow)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name} failed: {done.stderr.strip()[-800:]}", file=sys.stderr)
                continue
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    mine = statistics.median(one["seconds"] for one in found["ours"])
    rows = []
    for name, runs in found.items():
        if not runs:
            continue
        last = runs[-1]
        print(f"{name}: {last['fills']} fills, {last['shares']} shares, {last['events']} events", file=sys.stderr)
        if name != "ours":
            rows.append(
                {
                    "what": "a day of one stock: 2,339 resting and 390 market orders",
                    "seconds": mine,
                    "alternative": f"{name} {last['version']}",
                    "alternative_seconds": statistics.median(one["seconds"] for one in runs),
                }
            )
    return rows


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    options.add_argument("--keep", type=Path, help="a folder for the environments of the others, to be used again")
    given = options.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="quantdesk-bench-"))
    try:
        rows = [*measure(folder, given.times), books(300_000, given.times)]
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        figures = f"{row['seconds']:.3f} s against {row['alternative_seconds']:.3f} s, ratio {ratio:.2f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
