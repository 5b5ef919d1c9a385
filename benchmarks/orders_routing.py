"""How long a routing decision takes over 16 venues, singly and in a batch, against the same split made in other ways.

    python benchmarks/orders_routing.py [--json] [--orders 4000]

The orders: market orders of 100 to 3,000 shares. The books: one level at each of the 16 exchanges, over three prices,
drawn from a seed. The alternatives know the cost model and make the same split, which is compared share by share: a
greedy router in numpy, order by order; the same for the whole batch at once; and HiGHS through scipy. They make no
receipt, look for no best single venue, mark no sweeps and know no resting orders. All of them run in one warm process.
Figures are seconds a decision: the median of single decisions, the best turn of a batch. The batch runs on one core;
its loop holds no lock, so that two threads may share it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.optimize import LinearConstraint, milp

from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import Books, Parents, RoutingConfig, SmartOrderRouter, Splits, directory

AT = 1_795_446_000_000_000_000  # 2026-11-23, 15:00 UTC
TERMS = directory(dt.date(2026, 11, 23))
CONFIG = RoutingConfig()


def market(count: int, seed: int = 0) -> tuple[list[Order], list[Quotes]]:
    """Orders, and the books of each."""
    rng = np.random.default_rng(seed)
    names = [one.venue for one in TERMS]
    size = len(names)
    orders, quotes = [], []
    for _ in range(count):
        bid = 99_990_000 - 10_000 * rng.integers(0, 3, size)
        ask = 100_000_000 + 10_000 * rng.integers(0, 3, size)
        sizes = rng.integers(1, 6, (2, size)) * 100
        quotes.append(Quotes("AAPL", AT, names, bid, sizes[0], ask, sizes[1], AT - rng.integers(0, 10**9, size)))
        orders.append(Order("AAPL", "buy", int(rng.integers(100, 3000))))
    return orders, quotes


FEE = np.array([one.remove_fee for one in TERMS], dtype=float)
LATENCY = np.array([one.latency_ns for one in TERMS], dtype=float)
HIDDEN = np.array([one.hidden_share for one in TERMS])


def worths(
    shares: np.ndarray, bid: np.ndarray, ask: np.ndarray, size: np.ndarray, age: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a share is worth and how many there are, displayed and then hidden, shape (orders, 32)."""
    best = ask.min(axis=1, keepdims=True)
    middle = (best + bid.max(axis=1, keepdims=True)) / 2
    by_price = np.argsort(ask, axis=1, kind="stable")
    total = np.cumsum(np.take_along_axis(size, by_price, 1), axis=1)
    deep = np.minimum((total < shares[:, None]).sum(axis=1), ask.shape[1] - 1)[:, None]
    deep_price = np.take_along_axis(np.take_along_axis(ask, by_price, 1), deep, 1)
    impact = CONFIG.impact_y * CONFIG.assumed_volatility * np.sqrt(shares[:, None] / CONFIG.assumed_volume) * middle
    spread = best - bid.max(axis=1, keepdims=True)
    shortfall = deep_price - middle + max(FEE.max(), 0) + CONFIG.penalty_spreads[1] * spread + impact + 1
    half = CONFIG.quote_half_life_ms * 1e6
    chance = (half + age) / (half + age + 2 * LATENCY)
    worth = chance * (shortfall - (ask - middle + FEE))
    hidden = (HIDDEN * size).astype(np.int64)
    return np.hstack([worth, CONFIG.hidden_certainty * worth]), np.hstack([size, hidden])


def by_numpy(shares: np.ndarray, *books: np.ndarray) -> np.ndarray:
    """Shares to each venue by the worth of the next share; for one order or many."""
    worth, size = worths(shares, *books)
    order = np.argsort(-worth, axis=1, kind="stable")
    sized = np.take_along_axis(size, order, 1)
    before = np.cumsum(sized, axis=1) - sized
    taken = np.clip(shares[:, None] - before, 0, sized)
    spread = np.empty_like(taken)
    np.put_along_axis(spread, order, taken, 1)
    return spread[:, : len(TERMS)] + spread[:, len(TERMS) :]


def by_highs(shares: np.ndarray, *books: np.ndarray) -> np.ndarray:
    """The same as an integer programme."""
    worth, size = worths(shares, *books)
    limit = LinearConstraint(np.ones((1, worth.shape[1])), -np.inf, float(shares[0]))
    found = milp(-worth[0], integrality=np.ones(worth.shape[1]), bounds=(0, size[0]), constraints=limit,
                 options={"mip_rel_gap": 0.0})  # fmt: skip
    taken = np.round(found.x).astype(np.int64)
    return (taken[: len(TERMS)] + taken[len(TERMS) :])[None, :]


def columns(quotes: Quotes) -> tuple[np.ndarray, ...]:
    """Books as one row each."""
    return quotes.bid.T, quotes.ask.T, quotes.ask_size.T, (quotes.at - quotes.quoted_at)[None, :]


def each(call: Callable[[int], object], count: int) -> np.ndarray:
    """Seconds of each of so many calls."""
    taken = np.empty(count)
    for number in range(count):
        began = time.perf_counter()
        call(number)
        taken[number] = time.perf_counter() - began
    return taken


def best(call: Callable[[], object], count: int, turns: int = 7) -> float:
    """Seconds a decision in the best of several turns."""
    return min(each(lambda _: call(), turns)) / count


def measure(count: int) -> list[dict[str, object]]:
    """The rows."""
    orders, quotes = market(count)
    router = SmartOrderRouter(TERMS, CONFIG)
    day = router.day(AT)
    alone = [(np.array([order.shares]), *columns(books)) for order, books in zip(orders, quotes, strict=True)]
    together = tuple(np.concatenate(parts) for parts in zip(*alone, strict=True))
    parents, books = Parents.of(orders, [AT] * count, day), Books.of(quotes)

    def route(number: int) -> object:
        return router.route(orders[number], quotes[number], order_id="A")

    def batch() -> Splits:
        return router.route_many(parents, books)

    halves = [slice(0, count // 2), slice(count // 2, count)]
    parts = [
        (Parents(parents.numbers[one], parents.volatility[one]),
         Books(books.venues, books.bid[one], books.bid_size[one], books.ask[one], books.ask_size[one],
               books.quoted_at[one]))
        for one in halves
    ]  # fmt: skip
    split = batch().shares
    if not (np.array_equal(split, by_numpy(*together)) and np.array_equal(split[:1], by_highs(*alone[0]))):
        same = (split == by_numpy(*together)).all(axis=1)
        sys.exit(f"numpy splits {(~same).sum()} of {count} orders otherwise, the first is {int(np.argmin(same))}")
    for number in range(200):
        route(number)
    single = each(route, count)
    numpy_single = each(lambda number: by_numpy(*alone[number]), count)
    highs = each(lambda number: by_highs(*alone[number]), 200)
    many, numpy_many = best(batch, count), best(lambda: by_numpy(*together), count)
    with ThreadPoolExecutor(2) as pool:
        threads = best(lambda: list(pool.map(lambda part: router.route_many(*part), parts)), count)
    median, late = np.percentile(single, [50, 99])
    print(
        f"single: median {median * 1e6:.1f} us, p99 {late * 1e6:.1f} us; "
        f"batch: {1 / many:,.0f} decisions/s on one core, {1 / threads:,.0f} with two threads",
        file=sys.stderr,
    )
    what = "one routing decision over 16 venues, with its receipt"
    in_batch = "one routing decision over 16 venues, in a batch"
    return [
        {"what": what, "seconds": float(median), "alternative": "greedy in numpy, the split alone",
         "alternative_seconds": float(np.median(numpy_single))},
        {"what": what, "seconds": float(median), "alternative": "scipy.optimize.milp (HiGHS), the split alone",
         "alternative_seconds": float(np.median(highs))},
        {"what": in_batch, "seconds": many, "alternative": "greedy in numpy, order by order, the split alone",
         "alternative_seconds": float(np.median(numpy_single))},
        {"what": in_batch, "seconds": many, "alternative": "greedy in numpy, all at once, the split alone",
         "alternative_seconds": numpy_many},
    ]  # fmt: skip


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--orders", type=int, default=4000, help="how many orders")
    given = options.parse_args()
    rows = measure(given.orders)
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        mine, other = float(str(row["seconds"])), float(str(row["alternative_seconds"]))
        figures = f"{mine * 1e6:.1f} us against {other * 1e6:.1f} us, ratio {mine / other:.3f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
