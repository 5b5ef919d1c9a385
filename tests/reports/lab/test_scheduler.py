"""JupyterLab's own interface for jobs, from its HTTP interface through the service to the ledger and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from quantdesk.reports.lab import kept
from quantdesk.reports.lab.job import LabJob, run_id
from quantdesk.reports.ledger import State

pytestmark = pytest.mark.xdist_group("lab")


def form(uri: str, **more: Any) -> dict[str, Any]:
    """What JupyterLab sends when its form is filled in."""
    return {"name": "a job", "input_uri": uri, "runtime_environment_name": "quantdesk",
            "output_formats": ["ipynb", "html"], "idempotency_token": "", "tags": [], "compute_type": None,
            "runtime_environment_parameters": {}, "package_input_folder": False} | more  # fmt: skip


def said(answer: Any) -> str:
    assert answer.status_code == 500, answer.text
    return str(answer.json()["message"])


def test_what_the_form_may_offer(anas: Any) -> None:
    (environment,) = anas.ask("GET", "scheduler/runtime_environments").json()
    assert environment["name"] == "quantdesk"
    assert environment["output_formats"] == [{"name": "ipynb", "label": "Notebook"}, {"name": "html", "label": "HTML"}]
    features = anas.ask("GET", "scheduler/config").json()["supported_features"]
    assert features["stop_job"]
    assert not features["email_notifications"]


def test_a_job_is_an_order_of_the_ledger_private_and_with_its_notebook(anas: Any, platform: Any, write: Any) -> None:
    write(anas.home / "work" / "my risk.ipynb", "window = 20\nname = 'AAPL'", "print(window, name)")
    asked = form("work/my risk.ipynb", parameters={"window": "30", "name": "2330"}, tags=["weekly"])
    made = anas.ask("POST", "scheduler/jobs", json=asked).json()["job_id"]
    run = platform.ledger.queue.get(run_id(made))
    assert (run.report, run.title, run.trigger, run.requested_by) == ("lab/my-risk", "a job", "lab", "ana")
    assert (run.is_private, run.state, run.parameters) == (True, State.QUEUED, {"window": "30", "name": "2330"})
    job = LabJob.of(run.details)
    assert (job.filename, job.folder) == ("my risk.ipynb", str(anas.home / "work"))
    cells = json.loads(kept.read(job))["cells"]
    assert "".join(cells[1]["source"]) == "print(window, name)"
    assert [cell["outputs"] for cell in cells] == [[], []], "results of its user's own sessions stay with him"
    told = anas.ask("GET", f"scheduler/jobs/{made}").json()
    assert (told["status"], told["parameters"], told["tags"]) == ("QUEUED", asked["parameters"], ["weekly"])
    assert [one["file_path"] for one in told["job_files"]] == [None, None, None]


def test_jobs_are_listed_sorted_counted_stopped_and_deleted(anas: Any, platform: Any, write: Any) -> None:
    write(anas.home / "list.ipynb", "x = 1")
    ids = [anas.ask("POST", "scheduler/jobs", json=form("list.ipynb", name=f"list {one}")).json()["job_id"]
           for one in ("b", "c", "a")]  # fmt: skip
    query = {"name": "list", "sort_by": "asc(name)", "max_items": 2}
    first = anas.ask("GET", "scheduler/jobs", params=query).json()
    assert ([one["name"] for one in first["jobs"]], first["total_count"]) == (["list a", "list b"], 3)
    rest = anas.ask("GET", "scheduler/jobs", params=query | {"next_token": first["next_token"]}).json()
    assert [one["name"] for one in rest["jobs"]] == ["list c"]
    assert "next_token" not in rest
    before = anas.ask("GET", "scheduler/jobs/count", params={"status": "queued"}).json()["count"]
    assert anas.ask("PATCH", f"scheduler/jobs/{ids[0]}", json={"status": "STOPPED"}).status_code == 204
    assert anas.ask("GET", f"scheduler/jobs/{ids[0]}").json()["status"] == "STOPPED"
    assert anas.ask("GET", "scheduler/jobs/count", params={"status": "queued"}).json()["count"] == before - 1
    deleted = anas.ask("DELETE", "scheduler/batch/jobs", params=[("job_id", ids[1]), ("job_id", ids[2])])
    assert deleted.status_code == 204
    left = anas.ask("GET", "scheduler/jobs", params={"name": "list"}).json()["jobs"]
    assert [one["job_id"] for one in left] == ids[:1]
    assert platform.ledger.queue.get(run_id(ids[1])).state is State.CANCELLED, "the ledger forgets nothing"
    assert "Unknown run" in said(anas.ask("GET", f"scheduler/jobs/{ids[1]}"))


def test_a_definition_is_a_schedule_that_can_be_edited_paused_and_run_now(anas: Any, platform: Any, write: Any) -> None:
    write(anas.home / "plan.ipynb", "x = 1")
    asked = form("plan.ipynb", name="plan", schedule="30 2 * * *", timezone="Europe/Berlin", parameters={"x": "2"})
    made = anas.ask("POST", "scheduler/job_definitions", json=asked).json()["job_definition_id"]
    schedule = platform.ledger.schedules.get(made)
    assert (schedule.trigger, schedule.timezone, schedule.source) == ("30 2 * * *", "Europe/Berlin", "lab")
    assert (schedule.is_private, schedule.created_by, schedule.parameters) == (True, "ana", {"x": "2"})
    place = f"scheduler/job_definitions/{made}"
    assert anas.ask("PATCH", place, json={"active": False}).status_code == 204
    assert not anas.ask("GET", place).json()["active"]
    write(anas.home / "plan.ipynb", "x = 1", "print('another one')")
    edited = {"schedule": "0 9 * * MON-FRI", "timezone": "Asia/Tokyo", "input_uri": "plan.ipynb", "active": True}
    assert anas.ask("PATCH", place, json=edited).status_code == 204
    after = platform.ledger.schedules.get(made)
    assert (after.trigger, after.timezone, after.is_enabled) == ("0 9 * * MON-FRI", "Asia/Tokyo", True)
    assert "another one" in kept.read(LabJob.of(after.details)).decode()
    job = anas.ask("POST", f"{place}/jobs", json={"parameters": {"x": "3"}}).json()["job_id"]
    (listed,) = anas.ask("GET", "scheduler/jobs", params={"job_definition_id": made}).json()["jobs"]
    assert (listed["job_id"], listed["parameters"]) == (job, {"x": "3"})
    plans = anas.ask("GET", "scheduler/job_definitions", params={"name": "plan"}).json()["job_definitions"]
    assert [one["job_definition_id"] for one in plans] == [made]
    assert anas.ask("DELETE", place).status_code == 204
    assert anas.ask("GET", "scheduler/job_definitions", params={"name": "plan"}).json()["total_count"] == 0
    assert anas.ask("GET", f"scheduler/jobs/{job}").status_code == 200, "its jobs stay"


def test_who_edits_a_schedule_alone_keeps_the_notebook_that_was_handed_in(anas: Any, platform: Any, write: Any) -> None:
    write(anas.home / "deep" / "kept.ipynb", "x = 1")
    asked = form("deep/kept.ipynb", schedule="0 9 * * *", timezone="UTC")
    made = anas.ask("POST", "scheduler/job_definitions", json=asked).json()["job_definition_id"]
    place = f"scheduler/job_definitions/{made}"
    write(anas.home / "deep" / "kept.ipynb", "x = 1", "'newer'")
    before = LabJob.of(platform.ledger.schedules.get(made).details)
    edited = {"schedule": "0 10 * * *", "timezone": "UTC", "input_uri": "kept.ipynb"}
    assert anas.ask("PATCH", place, json=edited).status_code == 204
    after = platform.ledger.schedules.get(made)
    assert (after.trigger, LabJob.of(after.details)) == ("0 10 * * *", before)
    assert anas.ask("PATCH", place, json=edited | {"input_uri": "deep/kept.ipynb"}).status_code == 204
    assert b"newer" in kept.read(LabJob.of(platform.ledger.schedules.get(made).details))


def test_what_nobody_could_run_is_refused_with_the_reason(anas: Any, platform: Any, write: Any) -> None:
    before = platform.ledger.search.count()
    write(anas.home / "odd.ipynb", "window = 20")
    (anas.home / "broken.ipynb").write_text("{")
    (anas.home / "out.ipynb").symlink_to("/etc/hostname")

    def refused(uri: str, what: str = "jobs", **more: Any) -> str:
        return said(anas.ask("POST", f"scheduler/{what}", json=form(uri, **more)))

    assert "'nothing.ipynb' does not exist" in refused("nothing.ipynb")
    assert "does not exist" in refused("../../../etc/hostname")
    assert "no JSON" in refused("broken.ipynb")
    assert "There is no notebook" in refused("out.ipynb")
    assert "takes a whole number" in refused("odd.ipynb", parameters={"window": "__import__('os')"})
    assert "no parameter 'widow'" in refused("odd.ipynb", parameters={"widow": "1"})
    assert "no name of a job" in refused("odd.ipynb", name="a\x00b")
    assert "needs a schedule" in refused("odd.ipynb", "job_definitions")
    assert "wrong in its hour" in refused("odd.ipynb", "job_definitions", schedule="0 25 * * *", timezone="UTC")
    assert "'Mars/Olympus'" in refused("odd.ipynb", "job_definitions", schedule="0 9 * * *", timezone="Mars/Olympus")
    assert "At most 1,000,000 are taken" in refused(str(write(anas.home / "big.ipynb", "x = 1", "#" * 10**6).name))
    assert platform.ledger.search.count() == before, "nothing is half ordered"


def test_files_are_downloaded_whole_and_only_what_there_is(
    anas: Any, platform: Any, write: Any, tmp_path: Path
) -> None:
    write(anas.home / "files.ipynb", "x = 1")
    made = anas.ask("POST", "scheduler/jobs", json=form("files.ipynb")).json()["job_id"]
    assert anas.ask("GET", f"scheduler/jobs/{made}/download_files").status_code == 204
    told = anas.ask("GET", f"scheduler/jobs/{made}").json()
    shown = {one["file_format"]: one["file_path"] for one in told["job_files"]}
    assert shown["ipynb"] is None, "it has not run yet"
    assert json.loads((anas.home / shown["input"]).read_text())["cells"][0]["source"] == ["x = 1"]
    claim = platform.ledger.queue.claim("test", 60, only="lab")
    while claim is not None and claim.run.id != run_id(made):
        platform.ledger.queue.finish(claim, State.CANCELLED, {})
        claim = platform.ledger.queue.claim("test", 60, only="lab")
    assert claim is not None
    assert anas.ask("GET", f"scheduler/jobs/{made}").json()["status"] == "IN_PROGRESS"
    (tmp_path / "notebook.ipynb").write_text("executed")
    (tmp_path / "report.html").symlink_to("/etc/hostname")
    platform.ledger.queue.finish(claim, State.FAILED, {}, problem="A cell raised.", folder=str(tmp_path))
    assert anas.ask("GET", f"scheduler/jobs/{made}/download_files").status_code == 204
    told = anas.ask("GET", f"scheduler/jobs/{made}").json()
    shown = {one["file_format"]: one["file_path"] for one in told["job_files"]}
    assert (told["status"], told["status_message"]) == ("FAILED", "A cell raised.")
    assert (anas.home / shown["ipynb"]).read_text() == "executed"
    assert shown["html"] is None, "a link out of the folder is no file of it"
    assert not list((anas.home / "jobs").rglob("*.part"))


def test_everybody_has_his_own(anas: Any, platform: Any, write: Any) -> None:
    write(anas.home / "mine.ipynb", "x = 1")
    job = anas.ask("POST", "scheduler/jobs", json=form("mine.ipynb")).json()["job_id"]
    plan = form("mine.ipynb", schedule="0 9 * * *", timezone="UTC", name="hers")
    definition = anas.ask("POST", "scheduler/job_definitions", json=plan).json()["job_definition_id"]
    for who in ("bob", "root"):
        assert platform.ask(who, "GET", "/lab/jobs").json()["items"] == []
        assert platform.ask(who, "GET", "/lab/definitions").json()["items"] == []
        tried: list[tuple[str, str, Any]] = [
            ("GET", f"/lab/jobs/{job}", None), ("POST", f"/lab/jobs/{job}/stop", None),
            ("DELETE", f"/lab/jobs/{job}", None), ("GET", f"/lab/jobs/{job}/files/input", None),
            ("GET", f"/lab/definitions/{definition}", None), ("DELETE", f"/lab/definitions/{definition}", None),
            ("PATCH", f"/lab/definitions/{definition}", {"active": False}),
            ("POST", f"/lab/definitions/{definition}/jobs", {}),
        ]  # fmt: skip
        for method, path, body in tried:
            answer = platform.ask(who, method, path, json=body)
            assert answer.status_code == 404, (who, method, path, answer.text)
            assert "ana" not in answer.text
    assert platform.ask("bob", "GET", f"/runs/{run_id(job)}").status_code == 404
    assert platform.ask("rita", "POST", f"/lab/jobs/{job}/stop").json()["scope"] == "custom:quantdesk:run"
    assert platform.ask("nobody", "GET", "/lab/jobs").status_code == 401
    assert platform.ask("robot", "GET", "/lab/jobs").json()["code"] == "no_person"
    assert platform.ledger.queue.get(run_id(job)).state is State.QUEUED


def test_the_same_order_twice_is_one_job(platform: Any, write: Callable[..., Path], tmp_path: Path) -> None:
    text = write(tmp_path / "a.ipynb", "x = 1").read_text()
    body = {"name": "once", "filename": "a.ipynb", "folder": "/home/ana", "notebook": text}
    plan = body | {"schedule": "0 9 * * *", "timezone": "UTC"}
    for path, asked, name in (("/lab/jobs", body, "job_id"), ("/lab/definitions", plan, "job_definition_id")):
        key = {"Authorization": "Bearer token-ana", "Idempotency-Key": f"key-{name}"}
        made = {requests.post(f"{platform.url}/api/v1{path}", json=asked, headers=key, timeout=30).json()[name]
                for _ in range(3)}  # fmt: skip
        assert len(made) == 1


def test_hostile_orders_are_refused_by_the_service_itself(platform: Any, write: Any, tmp_path: Path) -> None:
    good = {"name": "n", "filename": "a.ipynb", "folder": "/home/ana",
            "notebook": write(tmp_path / "a.ipynb", "x = 1").read_text()}  # fmt: skip
    bad: list[dict[str, Any]] = [
        {"filename": "../../../etc/cron.d/x.ipynb"}, {"filename": "a\\b.ipynb"}, {"filename": ".hidden.ipynb"},
        {"filename": "--opt.ipynb"}, {"filename": "x.ipynb\n"}, {"filename": "notebook.py"}, {"folder": "relative"},
        {"folder": "/a\x00b"}, {"name": " "}, {"name": "a\u202eb"}, {"notebook": "[]"}, {"notebook": "[" * 100_000},
        {"notebook": '{"nbformat": 3, "cells": []}'}, {"parameters": {"a b": "1"}}, {"parameters": {"x": 1}},
        {"parameters": {f"x{one}": "y" * 1000 for one in range(100)}}, {"output_formats": ["pdf"]}, {"user": "bob"},
        {"requested_by": "bob"},
    ]  # fmt: skip
    before = platform.ledger.search.count()
    for one in bad:
        answer = platform.ask("ana", "POST", "/lab/jobs", json=good | one)
        assert answer.status_code == 422, (one, answer.text[:300])
    assert platform.ledger.search.count() == before
    assert platform.ask("ana", "GET", "/lab/jobs?sort=notebook:asc").status_code == 422


def test_a_service_that_is_away_is_told_in_one_sentence(anas: Any, platform: Any) -> None:
    platform.hub.is_away = True
    try:
        assert "does not answer" in said(anas.ask("GET", "scheduler/jobs"))
    finally:
        platform.hub.is_away = False
    assert anas.ask("GET", "scheduler/jobs").status_code == 200
    assert "token-ana" not in anas.log()
