"""Reports as they are run: each of these starts a worker and a kernel. What must hold is the same for all:
a folder that tells everything, a clear error, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

from quantdesk.errors import BadInput, BadParameter, EnvironmentProblem, RunFailed, UnknownName
from quantdesk.reports import Limits, ReportFailed, Run, Status, banner, find_run, kernels, list_runs, recover, run
from quantdesk.reports.processes import marked
from quantdesk.reports.runs import RunsConfig

from .conftest import write_notebook

# One process runs them all: the reports are run once.
pytestmark = pytest.mark.xdist_group("report-runs")

HOSTILE = "\"); import os; os.mkdir(\"pwned\") #\n'''\\ \u2028 {x} %pwd </script><script>alert(1)</script>"
NOTEBOOKS: dict[str, tuple[list[str], dict[int, str]]] = {
    "good": (
        [
            "#md # A good report\n\nIt echoes what it got.",
            "texts: list[str] = ['a']  # any texts\nnumber = 1.5  # a number\nseed = 7",
            "#md ## Echo",
            "import json, os, sys\n"
            "print(json.dumps({'texts': texts, 'number': number, 'cwd': os.getcwd(), 'python': sys.executable,\n"
            "                  'environment': dict(os.environ)}))",
            "print('printed past the notebook', file=sys.__stderr__, flush=True)\n"
            "from quantdesk.reports import theme\ntheme.label_line(['simulated'])",
        ],
        {1: "parameters"},
    ),
    "raises": (["#md ## Before", "print('computed')", "#md ## Divide", "1 / 0", "print('never')"], {}),
    "expected": (["1 / 0", "print('after')"], {0: "raises-exception"}),
    "exits": (["print('computed')", "import sys; sys.exit(0)", "print('never')"], {}),
    "sleeps": (["print('computed')", "#md ## Wait", "print('in'); import time; time.sleep(600)", "1"], {}),
    "stubborn": (
        ["import time", "while True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        pass"],
        {},
    ),
    "swallows": (["import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('went on')"], {}),
    "dies": (["print('computed')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "1"], {}),
    "crashes": (["import ctypes; ctypes.string_at(0)"], {}),
    "kills_worker": (["print('computed')", "import os; os.kill(os.getppid(), 9)\nimport time; time.sleep(600)"], {}),
    "daemon": (
        [
            "import subprocess, sys\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)",
            "print(child.pid)",
        ],
        {},
    ),
}
LIMITS = {
    "sleeps": Limits(120, 1.0),
    "stubborn": Limits(120, 1.0),
    "swallows": Limits(120, 1.0),
}
ENDED = {
    "good": Status.COMPLETED,
    "raises": Status.FAILED,
    "expected": Status.COMPLETED,
    "exits": Status.FAILED,
    "sleeps": Status.TIMED_OUT,
    "stubborn": Status.TIMED_OUT,
    "swallows": Status.TIMED_OUT,
    "dies": Status.KERNEL_DIED,
    "crashes": Status.KERNEL_DIED,
    "kills_worker": Status.LOST,
    "daemon": Status.COMPLETED,
}
HIDDEN = ("hub-hidden", "vendor-hidden")
SECRETS = dict(zip(("JUPYTERHUB_API_TOKEN", "VENDOR_API_KEY"), HIDDEN, strict=True)) | {"ALLOWED_TOKEN": "allowed"}


class Ended:
    """All the runs of this module, done once."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.runs: dict[str, Run] = {}
        self.errors: dict[str, ReportFailed] = {}
        self.progress: list[tuple[str, int, int]] = []
        self.threads: set[int] = set()

    def carry_out(self, name: str) -> None:
        given = {"texts": [HOSTILE], "number": 2} if name == "good" else None

        def told(what: str, done: int, total: int) -> None:
            if name == "good":
                self.progress.append((what, done, total))
                self.threads.add(threading.get_ident())

        try:
            output = self.place / "mine" / "first" if name == "daemon" else None
            self.runs[name] = run(name, given, output=output, progress=told, limits=LIMITS.get(name))
        except ReportFailed as failed:
            self.runs[name], self.errors[name] = failed.run, failed

    def notebook(self, name: str) -> Any:
        return nbformat.read(self.runs[name].executed, as_version=4)

    def printed(self, name: str) -> str:
        cells = [cell for cell in self.notebook(name).cells if cell.cell_type == "code"]
        return "".join(out.get("text", "") for cell in cells for out in cell.outputs)


@pytest.fixture(scope="module", params=["cold", "warm"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All of this holds for workers and kernels that are new processes, and for forks of a zygote."""
    root = tmp_path_factory.mktemp("reports {x} é")  # braces and accents: papermill formats paths
    for name, (cells, tags) in NOTEBOOKS.items():
        write_notebook(root / "notebooks" / f"{name}.ipynb", cells, tags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(root / "state"))
        patch.setenv("QUANTDESK_NOTEBOOKS", str(root / "notebooks"))
        patch.setenv("QUANTDESK_REPORTS_ALLOW_ENV", "ALLOWED_TOKEN, ")
        patch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        with zygote(patch) if request.param == "warm" else contextlib.nullcontext():
            yield root


@contextlib.contextmanager
def zygote(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reports are forked; at the end, one can see that they were."""
    folder = Path(tempfile.mkdtemp(prefix="qdk-"))
    patch.setenv("QUANTDESK_KERNELS_WARM", "true")
    patch.setenv("QUANTDESK_KERNELS_FOLDER", str(folder))
    patch.setenv("QUANTDESK_KERNELS_MODULES", "json")
    patch.setenv("QUANTDESK_KERNELS_ANSWER_S", "60")
    try:
        kernels.restart("worker")
        yield
        (found,) = kernels.status()
        assert found.state == "ready", found
        assert found.served is not None
        assert found.served > len(NOTEBOOKS)
        assert found.cold == ()
    finally:
        for one in kernels.status():
            if one.pid is not None:
                os.kill(one.pid, signal.SIGKILL)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ended(place: Path) -> Ended:
    """Run them two at a time: that runs do not meet is one of the things shown."""
    ended = Ended(place)
    before = Path.cwd()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ended.carry_out, NOTEBOOKS))
    assert Path.cwd() == before
    return ended


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_run_ends_in_its_own_way_and_leaves_its_folder(ended: Ended, name: str) -> None:
    done = ended.runs[name]
    assert done.status is ENDED[name], done.problem
    assert name == "daemon" or find_run(done.id) == done
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "log.txt",
        "notebook.ipynb",
        "report.html",
        "run.json",
    ]
    nbformat.validate(ended.notebook(name))
    page = done.page.read_text()
    assert page.rstrip().endswith("</html>")
    assert banner.shown(done.status).word in page


@pytest.mark.parametrize("name", [name for name, status in ENDED.items() if status is not Status.COMPLETED])
def test_an_incomplete_run_says_so_everywhere(ended: Ended, name: str) -> None:
    done, error = ended.runs[name], ended.errors[name]
    assert isinstance(error, RunFailed)
    assert error.exit_code == 5
    assert str(done.folder) in str(error)
    assert banner.sentence(done).rstrip(".") in str(error)
    first = ended.notebook(name).cells[0]
    assert first.metadata.tags == [banner.TAG]
    assert 'role="alert"' in done.page.read_text()
    assert "papermill-error-cell" not in done.executed.read_text()


@pytest.mark.parametrize("name", ["raises", "exits", "sleeps", "dies", "kills_worker"])
def test_what_was_computed_before_is_kept(ended: Ended, name: str) -> None:
    assert "computed" in ended.printed(name)
    assert "never" not in ended.printed(name)
    assert "computed" in ended.runs[name].page.read_text()


@pytest.mark.parametrize(
    ("name", "cell", "heading", "message"),
    [
        ("raises", 2, "Divide", "ZeroDivisionError: division by zero"),
        ("exits", 2, "", "The cell ended the report by itself (sys.exit(0))."),
        ("sleeps", 2, "Wait", "A cell may take 1 s."),
        ("stubborn", 2, "", "A cell may take 1 s."),
        ("swallows", 1, "", "A cell may take 1 s."),
        ("dies", 2, "", "The kernel was killed (SIGKILL). The usual cause is that the machine ran out of memory."),
        ("crashes", 1, "", "The kernel died of SIGSEGV."),
        (
            "kills_worker",
            2,
            "",
            "Its worker was killed (SIGKILL). The usual cause is that the machine ran out of memory.",
        ),
    ],
)
def test_the_problem_names_the_cell_and_the_cause(
    ended: Ended, name: str, cell: int, heading: str, message: str
) -> None:
    problem = ended.runs[name].problem
    assert problem is not None
    assert (problem.cell, problem.heading, problem.message) == (cell, heading, message)
    assert any(other.id == problem.cell_id for other in ended.notebook(name).cells)


def test_an_interrupted_cell_shows_where_it_was(ended: Ended) -> None:
    outputs = [out for cell in ended.notebook("sleeps").cells for out in cell.get("outputs", ())]
    assert [out.ename for out in outputs if out.output_type == "error"] == ["KeyboardInterrupt"]
    assert "in\n" in ended.printed("sleeps")


def test_cells_that_did_not_run_are_not_marked_as_done(ended: Ended) -> None:
    marks = [cell.metadata.papermill.status for cell in ended.notebook("sleeps").cells[1:]]
    assert marks == ["completed", "completed", "failed", "pending"]


def test_an_expected_exception_is_no_failure(ended: Ended) -> None:
    assert ended.printed("expected") == "after\n"
    assert "papermill-error" not in ended.runs["expected"].executed.read_text()


def echoed(ended: Ended) -> dict[str, Any]:
    return json.loads(ended.printed("good").splitlines()[0])


def test_parameters_arrive_as_data(ended: Ended, place: Path) -> None:
    assert echoed(ended)["texts"] == [HOSTILE]
    assert echoed(ended)["number"] == 2
    assert not list(place.rglob("pwned"))
    done = ended.runs["good"]
    assert done.parameters == {"texts": [HOSTILE], "number": 2, "seed": 7}
    assert (done.given, done.seed) == (("number", "texts"), 7)
    assert "<script>alert(1)" not in done.page.read_text()


def test_the_kernel_is_this_python_in_the_folder_of_the_notebook(ended: Ended, place: Path) -> None:
    assert echoed(ended)["python"] == sys.executable
    assert echoed(ended)["cwd"] == str(place / "notebooks")


def test_the_kernel_sees_no_secret_that_was_not_allowed(ended: Ended) -> None:
    environment = echoed(ended)["environment"]
    assert {name: environment.get(name) for name in SECRETS} == {
        "JUPYTERHUB_API_TOKEN": None,
        "VENDOR_API_KEY": None,
        "ALLOWED_TOKEN": "allowed",
    }
    everything = ended.runs["good"].executed.read_text() + ended.runs["good"].page.read_text()
    assert not any(hidden in everything for hidden in HIDDEN)


def test_the_record_says_what_it_was_made_from(ended: Ended, place: Path) -> None:
    done = ended.runs["good"]
    assert done.notebook == str(place / "notebooks" / "good.ipynb")
    assert done.provenance.packages["papermill"] == "2.7.0"
    assert done.provenance.python == ".".join(map(str, sys.version_info[:3]))
    assert done.provenance.lock_sha256 is not None
    assert done.provenance.data_version is None  # this state directory holds none
    assert done.labels == ("simulated",)
    assert done.title == "A good report"
    assert 0 < done.duration_s < 120
    assert "printed past the notebook" in (done.folder / "log.txt").read_text()


def test_progress_counts_the_code_cells_in_the_callers_thread(ended: Ended) -> None:
    assert ended.progress[0] == ("starting", 0, 0)
    assert [step for step in ended.progress if step[2]] == [
        ("A good report", 0, 4),
        ("A good report", 1, 4),
        ("Echo", 2, 4),
        ("Echo", 3, 4),
        ("writing the page", 4, 4),
    ]
    assert ended.progress[-1] == ("writing the page", 4, 4)
    assert len(ended.threads) == 1


def test_nothing_is_left_behind(ended: Ended, place: Path) -> None:
    assert list(RunsConfig.from_env().scratch.iterdir()) == []
    ids = {done.id for done in ended.runs.values()}
    assert [process for identity in ids for process in marked(identity)] == []
    assert {done.id for done in list_runs()} >= ids - {ended.runs["daemon"].id}
    assert sorted(path.name for path in (place / "notebooks").iterdir()) == sorted(
        f"{name}.ipynb" for name in NOTEBOOKS
    )


def test_the_template_stays_as_it_was(ended: Ended, place: Path) -> None:
    from quantdesk.records import sha256_of

    for name, done in ended.runs.items():
        assert sha256_of(place / "notebooks" / f"{name}.ipynb") == done.notebook_sha256


def test_a_run_can_go_to_a_folder_of_ones_own_and_replaces_nothing(place: Path, ended: Ended) -> None:
    assert ended.runs["daemon"].folder == place / "mine" / "first"
    with pytest.raises(BadInput, match="is there already"):
        run("good", output=place / "mine" / "first")


def refused(place: Path) -> set[Path]:
    return set((place / "state" / "reports").rglob("*"))


@pytest.mark.parametrize(
    ("name", "parameters", "error"),
    [
        ("godo", {}, UnknownName),
        ("../good", {}, BadInput),
        ("good", {"numbr": 1}, BadParameter),
        ("good", {"number": "1"}, BadParameter),
        ("good", ["number=free"], BadParameter),
        ("good", {"number": float("nan")}, BadParameter),
        ("raises", {"x": 1}, BadParameter),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    place: Path, ended: Ended, name: str, parameters: Any, error: type[Exception]
) -> None:
    before = refused(place)
    with pytest.raises(error):
        run(name, parameters)
    assert refused(place) == before


@pytest.mark.parametrize("limits", [Limits(0, 1), Limits(1, -1)])
def test_a_limit_of_nothing_is_refused(place: Path, limits: Limits) -> None:
    with pytest.raises(BadParameter, match=r"A time limit of .* s is none"):
        run("good", limits=limits)


@pytest.mark.parametrize("root", ["/proc/quantdesk", "/dev/null/quantdesk"])
def test_a_folder_that_cannot_be_written_is_named(place: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("QUANTDESK_REPORTS_ROOT", root)
    with pytest.raises(EnvironmentProblem, match="cannot be written") as error:
        run("good")
    assert root in str(error.value)
    assert "QUANTDESK_STATE" in error.value.remedy


@pytest.mark.parametrize("output", ["/proc/nowhere/run", "/dev/null/run"])
def test_an_output_that_cannot_be_written_is_refused_at_once(place: Path, ended: Ended, output: str) -> None:
    before = refused(place)
    with pytest.raises(EnvironmentProblem, match=f"{output} cannot be written"):
        run("expected", output=Path(output))
    assert refused(place) == before


def test_another_thread_can_cancel(place: Path) -> None:
    cancel = threading.Event()

    def told(what: str, done: int, total: int) -> None:
        if what == "Wait":
            cancel.set()

    with pytest.raises(ReportFailed) as error:
        run("sleeps", progress=told, cancel=cancel)
    done = error.value.run
    assert done.status is Status.CANCELLED
    assert done.problem is not None
    assert (done.problem.cell, done.problem.heading, done.problem.message) == (2, "Wait", "It was cancelled.")


# A shell that starts tests in the background hands SIGINT down as ignored; a Ctrl-C in a terminal is never that.
PARENT = """
import signal, sys
from quantdesk.reports import run, ReportFailed
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    run("sleeps", progress=lambda what, done, total: print(what, flush=True))
except ReportFailed as failed:
    print(failed.run.status, flush=True)
    sys.exit(failed.exit_code)
"""


def parent_at_the_wait() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "Wait\n":
            return process
    raise AssertionError("the report never came to its second cell")


def newest() -> Run | None:
    found = [one for one in list_runs() if one.report == "sleeps"]
    return found[0] if found else None


def test_ctrl_c_publishes_and_ends_everything(place: Path) -> None:
    parent = parent_at_the_wait()
    assert recover() == ()  # a run that is under way is not taken for lost
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=60)[0].splitlines()[-1] == "cancelled"
    assert parent.returncode == 5
    done = newest()
    assert done is not None
    assert done.status is Status.CANCELLED
    assert list(RunsConfig.from_env().scratch.iterdir()) == []


def test_a_parent_that_is_killed_leaves_a_published_run_and_no_process(place: Path) -> None:
    last = newest()
    parent = parent_at_the_wait()
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 60
    while (done := newest()) == last and time.monotonic() < deadline:
        time.sleep(0.2)
    assert done is not None
    assert done != last
    assert done.status is Status.CANCELLED
    assert done.problem is not None
    assert done.problem.message == "The process that had started it was gone."
    while (left := marked(done.id)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    # Only its scratch folder was left; the worker lets go of it a moment after it has left the list of processes.
    while list(RunsConfig.from_env().scratch.iterdir()) and time.monotonic() < deadline:
        assert recover() == ()
        time.sleep(0.1)
    assert list(RunsConfig.from_env().scratch.iterdir()) == []


def test_a_run_whose_processes_all_died_is_published_by_the_next(place: Path) -> None:
    parent = parent_at_the_wait()
    (scratch,) = RunsConfig.from_env().scratch.iterdir()
    sockets = (scratch / "sockets").readlink()
    assert sockets.stat().st_mode & 0o777 == 0o700
    (worker,) = [process for process in marked(scratch.name) if "quantdesk.reports.worker" in process.cmdline()]
    parent.kill()
    worker.kill()
    parent.communicate()
    time.sleep(0.5)
    (lost,) = recover()
    assert (lost.id, lost.status) == (scratch.name, Status.LOST)
    assert lost.problem is not None
    assert (lost.problem.cell, lost.problem.heading) == (2, "Wait")
    assert "computed" in lost.page.read_text()
    assert not sockets.exists()
    assert list(RunsConfig.from_env().scratch.iterdir()) == []
