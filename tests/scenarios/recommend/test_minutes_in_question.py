"""What is recommended for some minutes of a crisis is compared with, and promised for, those minutes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from quantdesk.market import MarketStore
from quantdesk.scenarios import RunConfig, ScenarioEngine, engine
from quantdesk.scenarios.recommend import Recommendations


def test_the_scenario_in_question_is_run_for_the_minutes_that_were_asked_for(
    store: MarketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: dict[str, list[int]] = {}

    def search(run: Any, question: Any, base: RunConfig, **more: Any) -> Recommendations:
        changed = dataclasses.replace(base, cash_buffer=0.5)
        for name in (question.scenario, "volmageddon_2018"):
            lengths[name] = [len(run(name, config).ends) for config in (base, changed)]
        return Recommendations(question.scenario)

    monkeypatch.setattr(engine, "search", search)
    found = ScenarioEngine(store).run("flash_crash", ["equal_weight"], None, 5, recommend=True)
    before, after = lengths["flash_crash_2010"]
    assert before == after == len(found.ends)
    before, after = lengths["volmageddon_2018"]
    assert before == after != len(found.ends)
