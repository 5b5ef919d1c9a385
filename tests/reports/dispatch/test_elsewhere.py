"""Runs that are carried out on another machine: cancelled, watched, taken over; a cluster that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantdesk.compute import Dask, InProcess, Lost
from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.reports.dispatch import Outcome, Work, Worker, elsewhere, here
from quantdesk.reports.dispatch.elsewhere import ComputeConfig, Elsewhere
from quantdesk.reports.ledger import RunLedger, State
from quantdesk.reports.progress import Step
from quantdesk.reports.runs import RunsConfig


@pytest.fixture
def work(ledger: RunLedger, state: Path, order: Any, monkeypatch: pytest.MonkeyPatch) -> Work:
    for name in ("LOOK_S", "TOUCH_S"):
        monkeypatch.setattr(elsewhere, name, 0.01)
    ledger.queue.add(order())
    claim = ledger.queue.claim("one", 60)
    assert claim is not None
    steps: list[Step] = []
    made = Work(claim.run, (), steps.append, threading.Event())
    made.__dict__["steps"] = steps
    return made


def control() -> list[Path]:
    folder = RunsConfig.from_env().reports_root / "control"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_run_is_carried_out_and_watched(work: Work, helpers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(far_work: Work) -> Outcome:
        assert far_work.run == work.run
        far_work.tell(Step("Risk", 1, 2, 0.5, None))
        helpers.until(lambda: work.__dict__["steps"])
        return here.outcome_of(helpers.published(far_work))

    monkeypatch.setattr(elsewhere, "carry_out", far)
    assert Elsewhere(InProcess())(work).state is State.COMPLETED
    assert work.__dict__["steps"] == [Step("Risk", 1, 2, 0.5, None)]
    assert control() == []


def test_a_cancellation_travels(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(far_work: Work) -> Outcome:
        work.cancel.set()
        assert far_work.cancel.wait(120)
        return Outcome(State.CANCELLED, "It was cancelled.")

    monkeypatch.setattr(elsewhere, "carry_out", far)
    assert Elsewhere(InProcess())(work) == Outcome(State.CANCELLED, "It was cancelled.")


def test_the_far_side_ends_when_its_worker_is_gone(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(far_work: Work) -> Outcome:
        assert far_work.cancel.wait(120)
        return Outcome(State.CANCELLED)

    monkeypatch.setattr(elsewhere, "carry_out", far)
    monkeypatch.setattr(elsewhere, "SILENCE_S", 0.2)
    (tmp_path / "alive").touch()
    assert elsewhere.there(elsewhere.Errand(work.run, (), str(tmp_path))).state is State.CANCELLED


class Place(InProcess):
    """A place that answers as a test wants."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def each(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        limit_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Any]]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            while not stop():
                time.sleep(0.01)
            return
        yield 0, answer


def test_a_cluster_that_is_away_is_waited_for(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "LONGEST_WAIT_S", 0.01)
    away = EnvironmentProblem("No Dask scheduler answers.")
    assert Elsewhere(Place(away, Outcome(State.COMPLETED)))(work).state is State.COMPLETED
    assert [step.what for step in work.__dict__["steps"]] == ["waiting for the cluster"]
    work.cancel.set()
    assert Elsewhere(Place())(work).state is State.CANCELLED


def test_a_worker_of_the_cluster_that_died(work: Work) -> None:
    outcome = Elsewhere(Place(Lost("It ended every worker that it was given to.")))(work)
    assert (outcome.state, outcome.retry_after_s) == (State.LOST, 60.0)


def test_files_that_are_not_here(work: Work) -> None:
    outcome = Elsewhere(Place(Outcome(State.COMPLETED, folder="/nowhere")))(work)
    assert outcome.state is State.FAILED
    assert "does not see its files: /nowhere" in outcome.problem


def test_what_does_not_end_is_let_go(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "PATIENCE_S", 0.05)
    threading.Timer(0.1, work.cancel.set).start()
    assert "did not end in time" in Elsewhere(Place("never"))(work).problem


def test_a_name_that_is_no_name_is_no_folder(work: Work) -> None:
    hostile = replace(work, run=replace(work.run, id="../../etc"))
    with pytest.raises(BadInput, match="is no name of a run"):
        Elsewhere(InProcess())(hostile)
    assert here.carry_out(hostile).problem.startswith("'../../etc' is no name of a run.")


def test_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ComputeConfig.from_env().execute() is here.carry_out
    for given, address in (("dask://h:1", "tcp://h:1"), ("tls://h:1", "tls://h:1")):
        execute = ComputeConfig(compute=given).execute()
        assert isinstance(execute, Elsewhere)
        assert isinstance(execute._compute, Dask)
        assert execute._compute.scheduler == address
    monkeypatch.setenv("QUANTDESK_REPORTS_COMPUTE", "compute")
    execute = ComputeConfig.from_env().execute()
    assert isinstance(execute, Elsewhere)
    assert isinstance(execute._compute, InProcess)
    for wrong in ("dask://", "spark://h:1", "dask"):
        with pytest.raises(BadInput, match="QUANTDESK_REPORTS_COMPUTE is"):
            ComputeConfig(compute=wrong).execute()


@pytest.mark.slow
def test_a_real_report_on_a_real_cluster(
    ledger: RunLedger, state: Path, notebook: Any, order: Any, working: Any, helpers: Any
) -> None:
    from distributed import LocalCluster

    notebook("tiny", ["x = 1", "print(x)"], {0: "parameters"})
    notebook("long", ["x = 1", "import time\ntime.sleep(60)"], {0: "parameters"})
    done, cancelled = order(1, parameters={"x": 2}), order(2, report="long")
    for one in (done, cancelled):
        ledger.queue.add(one)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": "ERROR"}
    with LocalCluster(host="127.0.0.1", **options) as cluster:
        execute = Elsewhere(Dask(cluster.scheduler_address, timeout=60))
        with working(Worker(ledger, execute=execute, config=helpers.QUICK)):
            helpers.until(lambda: helpers.settled(ledger, done.id))
            helpers.until(lambda: ledger.queue.get(cancelled.id).progress.get("total"))
            ledger.queue.cancel(cancelled.id)
            helpers.until(lambda: helpers.settled(ledger, cancelled.id))
    assert ledger.queue.get(done.id).state is State.COMPLETED
    assert ledger.queue.get(cancelled.id).state is State.CANCELLED
    assert {path.name for path in RunsConfig.from_env().runs.iterdir()} == {done.id, cancelled.id}
    assert control() == []
