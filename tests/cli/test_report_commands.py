"""``quantdesk report``: what a person sees of reports, of their declarations, and of what runs recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner, Result

from quantdesk.cli.report import app
from quantdesk.errors import BadInput, BadParameter
from quantdesk.reports.runs import Metric, Provenance, Run, RunsConfig, Status, Table, publish

DECLARED = """
owner = "ana"
visibility = "private"
tags = ["risk"]
timeout_s = 600
memory_mb = 2000
retries = 2
[[schedules]]
trigger = "30 18 * * 1-5"
timezone = "America/New_York"
enabled = false
[parameters.window]
unit = "sessions"
minimum = 20
maximum = 500
help = "How far [back]."
[[metrics]]
name = "var_95"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path))
    for name in ("QUANTDESK_REPORTS_STORE", "QUANTDESK_REPORTS_ROOT"):
        monkeypatch.delenv(name, raising=False)
    cell = nbformat.v4.new_code_cell("window = 60", metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Daily [risk]"), cell])
    nbformat.write(book, tmp_path / "risk.ipynb")
    (tmp_path / "risk.toml").write_text(DECLARED)
    return tmp_path


def told(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def a_run() -> Run:
    config = RunsConfig.from_env()
    at = datetime(2026, 1, 5, tzinfo=UTC)
    identity = "20260105T000000.000Z-risk-aaaaaa"
    run = Run(
        id=identity,
        report="risk",
        title="Daily risk",
        status=Status.COMPLETED,
        parameters={"window": 60},
        given=(),
        seed=None,
        notebook="risk.ipynb",
        notebook_sha256="",
        started=at,
        ended=at + timedelta(seconds=2),
        problem=None,
        labels=(),
        provenance=Provenance(),
        folder=config.runs / identity,
        metrics=(
            Metric("var_95", 312500.5, "USD", upper=250000.0, severity="critical"),
            Metric("n", None, reason="NaN"),
        ),
        tables=(Table("positions", "tables/positions.parquet", 1200, ("symbol", "weight")),),
        missing=("beta",),
        notes=("Cell 5 gave 20.0 MB of output; 2.0 MB are kept.",),
        peak_memory_bytes=196_000_000,
    )
    return publish(run, notebook="{}", page="", log=None)


def test_the_list_shows_what_is_declared(desk: Path) -> None:
    shown = told("list")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "risk  Daily [risk]",
        "    owner ana · private · tags risk · at most 600 s · at most 2,000 MB · 2 retries",
        "    runs 30 18 * * 1-5 (America/New_York), switched off",
        "    records var_95",
        "    window: int = 60 sessions  [20 to 500 sessions]  # How far [back].",
    ]
    (report,) = json.loads(told("list", "--json").stdout)
    assert report["declaration"]["owner"] == "ana"
    assert report["parameters"][0]["maximum"] == 500


def test_a_broken_declaration_is_told_after_the_others(desk: Path) -> None:
    for name in ("a", "b"):
        (desk / f"{name}.ipynb").write_bytes((desk / "risk.ipynb").read_bytes())
        (desk / f"{name}.toml").write_text("owner = 5")
    shown = told("list")
    assert shown.exit_code == 3
    assert "risk  Daily [risk]" in shown.stdout
    assert "a.toml, line 1: owner is 5" in shown.stderr
    assert "b.toml, line 1: owner is 5" in shown.stderr


def test_runs_show_memory_metrics_and_doubts(desk: Path) -> None:
    run = a_run()
    head, row = (line.split("\t") for line in told("runs").stdout.splitlines())
    assert dict(zip(head, row, strict=True)) == {
        "started (UTC)": "2026-01-05 00:00:00",
        "report": "risk",
        "status": "completed",
        "seconds": "2.0",
        "MB": "196",
        "metrics": "2",
        "doubts": "2",
        "run": run.id,
    }


def test_one_run_shows_what_it_recorded(desk: Path) -> None:
    a_run()
    lines = told("show", "risk").stdout.splitlines()
    assert "table positions\t1,200 rows: symbol, weight" in lines
    assert "var_95\t312,500 USD\tat most 250,000 USD\t✕ critical" in lines
    assert "n\tno value\t\t" in lines
    assert "? beta was not recorded" in lines
    assert "! Cell 5 gave 20.0 MB of output; 2.0 MB are kept." in lines
    assert json.loads(told("show", "risk", "--json").stdout)["metrics"][0]["value"] == 312500.5


def test_a_value_out_of_bounds_is_refused_with_what_it_takes(desk: Path) -> None:
    refused = told("run", "risk", "-p", "window=5")
    assert isinstance(refused.exception, BadParameter)
    assert refused.exception.remedy == "It takes 20 to 500 sessions."


def test_limits_of_one_run_go_before_the_declared_ones(desk: Path) -> None:
    from quantdesk.reports.runner import limits_for

    declared, given = limits_for("risk"), limits_for("risk", total_s=5, memory_mb=100)
    assert (declared.total_s, declared.cell_s, declared.memory_bytes) == (600, 600, 2_000_000_000)
    assert (given.total_s, given.cell_s, given.memory_bytes) == (5, 5, 100_000_000)
    assert told("run", "risk", "--memory-mb", "1").exit_code == 2


def test_pushing_needs_a_store_and_tells_what_went(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run()
    assert isinstance(told("push").exception, BadInput)
    monkeypatch.setenv("QUANTDESK_REPORTS_STORE", f"file://{desk}/team")
    assert told("push").stdout == f"✓ {run.id}\n"
    assert json.loads(told("push", "--json").stdout) == {"sent": [], "failed": {}}
    (RunsConfig.from_env().runs / "what").mkdir()
    failed = told("push")
    assert failed.exit_code == 4
    assert failed.stdout.startswith("✗ what: ")
