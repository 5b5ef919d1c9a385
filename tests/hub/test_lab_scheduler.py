"""Jobs of JupyterLab through a real hub: under the user's own account, also when his server is gone."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hub")]
SERVICE = "/services/quantdesk"
LOOKS = """
import json, os, pathlib
def read(path):
    try:
        return "read" if pathlib.Path(path).read_bytes() is not None else ""
    except OSError as error:
        return type(error).__name__
print(json.dumps({"uids": os.getresuid(), "groups": os.getgroups(), "cwd": os.getcwd(), "home": os.environ["HOME"],
                  "names": sorted(os.environ), "said": said, "beside": pathlib.Path("beside.txt").read_text(),
                  "tried": {path: read(path) for path in TRIED}}))
"""


def notebook(*cells: str) -> dict[str, Any]:
    """A notebook whose first cell has its parameters."""
    made = [{"cell_type": "code", "id": f"cell{at}", "metadata": {"tags": ["parameters"]} if at == 0 else {},
             "source": source, "outputs": [], "execution_count": None} for at, source in enumerate(cells)]  # fmt: skip
    kernel = {"name": "quantdesk", "display_name": "quantdesk", "language": "python"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def lab(ground: Any, real: Any, templates: Any) -> Iterator[Any]:
    """A hub with service and workers; ana and bob, whose servers run."""
    real.need_root()
    env = {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_SERVICE_REMEMBER": "0",
        "QUANTDESK_NOTEBOOKS": str(templates),
        "QUANTDESK_HALTS_FEEDS": "false",
        "QUANTDESK_REPORTS_WORKER_POLL_S": "0.2",
        "CANARY_TOKEN": "what the hub was started with",
    }
    hub = real.RealHub(ground, ground.state(), env=env)
    with hub:
        admin = hub.first_login()
        ana, bob = hub.user("ana", admin), hub.user("bob", admin)
        ana.start_server(wait=False)
        bob.start_server()
        ana.await_server()
        real.until(hub.service_answers, 120, lambda: hub.service_log)
        yield SimpleNamespace(hub=hub, admin=admin, ana=ana, bob=bob, until=real.until, find=real.find)


def save(who: Any, path: str, content: Any) -> None:
    body = {"type": "notebook", "format": "json", "content": content}
    if isinstance(content, str):
        body = {"type": "file", "format": "text", "content": content}
    answer = who.server("PUT", f"api/contents/{path}", json=body)
    assert answer.status_code in (200, 201), answer.text


def order(who: Any, uri: str, what: str = "jobs", **more: Any) -> str:
    """Fill in the form of JupyterLab."""
    asked = {"name": "a job", "input_uri": uri, "runtime_environment_name": "quantdesk",
             "output_formats": ["ipynb", "html"]} | more  # fmt: skip
    answer = who.server("POST", f"scheduler/{what}", json=asked)
    assert answer.status_code == 200, answer.text
    return str(next(iter(answer.json().values())))


def ended(lab: Any, who: Any, job: str, seconds: float = 120) -> dict[str, Any]:
    told: dict[str, Any] = {}

    def is_over() -> bool:
        told.update(who.server("GET", f"scheduler/jobs/{job}").json())
        return told["status"] in ("COMPLETED", "FAILED", "STOPPED")

    lab.until(is_over, seconds, lambda: f"{told} {lab.hub.service_log}")
    return told


def account(lab: Any, name: str) -> pwd.struct_passwd:
    accounts = json.loads(lab.hub.files.accounts.read_text())["accounts"]
    return pwd.getpwuid(next(one["uid"] for one in accounts if one["user"] == name))


def test_a_job_runs_as_its_user_in_his_folder_and_leaves_what_he_asked_for(lab: Any) -> None:
    files = lab.hub.files
    tried = [files.root / "service.json", files.state / "reports" / "ledger.sqlite", files.homes / "bob" / ".bashrc",
             files.accounts]  # fmt: skip
    assert lab.ana.server("PUT", "api/contents/work", json={"type": "directory"}).status_code == 201
    save(lab.ana, "work/beside.txt", "what lies beside it")
    cells = ('said = "nothing"', f"TRIED = {[str(one) for one in tried]!r}\n{LOOKS}")
    save(lab.ana, "work/looks.ipynb", notebook(*cells))
    hostile = '"); import os; os.system("touch /tmp/owned"); ("'
    job = order(lab.ana, "work/looks.ipynb", parameters={"said": hostile}, name="looks <b>around</b>")
    told = ended(lab, lab.ana, job)
    assert told["status"] == "COMPLETED", (told, lab.hub.service_log)
    assert (told["name"], told["parameters"]) == ("looks <b>around</b>", {"said": hostile})

    assert lab.ana.server("GET", f"scheduler/jobs/{job}/download_files").status_code == 204
    listed = lab.ana.server("GET", f"scheduler/jobs/{job}").json()
    assert listed["downloaded"]
    kinds = {one["file_format"]: one["file_path"] for one in listed["job_files"]}
    assert set(kinds) == {"ipynb", "html", "input"}
    executed = json.loads((Path(account(lab, "ana").pw_dir) / kinds["ipynb"]).read_text())
    printed = [line for cell in executed["cells"] for out in cell.get("outputs", ()) for line in out.get("text", ())]
    seen = json.loads("".join(printed))
    who = account(lab, "ana")
    assert set(seen["uids"]) == {who.pw_uid}
    assert seen["groups"] in ([], [who.pw_gid])
    assert (seen["home"], seen["cwd"]) == (who.pw_dir, f"{who.pw_dir}/work")
    assert (seen["said"], seen["beside"]) == (hostile, "what lies beside it")
    assert set(seen["tried"].values()) <= {"PermissionError"}
    assert not [name for name in seen["names"] if "TOKEN" in name or "SECRET" in name or "LAB_ORDER" in name]


def test_nobody_sees_or_touches_anothers_job(lab: Any) -> None:
    save(lab.ana, "quick.ipynb", notebook("x = 1", "x"))
    job = order(lab.ana, "quick.ipynb")
    ended(lab, lab.ana, job)
    assert lab.bob.server("GET", "scheduler/jobs").json()["jobs"] == []
    for method, path in (("GET", f"jobs/{job}"), ("DELETE", f"jobs/{job}"), ("GET", f"jobs/{job}/download_files")):
        answer = lab.bob.server(method, f"scheduler/{path}")
        assert answer.status_code == 500
        assert "Unknown run" in answer.text
    assert lab.bob.server("PATCH", f"scheduler/jobs/{job}", json={"status": "STOPPED"}).status_code == 500
    runs = requests.get(f"{lab.hub.url}{SERVICE}/api/v1/runs", headers={"Authorization": f"token {lab.bob.token}"},
                        timeout=30)  # fmt: skip
    assert runs.json()["items"] == []
    assert lab.ana.server("GET", "scheduler/jobs").json()["total_count"] >= 1


def test_a_schedule_runs_after_its_users_server_was_stopped(lab: Any) -> None:
    save(lab.ana, "later.ipynb", notebook("x = 1", "import os\nprint('made', os.getuid())"))
    definition = order(lab.ana, "later.ipynb", "job_definitions", schedule="*/5 * * * *", timezone="America/New_York")
    assert lab.ana.server("GET", f"scheduler/job_definitions/{definition}").json()["timezone"] == "America/New_York"
    assert lab.ana.api("DELETE", "users/ana/server").status_code in (202, 204)
    uid = account(lab, "ana").pw_uid
    lab.until(lambda: not lab.find(lambda one: one.uids().real == uid), 60)
    ledger = lab.hub.files.state / "reports" / "ledger.sqlite"
    with sqlite3.connect(ledger) as database:  # ten minutes ago is as good as waiting for the next due time
        database.execute("UPDATE schedules SET handled = handled - 600 * 1000000000 WHERE id = ?", (definition,))
    found: list[Any] = []

    def is_done() -> bool:
        with sqlite3.connect(ledger) as database:
            found[:] = database.execute(
                "SELECT state, folder, requested_by, is_private, trigger, problem FROM runs WHERE schedule_id = ?",
                (definition,),
            ).fetchall()
        return bool(found) and found[0][0] not in ("queued", "running")

    lab.until(is_done, 120, lambda: f"{found} {lab.hub.service_log}")
    state, folder, by, private, trigger, problem = found[0]
    assert (state, by, private, trigger) == ("completed", "ana", 1, "lab"), problem
    assert f"made {uid}" in Path(folder, "notebook.ipynb").read_text()
    assert not lab.find(lambda one: one.uids().real == uid), "nothing of it is left"


def test_a_run_goes_on_while_its_users_server_is_stopped_and_nothing_outlives_it(lab: Any) -> None:
    escape = "import subprocess\nsubprocess.Popen(['sh', '-c', 'setsid sleep 600 &'], env={})"
    save(lab.bob, "long.ipynb", notebook("x = 1", escape, "import time\ntime.sleep(8)\nprint('to the end')"))
    job = order(lab.bob, "long.ipynb")
    lab.until(lambda: lab.bob.server("GET", f"scheduler/jobs/{job}").json()["status"] == "IN_PROGRESS", 60)
    uid = account(lab, "bob").pw_uid
    lab.until(lambda: bool(lab.find(lambda one: one.uids().real == uid and "sleep" in one.cmdline())), 60)
    assert lab.bob.api("DELETE", "users/bob/server").status_code in (202, 204)
    lab.until(lambda: not lab.find(lambda one: one.uids().real == uid and "singleuser" in " ".join(one.cmdline())), 30)
    lab.bob.start_server()
    assert ended(lab, lab.bob, job)["status"] == "COMPLETED"
    lab.until(lambda: not lab.find(lambda one: one.uids().real == uid and "sleep" in one.cmdline()), 20)


def test_without_its_door_the_worker_starts_anew(lab: Any) -> None:
    if lab.bob.server("GET", "api/status").status_code != 200:
        lab.bob.start_server()
    save(lab.bob, "again.ipynb", notebook("x = 1"))

    def doors() -> list[Any]:
        state = str(lab.hub.state)
        found = lab.find(lambda one: one.cmdline()[-1:] == ["quantdesk.hub.behalf"] and one.uids().real == 0)
        return [one for one in found if one.environ().get("QUANTDESK_STATE") == state]

    lab.until(lambda: len(doors()) == 1, 30, lambda: "a warden outlives its job")
    (door,) = doors()
    door.kill()
    job = order(lab.bob, "again.ipynb")
    assert ended(lab, lab.bob, job, 150)["status"] == "COMPLETED"
    assert door.pid not in {one.pid for one in doors()}


def test_who_is_turned_out_is_gone_with_his_jobs(lab: Any) -> None:
    save(lab.bob, "long.ipynb", notebook("x = 1", "import time\ntime.sleep(600)"))
    job = order(lab.bob, "long.ipynb")
    lab.until(lambda: lab.bob.server("GET", f"scheduler/jobs/{job}").json()["status"] == "IN_PROGRESS", 60)
    uid = account(lab, "bob").pw_uid
    definition = order(lab.bob, "long.ipynb", "job_definitions", schedule="*/5 * * * *", timezone="UTC")
    assert lab.admin.post("users", user="bob", action="revoke").status_code == 200
    lab.until(lambda: not lab.find(lambda one: one.uids().real == uid), 60)
    with sqlite3.connect(lab.hub.files.state / "reports" / "ledger.sqlite") as database:
        database.execute("UPDATE schedules SET handled = handled - 600 * 1000000000 WHERE id = ?", (definition,))
    told: list[Any] = []

    def is_over() -> bool:
        with sqlite3.connect(lab.hub.files.state / "reports" / "ledger.sqlite") as database:
            told[:] = database.execute(
                "SELECT state, problem FROM runs WHERE schedule_id = ?", (definition,)
            ).fetchall()
        return bool(told) and told[0][0] not in ("queued", "running")

    lab.until(is_over, 60, lambda: f"{told} {lab.hub.service_log}")
    assert told == [("failed", "bob is not approved on this hub. Ask the administrator.")]
    assert not lab.find(lambda one: one.uids().real == uid)


def test_one_persons_jobs_run_under_the_one_account_there_is(ground: Any, real: Any, templates: Path) -> None:
    state = ground.state()
    nobody = 65534
    for path in [state.parent, state, *state.rglob("*")]:
        os.chown(path, nobody, nobody, follow_symlinks=False)
    env = {"QUANTDESK_SERVICE": "true", "QUANTDESK_SERVICE_WORKERS": "1", "QUANTDESK_NOTEBOOKS": str(templates),
           "QUANTDESK_HALTS_FEEDS": "false", "QUANTDESK_ADMIN": "solo"}  # fmt: skip
    hub = real.RealHub(ground, state, env=env, account=nobody)
    with hub:
        solo = hub.first_login()
        solo.name = "solo"
        solo.start_server()
        real.until(hub.service_answers, 120, lambda: hub.service_log)
        save(solo, "mine.ipynb", notebook("x = 1", "import os\nprint('made', os.getuid(), os.getcwd())"))
        here = SimpleNamespace(hub=hub, until=real.until)
        told = ended(here, solo, order(solo, "mine.ipynb"))
        assert told["status"] == "COMPLETED", told
        assert solo.server("GET", f"scheduler/jobs/{told['job_id']}/download_files").status_code == 204
        (left,) = (hub.files.homes / "solo" / "jobs").rglob("mine-*.ipynb")
        assert f"made {nobody} {hub.files.homes / 'solo'}" in left.read_text()
