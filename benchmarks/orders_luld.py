"""The monitor of limit up / limit down in its three forms, against a plain Python loop over the same events.

    python benchmarks/orders_luld.py [--json] [--times 7] [--events 2000000]

Events are synthetic: one session of a busy stock, one trade in five events, quotes around a random walk, by seed. There
are two alternatives. One is tests/orders/plain_luld.py, the oracle of the monitor's tests: lists and fractions, written
as plainly as it can be, and therefore slow. The other is what somebody in a hurry would write: whole numbers, a deque
with a running sum, and of the rules only what this flow needs (the reference and its bands; no limit states, no
pauses). Both take a part of the events, and their seconds are scaled. Each way is taken several times, turn by turn;
the figure is the median.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from quantdesk.orders.halts.luld import Events, Monitor, Stock, machine, replay

DAY = dt.date(2026, 3, 2)
STOCK = Stock("ABC", 100, 1, DAY)
OPENS = int(dt.datetime(2026, 3, 2, 9, 30, tzinfo=ZoneInfo("America/New_York")).timestamp()) * machine.SECOND
SESSION = 23_400 * machine.SECOND
PLAIN, QUICK = 3_000, 200_000
"""Events that the oracle and the quick loop take."""
CHUNK = 1_000
SINGLE = 100_000


def plain_luld() -> Any:
    """The oracle, from the tests."""
    path = Path(__file__).resolve().parents[1] / "tests" / "orders" / "plain_luld.py"
    spec = importlib.util.spec_from_file_location("plain_luld", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["plain_luld"] = module
    spec.loader.exec_module(module)
    return module


def session(n: int, seed: int = 0) -> Events:
    """A session of `n` events."""
    rng = np.random.default_rng(seed)
    at = OPENS + np.sort(rng.integers(0, SESSION, n))
    at[0] = OPENS
    mid = (1_000_000 * np.exp(np.cumsum(rng.normal(0, 0.03 / np.sqrt(n), n))) // 100 * 100).astype(np.int64)
    kind = np.where(rng.random(n) < 0.2, machine.TRADE, machine.QUOTE)
    kind[0] = machine.OPEN
    quote = kind == machine.QUOTE
    price = np.where(quote, mid - 100, mid)
    size = np.where(quote, 100, rng.random(n) < 0.7)
    return Events(kind, at, price, size, np.where(quote, mid + 100, 0), np.where(quote, 100, 0))


def first(events: Events, number: int) -> Events:
    """The first so many events."""
    return Events(*(getattr(events, name)[:number] for name in ("kind", "at", "price", "size", "other", "other_size")))


def by_plain_python(module: Any, events: Events) -> list[tuple[int, str, str]]:
    """What the oracle makes of them."""
    rule = Monitor(STOCK)._rule
    places = (machine.R_OPENS, machine.R_CLOSES, machine.R_DOUBLE_UNTIL, machine.R_DOUBLE_FROM)
    plain = module.Plain(Fraction(5, 100), None, Fraction(100), *(int(rule[place]) for place in places))
    columns = (events.kind, events.at, events.price, events.size, events.other, events.other_size)
    for kind, at, price, size, other, other_size in zip(*(column.tolist() for column in columns), strict=True):
        if kind == machine.TRADE:
            plain.event(at, "trade" if size else "clock", Fraction(price, 10_000))
        elif kind == machine.QUOTE:
            plain.event(at, "quote", (Fraction(price, 10_000), size), (Fraction(other, 10_000), other_size))
        else:
            plain.event(at, "opens", Fraction(price, 10_000))
    return plain.told  # type: ignore[no-any-return]


def by_quick_python(events: Events) -> list[int]:
    """The references that a short loop finds; it knows neither limit states nor pauses, nor the end of the session."""
    trades: deque[tuple[int, int]] = deque()
    references: list[int] = []
    total = reference = since = lower = upper = near = 0
    columns = (events.kind, events.at, events.price, events.size, events.other)
    for kind, at, price, size, other in zip(*(column.tolist() for column in columns), strict=True):
        oldest = at // machine.SECOND - 299
        while trades and trades[0][0] // machine.SECOND < oldest:
            total -= trades.popleft()[1]
        moved = 0
        if kind == machine.OPEN:
            moved = price
        elif kind == machine.TRADE and size:
            trades.append((at, price))
            total += price
        elif kind == machine.QUOTE:
            near += price <= lower or other >= upper
        number = len(trades)
        if number and at - since >= 30 * machine.SECOND and abs(total - reference * number) * 100 >= reference * number:
            moved = (2 * total + number) // (2 * number)
        if moved:
            reference, since = moved, at
            lower, upper = reference * 95 // 100, reference * 105 // 100
            references.append(reference)
    if near:
        sys.exit("the flow comes to its bands: the quick loop cannot follow")
    return references


def in_chunks(events: Events) -> int:
    """Chunks of a thousand, each made into arrays as a feed handler would."""
    monitor, found = Monitor(STOCK), 0
    columns = (events.kind, events.at, events.price, events.size, events.other, events.other_size)
    for begin in range(0, len(events), CHUNK):
        found += len(monitor.feed(Events(*(column[begin : begin + CHUNK] for column in columns))))
    return found


def prepared(events: Events) -> list[tuple[Any, ...]]:
    """Calls of the monitor's methods, with Python's own numbers."""
    columns = (events.kind, events.at, events.price, events.size, events.other, events.other_size)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        ("trade", at, price / 10_000, 100 if size else 99)
        if kind == machine.TRADE
        else ("quote", at, price / 10_000, other / 10_000, size, other_size)
        if kind == machine.QUOTE
        else ("opens", at, price / 10_000)
        for kind, at, price, size, other, other_size in rows
    ]


def singly(calls: list[tuple[Any, ...]]) -> int:
    """Each event by its method."""
    monitor, found = Monitor(STOCK), 0
    methods = {"trade": monitor.trade, "quote": monitor.quote, "opens": monitor.opens}
    for name, *arguments in calls:
        found += len(methods[name](*arguments))
    return found


def measure(times: int, n: int) -> dict[str, float]:
    """Median seconds an event of each way."""
    events, module = session(n), plain_luld()
    few, some, many = first(events, PLAIN), first(events, SINGLE), first(events, QUICK)
    calls = prepared(some)
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "batch": (n, lambda: replay(STOCK, events)),
        "chunks": (n, lambda: in_chunks(events)),
        "singly": (len(some), lambda: singly(calls)),
        "plain": (PLAIN, lambda: by_plain_python(module, few)),
        "quick": (QUICK, lambda: by_quick_python(many)),
    }
    whole = replay(STOCK, events)
    if in_chunks(events) != len(whole) or singly(calls) != len(replay(STOCK, some)):
        sys.exit("the forms of the monitor differ")
    moved = [(change.before.name, change.after.name) for change in replay(STOCK, few) if change.before != change.after]
    if moved != [(before, after) for _, before, after in by_plain_python(module, few)]:
        sys.exit("the plain loop and the monitor differ")
    if [round(change.reference * 10_000) for change in replay(STOCK, many)] != by_quick_python(many):
        sys.exit("the quick loop and the monitor differ")
    print(f"{n:,} events, {len(whole)} changes", file=sys.stderr)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, (number, way) in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - began) / number)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print one line per form, or rows for benchmarks/run.py: seconds for a million events."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=7, help="how often each way is taken")
    options.add_argument("--events", type=int, default=2_000_000, help="events of the session")
    given = options.parse_args()
    seconds = measure(given.times, given.events)
    named = {"batch": "a whole session", "chunks": f"chunks of {CHUNK:,}", "singly": "called singly"}
    rows = [
        {
            "what": f"LULD monitor, a million events, {said}",
            "seconds": seconds[name] * 1e6,
            "alternative": against,
            "alternative_seconds": seconds[other] * 1e6,
        }
        for name, said in named.items()
        for other, against in (
            ("quick", "a quick Python loop, fewer rules"),
            ("plain", "the plain oracle of the tests, scaled"),
        )
    ]
    if given.json:
        print(json.dumps(rows))
        return
    for name, said in named.items():
        rate, each = 1 / seconds[name] / 1e6, seconds[name] * 1e6
        quick, plain = (seconds[other] / seconds[name] for other in ("quick", "plain"))
        print(
            f"{said}: {each:.3f} us an event, {rate:.2f} million/s; "
            f"a quick Python loop with fewer rules takes {quick:.1f} times as long, the plain oracle {plain:,.0f} times"
        )


if __name__ == "__main__":
    main()
