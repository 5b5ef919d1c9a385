"""Each check with a limit: an order at the limit passes, one beyond does not, and the message has limit and value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from quantdesk.orders.guardrails import Recent, Resting
from quantdesk.orders.guardrails.catalogue import CHECKS
from quantdesk.orders.guardrails.limits import money
from quantdesk.orders.order import Order

USD = 1_000_000
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Edge:
    """An order and a situation at the limit, and the same one beyond it."""

    code: str
    name: str
    own: str = ""
    at: dict[str, Any] = field(default_factory=dict)
    beyond: dict[str, Any] = field(default_factory=dict)
    known_at: Callable[[Any], dict[str, Any]] = lambda calm: {}
    known_beyond: Callable[[Any], dict[str, Any]] | None = None
    says: tuple[str, ...] = ()
    severity: str = "blocking"


def sent(calm: Any, order: Order, *ago: float) -> dict[str, Any]:
    recent = Recent()
    for seconds in ago:
        recent.note(order, calm.at - round(seconds * SECOND))
    return {"recent": recent}


def holding(calm: Any, shares: int, buying: int = 0, selling: int = 0, cash: float = 10_000_000) -> dict[str, Any]:
    account = calm.account(cash, AAPL=shares)
    for side, open_ in ((1, buying), (-1, selling)):
        if open_:
            account.open("AAPL", side, open_, 100 * USD)
    return {"portfolio": account}


def lost(calm: Any, dollars: float) -> dict[str, Any]:
    account = calm.account(10_000_000)
    account.charge("MSFT", round(dollars * USD))
    return {"portfolio": account}


def quoted(**prices: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda calm: {"quotes": calm.quotes(**prices)}


EDGES = [
    Edge("MAX_SHARES", "shares", "[checks.MAX_SHARES]\nshares = 1000",
         {"shares": 1000}, {"shares": 1001}, says=("1,000 shares", "1,001 shares")),
    Edge("MAX_NOTIONAL", "at the midpoint", '[checks.MAX_NOTIONAL]\ndollars = "10_000"',
         {"shares": 100}, {"shares": 101}, says=("$10,000.00", "$10,100.00")),
    Edge("MAX_NOTIONAL", "at a limit above it", '[checks.MAX_NOTIONAL]\ndollars = "10_100"',
         {"limit_price": "101"}, {"limit_price": "101.01"}, says=("$10,100.00", "$10,101.00")),
    Edge("MAX_NOTIONAL", "a low limit makes it no smaller", '[checks.MAX_NOTIONAL]\ndollars = "10_000"',
         {"shares": 100, "limit_price": "96"}, {"shares": 101, "limit_price": "96"}, says=("$10,000.00", "$10,100.00")),
    Edge("PARTICIPATION", "of a day's volume", '[checks.PARTICIPATION]\nof_volume = "0.10"',
         {"shares": 500}, {"shares": 501}, lambda calm: {"average_daily_volume": 5000}, says=("10 %", "10.02 %")),
    Edge("ROUND_LOT", "a hundred", "", {"shares": 300}, {"shares": 301}, says=("301 shares", "lot of 100"),
         severity="warning"),
    Edge("ROUND_LOT", "forty from $250.01 on", "", {"shares": 40}, {"shares": 41},
         lambda calm: {"previous_close": 250_010_000}, says=("41 shares", "lot of 40"), severity="warning"),
    Edge("PRICE_COLLAR", "a purchase", '[checks.PRICE_COLLAR]\naway = "0.01"',
         {"limit_price": "101"}, {"limit_price": "101.01"}, says=("$101.00", "$101.01 of this buy is 1.01 %")),
    Edge("PRICE_COLLAR", "a sale", '[checks.PRICE_COLLAR]\naway = "0.01"',
         {"action": "sell", "limit_price": "99"}, {"action": "sell", "limit_price": "98.99"},
         lambda calm: holding(calm, 500), says=("$99.00", "$98.99")),
    Edge("PRICE_COLLAR", "without a quote, of the last trade", '[checks.PRICE_COLLAR]\naway = "0.01"',
         {"limit_price": "50.50"}, {"limit_price": "50.51"}, lambda calm: {"quotes": None, "last": 50 * USD},
         says=("$50.50", "$50.51")),
    Edge("PRICE_COLLAR", "a stop-limit order, of its own stop", '[checks.PRICE_COLLAR]\naway = "0.01"',
         {"order_type": "stop_limit", "stop_price": "120", "limit_price": "121.20"},
         {"order_type": "stop_limit", "stop_price": "120", "limit_price": "121.21"}, says=("$121.20", "$121.21")),
    Edge("PRICE_COLLAR", "the spread that a market order meets", '[checks.PRICE_COLLAR]\nspread = "0.02"',
         {}, {}, quoted(bid=99, ask=101), quoted(bid=98.99, ask=101.01), says=("2 %", "2.02 %")),
    Edge("PRICE_COLLAR", "a stop to buy that has been reached", "",
         {"order_type": "stop", "stop_price": "100.02"}, {"order_type": "stop", "stop_price": "100.01"},
         says=("above $100.01", "$100.01")),
    Edge("PRICE_COLLAR", "a stop to sell that has been reached", "",
         {"action": "sell", "order_type": "stop", "stop_price": "99.98"},
         {"action": "sell", "order_type": "stop", "stop_price": "99.99"},
         lambda calm: holding(calm, 500), says=("below $99.99", "$99.99")),
    Edge("PRICE_COLLAR", "a stop loss of a purchase", "", {"stop_loss_price": "99.98"}, {"stop_loss_price": "99.99"},
         says=("below $99.99", "$99.99")),
    Edge("PRICE_COLLAR", "a stop loss of a limit order that trades at once", "",
         {"limit_price": "101", "stop_loss_price": "99.98"}, {"limit_price": "101", "stop_loss_price": "99.99"},
         says=("below $99.99", "$99.99")),
    Edge("PRICE_COLLAR", "a stop loss of a short sale", "",
         {"action": "sell_short", "stop_loss_price": "100.02"}, {"action": "sell_short", "stop_loss_price": "100.01"},
         says=("above $100.01", "$100.01")),
    Edge("LULD_BAND", "a purchase above", "", {"limit_price": "105"}, {"limit_price": "105.01"},
         says=("$95.00 to $105.00", "$105.01")),
    Edge("LULD_BAND", "a sale below", "", {"action": "sell", "limit_price": "95"},
         {"action": "sell", "limit_price": "94.99"}, lambda calm: holding(calm, 500),
         says=("$95.00 to $105.00", "$94.99")),
    Edge("LULD_BAND", "a purchase below only waits", "", {"limit_price": "95"}, {"limit_price": "94.99"},
         says=("$95.00 to $105.00", "$94.99"), severity="warning"),
    Edge("LULD_BAND", "a stop-limit order may wait too", "",
         {"order_type": "stop_limit", "stop_price": "104", "limit_price": "105"},
         {"order_type": "stop_limit", "stop_price": "104", "limit_price": "105.01"},
         says=("$95.00 to $105.00", "$105.01"), severity="warning"),
    Edge("TICK_SIZE", "a limit", "", {"limit_price": "100.01"}, {"limit_price": "100.005"},
         says=("$0.01", "$100.005", "$100.00 or $100.01")),
    Edge("TICK_SIZE", "below a dollar", "", {"limit_price": "0.9999"}, {"limit_price": "0.99995"},
         lambda calm: {"bands": (1, 200 * USD)}, says=("$0.0001", "$0.99995")),
    Edge("TICK_SIZE", "a stop loss", "", {"stop_loss_price": "90.01"}, {"stop_loss_price": "90.001"},
         says=("$0.01", "$90.001")),
    Edge("STALE_PRICE", "old", '[checks.STALE_PRICE]\nseconds = "2"', {}, {},
         lambda calm: {"quotes": calm.quotes(at=calm.at - 2 * SECOND)},
         lambda calm: {"quotes": calm.quotes(at=calm.at - 2 * SECOND - 1)}, says=("2 s", "2.000000001 s")),
    Edge("STALE_PRICE", "of a moment to come", "", {}, {}, lambda calm: {},
         lambda calm: {"quotes": calm.quotes(at=calm.at + SECOND)}, says=("1 s", "clocks disagree")),
    Edge("DUPLICATE_ORDER", "an equal order", '[checks.DUPLICATE_ORDER]\nseconds = "1"', {}, {},
         lambda calm: sent(calm, calm.order(), 1.0), lambda calm: sent(calm, calm.order(), 0.999),
         says=("1 s", "0.999 s")),
    Edge("MESSAGE_RATE", "messages", '[checks.MESSAGE_RATE]\nmessages = 3\nseconds = "1"', {}, {},
         lambda calm: sent(calm, calm.order(shares=7), 1.0, 0.5, 0.0),
         lambda calm: sent(calm, calm.order(shares=7), 0.9, 0.5, 0.0), says=("message 4", "1 s", "3 are allowed")),
    Edge("POSITION_LIMIT", "shares", "[checks.POSITION_LIMIT]\nshares = 1000",
         {"shares": 400}, {"shares": 401}, lambda calm: holding(calm, 500, buying=100), says=("1,000 shares", "1,001")),
    Edge("POSITION_LIMIT", "dollars, of a short sale", '[checks.POSITION_LIMIT]\ndollars = "100_000"',
         {"action": "sell_short", "shares": 400}, {"action": "sell_short", "shares": 401},
         lambda calm: holding(calm, -500, selling=100), says=("$100,000.00", "$100,100.00")),
    Edge("CONCENTRATION", "of the equity", '[checks.CONCENTRATION]\nof_equity = "0.10"',
         {"shares": 400}, {"shares": 401}, lambda calm: holding(calm, 500, buying=100, cash=950_000),
         says=("10 %", "10.01 %", "$100,100.00")),
    Edge("GROSS_EXPOSURE", "dollars", '[checks.GROSS_EXPOSURE]\ndollars = "150_000"',
         {"shares": 400}, {"shares": 401},
         lambda calm: {"portfolio": calm.account(AAPL=600, MSFT=-500)}, says=("$150,000.00", "$150,100.00")),
    Edge("GROSS_EXPOSURE", "of the equity", '[checks.GROSS_EXPOSURE]\nof_equity = "0.15"',
         {"shares": 400}, {"shares": 401},
         lambda calm: {"portfolio": calm.account(990_000, AAPL=600, MSFT=-500)}, says=("15 %", "15.01 %")),
    Edge("NET_EXPOSURE", "dollars", '[checks.NET_EXPOSURE]\ndollars = "50_000"',
         {"shares": 400}, {"shares": 401},
         lambda calm: {"portfolio": calm.account(AAPL=600, MSFT=-500)}, says=("$50,000.00", "$50,100.00")),
    Edge("NET_EXPOSURE", "short, of the equity", '[checks.NET_EXPOSURE]\nof_equity = "0.05"',
         {"action": "sell_short", "shares": 400}, {"action": "sell_short", "shares": 401},
         lambda calm: {"portfolio": calm.account(1_010_000, MSFT=-100)}, says=("5 %", "5.01 %", "short")),
    Edge("DAILY_LOSS", "dollars", '[checks.DAILY_LOSS]\ndollars = "5000"', {}, {},
         lambda calm: lost(calm, 5000), lambda calm: lost(calm, 5000.01), says=("$5,000.00", "$5,000.01")),
    Edge("DAILY_LOSS", "of the equity at the start", '[checks.DAILY_LOSS]\nof_equity = "0.01"', {}, {},
         lambda calm: lost(calm, 100_000), lambda calm: lost(calm, 100_001), says=("1 %", "1.01 %")),
    Edge("CROSSED_MARKET", "locked is not crossed", "", {}, {}, lambda calm: {"quotes": _across(calm, 100.00, 100.00)},
         lambda calm: {"quotes": _across(calm, 100.01, 100.00)}, says=("$100.00", "$100.01")),
    Edge("ORDER_MARKING", "a sale beyond the position", "", {"action": "sell", "shares": 400},
         {"action": "sell", "shares": 401}, lambda calm: holding(calm, 500, selling=100),
         says=("401 shares", "Sell 400 and sell short 1")),
    Edge("SHORT_SALE_RESTRICTION", "at the bid", "", {"action": "sell_short", "limit_price": "100"},
         {"action": "sell_short", "limit_price": "99.99"}, lambda calm: {"short_sale_restricted": True},
         says=("above $99.99", "$99.99")),
    Edge("SELF_TRADE", "a limit that reaches the desk's own", "",
         {"limit_price": "100.01"}, {"limit_price": "100.02"},
         lambda calm: {**holding(calm, 500, selling=100), "resting": (Resting("O-1", -1, 100_020_000),)},
         says=("$100.02", "O-1")),
    Edge("SELF_TRADE", "a market order, as deep as it reaches", "", {"shares": 1000}, {"shares": 1001},
         lambda calm: {**holding(calm, 500, selling=100), "resting": (Resting("O-1", -1, 120_000_000),)},
         says=("any price", "$120.00")),
]  # fmt: skip


def _across(calm: Any, bid: float, ask: float) -> Any:
    """Two venues of which each quotes one side."""
    from quantdesk.orders.quotes import Quotes

    return Quotes.of("AAPL", calm.at, {"A": (round(bid * USD), 100, 0, 0), "B": (0, 0, round(ask * USD), 100)})


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.code}: {edge.name}")
def test_at_the_limit_it_passes_and_beyond_it_does_not(calm: Any, edge: Edge) -> None:
    known_beyond = edge.known_beyond or edge.known_at
    assert calm.found(edge.code, calm.order(**edge.at), edge.own, **edge.known_at(calm)) == []
    (violation,) = calm.found(edge.code, calm.order(**edge.beyond), edge.own, **known_beyond(calm))
    for text in edge.says:
        assert text in violation.message
    assert violation.severity == edge.severity
    assert violation.limit
    assert violation.value
    assert violation.clause


def test_every_limit_has_an_edge() -> None:
    tested = {edge.code for edge in EDGES}
    assert {one.code for one in CHECKS if any(limit.is_number for limit in one.limits.values())} <= tested


def test_a_calm_order_finds_nothing_and_asks_everything(calm: Any) -> None:
    decision = calm.check(calm.order())
    assert decision.violations == ()
    assert decision.allowed
    assert decision.checked == tuple(one.code for one in CHECKS)
    assert decision.policy.startswith("test ")


def test_without_equity_every_exposure_is_too_much(calm: Any) -> None:
    account = calm.account(-1_000_000, AAPL=100)
    found = {one.code: one for one in calm.check(calm.order(), portfolio=account).violations}
    assert {"CONCENTRATION", "GROSS_EXPOSURE", "NET_EXPOSURE"} <= set(found)
    assert "the equity is -$990,000.00: 25 % of nothing are allowed" in found["CONCENTRATION"].message
    assert found["CONCENTRATION"].value == "$20,000.00 on -$990,000.00"
    covered = calm.check(calm.order("sell_short", 100), portfolio=account)  # nothing is left of either
    assert not {"CONCENTRATION", "NET_EXPOSURE"} & {one.code for one in covered.violations}


def test_the_position_is_marked_at_the_quote_of_the_decision(calm: Any) -> None:
    account = calm.account(1_000_000, AAPL=1000)  # at $100: a tenth of the equity
    own = '[checks.DAILY_LOSS]\ndollars = "20_000"\nof_equity = "0.10"'
    assert calm.found("DAILY_LOSS", calm.order(), own, portfolio=account, quotes=calm.quotes(79.99, 80.01)) == []
    (violation,) = calm.found("DAILY_LOSS", calm.order(), own, portfolio=account, quotes=calm.quotes(79.98, 80.01))
    assert violation.value == "$20,005.00"
    assert account.position("AAPL").mark == 100 * USD


def test_a_sum_is_told_in_cents_and_a_price_to_its_last_digit() -> None:
    assert money(28_170_300) == "$28.1703"
    assert money(2_500_123_456_789) == "$2,500,123.46"
    assert money(-1_000_000_001) == "-$1,000.01"  # up, so that what exceeds a limit looks it
    assert money(1_000_000_000) == "$1,000.00"
