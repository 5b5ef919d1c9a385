"""The platform's alert rules over the desk of a run: what they see, when, and what they miss."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from quantdesk.errors import BadInput
from quantdesk.orders.alerts import bundled
from quantdesk.scenarios import Account, Event, Path, RunConfig, named
from quantdesk.scenarios.run import holdings_of, run_account, stage_of

PORTFOLIO = {"cash": 1000.0, "AAPL": 10_000}


def held_through(path: Path, **settings: object) -> Account:
    stage = stage_of(path, None, RunConfig(**settings))  # type: ignore[arg-type]
    return run_account(stage, named("hold"), holdings_of(PORTFOLIO, stage.path))


def of_rule(events: tuple[Event, ...], rule: str) -> list[Event]:
    return [event for event in events if event.cause == rule]


def falling(path: Path, closes: list[float]) -> Path:
    """The path with other closes of AAPL, the last one held."""
    close = path.close.copy()
    column = path.column("AAPL")
    close[:, column] = np.resize([*closes, *[closes[-1]] * len(close)], len(close))
    return dataclasses.replace(path, close=close)


def test_a_breach_stands_where_it_began_and_the_alert_where_the_watch_looked(path_of) -> None:
    path = falling(path_of(bars=4), [100.0, 100.0, 85.0])
    account = held_through(path, watch_every_s=60.0)
    (breach,) = of_rule(account.breaches, "DRAWDOWN")
    (alert,) = of_rule(account.alerts, "DRAWDOWN")
    assert breach.at == int(path.ends[2]) - 59_000_000_000  # a second after the quote of the close
    assert 0 < breach.numbers["detected_after_s"] <= 60
    assert alert.at == breach.at + breach.numbers["detected_after_s"] * 1e9
    assert alert.severity == bundled()["DRAWDOWN"].severity
    assert breach.numbers["value"] >= 0.10


def test_what_is_over_before_the_watch_looks_was_never_seen(path_of, store) -> None:
    """A minute's dip between two looks: breached, and no alert."""
    from quantdesk.scenarios import ScenarioEngine

    stage = ScenarioEngine(store).stage("covid_2020", 20)
    path = stage.path.cut(0, 4)  # before the halt of that morning
    close = path.close.copy()
    column = path.column("AAPL")
    close[:, column] = 100.0
    close[1, column] = 94.0  # less would be paused
    made = dataclasses.replace(path, close=close, open=None, high=None, low=None)
    slow = held_through(made, watch_every_s=600.0)
    (missed,) = of_rule(slow.breaches, "DRAWDOWN_EARLY")
    assert math.isnan(missed.numbers["detected_after_s"])
    assert 0 < missed.numbers["lasted_s"] <= 60
    assert not of_rule(slow.alerts, "DRAWDOWN_EARLY")
    quick = held_through(made, watch_every_s=10.0)
    (seen,) = of_rule(quick.breaches, "DRAWDOWN_EARLY")
    assert seen.numbers["detected_after_s"] <= 10


def test_calm_days_alert_nobody(path_of) -> None:
    path = falling(path_of(bars=10), [100.0])
    account = held_through(path)
    assert {event.cause for event in account.alerts} <= {"POSITION_CONCENTRATION", "SECTOR_CONCENTRATION", "VAR_LIMIT"}
    assert account.failures == ()


def test_a_concentrated_book_is_told_at_once(path_of) -> None:
    account = held_through(falling(path_of(bars=3), [100.0]))
    (breach,) = of_rule(account.breaches, "POSITION_CONCENTRATION")
    assert breach.numbers["value"] > 0.9


def test_rules_of_ones_own_decide(path_of) -> None:
    path = falling(path_of(bars=4), [100.0, 98.0])
    rules = bundled()
    strict = dataclasses.replace(rules["DRAWDOWN"], limit={**rules["DRAWDOWN"].limit, "of_peak": 0.01})
    own = dataclasses.replace(rules, name="own", rules={**rules.rules, "DRAWDOWN": strict})
    assert not of_rule(held_through(path).breaches, "DRAWDOWN")
    assert of_rule(held_through(path, alerts=own).breaches, "DRAWDOWN")


def test_the_same_run_has_the_same_events(path_of) -> None:
    path = falling(path_of(bars=6), [100.0, 90.0, 85.0, 95.0, 80.0])
    first, second = held_through(path), held_through(path)
    assert [event.to_dict() for event in first.breaches] == [event.to_dict() for event in second.breaches]
    assert first.alerts == second.alerts


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_a_watch_that_never_looks_is_refused(seconds: float) -> None:
    with pytest.raises(BadInput, match="watch_every_s"):
        RunConfig(watch_every_s=seconds)
