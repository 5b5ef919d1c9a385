"""Jobs as the ledger keeps them: names, what is refused, what is sealed, and what a due time makes of a schedule."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.reports.dispatch import Outcome, WorkerConfig
from quantdesk.reports.dispatch.due import Scheduler
from quantdesk.reports.dispatch.orders import order_for
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.here import JobsOfLab
from quantdesk.reports.lab.job import LabJob, job_id, report_name, run_id, sealed_text
from quantdesk.reports.ledger import Order, RunLedger, Schedule, State
from quantdesk.reports.notebooks import find_report
from quantdesk.reports.runs import RunsConfig

JOB = LabJob("weekly", "a.ipynb", "0" * 64, "/home/ana", 1)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}[A-Za-z0-9]", fullmatch=True))
def test_the_name_of_a_run_goes_to_jupyterlab_and_back(run: str) -> None:
    assert run_id(job_id(run)) == run
    if "-" in run:
        assert re.fullmatch(r"\w+(-\w+)+", job_id(run), re.ASCII)


@given(st.text(max_size=60))
def test_no_notebook_of_the_team_can_have_the_name_of_a_users_own(stem: str) -> None:
    name = report_name(f"{stem}.ipynb")
    assert re.fullmatch(r"lab/[A-Za-z0-9_-]{1,40}", name)
    with pytest.raises((BadInput, UnknownName)):
        find_report(name)


def test_it_reads_what_it_wrote_and_nothing_else() -> None:
    job = replace(JOB, formats=("html",), tags=("a",), definition="d-1")
    assert LabJob.of({"lab": job.to_dict()}) == job
    for broken in ({}, {"lab": None}, {"lab": job.to_dict() | {"more": 1}}, {"lab": job.to_dict() | {"sha256": "../x"}},
                   {"lab": job.to_dict() | {"filename": "../x.ipynb"}}):  # fmt: skip
        with pytest.raises(DataError):
            LabJob.of(broken)


def test_what_is_sealed_tells_any_two_orders_apart() -> None:
    job = JOB.to_dict()
    texts = {
        sealed_text(user, parameters, one)
        for user in ("ana", "bob")
        for parameters in ({}, {"x": "1"}, {"x": "1", "y": "2"})
        for one in (job, job | {"sha256": "1" * 64}, job | {"folder": "/"}, job | {"made": 2})
    }
    assert len(texts) == 24
    assert sealed_text("a", {"x": "1", "y": "2"}, job) == sealed_text("a", {"y": "2", "x": "1"}, job)
    with pytest.raises(BadInput, match="without its notebook"):
        sealed_text("a", {"x": "y" * 60_000}, job)


def test_a_notebook_that_was_changed_is_not_run(tmp_path: Path) -> None:
    config = RunsConfig(reports_root=tmp_path)
    import hashlib

    job = replace(JOB, sha256=hashlib.sha256(b"{}").hexdigest())
    path = kept.keep(job, b"{}", config)
    assert kept.read(job, config) == b"{}"
    assert path.stat().st_mode & 0o007 == 0
    path.write_bytes(b"[]")
    with pytest.raises(DataError, match="was changed since"):
        kept.read(job, config)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        kept.read(job, config)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    with RunLedger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


def order(number: int, trigger: str) -> Order:
    return Order(f"run-{number}", "r", "R", {}, "ana", trigger=trigger)


def test_who_claims_what(ledger: RunLedger) -> None:
    for number, trigger in enumerate(("lab", "api", "schedule", "lab")):
        ledger.queue.add(order(number, trigger))

    def claimed(lab: str) -> list[str]:
        rules = WorkerConfig(lab=lab).triggers  # type: ignore[arg-type]
        found = []
        while (claim := ledger.queue.claim("w", 60, **rules)) is not None:
            found.append(claim.run.id)
            ledger.queue.give_back(claim)
            ledger.queue.cancel(claim.run.id)
        return found

    assert WorkerConfig().lab == "never", "who runs a worker by hand takes nobody's own notebooks for his"
    assert claimed("never") == ["run-1", "run-2"]
    assert claimed("only") == ["run-0", "run-3"]
    ledger.queue.add(order(7, "lab"))
    assert claimed("also") == ["run-7"]


def test_a_due_time_of_a_job_definition_is_a_private_job_with_its_users_words(
    ledger: RunLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path / "notebooks"))
    details = {"lab": JOB.to_dict(), "seal": "s"}
    since = datetime.now(UTC) - timedelta(minutes=2)
    ledger.schedules.add(
        Schedule("d-1", "lab/a", "* * * * *", "UTC", "ana", {"x": "1"}, is_private=True, source="lab", details=details,
                 handled=since)
    )  # fmt: skip
    assert Scheduler(ledger, "w", WorkerConfig()).step() >= 1
    run = next(one for one in ledger.search.runs().runs if one.schedule_id == "d-1")
    assert (run.title, run.trigger, run.is_private, run.requested_by) == ("weekly", "lab", True, "ana")
    assert (run.details["lab"], run.details["seal"], run.parameters) == (JOB.to_dict(), "s", {"x": "1"})
    assert sealed_text("ana", run.parameters, run.details["lab"]) == sealed_text("ana", {"x": "1"}, JOB.to_dict())
    assert "ERROR" not in {record.levelname for record in caplog.records}


@pytest.mark.parametrize(("night", "due"), [("2026-03-08", "07:00"), ("2026-11-01", "07:30"), ("2026-07-01", "06:30")])
def test_due_times_follow_the_clocks_of_its_zone(night: str, due: str) -> None:
    """02:30 in New York: skipped by its clocks in March, in winter time in November, in summer time in July."""
    from quantdesk.reports.schedule import parse

    trigger = parse("30 2 * * *", "America/New_York")
    at = trigger.next_after(datetime.fromisoformat(f"{night}T04:30:00+00:00"))
    assert at is not None
    found = order_for(Schedule("d-1", "lab/a", "30 2 * * *", "America/New_York", "ana"), None, at, at).due
    assert found is not None
    assert f"{found:%H:%M}" == due


def test_one_persons_worker_runs_a_job_in_its_folder_and_others_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    import hashlib
    import threading

    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    home = tmp_path / "home"
    source = write(home / "a.ipynb", "word = 'none'", "print(word, open('beside.txt').read())")  # type: ignore[operator]
    (home / "beside.txt").write_text("beside")
    content = source.read_bytes()
    job = replace(JOB, sha256=hashlib.sha256(content).hexdigest(), folder=str(home))
    kept.keep(job, content)
    hostile = "'); import os; os.abort(); ('"
    run = SimpleNamespace(id="20261127T120000.000Z-lab-a-000001", trigger="lab", details={"lab": job.to_dict()},
                          parameters={"word": hostile}, attempt=1, requested_by="ana")  # fmt: skip
    work = SimpleNamespace(run=run, previous=(), tell=lambda step: None, cancel=threading.Event())
    others = Outcome(State.COMPLETED)
    execute = JobsOfLab(lambda work: others)
    outcome = execute(work)  # type: ignore[arg-type]
    assert outcome.state is State.COMPLETED, outcome.problem
    assert f"{hostile} beside" in Path(outcome.folder, "notebook.ipynb").read_text()
    work.run = SimpleNamespace(trigger="api")
    assert execute(work) is others  # type: ignore[arg-type]
    (home / "beside.txt").unlink()
    source.unlink()
    home.rmdir()
    work.run = SimpleNamespace(**vars(run) | {"id": "20261127T120000.000Z-lab-a-000002"})
    gone = execute(work)  # type: ignore[arg-type]
    assert gone.state is State.FAILED
    assert f"The folder {home} of this job is not there." in gone.problem
