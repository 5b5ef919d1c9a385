"""What a market is made of, what is said of it, and orders that are none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantdesk.errors import BadInput
from quantdesk.scenarios import Account, Path, RunConfig, ScenarioEngine, Seen, named
from quantdesk.scenarios.path import GRADES, Grade
from quantdesk.scenarios.run import holdings_of, run_account, stage_of


def through(path: Path, strategy: object, portfolio: dict[str, float] | None = None, **settings: object) -> Account:
    stage = stage_of(path, None, RunConfig(**settings))  # type: ignore[arg-type]
    return run_account(stage, strategy, holdings_of(portfolio or {"cash": 1e6}, stage.path))  # type: ignore[arg-type]


def buys_after(bar: int, weights: dict[str, float]) -> object:
    def strategy(seen: Seen) -> dict[str, float] | None:
        return weights if len(seen.bars) == bar else None

    return strategy


@pytest.mark.parametrize("sign", [1, -1])
def test_nobody_trades_at_an_extreme_of_a_day_without_an_open(path_of, sign: int) -> None:
    """Highs and lows are known of indices whose opens are not: the low of a day is no price for who waits for one."""
    path = path_of(bars=6, drift=0.0)
    wide = dataclasses.replace(
        path, high=path.close * 1.05, low=path.close * 0.95, open=np.full_like(path.close, np.nan)
    )
    closes_only, extremes = (through(one, buys_after(2, {"AAPL": sign * 0.2})) for one in (path, wide))
    np.testing.assert_array_equal(closes_only.value, extremes.value)
    assert closes_only.filled_shares > 0


def test_assumed_volumes_and_indices_that_are_traded_are_labelled(path_of) -> None:
    path = path_of(bars=5, symbols=("SPX", "AAPL", "JPM"))
    assert set(through(path, buys_after(1, {"SPX": 0.1})).labels) == {"volumes_assumed", "indices_traded_as_funds"}
    assert through(path, buys_after(1, {"AAPL": 0.1})).labels == ("volumes_assumed",)
    assert through(path, named("hold")).labels == ()
    assert path.history is not None
    volumes = np.full_like(path.history.close, 1e7)
    known = dataclasses.replace(path, history=dataclasses.replace(path.history, volume=volumes))
    assert through(known, buys_after(1, {"AAPL": 0.1})).labels == ()
    assert (
        "volumes_assumed" in through(known, buys_after(1, {"SPX": 0.1})).labels
    )  # shares of its members are no fund's


def test_a_result_says_that_volumes_are_assumed(store) -> None:
    result = ScenarioEngine(store).run("yuan_2015", ["momentum_alpha"])
    assert "volumes_assumed" in result.labels
    assert "indices_traded_as_funds" not in result.labels


def test_what_a_refused_order_lacks_has_a_price(path_of) -> None:
    path = path_of(bars=4)
    (failure,) = through(path, buys_after(1, {"AAPL": 0.9})).failures
    price = float(path.close[1, path.column("AAPL")])
    assert failure.cause == "CONCENTRATION"
    assert failure.numbers["unfilled_dollars"] == pytest.approx(failure.numbers["shares"] * price, rel=1e-4)


def test_an_order_of_more_shares_than_there_can_be_fails_alone(path_of) -> None:
    account = through(path_of(bars=5), buys_after(1, {"AAPL": 0.1, "JPM": 1e-10}), {"cash": 9e14})
    causes = {failure.symbol: failure.cause for failure in account.failures}
    assert causes["AAPL"] == "NO_ORDER"
    assert account.orders == 1  # that of JPM was sent
    assert account.error == ""


@pytest.mark.parametrize("price", [0.0, -5.0, 1e-7, 1e12])
def test_a_price_that_is_none_is_named_before_anything_is_traded(path_of, price: float) -> None:
    path = path_of(bars=5)
    close = path.close.copy()
    close[3, 0] = price
    with pytest.raises(BadInput, match=rf"close of AAPL on 2008-09-17 is {price:g}".replace("+", r"\+")):
        stage_of(dataclasses.replace(path, close=close), None, RunConfig())


def test_a_portfolio_beyond_all_bounds_says_the_bound(path_of) -> None:
    with pytest.raises(BadInput, match=r"1e\+16 of cash.*at most 1e\+15"):
        holdings_of({"cash": 1e16}, path_of())


def test_the_closure_of_moscow_is_met_though_nothing_of_it_is_traded(store) -> None:
    stage = ScenarioEngine(store).stage("russia")
    (closure,) = stage.met
    assert closure.cause == "CLOSED"
    assert "XMOS was shut" in closure.message
    days = closure.numbers["seconds"] / 86_400  # 2022-02-28 to 03-23, both included; the clocks of New York change
    assert days == pytest.approx(24, abs=0.05)


def test_a_wish_for_what_has_no_price_fails_and_is_told_once(path_of) -> None:
    path = path_of(bars=6)
    close, grades = path.close.copy(), path.grades.copy()
    close[:, 0], grades[:, 0] = np.nan, GRADES.index(Grade.MISSING)
    never = dataclasses.replace(path, close=close, grades=grades)
    stage = stage_of(never, None, RunConfig())
    assert "AAPL has no value from 2008-09-12 to 2008-09-19." in stage.notes
    account = through(never, lambda seen: {"AAPL": 0.1, "JPM": 0.1})
    assert [(one.cause, one.symbol) for one in account.failures] == [("NO_PRICE", "AAPL")]
    assert account.filled_shares > 0
    assert not any("no value" in note for note in stage_of(path, None, RunConfig()).notes)


def test_what_waits_for_a_missing_value_is_not_cancelled_as_by_a_closure(path_of) -> None:
    path = path_of(bars=8)
    found = {}
    for grade in (Grade.MISSING, Grade.CLOSED):
        close, grades = path.close.copy(), path.grades.copy()
        close[3, 0], grades[3, 0] = np.nan, GRADES.index(grade)
        hole = dataclasses.replace(path, close=close, grades=grades)
        account = through(hole, buys_after(3, {"AAPL": 0.1}), over_closure="cancel")
        found[grade] = account.orders, [one.cause for one in account.failures]
    assert found == {Grade.MISSING: (1, []), Grade.CLOSED: (0, ["MARKET_CLOSED"])}


def test_an_order_that_no_venue_could_take_says_why(path_of) -> None:
    """A band above the bid leaves a market in which nobody bids: the order fails for that, and not just so."""
    path = path_of(bars=4)
    stage = stage_of(path, None, RunConfig())
    price = round(float(path.close[2, 0]) * 1e6)
    begins, ends = int(path.begins[2]), int(path.ends[2])
    stage.halts.band("AAPL", price, round(price * 1.05), begins, ends)  # type: ignore[attr-defined]
    wish = buys_after(2, {"AAPL": -0.1})
    account = run_account(stage, wish, holdings_of({"cash": 1e6}, stage.path))  # type: ignore[arg-type]
    (failure,) = account.failures
    assert failure.cause == "NO_BID"
    assert "nobody bids for AAPL" in failure.message
    assert failure.numbers["unfilled_dollars"] == pytest.approx(-failure.numbers["shares"] * price / 1e6, rel=0.01)
