"""What is found, judged and rejected, on a market whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.scenarios.recommend import (
    Batch,
    Change,
    HedgeChoice,
    Question,
    Recommendations,
    Rules,
    SearchSpace,
    recommend,
)
from quantdesk.scenarios.run import RunConfig

CASH = SearchSpace((0.1, 0.2, 0.5), (), (), (), ())
FREE = RunConfig(cash_buffer=0.0)
WIDE = Rules(most_calm_cost=100.0)


def kinds(found: Recommendations) -> dict[tuple[Any, ...], str]:
    return {
        (*dict(one.levers.settings).items(), *(h.lever for h in one.levers.hedges)): one.rejected_because.kind
        for one in found.rejected
        if one.rejected_because
    }


def test_the_best_value_of_a_lever_is_found_with_the_figures_of_its_runs(formula: Any, question: Question) -> None:
    found = recommend(formula(calm_gain=2.0), question, FREE, space=CASH, rules=WIDE)
    (best,) = found
    # A half in cash: saves half of (30 + 25 + 15) / 3 points, costs 1 point a year.
    assert best.change == {"cash_buffer": 0.5}
    assert best.score == pytest.approx(70 / 6 - 2.5 * 1.0)
    assert best.judged_score == pytest.approx(30 / 4 - 2.5 * 1.0)
    assert best.calm_cost is not None
    assert best.calm_cost.points == pytest.approx(1.0)
    assert best.calm_cost.dollars == pytest.approx(10_000)
    assert best.effects["here"].before.pnl == pytest.approx(-300_000)
    assert best.promised["here"].pnl == pytest.approx(-150_000)
    assert set(best.effects) == {"here", "a", "b", "c", "d", "calm_1", "calm_2"}
    assert (best.chosen_on, best.judged_on) == (("here", "b", "d"), ("a", "c"))
    assert best.apply(FREE) == RunConfig(cash_buffer=0.5)
    assert kinds(found) == {(("cash_buffer", 0.1),): "same_levers", (("cash_buffer", 0.2),): "same_levers"}


def test_calm_times_that_are_dear_lead_to_a_smaller_change(formula: Any, question: Question) -> None:
    found = recommend(formula(calm_gain=3.0), question, FREE, space=CASH, rules=Rules(most_calm_cost=1.0))
    assert [one.change for one in found] == [{"cash_buffer": 0.2}]
    assert kinds(found)[("cash_buffer", 0.5),] == "calm_cost"


def test_what_costs_more_until_the_next_crisis_than_it_saves_is_rejected(formula: Any, question: Question) -> None:
    found = recommend(formula(calm_gain=20.0), question, FREE, space=CASH, rules=WIDE)
    assert not found.accepted
    assert set(kinds(found).values()) == {"not_worth"}
    assert found.reason == (
        "None of the 3 changes tried is worth recommending for here: 3 cost more in calm times than they saved."
    )


@pytest.mark.parametrize("harmed", ["b", "c"])
def test_a_change_that_harms_another_scenario_beyond_the_tolerance_is_rejected(
    formula: Any, question: Question, harmed: str
) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        return -20.0 if scenario == harmed and config.cash_buffer == 0.5 else 0.0

    found = recommend(formula(extra=extra), question, FREE, space=CASH, rules=WIDE)
    assert [one.change for one in found] == [{"cash_buffer": 0.2}]
    worst = next(one for one in found.rejected if one.change == {"cash_buffer": 0.5})
    assert worst.rejected_because is not None
    assert worst.rejected_because.kind == "worse"
    assert f"changes {harmed} by" in worst.rejected_because.text
    assert "rejected, because it changes" in worst.sentence


def test_the_tolerance_is_the_stated_one(formula: Any, question: Question) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        return -6.0 if scenario == "c" and config.cash_buffer == 0.5 else 0.0

    strict = recommend(formula(extra=extra), question, FREE, space=CASH, rules=Rules(worse_pnl=0.9))
    loose = recommend(formula(extra=extra), question, FREE, space=CASH, rules=Rules(worse_pnl=1.1))
    assert [one.change for one in strict] == [{"cash_buffer": 0.2}]
    assert [one.change for one in loose] == [{"cash_buffer": 0.5}]


def test_what_helps_only_where_it_was_chosen_is_not_confirmed(formula: Any, question: Question) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        return 0.0 if config.stop_distance is None else {"here": 5.0, "a": -0.5, "c": -0.5}.get(scenario, 0.0)

    space = SearchSpace((), (0.1,), (), (), ())
    found = recommend(formula(extra=extra), question, FREE, space=space)
    assert kinds(found) == {(("stop_distance", 0.1),): "not_confirmed"}
    (one,) = found.rejected
    assert one.score is not None
    assert one.judged_score is not None
    assert one.score > 0 > one.judged_score
    assert found.judged == 1


def test_a_pair_is_recommended_where_both_add(formula: Any, question: Question) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        return 4.0 if config.stop_distance is not None and not scenario.startswith("calm") else 0.0

    space = SearchSpace((0.2,), (0.1,), (), (), ())
    found = recommend(formula(extra=extra), question, FREE, space=space)
    assert [one.change for one in found] == [
        {"cash_buffer": 0.2, "stop_distance": 0.1},
        {"cash_buffer": 0.2},
        {"stop_distance": 0.1},
    ]
    assert found.tried == 3


def test_a_pair_that_adds_nothing_to_one_of_its_parts_is_rejected(formula: Any, question: Question) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        return 4.0 if config.stop_distance is not None and not config.cash_buffer and scenario[:4] != "calm" else 0.0

    found = recommend(formula(extra=extra), question, FREE, space=SearchSpace((0.2,), (0.1,), (), (), ()))
    assert kinds(found) == {(("cash_buffer", 0.2), ("stop_distance", 0.1)): "adds_little"}


def test_every_run_is_made_once_and_counted(formula: Any, question: Question) -> None:
    runner = formula()
    found = recommend(runner, question, FREE, space=CASH, rules=WIDE)
    told = [(scenario, json.dumps(config.to_dict())) for scenario, config in runner.calls]
    assert len(told) == len(set(told)) == found.runs
    # 7 without a change; 3 changes on 3 crises and in 2 calm windows; one judged on 2.
    assert found.runs == 7 + 3 * (3 + 2) + 2
    assert found.tried == 3


@pytest.mark.parametrize("most", range(14, 40))
def test_the_budget_is_kept_and_what_was_not_tried_is_said(formula: Any, question: Question, most: int) -> None:
    space = SearchSpace((0.1, 0.2, 0.5), (0.1, 0.2), (), (), ())
    runner = formula()
    found = recommend(runner, question, FREE, space=space, rules=Rules(max_runs=most))
    assert len(runner.calls) == found.runs <= most
    assert found.tried >= 1
    assert found.tried + len(found.untried) >= 5


def test_too_small_a_budget_is_refused_before_it_is_spent(formula: Any, question: Question) -> None:
    runner = formula()
    with pytest.raises(BadInput, match="at least 7"):
        recommend(runner, question, FREE, rules=Rules(max_runs=6))
    assert runner.calls == []
    with pytest.raises(BadInput, match="at least 14"):
        recommend(runner, question, FREE, rules=Rules(max_runs=13))


def test_a_strategy_that_fails_looks_safe_and_is_not_recommended(formula: Any, question: Question) -> None:
    def broken(scenario: str, config: RunConfig) -> str:
        return "It took too long." if config.cash_buffer == 0.5 and scenario == "calm_2" else ""

    found = recommend(formula(broken=broken), question, FREE, space=CASH)
    assert [one.change for one in found] == [{"cash_buffer": 0.2}]
    assert kinds(found)[("cash_buffer", 0.5),] == "failed"


@pytest.mark.parametrize(("scenario", "kind"), [("here", "unpriced"), ("calm", "calm_unpriced"), ("ac", "not_judged")])
def test_what_cannot_be_priced_where_it_must_be_is_rejected(
    formula: Any, question: Question, scenario: str, kind: str
) -> None:
    def refused(name: str, config: RunConfig) -> str:
        where = name == scenario or name.startswith(scenario) or name in scenario
        return "No yields." if config.cash_buffer and where else ""

    found = recommend(formula(refused=refused), question, FREE, space=CASH)
    assert set(kinds(found).values()) == {kind}


def test_a_crisis_that_cannot_price_a_change_counts_as_no_gain_and_is_said(formula: Any, question: Question) -> None:
    def refused(name: str, config: RunConfig) -> str:
        return "No yields." if config.cash_buffer and name in ("b", "c") else ""

    (best,) = recommend(formula(refused=refused), question, FREE, space=CASH)
    assert best.unpriced == {"b": "No yields.", "c": "No yields."}
    assert best.score == pytest.approx((30 + 15) / 6 - 2.5)
    assert "it could not be priced in b, c" in best.sentence


def test_a_scenario_that_fails_without_a_change_is_left_out(formula: Any, question: Question) -> None:
    found = recommend(
        formula(refused=lambda name, config: "There is no history." if name == "a" else ""), question, FREE, space=CASH
    )
    assert found.left_out == {"a": "There is no history."}
    assert (found.chosen_on, found.judged_on) == (("here", "c"), ("b", "d"))


@pytest.mark.parametrize(
    ("bad", "reason"), [("here", "here itself"), ("abcd", "No other crisis"), ("calm_1calm_2", "No calm window")]
)
def test_without_a_judge_or_a_price_nothing_is_recommended(
    formula: Any, question: Question, bad: str, reason: str
) -> None:
    found = recommend(
        formula(refused=lambda name, config: "Not today." if name in bad else ""), question, FREE, space=CASH
    )
    assert len(found) == 0
    assert found.reason.startswith(reason)
    assert found.to_dict()["recommendations"] == []


def test_nothing_to_try_is_said(formula: Any, question: Question) -> None:
    space = SearchSpace((0.2,), (), (), (), (HedgeChoice("index", "SPX", 0.5),))
    found = recommend(formula(), question, RunConfig(cash_buffer=0.2), space=space)
    assert (found.tried, found.reason[:22]) == (0, "There is nothing to tr")
    assert "hedges_not_tried" in found.labels


def test_a_hedge_is_sized_in_each_scenario(
    formula: Any, question: Question, sizes: Callable[[str, HedgeChoice, float], float]
) -> None:
    def extra(scenario: str, config: RunConfig) -> float:
        price = 100 if scenario == "here" else 50
        hedged = config.hedges.get("UST:10Y", 0.0) * price / 1e6
        return hedged * (-1.0 if scenario.startswith("calm") else 10.0)

    space = SearchSpace((), (), (), (), (HedgeChoice("rates", "UST:10Y", 0.25), HedgeChoice("rates", "UST:10Y", 0.5)))
    base = RunConfig(cash_buffer=0.0, hedges={"UST:10Y": 100.0, "SPX": -1.0})
    (best,) = recommend(formula(extra=extra), question, base, space=space, sizes=sizes)
    assert best.quantities["here"] == {"UST:10Y": 5_000.0}
    assert best.quantities["a"] == {"UST:10Y": 10_000.0}
    assert best.change == {"hedges": {"SPX": -1.0, "UST:10Y": 5_100.0}}
    assert dict(best.apply(base, "a").hedges) == {"SPX": -1.0, "UST:10Y": 10_100.0}
    assert best.effects["a"].pnl_points == pytest.approx(5.0)


def test_the_sentence_says_what_to_do_what_it_does_and_what_it_costs(formula: Any, question: Question) -> None:
    (best,) = recommend(formula(), question, FREE, space=CASH)
    assert best.sentence == (
        "Raise the cash buffer from 0 % to 50 %: in here the P&L goes from -$300,000 to -$150,000 and the largest "
        "drawdown from -30.0 % to -15.0 %; the other crisis that it serves worst is c (P&L +$50,000, largest drawdown "
        "5.0 points shallower); in calm times it costs $10,000 (1.00 % of the starting value) a year; one of 3 changes "
        "tried, chosen on 3 crises and judged on 2 others."
    )
    assert best.chance is not None
    # All three help in all three crises; with all signs turned at random one in eight patterns is as good.
    assert best.chance.any_as_good == pytest.approx(1 / 8)
    assert best.to_dict()["change"] == {"cash_buffer": 0.5}


def test_equal_questions_get_equal_answers_alone_and_in_a_batch(formula: Any, question: Question) -> None:
    def noise(scenario: str, config: RunConfig) -> float:
        return float(np.sin(len(scenario) + 100 * config.cash_buffer + 70 * (config.stop_distance or 0.0)))

    space = SearchSpace((0.1, 0.2, 0.5), (0.05, 0.1), (0.1,), (), ())
    runner = formula(extra=noise)
    batch = Batch(lambda cases: [runner(*case) for case in cases])
    turned = Question("here", ("d", "c", "b", "a"), ("calm_1", "calm_2"))
    told = [
        json.dumps(recommend(*asked, FREE, space=space).to_dict(), sort_keys=True)
        for asked in ((runner, question), (batch, question), (runner, turned))
    ]
    assert told[0] == told[1] == told[2]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30.0))
def test_nothing_recommended_harms_beyond_the_tolerance_or_fails_its_judges(
    formula: Any, seed: int, scale: float
) -> None:
    rng = np.random.default_rng([seed])
    table: dict[str, float] = {}

    def extra(scenario: str, config: RunConfig) -> float:
        if config == FREE:
            return 0.0
        key = json.dumps([scenario, config.to_dict()], sort_keys=True)
        return table.setdefault(key, float(rng.normal(0, scale)))

    space = SearchSpace((0.1, 0.3), (0.05, 0.1), (0.1, 0.2), (0.3,), ())
    rules = Rules(most_calm_cost=5.0)
    asked = Question("here", ("a", "b", "c", "d"), ("calm_1",))
    found = recommend(formula(extra=extra), asked, FREE, space=space, rules=rules)
    for one in found:
        others = [effect for name, effect in one.effects.items() if name not in one.calm]
        assert len(others) == 5
        assert min(effect.pnl_points for effect in others) >= -rules.worse_pnl
        assert min(effect.drawdown_points for effect in others) >= -rules.worse_drawdown
        assert one.calm_cost is not None
        assert one.calm_cost.points <= rules.most_calm_cost
        judged = np.mean([rules.benefit(one.effects[name]) for name in one.judged_on])
        assert judged - rules.years_between * max(one.calm_cost.points, 0) == pytest.approx(one.judged_score)
        assert judged > 0
        assert rules.benefit(one.effects["here"]) >= rules.least_gain
    assert len(found) <= rules.top
    assert len({one.levers.levers for one in found}) == len(found)
    assert bool(found.reason) == (not found.accepted)
    assert all(one.rejected_because is not None for one in found.rejected)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (("here", ("here",), ("calm_1",)), "here stands twice"),
        (("here", ("a",), ()), "no calm window"),
        (("here", ("a",), ("calm_1",), ("b",)), "b is to judge"),
    ],
)
def test_a_wrong_question_is_refused(wrong: tuple[Any, ...], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Question(*wrong)


def test_judges_can_be_named(formula: Any) -> None:
    asked = Question("here", ("a", "b", "c", "d"), ("calm_1",), judged=("d",))
    found = recommend(formula(), asked, FREE, space=CASH)
    assert (found.chosen_on, found.judged_on) == (("here", "a", "b", "c"), ("d",))


def test_no_change_is_the_settings_themselves() -> None:
    assert Change().apply(FREE, {}) == FREE
