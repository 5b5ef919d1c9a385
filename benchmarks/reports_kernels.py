"""A vectorbt report on a fork, side by side with plain papermill on the same notebook.

    python benchmarks/reports_kernels.py [--json] [--times 3] [--reports 40]

The notebook makes prices up, backtests two moving averages on them with vectorbt, and draws the result: it needs no
data, so both sides do the same work in their cells. Both have the compiled code of vectorbt on disk already; papermill
pays, in every run, for the imports and for loading that code, which is what a fork saves.

in process       `quantdesk.reports.run`, which also writes the page, pictures, record and log, against
                 `papermill.execute_notebook`, which writes the notebook
whole commands   ``quantdesk report run`` against ``papermill``, the start of the interpreter included
throughput       many reports, two at a time; papermill's from as many processes, because it changes the working
                 directory of its own
a kernel         from `start_kernel` to the answer to the first cell, against a new process of ipykernel
memory           what the zygote and one kernel together hold more than the zygote alone, as proportional set sizes

What is above the cells' own time is told on the standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CELLS = (
    "seed = 7  # which prices",
    "import numpy as np\nimport pandas as pd\nimport vectorbt as vbt\nimport plotly.graph_objects as go",
    "rows = pd.date_range('2015-01-01', periods=1500, freq='B', tz='UTC')\n"
    "walk = np.random.default_rng(seed).normal(0.0003, 0.01, (len(rows), 5)).cumsum(axis=0)\n"
    "prices = pd.DataFrame(100 * np.exp(walk), index=rows, columns=list('ABCDE'))",
    "fast, slow = vbt.MA.run(prices, 20), vbt.MA.run(prices, 60)\n"
    "book = vbt.Portfolio.from_signals(prices, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), freq='1D')\n"
    "book.total_return()",
    "go.Figure(go.Scatter(x=rows, y=book.value().sum(axis=1)))",
)
PAPERMILL = "import sys, papermill; papermill.execute_notebook(*sys.argv[1:3], progress_bar=False)"
STACK = "import vectorbt"


def written(folder: Path) -> Path:
    """The notebook, in a folder of reports."""
    import nbformat

    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "python3"}})
    book.cells = [nbformat.v4.new_markdown_cell("# Two moving averages"), *map(nbformat.v4.new_code_cell, CELLS)]
    book.cells[1].metadata["tags"] = ["parameters"]
    path = folder / "notebooks" / "averages.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(book, path)
    return path


def taken(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def median(call: Callable[[], Any], times: int) -> float:
    """The median of some calls."""
    return statistics.median(taken(call) for _ in range(times))


def command(*words: str) -> None:
    """A command, with nothing of what it prints; its end with an error ends this."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def reports(folder: Path, times: int, many: int) -> Iterator[dict[str, Any]]:
    """Rows of whole reports."""
    from quantdesk.reports import kernels, run

    notebook = written(folder)
    program = Path(sys.executable).with_name
    numbers = iter(range(10_000))

    def plain() -> None:
        import papermill

        with contextlib.chdir(folder):
            papermill.execute_notebook(str(notebook), str(folder / f"{next(numbers)}.ipynb"), progress_bar=False)

    plain()  # compiles, and is not counted
    kernels.restart("worker")
    run("averages")
    own: list[float] = []

    def ours() -> None:
        done = run("averages")
        cells = json.loads(done.executed.read_text("utf-8"))["cells"]
        own.append(sum(one["metadata"].get("papermill", {}).get("duration") or 0.0 for one in cells))

    warm = [(taken(ours), time.sleep(0.5))[0] for _ in range(times)]
    above = statistics.median(seconds - cells for seconds, cells in zip(warm, own, strict=True))
    print(f"cells {statistics.median(own):.3f} s, above them {above:.3f} s", file=sys.stderr)
    yield row("a vectorbt report, in process", statistics.median(warm), "papermill", median(plain, times))

    def words() -> None:
        command(str(program("papermill")), "--no-progress-bar", str(notebook), str(folder / f"{next(numbers)}.ipynb"))

    command_line = [str(program("quantdesk")), "report", "run", "averages", "--no-cache"]
    whole = [(taken(lambda: command(*command_line)), time.sleep(0.5))[0] for _ in range(times)]
    yield row("a vectorbt report, as a whole command", statistics.median(whole), "papermill", median(words, times))

    with ThreadPoolExecutor(2) as pool:
        rate = taken(lambda: list(pool.map(lambda _: run("averages"), range(many)))) / many
        few = max(4, many // 10)
        other = taken(
            lambda: list(
                pool.map(
                    lambda number: command(
                        sys.executable, "-c", PAPERMILL, str(notebook), str(folder / f"many-{number}.ipynb")
                    ),
                    range(few),
                )
            )
        )
    yield row(f"one of {many} reports, two at a time", rate, f"papermill, one of {few}", other / few)
    cold = [one for each in kernels.status() for one in each.cold]
    print(f"cold starts meanwhile: {len(cold)} {[one.reason for one in cold]}", file=sys.stderr)


def kernel_rows(times: int) -> Iterator[dict[str, Any]]:
    """Rows of kernels alone."""
    from importlib.metadata import EntryPoint

    from jupyter_client.manager import KernelManager
    from jupyter_client.provisioning.factory import KernelProvisionerFactory

    from quantdesk.reports import kernels

    factory = KernelProvisionerFactory.instance()
    path = "quantdesk.reports.kernels.provisioner:WarmProvisioner"
    factory.provisioners["quantdesk-warm"] = EntryPoint("quantdesk-warm", path, factory.GROUP_NAME)
    shares: list[float] = []

    def usable(provisioner: str, measured: bool = False) -> float:
        factory.default_provisioner_name = provisioner
        manager = KernelManager(kernel_name="python3")
        began = time.perf_counter()
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        number = client.execute(STACK)
        while client.get_shell_msg(timeout=120)["parent_header"].get("msg_id") != number:
            pass
        seconds = time.perf_counter() - began
        if measured:
            (found,) = [
                one for one in kernels.status() if any(fork.pid == manager.provisioner.pid for fork in one.forks)
            ]
            shares.append(sum(fork.private_bytes or 0 for fork in found.forks if fork.pid == manager.provisioner.pid))
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        time.sleep(0.5)
        return seconds

    kernels.restart("kernel")
    usable("quantdesk-warm")
    warm = statistics.median(usable("quantdesk-warm", measured=True) for _ in range(times))
    cold = statistics.median(usable("local-provisioner") for _ in range(times))
    print(f"memory of a kernel that it shares with nobody: {statistics.median(shares) / 1e6:.0f} MB", file=sys.stderr)
    yield row("a kernel with vectorbt imported, until its first answer", warm, "a new process", cold)


def row(what: str, seconds: float, alternative: str, alternative_seconds: float) -> dict[str, Any]:
    """As benchmarks/run.py reads it; told at once as well, because all of them take minutes."""
    print(f"{what}: {seconds:.3f} s; {alternative}: {alternative_seconds:.3f} s", file=sys.stderr)
    return {
        "what": what,
        "seconds": seconds,
        "alternative": alternative,
        "alternative_seconds": alternative_seconds,
    }


def main() -> None:
    """Measure, and print a line or a row for each."""
    import orders_venues  # beside this script: it prints rows

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    options.add_argument("--reports", type=int, default=40, help="how many reports the throughput is measured with")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="qd-bench-"))
    os.environ.update(
        QUANTDESK_STATE=str(folder / "state"),
        QUANTDESK_NOTEBOOKS=str(folder / "notebooks"),
        QUANTDESK_KERNELS_FOLDER=str(folder / "zygotes"),
        QUANTDESK_KERNELS_WARM="true",
        QUANTDESK_KERNELS_ANSWER_S="60",
    )
    from quantdesk.reports import kernels

    try:
        rows = [*reports(folder, given.times, given.reports), *kernel_rows(given.times)]
    finally:
        for one in kernels.status():
            if one.pid is not None:
                os.kill(one.pid, 9)
        shutil.rmtree(folder, ignore_errors=True)
    orders_venues.told(rows, as_json=given.json)


if __name__ == "__main__":
    main()
