"""A run made again: the same is found to be the same, and what differs is named, with real runs of real notebooks."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from quantdesk import reports
from quantdesk.errors import DataError, UnknownName
from quantdesk.reports import reproduce as module
from quantdesk.reports.reproduce import Notebook, Reproduction, as_it_was, compare, reproduce
from quantdesk.reports.result import Run, Status
from quantdesk.reports.runs import publish, read_run

from .conftest import Write, write_notebook

CELLS = [
    "#md # A report\n\nIt counts.",
    "seed = 1  # of the generator\nn: int = 3  # how many",
    "import random\nrandom.seed(seed)\nprint([random.random() for _ in range(n)])\nprint(object())",
    "from IPython.display import HTML, Image, display\nimport os\n"
    "display(HTML(f'<table><tr><td>n</td><td>{n / 7}</td></tr></table>'))\nprint(open('beside.txt').read())",
]
UNSTEADY = "import secrets\nprint(secrets.randbits(60))"


# How a run is made again does not depend on how its processes are started.
pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def first(forked: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a notebook, and a state with one run of it."""
    home = tmp_path_factory.mktemp("first")
    write_notebook(home / "notebooks" / "count.ipynb", CELLS, {1: "parameters"})
    (home / "notebooks" / "beside.txt").write_text("beside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(home / "state"))
        patch.setenv("QUANTDESK_NOTEBOOKS", str(home / "notebooks"))
        reports.run("count", {"n": 4})
    return home


@pytest.fixture
def made(first: Path, tmp_path: Path, state: Path) -> Run:
    """That run in a state of the test's own, as if it had been made there."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    (folder,) = (state / "reports" / "runs").iterdir()
    record = (folder / "run.json").read_text()
    (folder / "run.json").write_text(record.replace(str(first), str(tmp_path)))
    return read_run(folder)


def others(found: Reproduction) -> set[str]:
    """What it was made from and the repetition was not; the code may be edited while a test runs."""
    return {one.name for one in found.comparison.provenance} - {"code_version", "git_commit"}


def test_a_run_is_made_again_from_its_file_and_what_is_another_is_named(made: Run, state: Path) -> None:
    record = json.loads((made.folder / "run.json").read_text())
    record["provenance"] |= {"data_version": "another", "python": "3.10.0"}
    record["provenance"]["packages"]["numpy"] = "1.0"
    (made.folder / "run.json").write_text(json.dumps(record))
    found = reproduce(made.id)
    assert found.is_same, found.comparison
    assert found.notebook is Notebook.FILE
    assert found.again.parameters == {"seed": 1, "n": 4}
    assert found.again.folder.parent == state / "reports" / "reproductions"
    assert found.again.page.is_file()
    assert others(found) == {"data_version", "python", "package numpy"}
    assert [cell.kind for cell in found.comparison.cells] == ["same"] * 4
    assert [one.id for one in reports.list_runs()] == [made.id]  # it is no run of the report
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_file_that_changed_is_made_up_for_by_the_record(made: Run, tmp_path: Path) -> None:
    file = Path(made.notebook)
    book = nbformat.read(file, as_version=4)
    book.cells[2].source = "print('something else')"
    nbformat.write(book, file)
    done = quantdesk("report", "reproduce", "count", "--output", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "the file has changed since" in done.stdout
    assert "✓ the same results, from the same notebook · 4 of 4 cells are the same" in done.stdout
    assert "notebook_sha256" in done.stdout
    again = read_run(tmp_path / "again")
    assert "beside" in again.executed.read_text()  # it ran where the first one did


def test_a_file_that_went_is_made_up_for_by_the_record_with_its_declaration(made: Run) -> None:
    file = Path(made.notebook)
    file.unlink()
    file.with_suffix(".toml").write_text("timeout_s = 600\n")
    with module._notebook(made, nbformat.read(made.executed, as_version=4)) as (path, kind):
        assert kind is Notebook.GONE
        assert path.name == file.name
        assert reports.find_report(str(path)).declaration.timeout_s == 600
    assert not path.exists()


def test_what_differs_is_named_with_its_cell_and_ends_with_six(notebook: Write, state: Path) -> None:
    notebook("chance", [*CELLS[:2], "print(1)", UNSTEADY], {1: "parameters"})
    run = reports.run("chance")
    done = quantdesk("report", "reproduce", run.id, "--json")
    assert done.returncode == 6, done.stderr
    found = json.loads(done.stdout)
    assert (found["is_same"], found["notebook"]) == (False, "file")
    (cell,) = found["comparison"]["cells"]
    assert (cell["after"], cell["id"], cell["source"]) == (3, "cell-3", [])
    assert "the number differs" in cell["outputs"][0]["what"]
    assert compare(run.id, run.id).has_same_results


def test_a_run_that_failed_fails_again_in_the_same_way(notebook: Write, state: Path) -> None:
    notebook("fails", ["print(1)", "raise ValueError('always')", "print(3)"])
    with pytest.raises(reports.ReportFailed):
        reports.run("fails")
    found = reproduce("fails")
    assert found.again.status is Status.FAILED
    assert found.is_same, found.comparison


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.LOST])
def test_a_run_without_an_end_of_its_own_is_not_made_again(made: Run, status: Status) -> None:
    record = json.loads((made.folder / "run.json").read_text())
    record["status"] = status.value
    (made.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"was {status.value}"):
        reproduce(made.id)


def test_a_run_that_is_not_there_or_has_no_notebook(made: Run) -> None:
    with pytest.raises(UnknownName):
        reproduce("nothing")
    made.executed.write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        reproduce(made.id)


def test_a_notebook_as_it_was(made: Run) -> None:
    executed = nbformat.read(made.executed, as_version=4)
    assert any("injected-parameters" in cell.metadata.get("tags", ()) for cell in executed.cells)
    before = nbformat.writes(executed)
    book = as_it_was(executed)
    assert nbformat.writes(executed) == before
    original = nbformat.read(made.notebook, as_version=4)
    assert [(cell.id, cell.source) for cell in book.cells] == [(cell.id, cell.source) for cell in original.cells]
    assert [cell.metadata.tags for cell in book.cells if cell.metadata.get("tags")] == [["parameters"]]
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    nbformat.validate(book)


# The commands


def quantdesk(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("quantdesk")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def on_a_terminal(*arguments: str) -> str:
    """What a person sees, without colours."""
    leader, follower = pty.openpty()
    command = [str(Path(sys.executable).with_name("quantdesk")), *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150"}
    with subprocess.Popen(command, stdout=follower, stderr=follower, stdin=follower, env=environment) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        process.wait(timeout=60)
    os.close(leader)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())


@pytest.fixture
def pair(made: Run) -> tuple[Run, Run]:
    """A run, and one like it whose outputs, title and parameters are hostile and other."""
    book: Any = nbformat.read(made.executed, as_version=4)
    book.cells[0].source = "# A \x1b]0;owned\x07 [/red] heading\n\nIt counts."
    book.cells[-1].source += "\nprint('more')  # \x1b[2J[/]"
    book.cells[-1].outputs[-1]["text"] = "beside\x1b[2J [bold]"
    name = "20270101T000000.000Z-count-fedcba"
    other = replace(
        made,
        id=name,
        folder=made.folder.with_name(name),
        parameters={**made.parameters, "n": 5, "word": "[/red]\x1b[2J"},
        metrics=(reports.result.Metric("var", 2.5, "USD", direction="lower"),),
    )
    publish(other, notebook=nbformat.writes(book), page="", log=None)
    return made, read_run(other.folder)


def test_the_screen_of_a_comparison(pair: tuple[Run, Run]) -> None:
    before, after = pair
    seen = on_a_terminal("report", "compare", before.id, after.id)
    assert "✗ the results differ, from notebooks that differ" in seen
    assert "\x07" not in seen
    assert "\x1b" not in seen
    for words in ("parameters that differ", "[/red]", "var", "2.5", "cell 3", "+print('more')"):
        assert words in seen, seen


def test_the_commands(pair: tuple[Run, Run]) -> None:
    before, after = pair
    done = quantdesk("report", "compare", before.id, after.id, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["has_same_results"]
    assert [cell["kind"] for cell in found["cells"]] == ["changed", "changed"]
    done = quantdesk("report", "compare", before.id, after.id)
    assert "\x1b" not in done.stdout
    assert "n\t4\t5" in done.stdout
    assert quantdesk("report", "compare", before.id, "nothing").returncode == 2
