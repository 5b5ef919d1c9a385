"""Steps are done once, a failure names itself, and a rerun goes on from there."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.hub import up


@dataclass
class Bench:
    """Three steps that count how often they work."""

    state: Path
    worked: list[str] = field(default_factory=list)
    ended: list[tuple[str, bool]] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=lambda: {"a": "1", "b": "1", "c": "1"})
    there: set[str] = field(default_factory=set)
    failing: dict[str, Exception] = field(default_factory=dict)

    def step(self, name: str) -> up.Step:
        def work(progress: up.Progress) -> str:
            progress("half", 1, 2)
            self.worked.append(name)
            if name in self.failing:
                raise self.failing[name]
            self.there.add(name)
            return f"{name} is there"

        return up.Step(name, name.upper(), lambda: self.marks[name], lambda: name in self.there, work, "Look at it.")

    def run(self) -> None:
        self.worked.clear()
        self.ended.clear()
        steps = [self.step(name) for name in "abc"]
        up.run(
            steps,
            self.state,
            lambda step: lambda what, done, total: None,
            lambda done: self.ended.append((done.step.name, done.skipped)),
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_second_run_repeats_nothing(bench: Bench) -> None:
    bench.run()
    assert bench.worked == ["a", "b", "c"]
    bench.run()
    assert bench.worked == []
    assert bench.ended == [("a", True), ("b", True), ("c", True)]


def test_a_step_is_done_again_when_its_inputs_change_or_its_product_is_gone(bench: Bench) -> None:
    bench.run()
    bench.marks["b"] = "2"
    bench.there.discard("c")
    bench.run()
    assert bench.worked == ["b", "c"]


@pytest.mark.parametrize("error", [BadInput("The value 7 is odd.", "Give an even one."), OSError("broken")])
def test_a_failure_names_the_step_and_a_rerun_goes_on_there(bench: Bench, error: Exception) -> None:
    bench.failing["b"] = error
    with pytest.raises(up.StepFailed, match="“B” failed") as caught:
        bench.run()
    assert "goes on from this step" in caught.value.remedy
    assert ("Give an even one." in caught.value.remedy) is isinstance(error, BadInput)
    assert caught.value.exit_code == (2 if isinstance(error, BadInput) else 4)
    bench.failing.clear()
    bench.run()
    assert bench.worked == ["b", "c"]


def test_a_step_that_fails_again_is_not_remembered_as_done(bench: Bench) -> None:
    bench.run()
    bench.marks["b"] = "2"
    bench.failing["b"] = OSError("broken")
    with pytest.raises(up.StepFailed):
        bench.run()
    bench.marks["b"] = "1"
    bench.failing.clear()
    bench.run()
    assert bench.worked == ["b"]


@pytest.mark.parametrize("damage", ["", "[]", '{"a": 3}', '{"a": {"fingerprint": "1"}}', "{"])
def test_a_damaged_ledger_only_means_that_the_steps_are_done_again(bench: Bench, damage: str) -> None:
    bench.run()
    (bench.state / "up.json").write_text(damage)
    bench.run()
    assert bench.worked == ["a", "b", "c"]
    assert set(json.loads((bench.state / "up.json").read_text())) == {"a", "b", "c"}


def test_a_full_disk_is_said_before_anything_is_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 3 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(EnvironmentProblem, match=r"0\.0 GB are free"):
        bench.run()
    assert bench.worked == []
