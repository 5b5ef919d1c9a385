"""Alerts about the account fire at their limit, and not a micro-dollar before."""

from __future__ import annotations

import pytest

from quantdesk.orders.amounts import MICRO

K = 1000 * MICRO  # a thousand dollars


def held(symbol="AAPL", value=0, **more):
    """One share of a symbol that is worth so many micro-dollars, or is short by so many."""
    shares = 1 if value >= 0 else -1
    return {"positions": {symbol: shares}, "marks": {symbol: abs(value)}, **more}


def two(long, short):
    return {"positions": {"AAPL": 1, "MSFT": -1}, "marks": {"AAPL": long, "MSFT": short}}


CASES = {
    "DRAWDOWN": ({"equity": 90 * K + 1}, {"equity": 90 * K}, "", 0.1),
    "DRAWDOWN_EARLY": ({"equity": 95 * K + 1}, {"equity": 95 * K}, "", 0.05),
    "DAY_LOSS": ({"equity": 97 * K + 1}, {"equity": 97 * K}, "", 0.03),
    "GROSS_EXPOSURE": (two(150 * K, 50 * K - 1), two(150 * K, 50 * K), "", 2.0),
    "NET_EXPOSURE": (two(10 * K, 160 * K - 1), two(10 * K, 160 * K), "", 1.5),
    "POSITION_CONCENTRATION": (held(value=1 - 25 * K), held(value=-25 * K), "AAPL", 0.25),
    "SECTOR_CONCENTRATION": (
        {**two(50 * K, 10 * K - 1), "sectors": {"AAPL": "TECH", "MSFT": "TECH"}},
        {**two(50 * K, 10 * K), "sectors": {"AAPL": "TECH", "MSFT": "TECH"}},
        "TECH",
        0.6,
    ),
    "VAR_LIMIT": ({"value_at_risk": 5 * K - 1}, {"value_at_risk": 5 * K}, "", 0.05),
    "CASH_NEGATIVE": ({"cash": 0}, {"cash": -MICRO}, "", 1.0),
    "MARGIN": (two(360 * K, 33 * K + 333 * MICRO), two(360 * K, 33 * K + 334 * MICRO), "", 100_000.0),
}


@pytest.mark.parametrize("rule", CASES)
def test_it_fires_at_its_limit_and_not_just_below(rule, watch_of, seen, told):
    below, reached, subject, value = CASES[rule]
    watch = watch_of(rule)
    assert told(watch, [seen(0), seen(1, **below)]) == []
    assert watch.active == ()
    assert told(watch, [seen(2, **reached)]) == [(subject, 2, 2, pytest.approx(value))]
    assert told(watch, [seen(3, **reached)]) == [], "it is told once"
    assert [alert.symbol for alert in watch.active] == [subject]
    assert told(watch, [seen(4, **below)]) == []
    assert [(alert.symbol, alert.resolved - alert.at) for alert in watch.resolved] == [(subject, 2_000_000_000)]
    assert watch.active == ()


@pytest.mark.parametrize("rule", CASES)
def test_it_is_silent_about_a_calm_account_and_about_nothing_at_all(rule, watch_of, seen, told):
    calm = [seen(second, **two(20 * K, 10 * K), value_at_risk=K) for second in range(5)]
    assert told(watch_of(rule), calm) == []
    nothing = [seen(0, equity=0, cash=0, equity_at_start=0)] * 2
    assert told(watch_of(rule), nothing) == []


def test_a_drawdown_counts_from_the_highest_that_was_seen(watch_of, seen, told):
    looks = [seen(0), seen(1, equity=120 * K), seen(2, equity=109 * K), seen(3, equity=108 * K)]
    (alert,) = told(watch_of("DRAWDOWN"), looks)
    assert alert == ("", 3, 3, pytest.approx(0.1))


def test_without_equity_every_exposure_is_too_much(watch_of, seen):
    for equity in (0, -5 * K):
        for rule, subject in (("GROSS_EXPOSURE", ""), ("NET_EXPOSURE", ""), ("POSITION_CONCENTRATION", "AAPL")):
            (alert,) = watch_of(rule).look(seen(0, equity=equity, **held(value=1)))
            assert alert.symbol == subject
            assert "value" not in alert.numbers
            assert alert.numbers["equity"] == equity / MICRO


def test_each_position_is_an_alert_of_its_own(watch_of, seen, told):
    watch = watch_of("POSITION_CONCENTRATION")
    assert [one[0] for one in told(watch, [seen(0, **two(30 * K, 40 * K))])] == ["AAPL", "MSFT"]
    assert told(watch, [seen(1, **two(30 * K, 10 * K))]) == []
    assert [alert.symbol for alert in watch.active] == ["AAPL"]
    assert [alert.symbol for alert in watch.resolved] == ["MSFT"]


def test_a_symbol_without_a_sector_counts_in_none(watch_of, seen, told):
    assert told(watch_of("SECTOR_CONCENTRATION"), [seen(0, **two(90 * K, 90 * K), sectors={"AAPL": ""})]) == []
    assert told(watch_of("SECTOR_CONCENTRATION"), [seen(0, **two(90 * K, 90 * K))]) == []
