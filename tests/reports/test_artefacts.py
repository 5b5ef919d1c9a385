"""What a run leaves behind, from a real kernel: metrics, tables, thumbnails, memory, caps; and an id chosen before.

Each of these starts a worker and a kernel.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from quantdesk.errors import BadInput, BadParameter
from quantdesk.reports import Limits, ReportFailed, Run, Status, Step, find_run, run
from quantdesk.reports.runs import RunsConfig, last_completed

from .conftest import write_notebook

pytestmark = pytest.mark.xdist_group("report-artefacts")

FIRST, SECOND = "20260105T000000.000Z-risk-aaaaaa", "20260106T000000.000Z-risk-bbbbbb"
FULL = [
    "#md # Daily risk\n\nWhat the book could lose.",
    "window = 60  # sessions back",
    "#md ## Results",
    "import random, pandas as pd\n"
    "from quantdesk.reports import record\n"
    "record('var_95', 150.0 + window / 60 - 1)\n"
    "record('sharpe', float('nan'))\n"
    "record('chance', random.random())\n"
    "record.table('positions', pd.DataFrame({'weight': [0.25, 0.75]}, index=pd.Index(['A', 'B'], name='symbol')))",
    "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 3, 2]))",
    "#md ## Noise",
    "for _ in range(40):\n    print('y' * 50_000)\nrecord('after', 1)",
]
DECLARED = """
owner = "ana"
seed = 11
[parameters.window]
unit = "sessions"
minimum = 20
maximum = 500
[[metrics]]
name = "var_95"
label = "Value at risk <95 %>"
unit = "USD"
bounds = { upper = 100, severity = "critical" }
[[metrics]]
name = "sharpe"
bounds = { lower = 0.5 }
[[metrics]]
name = "beta"
[[tables]]
name = "positions"
"""
GROWS = [
    "print('computed')",
    "#md ## Grow",
    "import time\nheld = []\nwhile True:\n    held.append(bytearray(10_000_000))\n    time.sleep(0.01)",
    "print('never')",
]


@pytest.fixture(scope="module")
def place(forked: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a run leaves behind does not depend on how its processes are started."""
    root = tmp_path_factory.mktemp("artefacts")
    write_notebook(root / "notebooks" / "risk.ipynb", FULL, {1: "parameters"})
    (root / "notebooks" / "risk.toml").write_text(DECLARED)
    write_notebook(root / "notebooks" / "grows.ipynb", GROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(root / "state"))
        patch.setenv("QUANTDESK_NOTEBOOKS", str(root / "notebooks"))
        patch.setenv("QUANTDESK_REPORTS_LARGEST_OUTPUT_MB", "0.5")
        patch.setenv("QUANTDESK_REPORTS_STORE", f"file://{root}/team")
        patch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
        yield root


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return []


@pytest.fixture(scope="module")
def done(place: Path, steps: list[Step]) -> Run:
    run("risk", {"window": 20}, identity=FIRST, requested_by="bo", attempt=2)
    return run("risk", {"window": 60}, identity=SECOND, steps=steps.append)


def test_the_run_has_what_was_recorded(done: Run) -> None:
    assert {metric.name: metric.value for metric in done.metrics if metric.name != "chance"} == {
        "var_95": 150.0,
        "sharpe": None,
        "after": 1,
    }
    assert [metric.name for metric in done.breaches] == ["var_95", "sharpe"]
    assert done.missing == ("beta",)
    (table,) = done.tables
    frame = pd.read_parquet(done.folder / table.file)
    assert frame.to_dict("list") == {"symbol": ["A", "B"], "weight": [0.25, 0.75]}
    told = json.loads((done.folder / "metrics.json").read_text())
    assert [one["name"] for one in told["metrics"]] == ["var_95", "sharpe", "chance", "after"]
    assert told["metrics"][0]["breach"] == "var_95 is 150 USD, above 100 USD"
    assert told["missing"] == ["beta"]
    assert find_run(SECOND) == done


def test_the_declared_seed_reaches_the_kernel(done: Run) -> None:
    first = find_run(FIRST)
    assert done.seed == first.seed == 11
    assert done.metric("chance") == first.metric("chance") != None  # noqa: E711 (it is recorded)


def test_the_run_has_a_picture_times_and_memory(done: Run) -> None:
    (picture,) = done.thumbnails
    assert picture.read_bytes().startswith(b"<svg")
    assert [cell.cell for cell in done.cells] == [1, 2, 3, 4]
    assert 0 < sum(cell.seconds for cell in done.cells) < done.duration_s
    assert done.peak_memory_bytes is not None
    assert 20e6 < done.peak_memory_bytes < 2e9


def test_output_without_end_is_cut_and_a_metric_after_it_is_kept(done: Run) -> None:
    book = nbformat.read(done.executed, as_version=4)
    text = "".join(out.get("text", "") for cell in book.cells for out in cell.get("outputs", ()))
    assert 400_000 < text.count("y") <= 500_000
    assert text.count("The rest is left out.") == 1
    assert any(note.startswith("Cell 5 gave 2.0 MB of output; 0.5 MB are kept.") for note in done.notes)


def test_the_page_says_what_stands_where(done: Run) -> None:
    page = BeautifulSoup(done.page.read_text(), "html.parser")
    rows = [" ".join(row.get_text(" ", strip=True).split()) for row in page.select(".recorded tbody tr")]
    assert rows[0] == "Value at risk <95 %> var_95 150 USD at most 100 USD ✕ outside · critical"
    assert rows[1] == "sharpe no value (not a number (NaN)) at least 0.5 ✕ outside · warning"
    assert "Not recorded: beta" in page.select_one(".missing").get_text(" ", strip=True)
    assert any("0.5 MB are kept" in note.get_text() for note in page.select(".notes li"))
    first = BeautifulSoup(find_run(FIRST).page.read_text(), "html.parser").select_one(".facts").get_text(" ")
    assert "bo" in first
    assert "Attempt" in first


def test_steps_tell_the_time_that_is_left(done: Run, steps: list[Step]) -> None:
    assert steps[0].what == "starting"
    cells = ["Daily risk", "Daily risk", "Results", "Results", "Noise"]
    assert [step.what for step in steps if step.total] == [*cells, "writing the page"]
    assert all(step.remaining_s is not None for step in steps)
    assert [step.elapsed_s for step in steps] == sorted(step.elapsed_s for step in steps)
    last = find_run(FIRST)
    assert steps[-2].remaining_s == pytest.approx(last.cells[-1].seconds)
    assert steps[-1].remaining_s == 0.0


def test_a_run_that_is_there_is_not_done_again(done: Run) -> None:
    before = done.executed.stat().st_mtime_ns
    assert run("risk", {"window": 60}, identity=SECOND) == done
    assert done.executed.stat().st_mtime_ns == before
    assert last_completed("risk") == done


def test_another_machine_does_not_do_it_again(done: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_REPORTS_ROOT", str(place / "elsewhere"))
    again = run("risk", {"window": 60}, identity=SECOND)
    assert (again.id, again.started) == (done.id, done.started)
    assert again.page.read_bytes() == done.page.read_bytes()
    assert not RunsConfig.from_env().runs.exists()


@pytest.mark.parametrize("identity", ["", ".", "../x", "a/b", "x" * 200, ".hidden", "a b", "é"])
def test_an_id_is_a_name_of_a_folder(place: Path, identity: str) -> None:
    with pytest.raises(BadInput, match="is no name of a run"):
        run("risk", identity=identity)


def test_a_run_that_is_under_way_is_told(place: Path) -> None:
    config = RunsConfig.from_env()
    (config.scratch / "busy").mkdir(parents=True)
    with pytest.raises(BadInput, match="The run busy is under way"):
        run("risk", identity="busy")
    (config.scratch / "busy").rmdir()


def test_out_of_bounds_is_refused_before_anything_starts(place: Path) -> None:
    with pytest.raises(BadParameter, match="window of risk: 5 sessions is below the minimum of 20 sessions"):
        run("risk", {"window": 5}, identity="never")
    assert not (RunsConfig.from_env().runs / "never").exists()


def test_a_run_that_eats_memory_is_ended_and_keeps_what_it_had(place: Path) -> None:
    with pytest.raises(ReportFailed) as failed:
        run("grows", limits=Limits(120, 120, 400_000_000), identity="grown")
    grown = failed.value.run
    assert grown.status is Status.OUT_OF_MEMORY, grown.problem
    assert grown.problem is not None
    assert (grown.problem.cell, grown.problem.heading) == (2, "Grow")
    assert "may use 400 MB" in grown.problem.message
    assert "used" in grown.problem.message
    assert grown.peak_memory_bytes is not None
    assert grown.peak_memory_bytes < 600e6
    page = grown.page.read_text()
    assert "Out of memory" in page
    assert "computed" in page
    # A failed run of this id stays what it is.
    with pytest.raises(ReportFailed) as again:
        run("grows", identity="grown")
    assert again.value.run == grown


def test_a_store_that_is_away_keeps_the_run_here(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (place / "blocked").write_text("a file where a folder should be")
    monkeypatch.setenv("QUANTDESK_REPORTS_STORE", f"file://{place}/blocked/team")
    write_notebook(place / "notebooks" / "small.ipynb", ["1 + 1"])
    with caplog.at_level(logging.WARNING):
        kept = run("small")
    assert "stays on this disk for now" in caplog.text
    assert kept.page.is_file()
    assert not (kept.folder / "metrics.json").exists()
