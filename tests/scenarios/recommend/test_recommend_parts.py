"""The search space, the rules, and what chance would have done."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from quantdesk.errors import BadInput
from quantdesk.scenarios.recommend import Change, HedgeChoice, Rules, SearchSpace, by_chance
from quantdesk.scenarios.run import RunConfig


def test_the_space_takes_turns_among_levers_and_leaves_out_what_is_set() -> None:
    space = SearchSpace((0.1, 0.2), (0.05,), (), (0.3,), (HedgeChoice("index", "SPX", 0.5),))
    told = [(dict(one.settings), [hedge.share for hedge in one.hedges]) for one in space.singles(RunConfig())]
    assert told == [
        ({"cash_buffer": 0.1}, []),
        ({"stop_distance": 0.05}, []),
        ({"sector_limit": 0.3}, []),
        ({}, [0.5]),
        ({"cash_buffer": 0.2}, []),
    ]
    assert len(space.singles(RunConfig(cash_buffer=0.1, sector_limit=0.3))) == 3


def test_the_default_space_has_every_lever_of_the_issue() -> None:
    levers = {lever for one in SearchSpace().singles(RunConfig()) for lever in one.levers}
    assert levers == {
        "cash_buffer", "stop_distance", "position_limit", "sector_limit",
        "hedge SPX", "hedge OPT:SPX:P:90%:6M", "hedge UST:10Y",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["cash_buffer", "stop_distance", "position_limit", "sector_limit"])
def test_a_value_that_no_run_takes_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=name):
        SearchSpace(**{name: (1.5,)})


@pytest.mark.parametrize(
    ("kind", "share"), [("index", 0.0), ("index", -0.5), ("volatility", 1.1), ("rates", -1.5), ("index", float("nan"))]
)
def test_a_hedge_without_a_size_is_refused(kind: str, share: float) -> None:
    with pytest.raises(BadInput, match="share"):
        HedgeChoice(kind, "SPX", share)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("worse_pnl", -1.0), ("years_between", float("nan")), ("drawdown_weight", 1.5), ("top", 0), ("max_runs", True)],
)
def test_a_rule_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=name):
        Rules(**{name: value})  # type: ignore[arg-type]


def test_what_is_earned_in_calm_times_is_no_merit() -> None:
    assert Rules().score(3.0, -5.0) == 3.0
    assert Rules(years_between=2.0).score(3.0, 1.0) == 1.0


def test_words_say_from_what_to_what() -> None:
    put = HedgeChoice("volatility", "OPT:SPX:P:90%:6M", 0.25)
    change = Change((("cash_buffer", 0.01), ("stop_distance", 0.08), ("position_limit", 0.15)), (put,))
    assert change.words(RunConfig(), {put.instrument: 3.0}) == (
        "lower the cash buffer from 2 % to 1 % and set the stop distance from no stops to 8 % and set the position "
        "limit from no limit to 15 % and buy 3 contracts of OPT:SPX:P:90%:6M (25 % of the beta)"
    )
    assert HedgeChoice("index", "SPX", 0.5).words(-400) == "sell 400 SPX short (50 % of the beta)"
    bond = HedgeChoice("rates", "UST:10Y", -0.25)
    assert bond.words(-250_000) == "sell short $250,000 of UST:10Y (25 % of the starting value)"
    assert HedgeChoice("rates", "UST:10Y", 0.25).words(250_000)[:12] == "buy $250,000"


def test_chance_counts_all_patterns_of_signs() -> None:
    table = np.random.default_rng([3]).normal(size=(5, 4))
    found = by_chance(table, 2)
    patterns = list(itertools.product((1, -1), repeat=4))
    as_good = [sum(np.mean(np.array(signs) * row) >= table[2].mean() for row in table) for signs in patterns]
    assert found.as_good == pytest.approx(np.mean(as_good))
    assert found.any_as_good == pytest.approx(np.mean([many > 0 for many in as_good]))
    assert (found.tried, found.crises) == (5, 4)
    assert f"{found.as_good:.1f} would look as good" in found.sentence


def test_the_more_is_tried_the_more_looks_good_by_chance() -> None:
    table = np.random.default_rng([4]).normal(size=(40, 6))
    few, many = by_chance(table[:5], 0), by_chance(table, 0)
    assert few.as_good <= many.as_good
    assert few.any_as_good <= many.any_as_good


def test_copies_of_one_change_do_not_make_chance_likelier() -> None:
    row = np.array([1.0, 2.0, 3.0])
    assert by_chance(np.tile(row, (10, 1)), 0).any_as_good == by_chance(row[None], 0).any_as_good == 1 / 8


def test_with_many_crises_drawn_signs_are_near_the_exact_share() -> None:
    found = by_chance(np.ones((1, 14)) * np.r_[np.ones(10), np.zeros(4)], 0)
    assert found == by_chance(np.ones((1, 14)) * np.r_[np.ones(10), np.zeros(4)], 0)
    assert found.any_as_good == pytest.approx(2**-10, abs=2e-3)
    assert found.any_as_good > 0


def test_a_change_with_a_hedge_travels_to_a_worker() -> None:
    hedge = HedgeChoice("volatility", "OPT:SPX:P:90%:3M", 0.25)
    base = RunConfig(hedges={"FUT:WTI": -1.0})
    changed = Change((("cash_buffer", 0.2),), (hedge,)).apply(base, {hedge.instrument: 3.0})
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert changed.hedges == {"FUT:WTI": -1.0, hedge.instrument: 3.0}
    assert base.hedges == {"FUT:WTI": -1.0}
