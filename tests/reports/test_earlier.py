"""A command answers with an earlier run exactly where nothing has changed since, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantdesk.cli import main
from quantdesk.errors import BadParameter, DataError, UnknownName
from quantdesk.reports import find_report, notebooks, provenance, run
from quantdesk.reports.cache import cache_key
from quantdesk.reports.earlier import earlier_run
from quantdesk.reports.result import Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, new_id, publish, read_run

MADE_FROM = Provenance(
    data_version="d1", features_version="none", lock_sha256="l1", python="3.11.9", code_version="c1", user="ana"
)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def report(state: Path, notebook: Callable[..., Path]) -> Path:
    """A report of one parameter."""
    return notebook("count", ["#md # Count", "n: int = 1  # how many", "print(n)"], {1: "parameters"})


def leave(number: int = 0, given: dict[str, Any] | None = None, **changes: Any) -> Run:
    """A complete run, as the runner would have left it, its key included."""
    report = find_report("count")
    begun, given = NOON + timedelta(minutes=number), given or {}
    name = new_id("count", begun)
    made = Run(
        id=name,
        report="count",
        title="Count",
        status=Status.COMPLETED,
        parameters={"n": 1, **given},
        given=tuple(given),
        seed=None,
        notebook=str(report.path),
        notebook_sha256=report.sha256,
        started=begun,
        ended=begun,
        problem=None,
        labels=(),
        provenance=MADE_FROM,
        folder=RunsConfig.from_env().runs / name,
        cache_key=cache_key(report, given, MADE_FROM),
    )
    return publish(replace(made, **changes), notebook="{}", page="<p>", log=None)


def found(given: Any = None, **changes: Any) -> str | None:
    answer = earlier_run("count", given, collect=lambda: replace(MADE_FROM, **changes))
    return None if answer is None else answer.id


def test_the_newest_run_of_the_same_is_the_answer(report: Path) -> None:
    leave()
    second = leave(1)
    other = leave(2, {"n": 2})
    assert found() == found({"n": 1}) == found(["n=1"]) == second.id
    assert found(["n=2"]) == other.id
    assert found({"n": 3}) is None


def test_a_real_run_is_found_by_the_key_that_its_worker_kept(report: Path, state: Path, prepared: Any) -> None:
    made = run("count", {"n": 4})
    assert made.cache_key is None  # without data nobody can tell what it was made from
    prepared.state(state)
    made = run("count", {"n": 4})
    assert made.cache_key is not None
    answer = earlier_run("count", {"n": 4}, collect=lambda: made.provenance)
    assert answer is not None
    assert (answer.id, answer.cache_key) == (made.id, made.cache_key)
    assert earlier_run("count", {"n": 5}, collect=lambda: made.provenance) is None


@pytest.mark.parametrize("change", ["data_version", "features_version", "lock_sha256", "code_version", "python"])
def test_whatever_changed_is_run(report: Path, change: str) -> None:
    leave()
    assert found(**{change: "another"}) is None
    assert found(**{change: None}) is None


def test_another_package_declaration_notebook_or_folder_is_run(report: Path, notebook: Callable[..., Path]) -> None:
    leave()
    assert found(packages={"numpy": "3"}) is None
    declared = report.with_suffix(".toml")
    for text in ("seed = 3\n", "cache = false\n"):
        declared.write_text(text)
        assert found() is None
    declared.unlink()
    assert found() is not None
    notebook("count", ["#md # Count", "n: int = 1  # how many", "print(n + 1)"], {1: "parameters"})
    assert found() is None


@pytest.mark.parametrize(
    "change",
    [{"status": Status.FAILED}, {"cache_key": None}, {"cache_key": "f" * 64}, {"notebook_sha256": "other"}],
)
def test_a_run_that_is_no_answer_is_none(report: Path, change: dict[str, Any]) -> None:
    leave(**change)
    assert found() is None


def test_files_that_are_gone_and_records_that_are_damaged_are_no_answer(report: Path) -> None:
    gone, damaged = leave(), leave(1)
    (gone.folder / "report.html").unlink()
    (damaged.folder / "run.json").write_text("{")
    assert found() is None


def test_a_private_report_is_answered_with_ones_own_runs_alone(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report.with_suffix(".toml").write_text('owner = "ana"\nvisibility = "private"\n')
    leave(requested_by="bo")
    monkeypatch.setenv("JUPYTERHUB_USER", "ana")
    assert found() is None
    mine = leave(-1, requested_by="ana")
    assert found() == mine.id


def test_the_machine_is_asked_only_where_a_run_could_be_the_answer(report: Path) -> None:
    assert earlier_run("count", collect=lambda: pytest.fail("asked")) is None


def test_what_cannot_run_is_refused_as_before(report: Path) -> None:
    with pytest.raises(BadParameter):
        found({"m": 1})
    with pytest.raises(UnknownName):
        earlier_run("nothing")


def test_the_command_says_that_it_is_from_cache_and_runs_where_that_is_wanted(
    report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = leave()
    monkeypatch.setattr(provenance, "collect", lambda: MADE_FROM)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["quantdesk", "report", "run", "count", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    said = " ".join(call().split())
    assert "count, from cache" in said
    assert f"Nothing has changed since 2026-11-01 12:00 UTC: these are the files of {first.id}." in said
    served = json.loads(call("--json"))
    assert (served["id"], served["cached_from"]) == (first.id, first.id)
    assert len(list(first.folder.parent.iterdir())) == 1
    again = json.loads(call("--json", "--no-cache"))
    assert again["cached_from"] is None
    assert again["id"] != first.id
    assert read_run(first.folder.parent / again["id"]).status is Status.COMPLETED


def test_the_command_reads_its_notebook_once(
    report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is asked of the cache, its limits and what runs are of one reading."""
    honest, read = notebooks._report, []
    monkeypatch.setattr(notebooks, "_report", lambda *given: read.append(given) or honest(*given))
    monkeypatch.setattr(provenance, "collect", lambda: MADE_FROM)
    monkeypatch.setattr(sys, "argv", ["quantdesk", "report", "run", "count", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["cached_from"] is None
    assert len(read) == 1


def test_a_notebook_that_was_changed_since_it_was_read_does_not_run(report: Path) -> None:
    before = find_report("count")
    report.write_text(report.read_text() + "\n")
    with pytest.raises(DataError, match="was changed while its run began"):
        run(before)
    assert not list(RunsConfig.from_env().runs.glob("*"))


def test_neither_the_look_nor_a_direct_run_opens_the_door_to_a_database(report: Path) -> None:
    code = (
        "import sys; from quantdesk.cli import report; from quantdesk.reports import earlier, runner;"
        "earlier.earlier_run('count'); sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
