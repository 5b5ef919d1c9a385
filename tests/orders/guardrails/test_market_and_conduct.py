"""What is not a number: halts, phases, quotes, users, switches, lists, bans."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import nanoseconds
from quantdesk.orders.guardrails import Kill, Kills, Resting, day_rules
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.status import Status
from quantdesk.orders.rulebook import Rulebook, parse
from quantdesk.orders.rulebook import bundled as rulebook

USD = 1_000_000
HELD = Status.HALTED
UNKNOWN = Status.UNKNOWN


def test_a_halt_blocks_and_says_which(calm: Any) -> None:
    halt = calm.status(HELD, halt_type="LUDP", message="Paused until 12:05.")
    (violation,) = calm.found("SYMBOL_HALTED", calm.order(), halt=halt, use="research")
    assert violation.severity == "blocking"
    assert violation.message == "AAPL is halted (LUDP): Paused until 12:05."
    assert (violation.limit, violation.value) == ("TRADING", "HALTED")


def test_a_breaker_blocks_everything_even_what_reduces_risk(calm: Any) -> None:
    account = calm.account(AAPL=100)
    halt = calm.status(HELD, "SPX", halt_type="MWC1", message="Level 1.")
    decision = calm.check(calm.order("sell", 100), portfolio=account, market_halt=halt)
    assert [one.code for one in decision.blocking] == ["CIRCUIT_BREAKER"]
    assert "MWC1" in decision.blocking[0].message


@pytest.mark.parametrize(("use", "severity"), [("research", "warning"), ("live", "blocking")])
def test_an_unknown_status_warns_in_research_and_blocks_live(calm: Any, use: str, severity: str) -> None:
    told = calm.status(UNKNOWN, message="A page that is no feed.", age_s=90.0)
    for changes, message in (
        ({"halt": None}, "Not checked: nobody was asked whether AAPL trades."),
        ({"halt": told}, "Not checked: whether AAPL trades is unknown (nasdaq, 90 s old: A page that is no feed)."),
        (
            {"market_halt": told},
            "Not checked: whether the market trades is unknown (nasdaq, 90 s old: A page that is no feed).",
        ),
    ):
        (violation,) = calm.check(calm.order(), use=use, **changes).violations
        assert violation.code == "HALT_STATUS_UNKNOWN"
        assert violation.severity == severity
        assert violation.value == "unknown"
        assert violation.message == message


def test_a_symbol_that_trades_speaks_for_its_market(calm: Any) -> None:
    assert calm.check(calm.order(), market_halt=None).violations == ()


@pytest.mark.parametrize(
    ("phase", "kind", "passes"),
    [
        (Phase.CONTINUOUS, "day", True),
        ("continuous", "day", True),
        (Phase.PRE_OPEN, "day", False),
        (Phase.OPENING_AUCTION, "day", False),
        (Phase.CLOSING_AUCTION, "ioc", False),
        (Phase.CLOSED, "day", False),
        (Phase.BREAK, "day", False),
        (Phase.PRE_OPEN, "opening", True),
        (Phase.OPENING_AUCTION, "opening", True),
        (Phase.CONTINUOUS, "opening", False),
        (Phase.CONTINUOUS, "closing", True),
        (Phase.CLOSING_AUCTION, "closing", True),
        (Phase.CLOSED, "closing", False),
    ],
)
def test_a_phase_warns_where_the_order_is_meant_for_another(calm: Any, phase: str, kind: str, passes: bool) -> None:
    decision = calm.check(calm.order(time_in_force=kind), phase=phase)
    assert [one.code for one in decision.violations] == ([] if passes else ["AUCTION_PERIOD"])
    assert decision.allowed
    if not passes:
        assert decision.violations[0].value == str(phase)


def test_the_phase_of_the_day_is_the_one_that_halts_know(calm: Any) -> None:
    from quantdesk.orders.halts.phases import phase

    at = dt.datetime(2026, 3, 2, 20, 55, tzinfo=dt.UTC)  # 15:55 in New York
    (violation,) = calm.found("AUCTION_PERIOD", calm.order(), phase=phase("XNAS", at).phase)
    assert violation.message == "This day order comes while the closing auction is prepared."


@pytest.mark.parametrize(("bid", "ask"), [(0, 100.01), (99.99, 0), (0, 0)])
def test_without_both_sides_there_is_no_quote(calm: Any, bid: float, ask: float) -> None:
    (violation,) = calm.found("NO_QUOTE", calm.order(), quotes=calm.quotes(bid, ask))
    assert "none" in violation.message
    assert violation.severity == "blocking"


def test_bands_are_asked_for_only_where_they_stand(calm: Any) -> None:
    order = calm.order(limit_price="130")
    own = '[checks.PRICE_COLLAR]\naway = "0.2"'
    before = day_rules(rulebook(), dt.date(2012, 5, 1))
    account = calm.account(day=dt.date(2012, 5, 1))
    assert calm.found("LULD_BAND", order, own, bands=None, rules=before, portfolio=account) == []
    assert calm.found("LULD_BAND", order, own, bands=None, phase=Phase.PRE_OPEN) == []
    assert calm.found("LULD_BAND", calm.order(), own, bands=None) == []  # a market order has no limit
    for phase in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION, ""):
        (violation,) = calm.found("LULD_BAND", order, own, bands=None, phase=phase)
        assert violation.value == "unknown"


def test_a_triggered_stop_is_an_order_like_another_and_no_new_message(calm: Any) -> None:
    stop = calm.order("sell", 100, order_type="stop", stop_price="101")
    account = calm.account(AAPL=100)
    recent = calm.situation().recent
    recent.note(stop, calm.at)
    assert {one.code for one in calm.check(stop, portfolio=account, recent=recent).blocking} == {
        "DUPLICATE_ORDER",
        "PRICE_COLLAR",
    }
    assert calm.check(stop, portfolio=account, recent=recent, triggered=True).violations == ()
    wide = calm.quotes(90, 110)
    (violation,) = calm.check(stop, portfolio=account, recent=recent, triggered=True, quotes=wide).violations
    assert violation.code == "PRICE_COLLAR"
    assert "spread" in violation.message


def test_an_order_for_an_auction_meets_no_spread(calm: Any) -> None:
    order = calm.order(time_in_force="closing")
    assert calm.found("PRICE_COLLAR", order, quotes=calm.quotes(90, 110)) == []


@pytest.mark.parametrize(
    ("policy", "user", "use", "passes"),
    [
        ('users = ["*"]', "alice", "live", True),
        ('users = ["alice"]', "alice", "live", True),
        ('users = ["alice"]', "bob", "live", False),
        ("users = []", "alice", "research", False),
        ('users = ["*"]', None, "research", True),
        ('users = ["*"]', None, "live", False),
        ("nameless = []", None, "research", False),
    ],
)
def test_users(calm: Any, policy: str, user: str | None, use: str, passes: bool) -> None:
    own = f"[checks.UNAUTHORISED_USER]\n{policy}"
    found = calm.found("UNAUTHORISED_USER", calm.order(user_id=user), own, use=use)
    assert (found == []) is passes
    if found:
        assert found[0].value == (user or "none")
        assert found[0].clause == "15c3-5(c)(2)(iii)"


def test_the_restricted_list_holds_any_form_of_a_symbol(calm: Any) -> None:
    own = '[checks.RESTRICTED_LIST]\nsymbols = ["aapl", "BRK B"]'
    (violation,) = calm.found("RESTRICTED_LIST", calm.order(), own)
    assert violation.value == "AAPL"
    assert calm.found("RESTRICTED_LIST", calm.order(), '[checks.RESTRICTED_LIST]\nsymbols = ["MSFT"]') == []


@pytest.mark.parametrize(
    ("scope", "name", "stops"),
    [("all", "", True), ("user", "alice", True), ("user", "bob", False), ("symbol", "aapl", True),
     ("symbol", "MSFT", False)],
)  # fmt: skip
def test_a_kill_switch_stops_its_scope(calm: Any, scope: Any, name: str, stops: bool) -> None:
    kills = Kills().thrown(Kill(scope, name, "carol", "runaway algorithm", calm.at))
    found = calm.found("KILL_SWITCH", calm.order(), kill=kills)
    assert bool(found) is stops
    if found:
        assert (
            f"carol stopped {'all trading' if scope == 'all' else name.replace('aapl', 'AAPL')} at" in found[0].message
        )
        assert "runaway algorithm" in found[0].message
        assert "2026-03-02 17:00:00 UTC" in found[0].message
    assert calm.found("KILL_SWITCH", calm.order(), kill=kills.lifted(scope, name)) == []


def test_kill_switches_are_values(calm: Any) -> None:
    first, again = Kill("all", "", "carol", "drill", 1), Kill("all", "", "dave", "me too", 2)
    kills = Kills().thrown(first).thrown(again)
    assert list(kills) == [first]  # it says since when
    assert len(kills) == 1
    assert kills == Kills((first,))
    assert hash(kills) == hash(Kills((first,)))
    assert repr(kills) == "Kills(all)"
    assert Kill(**first.to_dict()) == first
    with pytest.raises(BadInput, match="not thrown"):
        kills.lifted("user", "alice")
    with pytest.raises(BadInput, match="no scope"):
        Kill("desk", "", "carol", "drill", 1)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="name"):
        Kill("all", "AAPL", "carol", "drill", 1)
    with pytest.raises(BadInput, match="name"):
        Kill("user", "", "carol", "drill", 1)
    with pytest.raises(BadInput, match="reason"):
        Kill("all", "", "carol", "", 1)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, False),  # at the market
        ({"limit_price": "99.99"}, False),
        ({"limit_price": "100.00"}, True),
        ({"order_type": "midpoint_peg"}, True),
        ({"order_type": "midpoint_peg", "limit_price": "99.98"}, True),
        ({"order_type": "stop", "stop_price": "95"}, False),
        ({"order_type": "stop_limit", "stop_price": "95", "limit_price": "94"}, False),
    ],
)
def test_rule_201_wants_short_sales_above_the_best_bid(calm: Any, changes: dict[str, Any], passes: bool) -> None:
    order = calm.order("sell_short", 100, **changes)
    found = calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=True)
    assert (found == []) is passes
    assert calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=False) == []
    unknown = calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=None)
    assert [one.value for one in unknown] == ([] if passes else ["unknown"])
    before = day_rules(rulebook(), dt.date(2010, 5, 6))
    assert calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=True, rules=before) == []


def test_rule_201_without_a_bid_is_not_passed(calm: Any) -> None:
    order = calm.order("sell_short", limit_price="100")
    (violation,) = calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=True, quotes=None)
    assert violation.value == "unknown"
    (violation,) = calm.found("SHORT_SALE_RESTRICTION", calm.order("sell_short"), rules=None)
    assert violation.message == "Not checked: the rules of the day are not known."


def test_sales_and_purchases_are_no_short_sales(calm: Any) -> None:
    for order in (calm.order("sell"), calm.order("buy")):
        assert calm.found("SHORT_SALE_RESTRICTION", order, short_sale_restricted=True) == []


@pytest.mark.parametrize(
    ("day", "groups", "value"),
    [
        (dt.date(2008, 9, 18), {"financial"}, None),
        (dt.date(2008, 9, 19), {"financial"}, "sell_short 100 shares"),
        (dt.date(2008, 10, 8), {"financial"}, "sell_short 100 shares"),
        (dt.date(2008, 10, 9), {"financial"}, None),
        (dt.date(2008, 9, 19), {"technology"}, None),
        (dt.date(2008, 9, 19), None, "unknown"),
    ],
)
def test_the_ban_of_2008_is_a_dated_rule(calm: Any, day: dt.date, groups: Any, value: str | None) -> None:
    found = calm.found(
        "SHORT_SALE_RESTRICTION",
        calm.order("sell_short"),
        rules=day_rules(rulebook(), day),
        groups=None if groups is None else frozenset(groups),
        at=nanoseconds(dt.datetime(day.year, day.month, day.day, 17, tzinfo=dt.UTC)),
        quotes=None,
    )
    assert [one.value for one in found] == ([] if value is None else [value])


@pytest.mark.parametrize(("covers", "bans"), [("AAPL", True), ("MSFT", False), ("all", True)])
def test_a_desk_adds_a_ban_to_its_rulebook(calm: Any, covers: str, bans: bool) -> None:
    layer = parse(
        f'[[short_sale]]\nstarts = 2026-03-02\nends = 2026-03-02\nsource = "test"\ngrade = "user"\ncovers = "{covers}"',
        "own.toml",
    )
    rules = day_rules(Rulebook(*rulebook().layers, layer), calm.day)
    found = calm.found("SHORT_SALE_RESTRICTION", calm.order("sell_short"), rules=rules, groups=None)
    assert bool(found) is bans
    # A ban says it all; where it does not hold, Rule 201 is still asked.
    restricted = {"rules": rules, "short_sale_restricted": True}
    (violation,) = calm.found("SHORT_SALE_RESTRICTION", calm.order("sell_short"), groups=None, **restricted)
    assert ("banned" in violation.message) is (covers != "MSFT")
    assert ("above $99.99" in violation.message) is (covers == "MSFT")


def test_a_sale_that_would_go_short_is_told_how_to_split(calm: Any) -> None:
    (violation,) = calm.found("ORDER_MARKING", calm.order("sell", 100))
    assert violation.message.endswith("Mark it sell_short.")
    assert violation.clause == "Reg SHO Rule 200(g)"
    assert calm.found("ORDER_MARKING", calm.order("sell_short", 100)) == []
    assert calm.found("ORDER_MARKING", calm.order("buy", 100)) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "crosses"),
    [
        ({"order_type": "midpoint_peg"}, Resting("O", -1, 0, peg=True), True),
        ({"order_type": "midpoint_peg"}, Resting("O", -1, 100_010_000), False),
        ({"order_type": "midpoint_peg", "limit_price": "99.98"}, Resting("O", -1, 0, peg=True), False),
        ({"limit_price": "100"}, Resting("O", -1, 0, peg=True), True),
        ({"limit_price": "99.99"}, Resting("O", -1, 0, peg=True), False),
        ({"limit_price": "100"}, Resting("O", -1, 100_005_000, peg=True), False),
        ({"limit_price": "90"}, Resting("O", -1, 0), True),  # a market order that is still out
        ({}, Resting("O", -1, 100_010_000), True),
        ({}, Resting("O", -1, 100_020_000), False),
        ({}, Resting("O", 1, 200_000_000), False),  # the same side
        ({"order_type": "stop", "stop_price": "105"}, Resting("O", -1, 100_010_000), False),  # asked when it goes off
    ],
)
def test_a_self_trade_is_seen_by_price(calm: Any, mine: dict[str, Any], theirs: Resting, crosses: bool) -> None:
    account = calm.account(AAPL=500)
    account.open("AAPL", -1, 100)
    found = calm.found("SELF_TRADE", calm.order(**mine), portfolio=account, resting=(theirs,))
    assert bool(found) is crosses


def test_a_sale_could_trade_against_a_purchase_of_the_desk(calm: Any) -> None:
    account = calm.account(AAPL=500)
    account.open("AAPL", 1, 100)
    resting = (Resting("O", 1, 99_990_000),)
    (violation,) = calm.found("SELF_TRADE", calm.order("sell"), portfolio=account, resting=resting)
    assert "$99.99" in violation.message
    assert calm.found("SELF_TRADE", calm.order("sell", limit_price="100"), portfolio=account, resting=resting) == []
    (violation,) = calm.found("SELF_TRADE", calm.order("sell"), portfolio=account, resting=resting, quotes=None)
    assert "any price" in violation.message


def test_resting_orders_must_be_known_only_where_some_are_open(calm: Any) -> None:
    assert calm.found("SELF_TRADE", calm.order(), resting=None) == []
    account = calm.account(AAPL=500)
    account.open("AAPL", -1, 100)
    (violation,) = calm.found("SELF_TRADE", calm.order(), portfolio=account, resting=None)
    assert violation.value == "unknown"


def test_the_tick_and_lot_of_another_day_are_those_of_that_day(calm: Any) -> None:
    sixteenths = day_rules(rulebook(), dt.date(2000, 6, 1))
    assert calm.found("TICK_SIZE", calm.order(limit_price="100.0625"), rules=sixteenths) == []
    (violation,) = calm.found("TICK_SIZE", calm.order(limit_price="100.01"), rules=sixteenths)
    assert "$0.0625" in violation.message
    eighths = day_rules(rulebook(), dt.date(1995, 6, 1))  # the rulebook does not go back so far
    (violation,) = calm.found("TICK_SIZE", calm.order(limit_price="100"), rules=eighths)
    assert violation.value == "unknown"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use": "paper"}, "no use 'paper'"),
        ({"at": -1}, "at -1"),
        ({"previous_close": float("nan")}, "previous_close nan"),
        ({"average_daily_volume": 1.5}, "average_daily_volume 1.5"),
        ({"last": True}, "last True"),
        ({"bands": (2, 1)}, "enclose nothing"),
        ({"bands": (1.0, 2.0)}, "enclose nothing"),
        ({"bands": (1,)}, "enclose nothing"),
    ],
)
def test_a_situation_that_cannot_be_is_refused(calm: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        calm.situation(**changes)


def test_quotes_and_status_of_another_symbol_are_refused(calm: Any) -> None:
    from quantdesk.orders.quotes import Quotes

    with pytest.raises(BadInput, match="quotes are of MSFT"):
        calm.check(calm.order(), quotes=Quotes.of("MSFT", calm.at, {}))
    with pytest.raises(BadInput, match="halt status is of MSFT"):
        calm.check(calm.order(), halt=calm.status(symbol="MSFT"))
