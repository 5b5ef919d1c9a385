"""One strategy through one path: what is conserved, what is allowed to be known, what fails alone."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios import Account, Path, RunConfig, Seen, named
from quantdesk.scenarios.run import Stage, holdings_of, run_account
from quantdesk.scenarios.run.stage import stage_of

CASH = 1_000_000.0


def through(path: Path, strategy: object, portfolio: dict[str, float] | None = None, **settings: object) -> Account:
    stage = stage_of(path, None, RunConfig(**settings))  # type: ignore[arg-type]
    return run_account(stage, strategy, holdings_of(portfolio or {"cash": CASH}, stage.path))  # type: ignore[arg-type]


def half_each(seen: Seen) -> dict[str, float]:
    return {"AAPL": 0.2, "JPM": 0.15}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), stop=st.sampled_from([None, 0.03, 0.1]), drift=st.sampled_from([-0.02, 0.0, 0.01]))
def test_what_was_won_is_told_three_times_and_sums_each_time(path_of, seed, stop, drift) -> None:
    account = through(
        path_of(seed, drift=drift), named("mean_reversion"), {"cash": CASH, "KO": 1000}, stop_distance=stop
    )
    for split in (account.attribution.asset_class, account.attribution.sector, account.attribution.cause):
        assert math.isclose(sum(split.values()), account.pnl, abs_tol=0.01)


def test_a_portfolio_that_is_held_wins_what_its_prices_do(path_of) -> None:
    path = path_of()
    account = through(path, named("hold"), {"cash": 1000, "AAPL": 300, "XOM": 50})
    moved = path.close - path.close[0]
    expected = 300 * moved[:, path.column("AAPL")] + 50 * moved[:, path.column("XOM")]
    np.testing.assert_allclose(account.value[1:] - account.value[0], expected, atol=1e-3)
    assert account.orders == 0
    assert math.isclose(account.attribution.cause["price"], account.pnl)


def test_costs_are_costs(path_of) -> None:
    account = through(path_of(), half_each)
    costs = account.attribution.cause
    assert account.orders > 0
    assert costs["spread"] < 0
    assert costs["impact"] <= 0
    assert costs["fees"] < 0


def test_a_strategy_trades_at_the_bar_after_the_one_it_saw(path_of) -> None:
    path = path_of()
    seen_at: list[int] = []

    def once(seen: Seen) -> dict[str, float] | None:
        seen_at.append(len(seen.bars))
        return {"AAPL": 0.2} if len(seen.bars) == 5 else None

    account = through(path, once)
    before, after = account.value[5], account.value[6]
    assert seen_at == list(range(len(path.ends) + 1))
    assert before == CASH  # after the fifth bar nothing is held yet
    assert after < CASH  # the sixth bar's quotes were paid, spread and all


def test_a_strategy_sees_no_later_bar(path_of) -> None:
    path = path_of()
    seen_last: list[float] = []

    def look(seen: Seen) -> None:
        seen_last.append(float(seen.closes["AAPL"].iloc[-1]))
        assert seen.bars.index.max() <= seen.at if len(seen.bars) else True
        seen.closes.iloc[:] = 0.0  # what it does to its table is its own affair

    through(path, look)
    history = path.history
    assert history is not None
    column = path.column("AAPL")
    assert seen_last == [float(history.close[-1, column]), *path.close[:, column].tolist()]


@pytest.mark.parametrize("rule", ["momentum_alpha", "mean_reversion", "equal_weight"])
def test_a_named_rule_knows_no_later_bar(path_of, rule: str) -> None:
    """What comes later does not change what came before: the run of a window that ends earlier is its beginning."""
    path = path_of(3, bars=25)
    whole, part = through(path, named(rule)), through(path.cut(0, 15), named(rule))
    np.testing.assert_array_equal(whole.value[:16], part.value)


def test_the_same_seed_gives_the_same_bytes(path_of) -> None:
    first, second = (through(path_of(7), named("momentum_alpha"), seed=3) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert first.ledger == second.ledger


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 200), deeper=st.floats(1.05, 2.0))
def test_a_deeper_fall_never_helps_who_only_holds(path_of, seed: int, deeper: float) -> None:
    path = path_of(seed, drift=-0.01)
    falls = np.minimum(path.close, path.close[0])
    deeper_close = path.close[0] * (falls / path.close[0]) ** deeper
    mild, hard = (dataclasses.replace(path, close=close) for close in (falls, deeper_close))
    portfolio = {"cash": 1000, "AAPL": 100, "JPM": 200}
    assert through(hard, named("hold"), portfolio).pnl <= through(mild, named("hold"), portfolio).pnl


def test_wishes_wait_for_the_reopening_and_meet_its_gap(path_of) -> None:
    path = path_of(bars=10)
    close, grades = path.close.copy(), path.grades.copy()
    column = path.column("AAPL")
    close[3:6, column], grades[3:6, column] = np.nan, 4  # closed on three days
    close[6:, column] = close[2, column] * 0.7
    gap = dataclasses.replace(path, close=close, grades=grades)

    def buys(seen: Seen) -> dict[str, float] | None:
        return {"AAPL": 0.2} if len(seen.bars) == 3 else None

    account = through(gap, buys)
    assert account.orders == 1
    np.testing.assert_array_equal(account.value[:7], CASH)  # nothing traded while it was closed
    spent = CASH * 0.2 / close[2, column] * close[6, column]  # sized at the price before, paid at the gap
    held = CASH - account.value[7]
    assert 0 < held < 0.01 * spent


def test_holding_over_a_closure_is_counted_as_stale_and_not_filled_forward(path_of) -> None:
    path = path_of(bars=6)
    close, grades = path.close.copy(), path.grades.copy()
    close[2:4, 0], grades[2:4, 0] = np.nan, 4
    account = through(dataclasses.replace(path, close=close, grades=grades), named("hold"), {"cash": 1, "AAPL": 10})
    assert account.stale == 2


def test_a_protective_stop_sells_and_is_not_bought_again_by_the_same_wish(path_of) -> None:
    path = path_of(bars=12, drift=-0.03)
    sold = through(path, lambda seen: {"AAPL": 0.2} if not len(seen.bars) else None, stop_distance=0.05)
    kept = through(path, lambda seen: {"AAPL": 0.2} if not len(seen.bars) else None)
    assert sold.pnl > kept.pnl
    assert sold.orders == 2
    assert sold.value[-1] == sold.value[-3]  # flat at the end


def test_limits_cut_wishes_and_the_rest_stays_cash(path_of) -> None:
    path = path_of(bars=3, drift=0.0)
    limited = through(path, half_each, position_limit=0.05)
    free = through(path, half_each)
    assert abs(limited.pnl) < abs(free.pnl)
    assert limited.wished_shares < free.wished_shares


def test_guardrails_stop_what_is_too_much_and_it_is_a_breach_and_a_failure(path_of) -> None:
    account = through(path_of(), lambda seen: {"AAPL": 0.9} if not len(seen.bars) else None)
    codes = {event.cause for event in account.breaches}
    assert codes == {"CONCENTRATION"}
    assert {event.cause for event in account.failures} == {"CONCENTRATION"}
    assert account.filled_shares == 0
    assert account.attribution.cause["unfilled"] > 0  # it was spared the fall


def test_a_strategy_that_raises_fails_alone_and_says_why(path_of) -> None:
    def breaks(seen: Seen) -> dict[str, float]:
        if len(seen.bars) == 4:
            raise ZeroDivisionError("no reason")
        return {"AAPL": 0.2}

    account = through(path_of(), breaks)
    assert account.error == "ZeroDivisionError: no reason"
    assert len(account.value) == 21
    assert account.failures[-1].cause == "STRATEGY_FAILED"


def test_a_strategy_that_never_returns_is_ended(path_of) -> None:
    def spins(seen: Seen) -> None:
        while True:
            pass

    begun = time.monotonic()
    account = through(path_of(), spins, time_limit_s=0.3)
    assert account.error == "It took longer than 0.3 s."
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("weights", [{"AAPL": math.nan}, {"AAPL": math.inf}, {"AAPL": "much"}, {"AAPL": True}, 7])
def test_weights_that_are_none_are_refused(path_of, weights: object) -> None:
    account = through(path_of(bars=3), lambda seen: weights)
    assert "weight" in account.error or "answered" in account.error
    assert account.orders == 0


def test_an_unknown_symbol_in_the_weights_is_named(path_of) -> None:
    assert "'AAPX'" in through(path_of(bars=3), lambda seen: {"AAPX": 0.1}).error


@pytest.mark.parametrize(
    ("portfolio", "said"),
    [
        ({}, "The portfolio is {}"),
        ({"cash": -5}, "-5.00"),
        ({"cash": math.nan}, "nan of cash"),
        ({"cash": 0}, "holds nothing"),
        ({"cash": 1, "AAPL": 1.5}, "1.5 shares of AAPL"),
        ({"cash": 1, "AAPL": True}, "True of AAPL"),
    ],
)
def test_a_portfolio_that_is_none_is_refused(path_of, portfolio: dict[str, float], said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("{", r"\{").replace("}", r"\}")):
        holdings_of(portfolio, path_of())


def test_an_unknown_symbol_is_refused_with_the_nearest(path_of) -> None:
    with pytest.raises(UnknownName, match="Did you mean AAPL"):
        holdings_of({"cash": 1, "AAPLE": 10}, path_of())


def test_hedges_are_paid_from_cash_and_never_beyond_it(path_of) -> None:
    path = path_of()
    stage = stage_of(path, None, RunConfig(hedges={"XOM": 100}))
    account = run_account(stage, named("hold"), holdings_of({"cash": CASH}, path))
    price = path.close[:, path.column("XOM")]
    np.testing.assert_allclose(account.value[1:], CASH + 100 * (price - price[0]), atol=1e-3)
    short = dataclasses.replace(stage, config=RunConfig(hedges={"XOM": -100}))
    sold = run_account(
        short, lambda seen: {"KO": 0.2} if not len(seen.bars) else None, holdings_of({"cash": CASH}, path)
    )
    free = run_account(
        dataclasses.replace(stage, config=RunConfig()),
        lambda seen: {"KO": 0.2} if not len(seen.bars) else None,
        holdings_of({"cash": CASH}, path),
    )
    assert sold.value[0] == CASH  # what it brought in is collateral
    assert "what is sold short pays no loan and no margin" in sold.labels
    assert "what is sold short pays no loan and no margin" not in account.labels
    assert sold.wished_shares == free.wished_shares  # and nobody trades with it
    dear = Stage(path, stage.market, RunConfig(hedges={"XOM": 1_000_000}), stage.halts)
    with pytest.raises(BadInput, match="hedges cost"):
        run_account(dear, named("hold"), holdings_of({"cash": CASH}, path))


def test_a_wish_is_cancelled_over_a_closure_where_that_is_wanted(path_of) -> None:
    path = path_of(bars=10)
    close, grades = path.close.copy(), path.grades.copy()
    close[3:6, 0], grades[3:6, 0] = np.nan, 4
    shut = dataclasses.replace(path, close=close, grades=grades)
    account = through(shut, lambda seen: {"AAPL": 0.2} if len(seen.bars) == 3 else None, over_closure="cancel")
    assert account.orders == 0
    assert [event.cause for event in account.failures] == ["MARKET_CLOSED"]


def test_the_cost_of_selling_what_is_left_is_told_and_on_demand_taken_off(path_of) -> None:
    path, portfolio = path_of(), {"cash": 1000, "AAPL": 50_000}
    kept, sold = (through(path, named("hold"), portfolio, liquidate=one) for one in (False, True))
    cost = kept.liquidation["spread"] + kept.liquidation["impact"]
    assert cost > 0
    assert kept.liquidation["days"] > 0
    assert math.isclose(kept.pnl - sold.pnl, cost)
    assert math.isclose(sum(sold.attribution.cause.values()), sold.pnl)
    assert math.isclose(sum(sold.attribution.sector.values()), sold.pnl)


def test_trades_too_far_from_their_reference_are_broken_and_their_loss_is_undone(store) -> None:
    """As the exchanges did after 6 May 2010; the ledger keeps the trade, the value does not."""
    from quantdesk.scenarios import ScenarioEngine

    stage = ScenarioEngine(store).stage("flash_crash")
    assert stage.references
    seller = holdings_of({"cash": CASH, "AAPL": 1000}, stage.path)

    def panics(seen: Seen) -> dict[str, float] | None:
        return {"AAPL": 0.0} if seen.at >= at else None

    at = pd.Timestamp("2010-05-06T14:46", tz="America/New_York")
    stands = run_account(stage, panics, seller)
    assert stands.failures == ()
    far = dataclasses.replace(stage, references={"AAPL": 10_000.0})
    broken = run_account(far, panics, seller)
    assert {event.cause for event in broken.failures} == {"TRADE_BROKEN"}
    assert broken.ledger == stands.ledger
    column, day = stage.path.column("AAPL"), stage.path.sessions == "2010-05-06"
    last = float(stage.path.close[day, column][-1])
    undone = sum(-event.numbers["shares"] * (last - event.numbers["price"]) for event in broken.failures)
    assert math.isclose(broken.pnl - stands.pnl, undone, rel_tol=1e-9)
    assert undone > 0  # it had sold below the close
    for split in (broken.attribution.asset_class, broken.attribution.sector, broken.attribution.cause):
        assert math.isclose(sum(split.values()), broken.pnl, abs_tol=0.01)
