"""Markets and orders for the tests of transaction cost analysis: drawn from a seed, or written down by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantdesk.orders.tca import Fill, OrderFacts, Prints, Quote, Routed, Tape

SECOND = 1_000_000_000
OPEN = 1_700_000_000 * SECOND
"""Some morning; no test looks at a calendar."""
VENUES = ("XNYS", "XNAS", "IEXG", "BATS")


def market(seed: int, symbol: str, *, seconds: int = 3600, price: int = 100_000_000) -> Tape:
    """A random walk of quotes at random times, one cent to five wide, over one session."""
    rng = np.random.default_rng(seed)
    number = seconds * 2
    at = OPEN + np.sort(rng.integers(0, seconds * SECOND, number))
    bid = price + 10_000 * np.cumsum(rng.integers(-1, 2, number))
    ask = bid + 10_000 * rng.integers(1, 6, number)
    return Tape(symbol, at, bid, ask, sessions=[(OPEN, OPEN + seconds * SECOND)])


def trading(seed: int, tapes: list[Tape], number: int) -> dict[str, Any]:
    """Orders of all kinds with fills near the quotes of the tapes, and what was sent."""
    rng = np.random.default_rng(seed)
    orders, fills, routed = [], [], []
    for count in range(number):
        tape = tapes[int(rng.integers(len(tapes)))]
        start = OPEN + int(rng.integers(10, 3190)) * SECOND
        side = int(rng.choice([1, -1]))
        shares = int(rng.choice([50, 100, 400, 1000, 3000, 8000]))
        arrival, name = tape.quote(start), f"o{count:03}"
        kind = str(rng.choice(["market", "limit"]))
        end = tape.quote(start + 400 * SECOND)
        left = shares
        for _ in range(int(rng.integers(0, 5))):
            size = int(rng.integers(1, left + 1))
            left -= size
            at = start + int(rng.integers(1, 300 * SECOND))
            now = tape.quote(at)
            price = int(rng.integers(now.bid // 10_000 - 1, now.ask // 10_000 + 2)) * 10_000
            venue, liquidity = str(rng.choice(VENUES)), str(rng.choice(["add", "remove", ""]))
            fills.append(
                Fill(name, tape.symbol, side, size, price, size * int(rng.integers(-3000, 3001)), liquidity, venue, at)
            )
            routed.append(Routed(name, venue, size + int(rng.integers(0, 50))))
            if not left:
                break
        orders.append(
            OrderFacts(
                order_id=name, symbol=tape.symbol, side=side, shares=shares,
                decision=tape.quote(start - 5 * SECOND), arrival=arrival, end=end, order_type=kind,
                limit=arrival.ask if kind == "limit" else 0, urgency=str(rng.choice(["low", "high"])),
                mode="simulated",
            )
        )  # fmt: skip
    return {"orders": orders, "fills": fills, "routed": routed, "tapes": tapes}


@pytest.fixture(scope="session")
def draw() -> Callable[..., dict[str, Any]]:
    """Sixty orders over two symbols: ``draw(seed)`` gives the arguments of ``analyse``."""
    return lambda seed, number=60: trading(
        seed, [market(seed, "AAA"), market(seed + 1, "BBB", price=20_000_000)], number
    )


@pytest.fixture(scope="session")
def quote() -> Callable[..., Quote]:
    """A quote in dollars at so many seconds after the opening."""
    return lambda seconds, bid, ask: Quote(OPEN + round(seconds * SECOND), round(bid * 1e6), round(ask * 1e6))


@pytest.fixture(scope="session")
def prints() -> Callable[..., Prints]:
    """Trades from rows of seconds, dollars and shares."""

    def made(symbol: str, *rows: tuple[float, float, int]) -> Prints:
        at = [OPEN + round(seconds * SECOND) for seconds, _, _ in rows]
        return Prints(symbol, at, [round(price * 1e6) for _, price, _ in rows], [shares for _, _, shares in rows])

    return made


@pytest.fixture(scope="session")
def opened() -> int:
    """The nanosecond of the opening."""
    return OPEN
