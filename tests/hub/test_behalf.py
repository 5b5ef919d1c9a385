"""What keeps a job its user's own: seals, frames, and what is done with what comes back."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub import service
from quantdesk.hub.accounts import Account
from quantdesk.hub.app.signing import Signer
from quantdesk.hub.behalf import errands, warden
from quantdesk.hub.behalf.door import Door, environment
from quantdesk.hub.behalf.errands import Errands
from quantdesk.hub.config import HubFiles
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.frames import LARGEST, Sender, files_of, received
from quantdesk.reports.lab.job import PURPOSE, LabJob, sealed_text
from quantdesk.reports.ledger import State
from quantdesk.reports.result import Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, publish

SECRET = "s" * 64
RUN = "20261127T120000.000Z-lab-a-000001"
MADE = 1_800_000_000_000


def order(signer: Signer | None = None, **changed: Any) -> dict[str, Any]:
    """One that the service has sealed, with something changed afterwards."""
    job = LabJob("n", "a.ipynb", "0" * 64, "/home/ana", MADE).to_dict()
    seal = (signer or Signer(SECRET)).token(PURPOSE, sealed_text("ana", {"x": "1"}, job))
    return {"run": RUN, "user": "ana", "attempt": 1, "parameters": {"x": "1"}, "lab": job, "seal": seal} | changed


@pytest.fixture
def door(tmp_path: Path) -> Door:
    files = HubFiles(tmp_path)
    files.root.mkdir()
    created = datetime.fromtimestamp(MADE / 1000 - 60, UTC).isoformat(timespec="seconds")
    made = [
        {"user": user, "name": f"qd-{user}", "uid": number, "gid": number, "home": f"/homes/{user}", "created": created,
         "retired": ""} for number, user in enumerate(("ana", "bob"), 20001)
    ]  # fmt: skip
    files.accounts.write_text(json.dumps({"version": 1, "accounts": made}))
    with closing(sqlite3.connect(files.database)) as database:
        database.execute("CREATE TABLE users_info (username TEXT, is_authorized INTEGER)")
        database.execute("INSERT INTO users_info VALUES ('ana', 1), ('bob', 1)")
        database.commit()
    return Door(files, Signer(SECRET))


def test_an_order_that_the_service_sealed_runs_as_who_asked_for_it(door: Door) -> None:
    account = door.account_of(order())
    assert (account.user, account.uid) == ("ana", 20001)


@pytest.mark.parametrize(
    "changed",
    [
        {"user": "bob"},
        {"user": "@reports"},
        {"parameters": {"x": "2"}},
        {"lab": order()["lab"] | {"sha256": "1" * 64}},
        {"lab": order()["lab"] | {"folder": "/root"}},
        {"lab": order()["lab"] | {"made": MADE + 1}},
        {"seal": ""},
        {"seal": order(Signer("t" * 64))["seal"]},
        {"seal": Signer(SECRET).token("form", sealed_text("ana", {"x": "1"}, order()["lab"]))},
    ],
)
def test_whoever_writes_the_ledger_has_nothing_run_as_somebody(door: Door, changed: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="did not ask for this job"):
        door.account_of(order(**changed))


def test_a_run_has_a_name_and_a_user_an_account_of_that_time(door: Door) -> None:
    with pytest.raises(BadInput, match="no name of a run"):
        door.account_of(order(run="../../x"))
    found = json.loads(door.files.accounts.read_text())
    later = datetime.fromtimestamp(MADE / 1000 + 60, UTC).isoformat(timespec="seconds")
    found["accounts"][0]["created"] = later
    door.files.accounts.write_text(json.dumps(found))
    with pytest.raises(EnvironmentProblem, match="another person had the name"):
        door.account_of(order())
    found["accounts"][0]["retired"] = later
    door.files.accounts.write_text(json.dumps(found))
    with pytest.raises(EnvironmentProblem, match="has no account"):
        door.account_of(order())


def test_who_was_turned_out_runs_nothing(door: Door) -> None:
    with closing(sqlite3.connect(door.files.database)) as database:
        database.execute("UPDATE users_info SET is_authorized = 0 WHERE username = 'ana'")
        database.commit()
    with pytest.raises(EnvironmentProblem, match="ana is not approved"):
        door.account_of(order())
    door.files.database.unlink()
    with pytest.raises(EnvironmentProblem, match="ana is not approved"):
        door.account_of(order())


def test_a_jobs_environment_is_put_together_and_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_SERVICE_SECRET", SECRET)
    monkeypatch.setenv("CANARY", "of the hub")
    account = Account("ana", "qd-ana", 20001, 20001, "/homes/ana")
    env = environment(account, HubFiles(tmp_path), tmp_path / "run", order())
    assert (env["HOME"], env["USER"]) == ("/homes/ana", "qd-ana")
    assert SECRET not in str(env)
    assert "of the hub" not in str(env)
    assert order()["seal"] not in str(env)


def frames(*parts: bytes | dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in parts))


@pytest.mark.parametrize(
    "name",
    ["../escape", "/etc/passwd", "run.json/x", "tables/../../x", "tables/.hidden", "thumbnails/a/b", "other.txt", "", 7,
     None, "report.html\n", "tables/a\x00b"],
)  # fmt: skip
def test_only_files_that_a_run_leaves_are_taken(tmp_path: Path, name: Any) -> None:
    with pytest.raises(DataError, match="none that a run leaves"):
        list(received(frames({"event": "file", "name": name, "bytes": 1}, b"x"), tmp_path))
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("size", [-1, True, "7", None, 1.5, LARGEST + 1])
def test_sizes_are_numbers_within_the_limit(tmp_path: Path, size: Any) -> None:
    with pytest.raises(DataError, match="more than"):
        list(received(frames({"event": "file", "name": "log.txt", "bytes": size}), tmp_path))


def test_what_is_no_frame_and_what_ends_early_is_told(tmp_path: Path) -> None:
    for odd in (b"hello\n", b"[1]\n", b"[" * 90_000 + b"\n", b"x" * 200_000, b'{"event": "done"}'):
        with pytest.raises(DataError, match="cannot be read"):
            list(received(frames(odd), tmp_path))
    with pytest.raises(DataError, match="in the middle of a file"):
        list(received(frames({"event": "file", "name": "log.txt", "bytes": 10}, b"abc"), tmp_path))
    twice = {"event": "file", "name": "report.html", "bytes": 0}
    with pytest.raises(DataError, match="none that a run leaves"):
        list(received(frames(twice, twice), tmp_path))


def test_a_folder_goes_through_the_pipe_without_links_and_strangers(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "tables").mkdir(parents=True)
    here.mkdir()
    for name in ("notebook.ipynb", "run.json", "tables/a.parquet", "strange.bin"):
        (there / name).write_bytes(name.encode() * 1000)
    (there / "report.html").symlink_to("/etc/hostname")
    pipe = io.BytesIO()
    sender = Sender(pipe)
    for name, path in files_of(there):
        sender.file(name, path)
    sender.event("done")
    pipe.seek(0)
    assert list(received(pipe, here)) == [{"event": "done"}]
    assert sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()) == [
        "notebook.ipynb", "run.json", "tables/a.parquet"
    ]  # fmt: skip
    assert (here / "run.json").read_bytes() == b"run.json" * 1000


class FakeDoor:
    """Starts no process: a thread plays the job, which is the part that its user rules over."""

    def __init__(self, job: Callable[[int, int, int], None]) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders: list[dict[str, Any]] = []
        self._job = job
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Errands:
        self._thread.start()
        return Errands(self.ours)

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self.ours.close()

    def _serve(self) -> None:
        message, handles, _, _ = socket.recv_fds(self.theirs, 200_000, 3)
        self.orders.append(json.loads(message))
        self.theirs.send(b"{}")
        try:
            self._job(*handles)
        finally:
            for handle in handles:
                os.close(handle)
            self.theirs.close()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job to carry out, whose notebook is kept."""
    import hashlib

    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    job = LabJob("n", "a.ipynb", hashlib.sha256(b"{}").hexdigest(), "/home/ana", MADE)
    kept.keep(job, b"{}")
    run = SimpleNamespace(id=RUN, report="lab/a", requested_by="ana", attempt=2, parameters={"x": "1"},
                          details={"lab": job.to_dict(), "seal": "s"})  # fmt: skip
    steps: list[Any] = []
    return SimpleNamespace(run=run, previous=(), tell=steps.append, cancel=threading.Event(), steps=steps)


def record(**changed: Any) -> Run:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    values = {
        "id": "another", "report": "daily_risk", "title": "T", "status": Status.COMPLETED, "parameters": {},
        "given": (), "seed": None, "notebook": "", "notebook_sha256": "", "started": now, "ended": now,
        "problem": None, "labels": (), "provenance": Provenance(), "folder": Path(), "requested_by": "bob",
    }  # fmt: skip
    return Run(**values | changed)


def sends(folder: Path, run: dict[str, Any] | bytes) -> Callable[[int, int, int], None]:
    """A job that sends a run's folder, with this as its record."""

    def job(asked: int, told: int, leash: int) -> None:
        with os.fdopen(os.dup(asked), "rb") as reading:
            assert reading.read(int(reading.readline())) == b"{}"
        published = publish(record(folder=folder), notebook="{}", page="<p>", log=None)
        path = published.folder / "run.json"
        path.write_bytes(run if isinstance(run, bytes) else json.dumps(run).encode())
        with os.fdopen(os.dup(told), "wb", 0) as pipe:
            sender = Sender(pipe)
            sender.event("progress", what="cell", done=1, total=-5, elapsed_s="soon")
            for name, file in files_of(published.folder):
                sender.file(name, file)
            sender.event("done")

    return job


def test_what_comes_back_is_published_under_the_name_and_the_user_of_the_order(work: Any, tmp_path: Path) -> None:
    door = FakeDoor(sends(tmp_path / "theirs", record().to_dict()))
    with door as carry_out:
        outcome = carry_out(work)
    assert outcome.state is State.COMPLETED
    assert (outcome.record["id"], outcome.record["requested_by"], outcome.record["report"]) == (RUN, "ana", "lab/a")
    assert outcome.record["attempt"] == 2
    folder = Path(outcome.folder)
    assert folder == RunsConfig.from_env().runs / RUN
    assert folder.stat().st_mode & 0o007 == 0
    assert (folder / "report.html").stat().st_mode & 0o007 == 0
    assert (work.steps[0].done, work.steps[0].total, work.steps[0].elapsed_s) == (1, 0, 0.0)
    (asked,) = door.orders
    assert (asked["user"], asked["run"], asked["seal"]) == ("ana", RUN, "s")


@pytest.mark.parametrize(
    "odd",
    [
        b"{}",
        b"[" * 100_000,
        json.dumps(record().to_dict() | {"status": "perfect"}).encode(),
        json.dumps(record().to_dict() | {"seed": float("nan")}).encode(),
        json.dumps(record().to_dict() | {"thumbnail_files": ["../../x"]}).encode(),
        json.dumps(record().to_dict() | {"metrics": [{"name": {"a": 1}, "value": 1}]}).encode(),
        json.dumps(record().to_dict() | {"metrics": [{"name": "m", "value": [1]}]}).encode(),
    ],
    ids=["empty", "deep", "status", "nan", "thumbnail", "name", "value"],
)
def test_a_record_that_is_none_is_published_nowhere(work: Any, tmp_path: Path, odd: bytes) -> None:
    with FakeDoor(sends(tmp_path / "theirs", odd)) as carry_out, pytest.raises(DataError, match="that can be read"):
        carry_out(work)
    assert not (RunsConfig.from_env().runs / RUN).exists()


def test_texts_of_a_record_hold_nothing_that_a_database_refuses(work: Any, tmp_path: Path) -> None:
    odd = record().to_dict() | {"status": "failed", "problem": {"message": "a\x00b\ud800c"}, "title": "t\x00"}
    with FakeDoor(sends(tmp_path / "theirs", odd)) as carry_out:
        outcome = carry_out(work)
    assert (outcome.state, outcome.problem) == (State.FAILED, "a b?c")
    json.dumps(outcome.record, ensure_ascii=False).encode()


def test_a_job_that_ends_without_a_result_leaves_nothing(work: Any) -> None:
    with FakeDoor(lambda asked, told, leash: None) as carry_out:
        outcome = carry_out(work)
    assert outcome.state is State.KERNEL_DIED
    assert list(RunsConfig.from_env().runs.iterdir()) == []


def test_what_a_job_says_of_itself_is_passed_on(work: Any) -> None:
    def job(asked: int, told: int, leash: int) -> None:
        os.write(told, b'{"event": "problem", "problem": "No.\\u0000", "remedy": "Do."}\n')

    with FakeDoor(job) as carry_out:
        outcome = carry_out(work)
    assert (outcome.state, outcome.problem) == (State.FAILED, "No.  Do.")


def test_a_cancelled_job_is_asked_to_end_and_then_ended(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "PATIENCE_S", 0.5)
    seen: list[float] = []

    def deaf(asked: int, told: int, leash: int) -> None:
        work.cancel.set()
        with os.fdopen(os.dup(asked), "rb") as reading:
            reading.read()  # until the end: that is how it is asked
        seen.append(time.monotonic())
        assert os.read(leash, 1) == b"", "and this is how it is ended"
        seen.append(time.monotonic())

    with FakeDoor(deaf) as carry_out:
        outcome = carry_out(work)
    assert outcome.state is State.CANCELLED
    assert seen[1] - seen[0] >= 0.3


def test_without_its_door_a_job_waits_for_the_hub(work: Any) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours, pytest.raises(EnvironmentProblem, match="No job can be started"):
        Errands(ours)(work)


def test_the_warden_runs_our_module_with_this_interpreter() -> None:
    assert warden.COMMAND[1:] == ("-P", "-m", "quantdesk.reports.lab.errand")


def test_a_link_in_place_of_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    reports, elsewhere = tmp_path / "reports", tmp_path / "elsewhere"
    reports.mkdir()
    elsewhere.mkdir(mode=0o700)
    service.hand_over(reports, os.getuid(), os.getgid())
    assert [(reports / name).stat().st_mode & 0o7777 for name in ("runs", "lab")] == [0o2770, 0o2770]
    (reports / "runs").rmdir()
    (reports / "runs").symlink_to(elsewhere)
    with pytest.raises(EnvironmentProblem, match="is no folder"):
        service.hand_over(reports, os.getuid(), os.getgid())
    assert elsewhere.stat().st_mode & 0o777 == 0o700
