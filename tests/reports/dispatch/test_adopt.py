"""What ran without the ledger is noted in it, once; what is no run is told once, and harms nothing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.cli import main
from quantdesk.errors import EnvironmentProblem
from quantdesk.reports import run as run_report
from quantdesk.reports.dispatch import adopt
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.dispatch.upkeep import Upkeep
from quantdesk.reports.ledger import Order, RunLedger, State, Viewer, queue
from quantdesk.reports.result import Metric, Problem, Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, new_id, publish, read_run

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def leave(number: int = 0, **changes: Any) -> Run:
    """The folder of a run that nobody announced."""
    config = RunsConfig.from_env()
    begun = NOON + timedelta(minutes=number)
    name = f"{new_id('tiny', begun)[:-6]}{number:06x}"
    run = Run(
        id=name,
        report="tiny",
        title="Tiny",
        status=Status.COMPLETED,
        parameters={"x": 1, "y": "b"},
        given=("x",),
        seed=None,
        notebook=str(Path(os.environ["QUANTDESK_NOTEBOOKS"]) / "tiny.ipynb"),
        notebook_sha256="ab",
        started=begun,
        ended=begun + timedelta(seconds=2),
        problem=None,
        labels=("real",),
        provenance=Provenance(data_version="d", user="ana"),
        folder=config.runs / name,
        metrics=(Metric("pnl", 1.5, "USD"), Metric("none", None, reason="NaN"), Metric("word", "up")),
        thumbnail_files=("1.svg",),
    )
    run = replace(run, **changes)
    return publish(run, notebook="{}", page="<p>", log=None, beside={"thumbnails/1.svg": b"<svg/>"})


@pytest.fixture
def tiny(state: Path, notebook: Callable[..., Path]) -> Path:
    """A report of the team."""
    return notebook("tiny", ["x: int = 1"], {0: "parameters"})


@pytest.fixture
def adoption(ledger: RunLedger, tiny: Path) -> Adoption:
    return Adoption(ledger, RunsConfig.from_env().runs)


def test_a_real_run_is_noted_with_all_that_a_queued_one_has(ledger: RunLedger, adoption: Adoption) -> None:
    made = run_report("tiny", {"x": 3}, requested_by="ana")
    assert adoption.step() == (made.id,)
    noted = ledger.queue.get(made.id)
    assert (noted.state, noted.trigger, noted.requested_by) == (State.COMPLETED, "direct", "ana")
    assert (noted.queued, noted.started, noted.ended) == (made.started, made.started, made.ended)
    assert (noted.parameters, noted.is_private, noted.folder) == ({"x": 3}, False, str(made.folder))
    assert Run.from_dict(noted.record, made.folder) == made == read_run(made.folder)
    assert adoption.step() == ()


def test_metrics_failures_and_the_account_are_kept(ledger: RunLedger, adoption: Adoption) -> None:
    good = leave()
    bad = leave(1, status=Status.OUT_OF_MEMORY, problem=Problem("Too much."), attempt=2, requested_by="bo")
    assert adoption.step() == (good.id, bad.id)
    noted = ledger.search.run(good.id)
    assert noted.metrics == {"none": (None, ""), "pnl": (1.5, "USD"), "word": ("up", "")}
    assert (noted.requested_by, noted.record["thumbnail_files"]) == ("ana", ["1.svg"])
    noted = ledger.search.run(bad.id)
    assert (noted.state, noted.problem, noted.attempt, noted.requested_by) == (
        State.OUT_OF_MEMORY, "Too much.", 2, "bo",
    )  # fmt: skip
    assert ledger.search.latest()["tiny"].id == bad.id


def test_nobody_sees_what_was_private_or_whose_notebook_is_gone(
    ledger: RunLedger, adoption: Adoption, tiny: Path
) -> None:
    tiny.with_suffix(".toml").write_text('owner = "ana"\nvisibility = "private"\n')
    mine = leave()
    gone = leave(1, notebook="/nowhere/tiny.ipynb")  # a notebook of this name is there, and is not it
    adoption.step()
    assert [ledger.search.run(one.id).is_private for one in (mine, gone)] == [True, True]
    assert ledger.search.run(mine.id).owner == "ana"
    assert ledger.search.run(gone.id).owner == ""
    assert ledger.search.runs(viewer=Viewer("bo")).runs == ()


def test_what_the_ledger_knows_stays_as_it_is(ledger: RunLedger, adoption: Adoption) -> None:
    run = leave()
    ledger.queue.add(Order(run.id, "tiny", "Tiny", {}, requested_by="eve"))
    assert adoption.step() == ()
    assert (ledger.queue.get(run.id).state, ledger.queue.get(run.id).requested_by) == (State.QUEUED, "eve")


def test_an_idle_round_asks_for_nothing_but_the_time_of_the_folder(
    ledger: RunLedger, adoption: Adoption, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = leave()
    os.utime(first.folder.parent, (1_700_000_000, 1_700_000_000))
    assert len(adoption.step()) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adopt, "_names", lambda folder: pytest.fail("listed"))
        assert adoption.step() == ()
    second = leave(1)
    monkeypatch.setattr(ledger.queue, "known", lambda names: frozenset() if names == {second.id} else 1 / 0)
    assert adoption.step() == (second.id,)


def test_a_database_that_is_away_in_the_middle_costs_no_run(
    ledger: RunLedger, adoption: Adoption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a death there: what was begun is not there, and what comes after it neither."""
    runs = [leave(number) for number in range(5)]
    keep, calls = queue.keep_metrics, iter((True, True, False))

    def break_off(*given: Any) -> None:
        keep(*given)
        if not next(calls):
            raise EnvironmentProblem("The database is away.", "Wait.")

    monkeypatch.setattr(queue, "keep_metrics", break_off)
    with pytest.raises(EnvironmentProblem):
        adoption.step()
    assert ledger.queue.known(run.id for run in runs) == {runs[0].id, runs[1].id}
    monkeypatch.undo()
    assert adoption.step() == tuple(run.id for run in runs[2:])
    assert all(ledger.queue.get(run.id).metrics for run in runs)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=st.sets(st.integers(0, 4)), rounds=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=6))
def test_two_who_look_in_any_order_note_each_run_once(
    tiny: Path,
    empty_ledger: Path,
    tmp_path_factory: pytest.TempPathFactory,
    known: set[int],
    rounds: list[tuple[int, int]],
) -> None:
    """Each of the two looks for a while, as long as it lives; at the end, each looks once more."""
    place = tmp_path_factory.mktemp("case")
    shutil.copyfile(empty_ledger, place / "ledger.sqlite")
    with pytest.MonkeyPatch.context() as patch, RunLedger.open(f"sqlite:///{place / 'ledger.sqlite'}") as ledger:
        patch.setenv("QUANTDESK_REPORTS_ROOT", str(place))
        runs = [leave(number) for number in range(5)]
        for number in known:
            ledger.queue.add(Order(runs[number].id, "tiny", "Tiny", {}, requested_by="eve"))
        two = [Adoption(ledger, place / "runs") for _ in range(2)]
        noted: list[str] = []
        for who, steps in [*rounds, (0, 100), (1, 100)]:
            left = iter(range(steps))
            noted += two[who].step(lambda left=left: next(left, None) is None)  # type: ignore[misc]
        assert sorted(noted) == [run.id for number, run in enumerate(runs) if number not in known]
        assert ledger.search.count() == 5


def test_two_workers_at_one_time_note_each_run_once(address: str, tiny: Path) -> None:
    runs = [leave(number) for number in range(30)]
    noted: list[str] = []
    together = threading.Barrier(2)

    def look() -> None:
        with RunLedger.open(address) as ledger:
            together.wait()
            noted.extend(Adoption(ledger, RunsConfig.from_env().runs).step())

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(noted) == [run.id for run in runs]


KILLED = """
import sys, logging
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
Adoption(RunLedger.open(sys.argv[1]), RunsConfig.from_env().runs).step()
"""


def test_one_that_is_killed_in_the_middle_is_gone_on_with(address: str, ledger: RunLedger, tiny: Path) -> None:
    runs = [leave(number) for number in range(40)]
    with subprocess.Popen([sys.executable, "-c", KILLED, address], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("is noted" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    before = ledger.queue.known(run.id for run in runs)
    assert 0 < len(before) < 40
    assert len(Adoption(ledger, RunsConfig.from_env().runs).step()) == 40 - len(before)
    assert all(ledger.queue.get(run.id).metrics["pnl"] == (1.5, "USD") for run in runs)
    assert ledger.search.count() == 40


def spoilt(**changes: Any) -> Callable[[dict[str, Any]], str]:
    return lambda record: json.dumps(record | changes)


HOSTILE = {
    "nothing": lambda record: "",
    "no JSON": lambda record: "{",
    "a list": lambda record: "[]",
    "another run": spoilt(id="20261101T120000.000Z-tiny-ffffff"),
    "a way out": spoilt(id="../../etc"),
    "a report with a way": spoilt(report="../secret"),
    "no report": spoilt(report=""),
    "a number for a report": spoilt(report=7),
    "a long report": spoilt(report="x" * 5000),
    "a list of parameters": spoilt(parameters=[1]),
    "given and not there": spoilt(given=["z"]),
    "no status": spoilt(status="great"),
    "unreadable": spoilt(status="unreadable"),
    "running": spoilt(status="running"),
    "no zone": spoilt(started="2026-11-01T12:00:00"),
    "long ago": spoilt(started="0001-01-01T00:00:00+00:00"),
    "yet to come": spoilt(ended="2200-01-01T00:00:00+00:00"),
    "a number for a time": spoilt(started=5),
    "a text for metrics": spoilt(metrics="many"),
    "a metric of a list": spoilt(metrics=[{"name": "x", "value": [1]}]),
    "a metric that is too large": spoilt(metrics=[{"name": "x", "value": 10**400}]),
    "a metric twice": spoilt(metrics=[{"name": "x", "value": 1}, {"name": "x", "value": 2}]),
    "no number": lambda record: json.dumps(record | {"seed": "@"}).replace('"@"', "NaN"),
    "an infinite one": lambda record: json.dumps(record | {"parameters": {"x": "@"}}).replace('"@"', "1e999"),
    "sign 0": spoilt(requested_by="a\0b"),
    "sign 0 in a unit": spoilt(metrics=[{"name": "x", "value": 1, "unit": "\0"}]),
    "half a character": spoilt(title="\ud800"),
    "a picture elsewhere": spoilt(thumbnail_files=["../../x.svg"]),
    "a table elsewhere": spoilt(tables=[{"name": "t", "file": "../t", "rows": 1, "columns": [], "cell": 1}]),
    "deep": lambda record: "[" * 100_000 + "]" * 100_000,
    "huge": lambda record: json.dumps(record | {"title": "x" * 17_000_000}),
    "a list for a problem": spoilt(problem=["x"]),
    "a number for a user": spoilt(requested_by=5),
    "packages of a list": spoilt(provenance={"packages": [1]}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_run_is_told_once_and_left_alone(
    ledger: RunLedger, adoption: Adoption, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    good, bad = leave(), leave(1)
    path = bad.folder / "run.json"
    path.write_text(HOSTILE[what](json.loads(path.read_text())))
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert adoption.step() == (good.id,)
        leave(2)
        assert len(adoption.step()) == 1
    assert [bad.id in record.getMessage() for record in caplog.records] == [True]
    assert adoption.refused == (bad.id,)
    assert ledger.search.count() == 2
    assert path.read_bytes() == before


def test_links_pipes_and_half_made_folders_are_no_runs(
    ledger: RunLedger, adoption: Adoption, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = leave()
    runs = run.folder.parent
    (tmp_path / "away").mkdir()
    run.folder.rename(tmp_path / "away" / run.id)
    run.folder.symlink_to(tmp_path / "away" / run.id)
    piped, linked, empty = (leave(number) for number in (1, 2, 3))
    for one in (piped, linked, empty):
        (one.folder / "run.json").unlink()
    os.mkfifo(piped.folder / "run.json")
    (linked.folder / "run.json").symlink_to(tmp_path / "away" / run.id / "run.json")
    (runs / "a file").write_text("x")
    (runs / "file").write_text("x")
    (runs / ".hidden.tmp").mkdir()
    with caplog.at_level(logging.WARNING):
        assert adoption.step() == ()
    assert len(caplog.records) == 5
    assert ledger.search.count() == 0


def test_a_folder_that_was_mended_is_noted(adoption: Adoption) -> None:
    run = leave()
    (run.folder / "run.json").rename(run.folder / "away.json")
    assert adoption.step() == ()
    (run.folder / "away.json").rename(run.folder / "run.json")
    (run.folder.parent / ".x").touch()
    assert adoption.step() == (run.id,)


def test_without_a_folder_of_runs_there_is_nothing_to_do(adoption: Adoption) -> None:
    assert adoption.step() == ()


def test_the_rounds_of_a_worker_note_it(ledger: RunLedger, tiny: Path, helpers: Any) -> None:
    run, stop = leave(), threading.Event()
    thread = threading.Thread(target=Upkeep(ledger, RunsConfig.from_env()).run, args=(stop,))
    thread.start()
    try:
        helpers.until(lambda: ledger.queue.known([run.id]), 60)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_the_command_notes_it_by_hand(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bad = leave(), leave(1)
    (bad.folder / "run.json").unlink()
    monkeypatch.setattr(sys, "argv", ["quantdesk", "report", "adopt", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert json.loads(capsys.readouterr().out) == {"noted": [run.id], "refused": [bad.id]}
    with RunLedger.open() as ledger:
        assert ledger.queue.get(run.id).trigger == "direct"
