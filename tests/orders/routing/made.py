"""Markets and orders of every kind, and terms of a few venues. For the tests of routing, which load it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import Terms

AT = 1_795_446_000_000_000_000  # 2026-11-23, 15:00 UTC: a Monday, 10:00 in New York
NAMES = ("Arca", "BX", "IEX", "LTSE", "NYSE", "Nasdaq")
TERMS = (
    Terms("Arca", -2000, 3000, 3000, 170_000, True, 0.2),
    Terms("BX", 3000, -1800, 0, 130_000, True, 0.2),
    Terms("IEX", -400, 1000, 3000, 355_000, True, 1.0),
    Terms("LTSE", 0, 0, 0, 5_000, False, 0.0),
    Terms("NYSE", -1200, 3000, 3000, 170_000, True, 0.2),
    Terms("Nasdaq", -1800, 3000, 3000, 130_000, True, 0.2),
)


@st.composite
def markets(draw: st.DrawFn, names: tuple[str, ...] = NAMES, *, levels: int = 3) -> Quotes:
    """Books that are not crossed, over some of the venues, each with a bid or an offer or both or none."""
    tick, middle = draw(st.sampled_from([(10_000, 100_000_000), (100, 900_000)]))
    venues = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    count = draw(st.integers(1, levels))

    def side(sign: int) -> tuple[list[int], list[int]]:
        prices: list[int] = []
        offset = draw(st.integers(1, 4))
        for _ in range(draw(st.integers(0, count)) if draw(st.booleans()) else count):
            prices.append(middle + sign * offset * tick)
            offset += draw(st.integers(1, 3))
        sizes = [draw(st.integers(1, 400)) for _ in prices]
        return prices + [0] * (count - len(prices)), sizes + [0] * (count - len(sizes))

    bids, asks = zip(*[(side(-1), side(1)) for _ in venues], strict=True)
    ages = [draw(st.integers(0, 10**9)) for _ in venues]
    return Quotes("ABC", AT, venues, [p for p, _ in bids], [s for _, s in bids], [p for p, _ in asks],
                  [s for _, s in asks], [AT - age for age in ages])  # fmt: skip


@st.composite
def orders(draw: st.DrawFn, kinds: tuple[str, ...] = ("market", "limit", "ioc", "midpoint_peg")) -> Order:
    """Orders that can be routed; limits about the market, on either side of it, for both kinds of prices."""
    kind = draw(st.sampled_from(kinds))
    more: dict[str, Any] = {"urgency": draw(st.sampled_from(["low", "normal", "high"]))}
    if kind == "midpoint_peg" and draw(st.booleans()):
        more["time_in_force"] = "ioc"
    if kind == "limit" or (kind in ("ioc", "midpoint_peg") and draw(st.booleans())):
        price = draw(st.sampled_from([(100_000_000, 10_000), (900_000, 100)]))
        more["limit_price"] = f"{(price[0] + draw(st.integers(-6, 10)) * price[1]) / 1e6:.6f}"
    action = draw(st.sampled_from(["buy", "sell", "sell_short"]))
    return Order("ABC", action, draw(st.integers(1, 3000)), order_type=kind, **more)  # type: ignore[arg-type]
