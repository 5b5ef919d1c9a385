"""Mock execution: what the given books show, within the limit, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.orders.amounts import micros
from quantdesk.orders.client.mock import mocked
from quantdesk.orders.client.wire import _built, _Result, read_result
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderStatus

AT = 1_700_000_000_000_000_000


@st.composite
def books(draw: st.DrawFn) -> Quotes:
    """Up to four venues with up to three levels, not crossed."""
    venues, levels = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    sides: dict[str, list[list[int]]] = {"bid": [], "bid_size": [], "ask": [], "ask_size": []}
    for _ in range(venues):
        for side, sign in (("bid", -1), ("ask", 1)):
            depth = draw(st.integers(0, levels))
            steps = sorted(draw(st.lists(st.integers(1, 9), min_size=depth, max_size=depth, unique=True)))
            prices = [100_000_000 + sign * step * 10_000 for step in steps]
            sizes = draw(st.lists(st.integers(1, 300), min_size=depth, max_size=depth))
            sides[side].append(prices + [0] * (levels - depth))
            sides[f"{side}_size"].append(sizes + [0] * (levels - depth))
    return Quotes("AAPL", AT, tuple(f"V{number}" for number in range(venues)), **sides)


@settings(max_examples=150, deadline=None)
@given(books(), st.sampled_from(["buy", "sell", "sell_short"]), st.integers(1, 900), st.none() | st.integers(-9, 9))
def test_it_takes_what_is_shown_the_best_first(quotes: Quotes, action: str, shares: int, ticks: int | None) -> None:
    limit = None if ticks is None else f"{100 + ticks / 100:.2f}"
    order = Order("AAPL", action, shares, "market" if limit is None else "limit", limit)
    result = mocked(order, "local-1", quotes, "It is away.")
    assert result.execution_mode is ExecutionMode.MOCK
    assert read_result(_json(result)) == result
    if not quotes.nbbo.is_two_sided:
        assert (result.status, result.filled_shares) == (OrderStatus.REJECTED, 0)
        return
    price, size = (quotes.ask, quotes.ask_size) if order.is_buy else (quotes.bid, quotes.bid_size)
    offers = sorted((order.side * int(price[place]), int(size[place])) for place in zip(*price.nonzero(), strict=True))
    left, notional = shares, 0
    for signed, shown in offers:
        if order.limit and signed > order.side * order.limit:
            break
        taken = min(left, shown)
        left, notional = left - taken, notional + taken * abs(signed)
    assert result.filled_shares == shares - left
    assert sum(child.filled_shares for child in result.children) == shares - left
    if result.average_price is not None:
        assert abs(micros(result.average_price) * result.filled_shares - notional) <= result.filled_shares
        assert result.slippage_nbbo_bps is not None
        assert result.slippage_nbbo_bps >= 0
        assert set(result.venues) == {child.venue for child in result.children}


def _json(result: Any) -> bytes:
    return json.dumps(result.to_dict()).encode()


@pytest.mark.parametrize(
    ("symbol", "books", "why"),
    [
        ("AAPL", {"A": (100, 1, 0, 0)}, "no quote on both sides"),
        ("AAPL", {"A": (101, 1, 102, 1), "B": (98, 1, 99, 1)}, "crossed"),
        ("MSFT", {"A": (100, 1, 101, 1)}, "the quotes are of MSFT"),
        ("AAPL", {}, "no quote on both sides"),
    ],
)
def test_quotes_that_give_no_price(symbol: str, books: dict[str, Any], why: str) -> None:
    result = mocked(Order("AAPL", "buy", 1), "local-1", Quotes.of(symbol, AT, books), "It is away.")
    assert (result.status, result.average_price) == (OrderStatus.REJECTED, None)
    assert why in result.reasoning


def test_when_its_quotes_are_from_is_said() -> None:
    quotes = Quotes.of("AAPL", AT, {"A": (100, 1, 101, 1)})
    assert "2023-11-14 22:13:20 UTC" in mocked(Order("AAPL", "buy", 1), "local-1", quotes, "Why.").reasoning


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"children": [{"filled_shares": 101}]}, "of a part"),
        ({"children": [{"average_price": None}]}, "at an average of None"),
        ({"arrival_bid": "0"}, "arrival_bid"),
    ],
)
def test_parts_that_cannot_be(desk: Any, change: dict[str, Any], what: str) -> None:
    given = desk.execute(Order("AAPL", "buy", 100)).to_dict()
    if "children" in change:
        change = {"children": [{**given["children"][0], **change["children"][0]}]}
    body = _Result.model_validate_json(json.dumps({**given, **change}))
    with pytest.raises(ValueError, match=what):
        _built(body)
