"""The router: what holds for every market and order; the exact optimum; single against batch; receipts."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, DataError
from quantdesk.orders.order import Child, Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import (
    Books,
    Conditions,
    Parents,
    Receipt,
    RoutingConfig,
    SmartOrderRouter,
    Terms,
    Weights,
    layout,
    replay,
)


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"routing_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made, plain = _load("made"), _load("plain_router")
AT, TERMS = made.AT, made.TERMS
ROUTER = SmartOrderRouter(TERMS)
PROTECTED = {one.venue for one in TERMS if one.protected}
few = settings(max_examples=150, deadline=None)
order_of = made.orders()
market_of = made.markets((*made.NAMES, "Dark"))  # of Dark no terms are known


def quotes_of(**books: tuple[int, int, int, int]) -> Quotes:
    """One level each: bid and offer in cents."""
    rows = {name: (bid * 10_000, size, ask * 10_000, other) for name, (bid, size, ask, other) in books.items()}
    return Quotes.of("ABC", AT, rows)


def buy(shares: int, **more: object) -> Order:
    return Order("ABC", "buy", shares, **more)  # type: ignore[arg-type]


def plan(receipt: Receipt) -> list[tuple[str, int, int, bool]]:
    """Venue, shares, limit in cents, sweep."""
    return [(child.venue, child.shares, child.limit // 10_000, child.iso) for child in receipt.children]


def far_side(order: Order, quotes: Quotes) -> tuple[np.ndarray, np.ndarray]:
    return (quotes.ask, quotes.ask_size) if order.is_buy else (quotes.bid, quotes.bid_size)


def trades_through(child: Child, order: Order, quotes: Quotes) -> list[tuple[str, int]]:
    """The protected quotes elsewhere that are better than what the child may trade at, with their sizes."""
    price, size = far_side(order, quotes)
    return [
        (venue, int(size[place, 0]))
        for place, venue in enumerate(quotes.venues)
        if venue != child.venue and (venue in PROTECTED or venue == "Dark") and price[place, 0]
        and order.side * int(price[place, 0]) < order.side * child.limit
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- what always holds


@few
@given(order_of, market_of, st.integers(0, 3), st.booleans())
def test_shares_limits_protection_and_the_best_single_venue(
    order: Order, quotes: Quotes, seed: int, protection: bool
) -> None:
    receipt = ROUTER.route(order, quotes, order_id="P", protection=protection, seed=seed)
    children = receipt.children
    assert sum(child.shares for child in children) + receipt.unsent == order.shares
    assert all(child.shares > 0 and child.venue in ROUTER.day(AT).terms for child in children)
    assert [child.client_id for child in children] == [f"P-{number}" for number in range(1, len(children) + 1)]
    if order.limit:
        assert all(0 < order.side * child.limit <= order.side * order.limit or order.side < 0 for child in children)
        assert all(order.side * child.limit <= order.side * order.limit for child in children)
    if protection and order.order_type != "midpoint_peg":
        at_once = {child.venue: child for child in children if child.time_in_force == "ioc"}
        for child in children:
            for venue, size in trades_through(child, order, quotes):
                assert child.iso
                assert venue != "Dark", "what cannot be swept is not traded through"
                assert at_once[venue].shares >= size
                assert at_once[venue].iso
    singles = receipt.found.marks[:, layout.M_SINGLE]
    if receipt.status == "routed":
        assert receipt.expected_cost <= singles.min() + 1e-6 * abs(singles.min()) + 1e-3
        if receipt.alternative is not None:
            assert receipt.expected_cost <= receipt.alternative.expected_cost + 1e-3
    else:
        assert not children
        assert "Nothing is sent" in receipt.reasoning[1] or receipt.status == "auction"
    assert all(
        0 <= part <= 1
        for one in receipt.venues
        for part in (one.spread_score, one.latency_score, one.fee_score, one.fill_probability, one.score)
    )


@few
@given(order_of, market_of, st.integers(0, 3))
def test_the_same_inputs_give_the_same_receipt_through_json(order: Order, quotes: Quotes, seed: int) -> None:
    receipt = ROUTER.route(order, quotes, order_id="P", seed=seed)
    again = SmartOrderRouter(TERMS).route(order, quotes, order_id="P", seed=seed)
    assert again == receipt
    assert hash(again) == hash(receipt)
    wire = json.loads(json.dumps(receipt.to_dict()))
    assert Receipt.from_dict(wire) == receipt
    assert replay(wire) == receipt
    assert receipt.inputs.hash == again.inputs.hash


@settings(max_examples=120, deadline=None)
@given(made.orders(("market", "limit", "ioc")), made.markets((*made.NAMES[:4], "Dark"), levels=2), st.booleans())
def test_the_split_is_the_exact_optimum(order: Order, quotes: Quotes, protection: bool) -> None:
    conditions = Conditions(daily_volume=5_000_000, daily_volatility=0.01)
    receipt = ROUTER.route(order, quotes, order_id="P", protection=protection, conditions=conditions)
    assume(receipt.status in ("routed", "blocked"))
    parts, shortfall = plain.parts_of(order, quotes, list(TERMS), ROUTER.config, conditions)
    assert receipt.shortfall == pytest.approx(shortfall, rel=1e-12)
    protected = PROTECTED if protection else set()
    best = plain.optimum(order, quotes, parts, protected, {"Dark"} if protection else set())
    worth = receipt.shortfall * order.shares - receipt.expected_cost
    assert worth == pytest.approx(best, rel=1e-6, abs=1e-2)


@few
@given(st.lists(st.tuples(order_of, made.markets(levels=2)), min_size=1, max_size=8), st.booleans(), st.integers(0, 2))
def test_single_and_batch_split_alike(pairs: list[tuple[Order, Quotes]], protection: bool, seed: int) -> None:
    day = ROUTER.day(AT)
    for order, quotes in pairs:
        parents = Parents.of([order] * 2, [AT] * 2, day, protection=protection, seed=seed)
        splits = ROUTER.route_many(parents, Books.of([quotes] * 2))
        single = ROUTER.route(order, quotes, order_id="P", protection=protection, seed=seed)
        for name, many in (("rows", splits.rows), ("whole", splits.whole), ("money", splits.money)):
            np.testing.assert_array_equal(many[0], many[1])
            np.testing.assert_array_equal(many[1], getattr(single.found, name))
        assert splits.shares[0].sum() == single.shares
        assert splits.expected_cost[0] == single.expected_cost


# ------------------------------------------------------------------------------------- what happens, with numbers


def test_a_sweep_takes_every_better_protected_quote_in_full() -> None:
    quotes = quotes_of(NYSE=(9999, 500, 10001, 400), IEX=(9999, 100, 10000, 100), BX=(9999, 100, 10000, 60))
    receipt = ROUTER.route(buy(500), quotes, order_id="A1", protection=True)
    assert {child.venue: child.iso for child in receipt.children} == {"BX": True, "IEX": True, "NYSE": True}
    assert {child.venue: child.limit for child in receipt.children}["NYSE"] == 100_010_000
    assert any("Rule 611" in sentence for sentence in receipt.reasoning)
    one_price = ROUTER.route(buy(150), quotes, order_id="A2", protection=True)
    assert not any(child.iso for child in one_price.children)


def test_a_fleeting_better_quote_may_be_passed_over_only_without_protection() -> None:
    terms = (Terms("Near", 0, 0, 0, 1_000, True, 0.0), Terms("Faraway", 0, 0, 0, 2_000_000_000, True, 0.0))
    router = SmartOrderRouter(terms)
    quotes = quotes_of(Near=(9990, 100, 10001, 500), Faraway=(9990, 100, 10000, 200))
    free = router.route(buy(500), quotes, order_id="A", protection=False)
    assert plan(free) == [("Near", 500, 10001, False)]
    bound = router.route(buy(500), quotes, order_id="A", protection=True)
    assert plan(bound) == [("Faraway", 200, 10000, True), ("Near", 300, 10001, True)]
    assert bound.expected_cost > free.expected_cost
    small = router.route(buy(150), quotes, order_id="A", protection=True)
    assert plan(small) == [("Faraway", 150, 10000, False)], "too small to sweep it: nothing may trade beyond it"


def test_protection_is_the_rulebooks_of_the_day() -> None:
    def quotes(day: dt.date) -> Quotes:
        at = int(dt.datetime(day.year, day.month, day.day, 15, tzinfo=dt.UTC).timestamp()) * 10**9
        return Quotes.of("ABC", at, {"NYSE": (99_990_000, 100, 100_000_000, 100)})

    for day, protected in ((dt.date(2007, 7, 6), False), (dt.date(2007, 7, 9), True)):
        assert ROUTER.route(buy(1), quotes(day), order_id="A").inputs.protection is protected
    assert not ROUTER.route(buy(1), quotes(dt.date(2020, 3, 9)), order_id="A", protection=False).inputs.protection


def test_fees_decide_between_equal_prices() -> None:
    quotes = quotes_of(NYSE=(9999, 100, 10000, 300), BX=(9999, 100, 10000, 300), LTSE=(9999, 100, 10000, 300))
    assert plan(ROUTER.route(buy(300), quotes, order_id="A"))[0][:2] == ("BX", 300)  # it pays for taking
    rest = ROUTER.route(buy(100, order_type="limit", limit_price="99.98"), quotes, order_id="A")
    assert plan(rest) == [("NYSE", 100, 9998, False)]  # it pays for adding
    assert rest.children[0].time_in_force == "day"


def test_below_a_dollar_fees_are_fractions_of_the_price() -> None:
    dear = Terms("Dear", 0, 0, 3000, 1000, True, 0.0)
    free = Terms("Free", 0, 9000, 0, 1000, True, 0.0)  # its fee at a dollar or more does not count here
    books = {"Dear": (499_900, 100, 500_000, 100), "Free": (499_900, 100, 500_000, 100)}
    receipt = SmartOrderRouter([dear, free]).route(buy(100), Quotes.of("ABC", AT, books), order_id="A")
    assert [child.venue for child in receipt.children] == ["Free"]
    assert dear.remove_fee_for(100, 500_000) == 150_000
    assert dear.remove_fee_for(100, 1_000_000) == 0
    assert free.remove_fee_for(3, 1_000_000) == 27_000


def test_urgency_decides_between_resting_and_taking() -> None:
    quotes = quotes_of(NYSE=(9995, 100, 10000, 2000), Nasdaq=(9995, 100, 10000, 2000))
    conditions = Conditions(daily_volume=40_000_000, daily_volatility=0.02)
    resting = {}
    for urgency in ("low", "normal", "high"):
        order = buy(1000, order_type="limit", limit_price="100.00", urgency=urgency)
        children = ROUTER.route(order, quotes, order_id="A", conditions=conditions).children
        resting[urgency] = sum(child.shares for child in children if child.time_in_force == "day")
        assert sum(child.shares for child in children) == 1000
        assert all(child.limit == 99_950_000 for child in children if child.time_in_force == "day")
    assert resting["low"] == 1000
    assert resting["normal"] == resting["high"] == 0
    patient = SmartOrderRouter(TERMS, RoutingConfig(horizon_s=(60.0, 0.6, 0.0)))
    order = buy(1000, order_type="limit", limit_price="100.00")
    some = patient.route(order, quotes, order_id="A", conditions=conditions).children
    assert 0 < sum(child.shares for child in some if child.time_in_force == "day") < 1000


def test_what_a_limit_order_cannot_take_rests_at_its_limit() -> None:
    quotes = quotes_of(NYSE=(9999, 100, 10000, 300))
    order = buy(1000, order_type="limit", limit_price="100.02", urgency="high")
    receipt = ROUTER.route(order, quotes, order_id="A")
    taken, rests = receipt.children
    assert (taken.time_in_force, taken.limit) == ("ioc", 100_000_000)
    assert (rests.time_in_force, rests.limit) == ("day", 100_020_000)
    assert taken.shares + rests.shares == 1000
    wide = ROUTER.route(buy(1000, order_type="limit", limit_price="150"), quotes, order_id="A")
    assert wide.children[-1].limit == 105_000_000, "no further than the collar"


def test_a_market_order_beyond_the_books_goes_as_far_as_the_collar() -> None:
    quotes = quotes_of(NYSE=(9999, 100, 10000, 300), Nasdaq=(9999, 100, 10001, 100))
    sweep = ROUTER.route(Order("ABC", "sell", 1000), quotes, order_id="A").children
    assert sum(child.shares for child in sweep) == 1000
    assert {child.limit for child in sweep} == {95_000_000}  # 95 % of 99.99 up to the cent
    at_once = ROUTER.route(buy(1000, order_type="ioc", limit_price="100.00"), quotes, order_id="A")
    assert plan(at_once) == [("NYSE", 1000, 10000, False)]


def test_midpoint_orders_rest_where_others_hide() -> None:
    quotes = quotes_of(IEX=(9999, 300, 10000, 300), NYSE=(9999, 300, 10000, 300), LTSE=(9999, 300, 10000, 300))
    receipt = ROUTER.route(buy(400, order_type="midpoint_peg"), quotes, order_id="A")
    assert all(child.peg and child.limit == 0 and child.time_in_force == "day" for child in receipt.children)
    assert receipt.children[0].venue == "IEX"
    assert receipt.rejected["LTSE"] == "it is taken to hide nothing at the midpoint"
    bound = ROUTER.route(
        Order("ABC", "sell", 400, "midpoint_peg", limit_price="100.01"),
        quotes,
        order_id="A",  # type: ignore[arg-type]
    )
    assert {child.limit for child in bound.children} == {100_010_000}
    at_once = buy(10, order_type="midpoint_peg", time_in_force="ioc", limit_price="99.99")
    assert ROUTER.route(at_once, quotes, order_id="A").status == "not_marketable"
    only_shown = quotes_of(LTSE=(9999, 300, 10000, 300))
    assert ROUTER.route(buy(400, order_type="midpoint_peg"), only_shown, order_id="A").status == "no_venue"


def test_auction_orders_go_to_the_listing_exchange() -> None:
    quotes = quotes_of(NYSE=(9999, 300, 10000, 300))
    order = buy(400, order_type="limit", limit_price="101", time_in_force="closing")
    receipt = ROUTER.route(order, quotes, order_id="A", conditions=Conditions(listing="NYSE"))
    (child,) = receipt.children
    assert (child.venue, child.shares, child.limit, child.time_in_force) == ("NYSE", 400, 101_000_000, "closing")
    assert replay(json.loads(json.dumps(receipt.to_dict()))) == receipt
    nowhere = ROUTER.route(order, quotes, order_id="A")
    assert (nowhere.status, nowhere.children) == ("no_listing", ())


def test_the_seed_decides_between_equals_and_nothing_else() -> None:
    terms = [Terms(name, 0, 0, 0, 1000, True, 0.0) for name in "ABCD"]
    router = SmartOrderRouter(terms)
    quotes = quotes_of(**dict.fromkeys("ABCD", (9999, 100, 10000, 100)))
    first = {router.route(buy(100), quotes, order_id="A", seed=seed).children[0].venue for seed in range(40)}
    assert first == set("ABCD")
    costs = {router.route(buy(100), quotes, order_id="A", seed=seed).expected_cost for seed in range(40)}
    assert len(costs) == 1


def test_older_quotes_and_nearer_venues_are_surer() -> None:
    terms = [Terms("Near", 0, 0, 0, 5_000, True, 0.0), Terms("Far", 0, 0, 0, 355_000, True, 0.0)]
    old = Quotes(
        "ABC", AT, ["Near", "Far"], [99_990_000] * 2, [100] * 2, [100_000_000] * 2, [100] * 2, [AT - 10**9, AT]
    )
    by_name = {one.venue: one for one in SmartOrderRouter(terms).route(buy(50), old, order_id="A").venues}
    assert by_name["Near"].fill_probability == pytest.approx(1.05 / 1.05001, rel=1e-12)
    assert by_name["Far"].fill_probability == pytest.approx(50 / 50.71, rel=1e-12)
    assert by_name["Near"].latency_score == pytest.approx(1 / 1.025)
    assert by_name["Near"].score > by_name["Far"].score
    assert by_name["Near"].shares == 50


def test_a_receipt_says_why() -> None:
    quotes = quotes_of(NYSE=(9999, 500, 10001, 400), IEX=(9999, 100, 10000, 100), Arca=(9999, 100, 0, 0),
                       Dark=(9999, 100, 10002, 100))  # fmt: skip
    receipt = ROUTER.route(buy(80), quotes, order_id="A1")
    assert receipt.rejected == {
        "NYSE": "the shares cost less, or fill more surely, elsewhere",
        "Arca": "it quotes nothing on that side",
        "Dark": "no terms are known for it",
    }
    assert receipt.nbbo.ask == 100_000_000
    assert receipt.weights == ROUTER.config.weights[1]
    assert list(receipt.scores) == [one.venue for one in receipt.venues]
    assert receipt.scores["IEX"] == max(receipt.scores.values())
    assert receipt.expected_filled <= 80
    said = " ".join(receipt.reasoning)
    for words in ("Buy 80 ABC", "80 shares to IEX, taken up to 100.00", "1,000,000 shares a day are assumed", "Arca"):
        assert words in said
    clocked = SmartOrderRouter(TERMS, clock=iter([1000, 4000]).__next__)
    assert clocked.route(buy(80), quotes, order_id="A").routing_time_ns == 3000


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("books", "order", "status"),
    [
        ({}, buy(10), "no_quotes"),
        ({"NYSE": (0, 0, 0, 0)}, buy(10), "no_quotes"),
        ({"NYSE": (0, 0, 10000, 5)}, buy(10), "no_bid"),
        ({"NYSE": (9999, 5, 0, 0)}, buy(10), "no_offer"),
        ({"NYSE": (10002, 5, 10003, 5), "IEX": (9999, 5, 10001, 5)}, buy(10), "crossed"),
        ({"Dark": (9999, 5, 10001, 5)}, buy(10), "no_venue"),
        ({"NYSE": (9999, 5, 10001, 5), "Dark": (9999, 5, 10000, 5)}, buy(10), "blocked"),
        ({"NYSE": (9999, 5, 10001, 5)}, buy(10, order_type="ioc", limit_price="100.00"), "not_marketable"),
    ],
)
def test_where_nothing_can_be_sent_the_receipt_says_so(
    books: dict[str, tuple[int, int, int, int]], order: Order, status: str
) -> None:
    receipt = ROUTER.route(order, quotes_of(**books), order_id="A")
    assert (receipt.status, receipt.children, receipt.unsent) == (status, (), 10)
    assert receipt.reasoning[1].startswith("Nothing is sent: ")
    assert replay(json.loads(json.dumps(receipt.to_dict()))) == receipt


def test_a_locked_market_is_traded() -> None:
    quotes = quotes_of(NYSE=(10000, 100, 10001, 5), IEX=(9999, 5, 10000, 100))
    assert plan(ROUTER.route(buy(100), quotes, order_id="A")) == [("IEX", 100, 10000, False)]


def test_what_is_no_order_for_the_router_is_refused() -> None:
    quotes = quotes_of(NYSE=(9999, 100, 10000, 100))
    for order in (buy(1, order_type="stop", stop_price="101"),
                  buy(1, order_type="stop_limit", stop_price="101", limit_price="102")):  # fmt: skip
        with pytest.raises(BadInput, match="before its stop price has traded"):
            ROUTER.route(order, quotes, order_id="A")
    with pytest.raises(BadInput, match="the quotes are of ABC"):
        ROUTER.route(Order("XYZ", "buy", 1), quotes, order_id="A")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="two terms"):
        SmartOrderRouter([TERMS[0], TERMS[0]])
    old = Quotes.of("ABC", 10**18, {"NYSE": (99_990_000, 100, 100_000_000, 100)})  # 2001
    with pytest.raises(BadDates, match="rulebook knows the venues from 2007-07-09"):
        SmartOrderRouter().route(buy(1), old, order_id="A")
    allowed = SmartOrderRouter(config=RoutingConfig(earliest_terms=True)).route(buy(1), old, order_id="A")
    assert any("venues have terms of other days (" in said and "2024-01-01" in said for said in allowed.reasoning)
    assert "fees of NYSE as of 2024-01-01" in next(one.note for one in allowed.inputs.day.terms.values() if one.note)


def test_a_receipt_that_was_changed_is_refused() -> None:
    receipt = ROUTER.route(buy(80), quotes_of(NYSE=(9999, 500, 10001, 400)), order_id="A1").to_dict()
    other = json.loads(json.dumps(receipt))
    other["inputs"]["order"]["shares"] = 90
    with pytest.raises(DataError, match="other inputs than its hash"):
        Receipt.from_dict(other)
    other = json.loads(json.dumps(receipt))
    other["children"][0]["shares"] = 90
    with pytest.raises(DataError, match="children of another split"):
        replay(other)


@pytest.mark.parametrize(
    "wrong",
    [{"collar": 0.0}, {"collar": 2.0}, {"hidden_certainty": 1.5}, {"rest_s": float("nan")}, {"trade_shares": 0},
     {"penalty_spreads": (1.0, 2.0)}, {"horizon_s": (1.0, -1.0, 0.0)}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        RoutingConfig(**wrong)  # type: ignore[arg-type]


def test_settings_survive_json_and_unknown_ones_are_refused() -> None:
    config = RoutingConfig(collar=0.01, weights=(Weights(1, 0, 0, 0),) * 3)
    assert RoutingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(BadInput, match="colar"):
        RoutingConfig.from_dict({"colar": 0.1})
    with pytest.raises(BadInput, match="sum to 1"):
        Weights(0.5, 0.5, 0.5, 0.5)
    with pytest.raises(BadInput):
        Conditions(daily_volume=-1)
    with pytest.raises(BadInput):
        Conditions(daily_volatility=float("nan"))


def test_a_bad_batch_is_refused() -> None:
    quotes = quotes_of(NYSE=(9999, 100, 10000, 100))
    day = ROUTER.day(AT)
    parents, books = Parents.of([buy(1)], [AT], day), Books.of([quotes])
    with pytest.raises(BadInput, match="1 orders and 2 books"):
        ROUTER.route_many(parents, Books.of([quotes] * 2))
    with pytest.raises(BadInput, match="different venues"):
        Books.of([quotes, quotes_of(IEX=(9999, 100, 10000, 100))])
    with pytest.raises(BadInput, match="later than its order"):
        ROUTER.route_many(Parents.of([buy(1)], [AT - 1], day), books)
    with pytest.raises(BadInput, match="one day at a time"):
        ROUTER.route_many(Parents.of([buy(1)] * 2, [AT, AT + 86_400 * 10**9], day), Books.of([quotes] * 2))
    numbers = parents.numbers.copy()
    for column, value in ((layout.O_SIDE, 0), (layout.O_SHARES, 0), (layout.O_STYLE, 9), (layout.O_VOLUME, 0)):
        wrong = numbers.copy()
        wrong[0, column] = value
        with pytest.raises(BadInput, match="could not be one by itself"):
            Parents(wrong, parents.volatility)
    with pytest.raises(BadInput, match="could not be one by itself"):
        Parents(numbers, np.array([np.nan]))
    with pytest.raises(BadInput, match="Orders of the shape"):
        Parents(numbers[:, :3], parents.volatility)
    columns = {name: getattr(books, name) for name in ("bid", "bid_size", "ask", "ask_size", "quoted_at")}
    for name, value, words in (
        ("bid", columns["bid"] * 1.0, "float64"),
        ("bid", -columns["bid"], "is -99990000"),
        ("bid", columns["bid"] * 0, "price without a size"),
        ("ask", columns["ask"][0], "shape"),
    ):
        with pytest.raises(BadInput, match=words):
            Books(("NYSE",), **{**columns, name: value})
    doubled = {name: np.concatenate([one] * 2, axis=2) if one.ndim == 3 else one for name, one in columns.items()}
    with pytest.raises(BadInput, match="out of order"):
        Books(("NYSE",), **doubled)
    with pytest.raises(BadInput, match="auction is not split"):
        Parents.of([buy(1, time_in_force="closing")], [AT], day)
    assert len(ROUTER.route_many(Parents.of([], [], day), Books(("NYSE",), *[np.zeros((0, 1, 1), int)] * 4,
                                                              np.zeros((0, 1), int))).rows) == 0  # fmt: skip


def test_a_router_can_be_warmed_up_before_any_day_is_known() -> None:
    router = SmartOrderRouter()
    router.warm_up()
    assert router.route(buy(5), quotes_of(NYSE=(9999, 500, 10001, 400)), order_id="A").shares == 5


def test_one_router_serves_many_threads() -> None:
    quotes = quotes_of(NYSE=(9999, 500, 10001, 400), IEX=(9999, 100, 10000, 100))
    sizes = list(range(1, 400))
    alone = [ROUTER.route(buy(size), quotes, order_id="A") for size in sizes]
    shared = SmartOrderRouter(TERMS)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda size: shared.route(buy(size), quotes, order_id="A"), sizes))
    assert [one.children for one in together] == [one.children for one in alone]
