"""How long guardrails take over one order, all checks of them, against a few of the same checks written as one would.

    python benchmarks/orders_guardrails.py [--json] [--times 2000]

The account holds 200 positions, half of them with open orders; the order is for one of them, at sixteen venues. The
alternatives ask four of the twenty-seven questions (shares, notional, gross and net exposure) and must give the same
answer to them, for an order that passes and for one that does not:

    pydantic and Decimal   the order validated, amounts as decimals, exposures added up over the positions
    plain Python           no validation, whole numbers, exposures added up over the positions

All of them run in one warm process, turn by turn, so that what else the machine does hits each. The figure is the
median of the turns. Quotes are fresh in each turn: the national best quote is taken out of sixteen books anew, which is
the larger half of our time; the second row shows the checks alone.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal

from pydantic import BaseModel, Field

from quantdesk.orders.amounts import MICRO, dollars, nanoseconds
from quantdesk.orders.guardrails import Guardrails, Recent, Situation, bundled, day_rules
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.order import Order
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.rulebook import bundled as rulebook

DAY = dt.date(2026, 3, 2)
NOON = nanoseconds(dt.datetime(2026, 3, 2, 17, tzinfo=dt.UTC))
POSITIONS = 200
FOUR = ("MAX_SHARES", "MAX_NOTIONAL", "GROSS_EXPOSURE", "NET_EXPOSURE")
LIMITS = {code: bundled().checks[code] for code in FOUR}


def account() -> Portfolio:
    """Cash of $40 million, and 200 positions of $100,000 each."""
    held = Portfolio(40_000_000 * MICRO)
    for number in range(POSITIONS):
        symbol = f"S{number}"
        held.transfer(symbol, 1000 if number % 3 else -1000, 100 * MICRO)
        if number % 2:
            held.open(symbol, 1, 100)
    held.start_day(DAY)
    return held


def quotes() -> Quotes:
    """Sixteen books."""
    return Quotes.of("S7", NOON, {f"V{n}": (99_990_000 - 10_000 * (n % 3), 300, 100_010_000, 300) for n in range(16)})


def situation(held: Portfolio, seen: Quotes) -> Situation:
    """Everything is known."""
    return Situation(
        at=NOON, use="live", portfolio=held, quotes=seen, halt=HaltStatus("S7", Status.TRADING, "", "", "nasdaq", 1.0),
        bands=(95 * MICRO, 105 * MICRO), phase="continuous", short_sale_restricted=False, previous_close=100 * MICRO,
        average_daily_volume=50_000_000, recent=Recent(), rules=day_rules(rulebook(), DAY), resting=(),
    )  # fmt: skip


class PlainOrder(BaseModel):
    """An order as many systems have it."""

    symbol: str
    side: str
    shares: int = Field(gt=0)
    limit_price: Decimal | None = None


class PlainPosition(BaseModel):
    """A position, alike."""

    shares: int
    buying: int
    selling: int
    mark: Decimal


def by_pydantic(given: dict[str, object], positions: dict[str, PlainPosition], cash: Decimal, seen: Quotes) -> set[str]:
    """Four checks: validated, in decimals."""
    order = PlainOrder.model_validate(given)
    best = seen.nbbo
    middle = (dollars(best.bid) + dollars(best.ask)) / 2
    side = 1 if order.side == "buy" else -1
    gross = net = Decimal(0)
    equity = cash
    for symbol, held in positions.items():
        mine = symbol == order.symbol
        mark = middle if mine else held.mark
        buying = held.buying + (order.shares if mine and side > 0 else 0)
        selling = held.selling + (order.shares if mine and side < 0 else 0)
        gross += max(abs(held.shares + buying), abs(held.shares - selling)) * mark
        net += (held.shares + (buying if side > 0 else -selling)) * mark
        equity += held.shares * mark
    notional = order.shares * max(middle, order.limit_price or Decimal(0))
    return {
        code
        for code, broken in (
            ("MAX_SHARES", order.shares > LIMITS["MAX_SHARES"]["shares"]),
            ("MAX_NOTIONAL", notional > dollars(LIMITS["MAX_NOTIONAL"]["dollars"])),
            ("GROSS_EXPOSURE", _beyond(gross, equity, "GROSS_EXPOSURE")),
            ("NET_EXPOSURE", _beyond(net * side, equity, "NET_EXPOSURE")),
        )
        if broken
    }


def _beyond(exposure: Decimal, equity: Decimal, code: str) -> bool:
    limits = LIMITS[code]
    return exposure > dollars(limits["dollars"]) or exposure > dollars(limits["of_equity"]) * equity


def by_hand(order: Order, positions: dict[str, tuple[int, int, int, int]], cash: int, seen: Quotes) -> set[str]:
    """Four checks: whole numbers, one loop."""
    middle, side = seen.nbbo.midpoint, order.side
    gross = net = 0
    equity = cash
    for symbol, (shares, buying, selling, mark) in positions.items():
        if symbol == order.symbol:
            mark = middle
            if side > 0:
                buying += order.shares
            else:
                selling += order.shares
        gross += max(abs(shares + buying), abs(shares - selling)) * mark
        net += (shares + (buying if side > 0 else -selling)) * mark
        equity += shares * mark
    found = set()
    if order.shares > LIMITS["MAX_SHARES"]["shares"]:
        found.add("MAX_SHARES")
    if order.shares * max(middle, order.limit) > LIMITS["MAX_NOTIONAL"]["dollars"]:
        found.add("MAX_NOTIONAL")
    for code, exposure in (("GROSS_EXPOSURE", gross), ("NET_EXPOSURE", net * side)):
        limits = LIMITS[code]
        if exposure > limits["dollars"] or exposure * MICRO > limits["of_equity"] * equity:
            found.add(code)
    return found


def measure(times: int) -> dict[str, float]:
    """Median seconds of each way, taken turn by turn, after all have given the same answers."""
    held = account()
    decimals = {
        symbol: PlainPosition(shares=one.shares, buying=one.buying, selling=one.selling, mark=dollars(one.mark))
        for symbol, one in held
    }
    whole = {symbol: (one.shares, one.buying, one.selling, one.mark) for symbol, one in held}
    guardrails = Guardrails()
    good = Order("S7", "buy", 300, "limit", limit_price="100.02", user_id="alice")
    bad = Order("S7", "buy", 600_000, "limit", limit_price="100.02", user_id="alice")
    for order in (good, bad):
        given = {"symbol": "S7", "side": "buy", "shares": order.shares, "limit_price": "100.02"}
        said = {one.code for one in guardrails.check(order, situation(held, quotes())).violations}
        plain = by_pydantic(given, decimals, dollars(held.cash), quotes())
        if not said & set(FOUR) == plain == by_hand(order, whole, held.cash, quotes()):
            sys.exit(f"the ways differ: {said & set(FOUR)}, {plain}, {by_hand(order, whole, held.cash, quotes())}")
        if order is good and said:
            sys.exit(f"a good order is not allowed: {said}")
    given = {"symbol": "S7", "side": "buy", "shares": 300, "limit_price": "100.02"}
    cash = dollars(held.cash)
    ways: dict[str, Callable[[Situation, Quotes], object]] = {
        "ours": lambda shown, seen: guardrails.check(good, shown),
        "checks": lambda shown, seen: guardrails.check(good, shown),
        "pydantic": lambda shown, seen: by_pydantic(given, decimals, cash, seen),
        "hand": lambda shown, seen: by_hand(good, whole, held.cash, seen),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            seen = quotes()
            shown = situation(held, seen)
            if name == "checks":
                seen.nbbo  # noqa: B018 (taken out beforehand: this row is the checks alone)
            began = time.perf_counter()
            way(shown, seen)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=2000, help="how often each way is taken")
    given = options.parse_args()
    seconds = measure(given.times)
    rows = [
        {
            "what": f"guardrails: {what}",
            "seconds": seconds[ours],
            "alternative": alternative,
            "alternative_seconds": seconds[theirs],
        }
        for what, ours, alternative, theirs in (
            ("27 checks of one order, 200 positions, 16 venues", "ours", "4 checks, pydantic and Decimal", "pydantic"),
            ("the same", "ours", "4 checks, plain Python on whole numbers", "hand"),
            ("27 checks once the NBBO is known", "checks", "4 checks, plain Python, NBBO included", "hand"),
        )
    ]
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        figures = f"{row['seconds'] * 1e6:.1f} us against {row['alternative_seconds'] * 1e6:.1f} us, ratio {ratio:.2f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
