"""Faults of the platform: which alerts notice them, how fast, that they are silent without, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.alerts import AlertRules, bundled
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts.status import Status
from quantdesk.orders.ledger import EntryKind
from quantdesk.scenarios import Asset, Path, RunConfig
from quantdesk.scenarios.drills import DRILLS, Drill, Plan, drill, run_drills
from quantdesk.scenarios.drills import run as run_of_drills
from quantdesk.scenarios.drills.faults import FrozenQuotes, LateReports, Line, SilentFeed, VenueDown, Window
from quantdesk.scenarios.run import stage_of

MINUTE = 60 * SECOND
PLAN = Plan(lead_s=40, fault_s=30, after_s=40, symbols=3)


@pytest.fixture(scope="module")
def stage(path_of):
    """Ten minutes of three stocks that fall a little, after days that nobody doubts."""
    days = path_of(bars=3, symbols=("AAPL", "JPM", "XOM"))
    begins = int(days.begins[0]) + MINUTE * np.arange(10)
    moves = 1 + 0.0004 * np.random.default_rng(3).standard_normal((10, 3))
    close = days.close[0] * np.cumprod(moves, axis=0)
    assets = tuple(Asset(name, "equity") for name in days.symbols)
    minutes = Path("minutes", assets, begins, begins + MINUTE, close, np.zeros((10, 3), np.int8), history=days.history)
    return stage_of(minutes, None, RunConfig())


@pytest.fixture(scope="module")
def report(stage):
    return run_drills(stage, plan=PLAN)


WITHIN = [  # seconds by the market's clock: the span of the rule, and what it takes for the fault to touch something
    ("feed_outage", "FEED_UNKNOWN", 11),
    ("stale_prices", "STALE_QUOTES", 6),
    ("venue_outage", "VENUE_DOWN", 12),
    ("latency_storm", "LATENCY", 12),
    ("order_flood", "ORDER_FLOOD", 8),
    ("order_flood", "GUARDRAIL_BLOCKS", 2),
    ("kill_switch", "KILLED", 1),
]


@pytest.mark.parametrize(("name", "rule", "seconds"), WITHIN)
def test_the_fault_is_noticed_in_time_and_not_without_it(report, name, rule, seconds):
    found = report[name]
    seen = {one.rule: one for one in found.detections}[rule]
    assert seen.is_noticed
    assert 0 <= seen.after_s <= seconds
    assert not [one for one in found.alerts if one.rule == rule and one.at < found.window.begins], "nothing before"
    assert rule not in {one.rule for one in found.control}, "nothing without the fault"
    assert found.missed == ()


def test_every_drill_expects_rules_that_are_tested_here(report):
    assert {(one.name, seen.rule) for one in report for seen in one.detections} == {(n, r) for n, r, _ in WITHIN}
    assert [one.name for one in report] == list(DRILLS)


def test_nothing_is_lost_or_doubled(report):
    for one in report:
        assert one.kept.is_whole, one.name
        assert one.kept.fills > 20, "there was something to lose"


def test_what_guardrails_do_meanwhile(report):
    kept = {one.name: one.kept for one in report}
    assert kept["feed_outage"].blocked == 0, "research goes on with a warning"
    assert kept["kill_switch"].added == 0, "nothing was bought while all was stopped"
    assert kept["kill_switch"].blocked > 0
    assert kept["stale_prices"].blocked >= 10, "no order trades on a price of 5 seconds ago"
    assert kept["order_flood"].orders > 1500
    assert kept["order_flood"].orders - kept["order_flood"].blocked <= 60, "one order a second at most gets through"


def test_the_table_says_it_all(report):
    frame = report.to_frame()
    assert list(frame["rule"]) == [rule for _, rule, _ in WITHIN]
    assert frame["noticed"].all()
    assert frame["whole"].all()
    told = report["kill_switch"].to_dict()
    assert told["kept"]["is_whole"] is True
    assert told["detections"][0]["rule"] == "KILLED"
    assert told["begins"] < told["ends"]


def test_the_same_seed_gives_the_same_ledger(stage, report):
    again = drill("venue_outage", stage, PLAN)
    assert again.ledger == report["venue_outage"].ledger
    assert again.alerts == report["venue_outage"].alerts


def test_a_rule_that_does_not_watch_is_told_as_missing(stage):
    rules = bundled()
    off = AlertRules("without", {**rules.rules, "KILLED": replace(rules["KILLED"], enabled=False)})
    found = drill("kill_switch", stage, PLAN, rules=off)
    assert found.missed == ("no rule for killed",)
    slow = AlertRules("slow", {**rules.rules, "FEED_UNKNOWN": replace(rules["FEED_UNKNOWN"], for_s=45.0)})
    found = drill("feed_outage", stage, PLAN, rules=slow)
    assert found.missed == ("FEED_UNKNOWN",)
    assert found.detections[0].after_s is None
    assert drill_frame(found)["after_s"].isna().all()


def drill_frame(found):
    from quantdesk.scenarios.drills import DrillReport

    return DrillReport((found,)).to_frame()


def test_what_fires_without_the_fault_too_says_nothing(stage):
    """An order rests from the beginning, and is 45 s old while the fault lasts, with it and without it."""
    rules = bundled()
    soon = replace(rules["UNFILLED"], limit={"seconds": 45.0})
    odd = replace(DRILLS["feed_outage"], expects=("unfilled",))
    found = drill(odd, stage, PLAN, rules=AlertRules("soon", {**rules.rules, "UNFILLED": soon}))
    assert found.detections[0].after_s == 5
    assert found.detections[0].without_fault
    assert found.missed == ("UNFILLED",)
    assert found.others == ("FEED_UNKNOWN",)


def test_books_that_lose_or_double_are_found_out(stage, monkeypatch):
    """The check itself: a ledger that forgets a fill, or a line that invents one."""

    class Inventing(Line):
        def executions(self, client_id):
            found = self.exchange.executions(client_id)
            return found and [replace(one, execution_id=one.execution_id + "!") for one in found]

        def send(self, child):
            return [replace(one, execution_id=one.execution_id + "!") for one in self.exchange.send(child)]

    strange = Drill("strange", "Strange", "A line that renames what it tells.", ("venue_down",), Inventing)
    kept = drill(strange, stage, PLAN).kept
    assert kept.lost == kept.fills > 0
    assert kept.doubled == kept.fills
    assert not kept.is_whole


def test_days_too_short_a_stage_and_unknown_names_are_refused(stage, path_of):
    with pytest.raises(BadInput, match="one bar a day"):
        drill("kill_switch", stage_of(path_of(bars=3), None, RunConfig()))
    with pytest.raises(BadInput, match="not open for 3020 s"):
        drill("kill_switch", stage, Plan(lead_s=3000, fault_s=10, after_s=10))
    with pytest.raises(BadInput, match="not open"):
        drill("kill_switch", stage, PLAN, at=int(stage.path.begins[0]) - 1)
    with pytest.raises(UnknownName, match="kill_switch"):
        drill("kill_swich", stage)
    for name in ("lead_s", "dollars", "look_s"):
        with pytest.raises(BadInput, match=name):
            Plan(**{name: 0})


# ------------------------------------------------------------------------------------------------- the faults alone


@pytest.fixture
def exchange(stage):
    found = stage.market.market(0, stage.halts)
    found.advance(int(stage.path.begins[0]) + MINUTE)
    return found


def test_quotes_stand_still_with_their_time(exchange):
    now = exchange.now()
    line = FrozenQuotes(exchange, Window(now + SECOND, now + 90 * SECOND))
    before = line.quotes("AAPL")
    exchange.advance(now + 80 * SECOND)
    assert line.quotes("AAPL") is before
    assert line.quotes("JPM").at == exchange.now(), "what was never seen cannot stand still"
    exchange.advance(now + 90 * SECOND)
    assert line.quotes("AAPL").at == exchange.now()


def test_a_feed_that_is_silent_says_so(stage):
    feed = SilentFeed(stage.halts, Window(100, 200))
    assert [feed.status("AAPL", at).status for at in (99, 100, 199, 200)] == [
        stage.halts.status("AAPL", 99).status,
        Status.UNKNOWN,
        Status.UNKNOWN,
        stage.halts.status("AAPL", 200).status,
    ]
    assert feed.market_halt(150) is None
    assert feed.bands("AAPL", 150) is None


def test_reports_come_late_and_all_of_them(stage, exchange):
    seen = run_of_drills._ground(stage, PLAN, None)
    run = run_of_drills._Run(seen, replace(DRILLS["latency_storm"]), bundled())
    assert isinstance(run.line, LateReports)
    run.go()
    heard = {one.payload["execution_id"] for one in run.desk.ledger.entries() if "execution_id" in one.payload}
    told = {one.execution_id for name in run.exchange.reports.children for one in run.exchange.reports.of(name)}
    assert told <= heard


def test_the_venue_that_is_down_is_the_one_that_was_used_most(stage):
    seen = run_of_drills._ground(stage, PLAN, None)
    run = run_of_drills._Run(seen, DRILLS["venue_outage"], bundled())
    assert isinstance(run.line, VenueDown)
    run.go()
    entries = run.desk.ledger.entries(kinds=[EntryKind.SENT])
    sent = [one.payload["venue"] for one in entries if one.at < seen.window.begins]
    assert run.line.venue == max(dict.fromkeys(sent), key=sent.count)
