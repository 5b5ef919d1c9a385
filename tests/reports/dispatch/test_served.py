"""A run whose makings have not changed is answered by the one that was made, and by no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quantdesk.reports import find_report
from quantdesk.reports.dispatch import Outcome, Work
from quantdesk.reports.dispatch.served import NO_CACHE, FromCache
from quantdesk.reports.dispatch.work import outcome_of
from quantdesk.reports.ledger import Order, Recorded, RunLedger, State
from quantdesk.reports.result import Metric, Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, new_id, publish

MADE_FROM = Provenance(data_version="d1", features_version="none", lock_sha256="l1", python="3.11.9", code_version="c1")


Write = Callable[[str], Path]


@pytest.fixture
def count(notebook: Callable[..., Path], state: Path) -> Write:
    """Write the report "count", whose last cell is given; it is there once already."""

    def write(last: str) -> Path:
        return notebook("count", ["#md # Count", "n: int = 1  # how many", last], {1: "parameters"})

    write("print(n)")
    return write


@dataclass
class Desk:
    """A ledger, what runs are made from at present, and how often a notebook really ran."""

    ledger: RunLedger
    made_from: Provenance = MADE_FROM
    ran: list[str] = field(default_factory=list)
    status: Status = Status.COMPLETED

    def execute(self, work: Work) -> Outcome:
        run = work.run
        report = find_report("count")
        self.ran.append(run.id)
        now = datetime.now(UTC)
        made = Run(
            id=run.id,
            report="count",
            title="Count",
            status=self.status,
            parameters={"n": 1, **run.parameters},
            given=tuple(run.parameters),
            seed=None,
            notebook=str(report.path),
            notebook_sha256=report.sha256,
            started=now,
            ended=now,
            problem=None,
            labels=("real",),
            provenance=self.made_from,
            folder=RunsConfig.from_env().runs / run.id,
            metrics=(Metric("n", run.parameters.get("n", 1)),),
        )
        return outcome_of(publish(made, notebook="{}", page="<p>", log=None))

    def run(self, given: dict[str, Any] | None = None, **more: Any) -> Recorded:
        """Order a run, carry it out through the cache, and note its end."""
        name = new_id("count", datetime.now(UTC))
        self.ledger.queue.add(Order(name, "count", "Count", given or {}, **{"requested_by": "ana", **more}))
        claim = self.ledger.queue.claim("worker", 60)
        assert claim is not None
        work = Work(claim.run, (), lambda step: None, threading.Event())
        done = FromCache(self.ledger, self.execute, lambda: self.made_from)(work)
        return self.ledger.queue.finish(
            claim, done.state, done.record, folder=done.folder, metrics=done.metrics, **done.more
        )


@pytest.fixture
def desk(ledger: RunLedger, count: Write) -> Desk:
    return Desk(ledger)


def test_the_second_run_is_served_and_says_so(desk: Desk) -> None:
    first, second, third = desk.run(), desk.run({"n": 1}), desk.run()
    assert desk.ran == [first.id]
    assert (first.cached_from, second.cached_from, third.cached_from) == (None, first.id, first.id)
    assert second.folder == first.folder
    assert second.metrics == first.metrics
    assert second.state is State.COMPLETED
    record = Run.from_dict(second.record, Path(second.folder))
    assert record.id == second.id
    assert record.started > Run.from_dict(first.record, Path(first.folder)).started
    assert record.labels == ("real",)
    assert f"these are the files of the run {first.id}" in record.notes[-1]


@pytest.mark.parametrize(
    "change",
    ["data_version", "features_version", "lock_sha256", "code_version", "python"],
)
def test_whatever_changed_is_run_again(desk: Desk, change: str) -> None:
    desk.run()
    desk.made_from = replace(MADE_FROM, **{change: "another"})
    assert desk.run().cached_from is None
    assert len(desk.ran) == 2
    assert desk.run().cached_from == desk.ran[1]


def test_other_parameters_another_notebook_and_another_declaration_are_run(desk: Desk, count: Write) -> None:
    desk.run()
    assert desk.run({"n": 2}).cached_from is None
    find_report("count").path.with_suffix(".toml").write_text("seed = 3\n")
    assert desk.run().cached_from is None
    count("print(n + 1)")
    assert desk.run().cached_from is None
    assert desk.run().cached_from == desk.ran[-1]


def test_who_wants_no_cache_has_none(desk: Desk, count: Write) -> None:
    first = desk.run()
    assert desk.run(details={NO_CACHE: True}).cached_from is None
    find_report("count").path.with_suffix(".toml").write_text("cache = false\n")
    assert desk.run().cached_from is None
    assert desk.run().cached_from is None
    assert desk.ran[0] == first.id
    assert len(desk.ran) == 4


def test_what_is_not_known_or_changed_meanwhile_is_not_served(desk: Desk) -> None:
    desk.made_from = replace(MADE_FROM, data_version=None)
    assert desk.run().cache_key is None
    desk.made_from = replace(MADE_FROM, changed="data")
    assert desk.run().cache_key is None
    desk.made_from = MADE_FROM
    assert desk.run().cached_from is None


def test_a_notebook_that_was_saved_while_it_began_gets_no_key(desk: Desk, count: Write) -> None:
    original = desk.execute

    def saved(work: Work) -> Outcome:
        count("print('other')")
        return original(work)

    desk.execute = saved  # type: ignore[method-assign]
    assert desk.run().cache_key is None


def test_a_failure_and_files_that_are_gone_are_not_served(desk: Desk) -> None:
    import shutil

    desk.status = Status.FAILED
    assert desk.run().cache_key is None
    desk.status = Status.COMPLETED
    good = desk.run()
    assert good.cached_from is None
    shutil.rmtree(good.folder)
    assert desk.run().cached_from is None


def test_a_private_run_is_not_shown_to_another(desk: Desk) -> None:
    mine = desk.run(is_private=True)
    assert desk.run(requested_by="bob").cached_from is None
    assert desk.run(requested_by="bob").cached_from == desk.ran[1]
    assert mine.id == desk.ran[0]


def test_a_run_that_was_begun_before_looks_at_its_own_folder_first(desk: Desk) -> None:
    desk.run()
    name = new_id("count", datetime.now(UTC))
    (RunsConfig.from_env().runs / name).mkdir(parents=True)
    desk.ledger.queue.add(Order(name, "count", "Count", {}, requested_by="ana"))
    claim = desk.ledger.queue.claim("worker", 60)
    assert claim is not None
    reached: list[str] = []

    def execute(work: Work) -> Outcome:
        reached.append(work.run.id)
        return Outcome(State.FAILED, "x")

    done = FromCache(desk.ledger, execute, lambda: MADE_FROM)(Work(claim.run, (), lambda step: None, threading.Event()))
    assert (reached, done.state) == ([name], State.FAILED)


def test_a_report_that_is_not_there_is_left_to_who_carries_it_out(desk: Desk, count: Write) -> None:
    desk.run()
    find_report("count").path.unlink()
    desk.ledger.queue.add(Order("a", "count", "Count", {}, requested_by="ana"))
    claim = desk.ledger.queue.claim("worker", 60)
    assert claim is not None
    told = FromCache(desk.ledger, lambda work: Outcome(State.FAILED, "no such report"), lambda: MADE_FROM)(
        Work(claim.run, (), lambda step: None, threading.Event())
    )
    assert told.problem == "no such report"
