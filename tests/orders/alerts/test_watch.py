"""How alerts begin and end; that they are a function of the observations."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.alerts import Alert, Observation, Shown, Watch, bundled
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.halts.status import HaltStatus, Status

WIDE = {"shown": {"AAPL": Shown(90 * MICRO, 100 * MICRO, 1_700_000_000 * SECOND)}}


def test_a_condition_must_hold_for_a_while(watch_of, seen, told):
    watch = watch_of("WIDE_SPREAD", for_s=30)
    assert told(watch, [seen(0, **WIDE), seen(29, **WIDE)]) == []
    assert watch.active == ()
    assert [one[1:3] for one in told(watch, [seen(30, **WIDE)])] == [(30, 0)], "since its beginning"


def test_a_condition_that_was_interrupted_begins_anew(watch_of, seen, told):
    watch = watch_of("WIDE_SPREAD", for_s=30)
    assert told(watch, [seen(0, **WIDE), seen(20), seen(25, **WIDE), seen(54, **WIDE)]) == []
    assert [one[1:3] for one in told(watch, [seen(55, **WIDE)])] == [(55, 25)]


def test_an_alert_is_over_when_its_condition_is_gone_for_a_while(watch_of, seen, told):
    watch = watch_of("WIDE_SPREAD", clear_s=30)
    assert len(told(watch, [seen(0, **WIDE)])) == 1
    assert told(watch, [seen(10), seen(39), seen(39.5, **WIDE), seen(40), seen(69)]) == []
    assert len(watch.active) == 1
    assert watch.resolved == ()
    (before,) = watch.active
    assert told(watch, [seen(70)]) == []
    assert watch.resolved == (dataclasses.replace(before, resolved=seen(70).at),)
    assert told(watch, [seen(71)]) == []
    assert watch.resolved == (), "each is told once"


def test_a_rule_that_fired_is_silent_for_a_while(watch_of, seen, told):
    watch = watch_of("WIDE_SPREAD", again_s=60)
    assert len(told(watch, [seen(0, **WIDE), seen(1)])) == 1
    assert told(watch, [seen(2, **WIDE), seen(3), seen(4, **WIDE), seen(59, **WIDE)]) == []
    assert [one[1:3] for one in told(watch, [seen(60, **WIDE)])] == [(60, 4)], "and speaks where it still holds"


def test_a_rule_that_is_not_enabled_says_nothing(watch_of, seen, told):
    assert told(watch_of("WIDE_SPREAD", enabled=False), [seen(0, **WIDE)]) == []


def test_an_alert_can_be_read_and_kept(watch_of, seen):
    (alert,) = watch_of("DAY_LOSS").look(seen(0, equity=96_000 * MICRO))
    assert str(alert) == (
        "2023-11-14 22:13:20 warning DAY_LOSS: The day has lost 4.00% of the equity; 3.00% is the limit."
    )
    assert Alert(**json.loads(json.dumps(alert.to_dict()))) == alert
    assert alert.detected_after_s == 0
    assert alert.runbook == bundled()["DAY_LOSS"].runbook


def test_time_and_entries_go_forwards_only(log, watch_of, seen):
    watch = watch_of("KILLED")
    log.order(0)
    entries = log.fresh()
    watch.look(seen(5, entries=entries))
    assert watch.seq == 1
    with pytest.raises(BadInput, match="Show them in their order"):
        watch.look(seen(4))
    with pytest.raises(BadInput, match="The entry 1 after 1"):
        watch.look(seen(6, entries=entries))


def calm(rng, second):
    price = 100 * MICRO + rng.randrange(-MICRO, MICRO)
    at = (1_700_000_000 + second) * SECOND
    held = {f"S{number}": rng.randrange(-60, 60) for number in range(20)}
    equity = 100_000 * MICRO + rng.randrange(-1000 * MICRO, 1000 * MICRO)
    return Observation(
        at=at,
        equity=equity,
        cash=50_000 * MICRO,
        positions=held,
        marks=dict.fromkeys(held, price),
        equity_at_start=100_000 * MICRO,
        shown={symbol: Shown(price - 10_000, price + 10_000, at - rng.randrange(SECOND)) for symbol in held},
        halts={symbol: HaltStatus(symbol, Status.TRADING, "", "", "declared", 0.0) for symbol in held},
        normal_spreads=dict.fromkeys(held, 2.0),
        sectors={symbol: f"sector {number % 7}" for number, symbol in enumerate(held)},
        value_at_risk=1000 * MICRO,
    )


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_nothing_fires_on_a_calm_desk(seed):
    rng, watch = random.Random(seed), Watch(bundled())
    for minute in range(20):
        assert watch.look(calm(rng, 60 * minute)) == ()
    assert watch.active == watch.resolved == ()


ROUGH = st.builds(
    lambda equity, cash, value, bid, ask, age, status, is_open, step: {
        "equity": equity * MICRO,
        "cash": cash * MICRO,
        "positions": {"AAPL": 1},
        "marks": {"AAPL": value * MICRO},
        "quote": (bid * MICRO, ask * MICRO, age),
        "halts": {"AAPL": HaltStatus("AAPL", status, "", "?", "declared", 0.0)},
        "in_session": is_open,
        "step": step,
    },
    st.integers(-10_000, 200_000),
    st.integers(-10, 10),
    st.integers(0, 300_000),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 10),
    st.sampled_from(list(Status)),
    st.booleans(),
    st.integers(0, 40),
)


def looks_of(rough):
    at, found = 1_700_000_000 * SECOND, []
    for one in rough:
        given_ = dict(one)
        at += given_.pop("step") * SECOND
        bid, ask, age = given_.pop("quote")
        shown = {"AAPL": Shown(bid, ask, at - age * SECOND)}
        found.append(Observation(at=at, equity_at_start=100_000 * MICRO, shown=shown, **given_))
    return found


@given(st.lists(ROUGH, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_same_observations_give_the_same_alerts_and_each_ends_once(rough):
    looks = looks_of(rough)
    one, two = Watch(bundled()), Watch(bundled())
    active = {}
    for look in looks:
        fired = one.look(look)
        assert fired == two.look(look)
        assert one.resolved == two.resolved
        for alert in one.resolved:
            assert active.pop((alert.rule, alert.symbol)) == dataclasses.replace(alert, resolved=None)
            assert alert.resolved == look.at
        for alert in fired:
            assert (alert.rule, alert.symbol) not in active, "it is active already"
            active[alert.rule, alert.symbol] = alert
            assert alert.since <= alert.at == look.at
            assert alert.at - alert.since >= bundled()[alert.rule].for_s * SECOND
        assert {(alert.rule, alert.symbol): alert for alert in one.active} == active
        json.dumps([alert.to_dict() for alert in fired], allow_nan=False)
