"""A real desk on a simulated market fires the alerts of what happens to it."""

from __future__ import annotations

import datetime as dt
import sys
from zoneinfo import ZoneInfo

import pytest

from quantdesk.orders.alerts import Shown, Surroundings, Watch, bundled, observe_desk
from quantdesk.orders.amounts import MICRO, SECOND, nanoseconds
from quantdesk.orders.desk import Desk, DeskConfig, Facts, known
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.halts import KnownHalts
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.ledger import Ledger, MemoryLedger
from quantdesk.orders.order import Order
from quantdesk.orders.venues import Fault, FaultyGateway, SimulatedMarket

TEN = nanoseconds(dt.datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/New_York")))
CASH = 1_000_000 * MICRO
AROUND = Surroundings(symbols=("AAPL",))


def books(price, size=10_000):
    return {"AAPL": {"Nasdaq": (f"{price - 0.01:.2f}", size, f"{price + 0.01:.2f}", size)}}


class Place:
    """A desk, its market of which the prices are known beforehand, and a watch that looks when it is told to."""

    def __init__(self, later=(), faults=None, ledger=None, rules=None):
        self.halts = KnownHalts()
        steps = [(TEN + second * SECOND, books(price)) for second, price in later]
        self.market = SimulatedMarket.static(books(100), TEN, halts=self.halts, later=steps)
        gateway = self.market if faults is None else FaultyGateway(self.market, faults)
        self.desk = Desk(
            gateway,
            MemoryLedger() if ledger is None else ledger,
            self.halts,
            facts=known({"AAPL": Facts(100 * MICRO, 10_000_000, 0.02)}),
            config=DeskConfig(cash=CASH),
        )
        self.watch = Watch(rules or bundled())

    def at(self, second):
        self.market.advance(TEN + second * SECOND)

    def look(self, around=AROUND):
        fired = self.watch.look(observe_desk(self.desk, around, after=self.watch.seq))
        return {alert.rule: alert for alert in fired}


def test_a_quiet_day_is_quiet():
    place = Place()
    place.desk.execute(Order("AAPL", "buy", 500))
    assert place.look() == {}
    place.at(60)
    place.desk.execute(Order("AAPL", "sell", 500))
    assert place.look() == {}
    assert place.watch.active == ()
    assert place.watch.seq == place.desk.ledger.head()[0]


def test_an_observation_says_what_the_desk_has():
    place = Place(later=[(5, 110)])
    place.desk.execute(Order("AAPL", "buy", 500))
    place.at(10)
    account = place.desk.portfolio
    seen = observe_desk(place.desk, after=2)
    assert seen.positions == {"AAPL": 500}
    assert seen.marks == {"AAPL": 110 * MICRO}
    assert seen.shown == {"AAPL": Shown(109_990_000, 110_010_000, TEN + 10 * SECOND)}
    assert seen.cash == account.cash
    assert seen.equity == account.cash + 500 * 110 * MICRO
    assert seen.equity_at_start == CASH
    assert seen.entries[0].seq == 3
    assert seen.seq == place.desk.ledger.head()[0]
    given = Surroundings(marks={"AAPL": 90 * MICRO}, shown={}, sectors={"AAPL": "TECH"})
    assert observe_desk(place.desk, given).equity == account.cash + 500 * 90 * MICRO
    last = observe_desk(place.desk, Surroundings(shown={}))
    assert last.marks == {"AAPL": account.position("AAPL").mark}, "without anything else, the account's own"
    assert observe_desk(place.desk, Surroundings(symbols=("NONE",))).down == ""
    assert "NONE" not in observe_desk(place.desk, Surroundings(symbols=("NONE",))).shown


def test_the_entries_of_other_accounts_are_not_shown():
    ledger = MemoryLedger()
    ledger.receive(Order("AAPL", "buy", 1), TEN, ExecutionMode.PAPER)
    seen = observe_desk(Place(ledger=ledger).desk)
    assert list(seen.entries) == []
    assert seen.seq == 1


def test_a_venue_that_cannot_be_reached():
    place = Place(faults={"send": [Fault.DROP_BEFORE] * 20})
    place.desk.execute(Order("AAPL", "buy", 100))
    fired = place.look()
    assert set(fired) == {"VENUE_DOWN"}
    assert fired["VENUE_DOWN"].since == TEN
    place.at(200)
    assert place.look() == {}
    assert [alert.rule for alert in place.watch.resolved] == ["VENUE_DOWN"]


def test_a_venue_that_does_not_answer():
    """It may have traded: nothing is known until it can be asked, and then the alert is over."""
    place = Place(faults={"send": [Fault.DROP_AFTER], "executions": [Fault.LOST] * 3})
    result = place.desk.execute(Order("AAPL", "buy", 100))
    assert result.status == "pending_unknown"
    assert place.look() == {}, "five seconds are allowed"
    place.at(6)
    place.desk.poll()
    fired = place.look()
    assert fired["VENUE_DOWN"].detected_after_s == 6
    place.at(7)
    place.desk.poll()
    place.desk.poll()
    assert "VENUE_DOWN" not in place.look()
    place.at(8)
    assert place.look() == {}
    assert place.desk.result(result.order_id).status == "filled"
    assert "VENUE_DOWN" not in {alert.rule for alert in place.watch.active}


def test_quotes_that_cannot_be_had():
    place = Place(faults={"quotes": [Fault.LOST] * 2})
    fired = place.look()
    assert set(fired) == {"VENUE_DOWN"}
    assert fired["VENUE_DOWN"].message == "The venues cannot be reached: no quotes of AAPL."
    place.look()
    place.look()
    assert place.watch.active == ()


def test_a_kill_switch():
    place = Place()
    place.desk.kill("all", by="risk officer", why="runaway strategy")
    place.at(3)
    assert place.desk.execute(Order("AAPL", "buy", 100)).status == "rejected"
    killed = place.look()["KILLED"]
    assert killed.severity == "critical"
    assert killed.detected_after_s == 3
    assert killed.message == "risk officer stopped all orders: runaway strategy"
    place.desk.unkill("all", by="risk officer", why="found it")
    place.look()
    assert [alert.rule for alert in place.watch.resolved] == ["KILLED"]


def test_a_crash_takes_the_account_through_its_limits_in_their_order():
    place = Place(later=[(60, 88), (120, 70), (180, 40)])
    place.desk.transfer({"AAPL": (4000, 100 * MICRO)})
    place.desk.execute(Order("AAPL", "sell", 1, stop_loss_price=None))
    told = []
    for second in (1, 61, 121, 181):
        place.at(second)
        told.append(set(place.look()))
    assert told[0] == {"POSITION_CONCENTRATION"}, "400 of 1,400 thousand dollars"
    assert told[1] == {"DAY_LOSS"}, "48 of 1,400 thousand"
    assert told[2] == {"DRAWDOWN_EARLY"}, "120"
    assert told[3] == {"DRAWDOWN"}, "240"
    assert place.watch.resolved[0].rule == "POSITION_CONCENTRATION"


def test_a_stop_goes_off():
    place = Place(later=[(60, 95)])
    place.desk.execute(Order("AAPL", "buy", 100, stop_loss_price="97"))
    assert place.look() == {}
    place.at(90)
    place.desk.poll()
    fired = place.look()
    assert set(fired) == {"STOP_TRIGGERED"}
    assert fired["STOP_TRIGGERED"].symbol == "AAPL"
    assert place.desk.portfolio.positions == {}


def test_halts_and_silent_feeds():
    place = Place()
    place.desk.execute(Order("AAPL", "buy", 100))
    place.halts.halt("AAPL", TEN + 10 * SECOND, TEN + 20 * SECOND)
    place.halts.unknown("AAPL", TEN + 30 * SECOND, TEN + 60 * SECOND)
    place.halts.halt_market(TEN + 70 * SECOND, TEN + 80 * SECOND)
    told = {}
    for second in range(1, 100):
        place.at(second)
        for rule, alert in place.look().items():
            told[rule, second] = alert.detected_after_s
    assert told == {
        ("HALTED", 10): 0,
        ("FEED_UNKNOWN", 40): 10,
        ("HALTED", 70): 0,
        ("MARKET_HALT", 70): 0,
    }
    assert place.watch.active == ()


def test_outside_the_session_nobody_need_quote():
    place = Place()
    place.halts.set_phase(Phase.CLOSED, TEN)
    old = {"AAPL": Shown(0, 0, TEN - 3600 * SECOND)}
    assert place.look(Surroundings(symbols=("AAPL",), shown=old)) == {}
    place.halts.set_phase(Phase.CONTINUOUS, TEN)
    assert set(place.look(Surroundings(symbols=("AAPL",), shown=old))) == {"STALE_QUOTES"}
    place.at(5)
    assert set(place.look(Surroundings(symbols=("AAPL",), shown=old))) == {"NO_QUOTES"}


def test_orders_that_run_against_a_wall():
    place = Place()
    for _ in range(12):
        place.desk.execute(Order("AAPL", "buy", 90_000))
    fired = place.look()
    assert set(fired) == {"GUARDRAIL_BLOCKS"}
    assert fired["GUARDRAIL_BLOCKS"].numbers["blocked"] == 12


def test_a_broker_that_says_something_else():
    class Elsewhere(SimulatedMarket):
        def open_children(self):
            return ("somebody else's",)

    market = Elsewhere.static(books(100), TEN)
    desk = Desk(market, MemoryLedger(), KnownHalts(), config=DeskConfig(cash=CASH))
    watch = Watch(bundled())
    assert len(desk.reconcile()) == 1
    (alert,) = watch.look(observe_desk(desk))
    assert (alert.rule, alert.numbers["value"]) == ("RECONCILIATION_BREAK", 1)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_watch_that_begins_later_is_told_the_whole_story(kind):
    """After a restart the watch reads the ledger from its beginning: what is still so, it tells again."""
    ledger = MemoryLedger() if kind == "memory" else Ledger.open("sqlite:///:memory:")
    place = Place(ledger=ledger)
    place.desk.execute(Order("AAPL", "buy", 100))
    place.desk.kill("all", by="risk officer", why="a drill")
    assert set(place.look()) == {"KILLED"}
    again = Watch(bundled())
    assert [alert.rule for alert in again.look(observe_desk(place.desk))] == ["KILLED"]
    ledger.close()


def test_a_look_without_events_costs_little():
    """Counted, not timed: a look at twenty symbols calls fewer than 300 functions of Python."""
    symbols = [f"S{number}" for number in range(20)]
    place = Place()
    shown = {symbol: Shown(99 * MICRO, 99 * MICRO + 10_000, TEN) for symbol in symbols}
    place.desk.transfer(dict.fromkeys(symbols, (10, 99 * MICRO)))
    seen = observe_desk(place.desk, Surroundings(shown=shown))
    place.watch.look(seen)
    later = observe_desk(place.desk, Surroundings(shown=shown), after=place.watch.seq)
    calls = 0

    def count(frame, event, given):
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        fired = place.watch.look(later)
    finally:
        sys.setprofile(before)
    assert fired == ()
    assert calls < 300
