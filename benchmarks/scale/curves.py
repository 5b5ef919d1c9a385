"""How seconds, memory and disk grow with symbols, rows, reports and scenarios, each size in a process of its own.

    python benchmarks/scale/curves.py [--json] [--quick] [CURVE ...]

symbols    ten years of made daily bars of so many stocks, beside the data of the package: into the market store; all
           features computed, registered, and put into the online store; one year of five features of all those stocks
rows       so many rows (symbol, time) ask ten features of 500 symbols x 2,520 days through Feast, evidence included
runs       so many runs in the ledger (SQLite): the gallery of 40 reports, the newest 50 runs
reports    so many vectorbt reports, two at a time, on warm kernels: notebook, page, pictures, record and log of each
scenarios  a grid of so many runs of a strategy through 20 days and 20 stocks, by two processes

Memory is the largest resident set of the process that works (of reports: of the largest of its children). Disk is what
the step has left. Figures are of one go: what is compared is sizes, in one run, on one machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]  # the scripts beside, and what tests share

SIZES = {
    "symbols": (10, 100, 1_000),
    "rows": (1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "runs": (100, 1_000, 10_000, 30_000),
    "reports": (10, 40, 160),
    "scenarios": (10, 100, 1_000),
}
QUICK = {"symbols": (5, 20), "rows": (1_000, 10_000), "runs": (100, 1_000), "reports": (2, 4), "scenarios": (4, 8)}

Measured = dict[str, dict[str, float]]


@contextlib.contextmanager
def step(found: Measured, name: str, folder: Path | None = None) -> Iterator[None]:
    """Measure a block: seconds, and what it leaves in a folder."""
    held, began = _disk(folder), time.perf_counter()
    yield
    found[name] = {"seconds": round(time.perf_counter() - began, 3)}
    if folder is not None:
        found[name]["disk_mb"] = round((_disk(folder) - held) / 1e6, 2)


def _disk(folder: Path | None) -> int:
    if folder is None or not folder.exists():
        return 0
    return sum(one.lstat().st_blocks * 512 for one in folder.rglob("*") if one.is_file())


def symbols(size: int, scratch: Path) -> Measured:
    """From files to an answer of the feature store."""
    import numpy as np
    import pandas as pd

    from quantdesk.features import FeatureStore
    from quantdesk.market import FolderSource, load
    from quantdesk.market.sessions import sessions_between
    from quantdesk.market.sources import bundled

    found: Measured = {}
    folder, state = scratch / "made", Path(os.environ["QUANTDESK_STATE"])
    folder.mkdir()
    (folder / "series.toml").write_text('kind = "equity"\nunit = "USD"\ncalendar = "XNYS"\nreal = false\n')
    days = pd.DatetimeIndex(
        sessions_between("XNYS", pd.Timestamp("2010-01-04").date(), pd.Timestamp("2020-01-10").date())
    )
    rng = np.random.default_rng(7)
    for number in range(size):
        close = 50 * np.exp(np.cumsum(0.015 * rng.standard_normal(len(days))))
        opening = close * np.exp(0.004 * rng.standard_normal(len(days)))
        frame = pd.DataFrame({"open": opening, "close": close}, index=days.rename("date"))
        frame["high"], frame["low"] = frame.max(axis=1) * 1.005, frame.min(axis=1) * 0.995
        frame["volume"] = rng.integers(100_000, 1_000_000, len(days))
        frame.reset_index().to_parquet(folder / f"M{number:05d}.parquet", index=False)
    load(bundled())  # the package's own, which is not counted
    with step(found, "load", state / "market"):
        load([FolderSource(folder)])
    store = FeatureStore()
    with step(found, "build", state), contextlib.redirect_stdout(io.StringIO()):
        store.build()
        store.apply()
        store.materialize()
    names = ["sma_20", "rsi_14", "mom_12_1", "vol_21d", "bollinger_z_20"]
    with step(found, "ask"):
        frame = store.get_historical_features(
            [f"M{number:05d}" for number in range(size)], names, start_date="2019-01-01", end_date="2019-12-31"
        )
        if not frame.is_pit_validated:
            sys.exit("the answer is not proven")
    return found


def rows(size: int, scratch: Path) -> Measured:
    """The point-in-time join."""
    import features_offline

    found: Measured = {}
    table = features_offline.write(scratch / "table.parquet", 500, 2520, bitemporal=True)
    store = features_offline.feast(scratch / "feast", features_offline.OURS, {"table": table})
    asked = features_offline.asking(size, 500, 2520)
    few = features_offline.asking(100, 500, 2520)
    features_offline.ask(store, "table_0", few)  # compiles, and is not counted
    with step(found, "ask"):
        features_offline.ask(store, "table_0", asked)
    return found


def runs(size: int, scratch: Path) -> Measured:
    """Pages over a ledger."""
    import reports_gallery

    found: Measured = {}
    with _kept(scratch):
        seconds = reports_gallery.measure(10, size, 40)
    found["gallery"], found["newest 50"] = (
        {"seconds": round(seconds["gallery"], 4)},
        {"seconds": round(seconds["runs"], 4)},
    )
    return found


@contextlib.contextmanager
def _kept(scratch: Path) -> Iterator[None]:
    """What is made below a temporary folder goes with the scratch."""
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        yield
    finally:
        tempfile.tempdir = before


def reports(size: int, scratch: Path) -> Measured:
    """Reports on warm kernels."""
    import reports_kernels

    found: Measured = {}
    os.environ |= {
        "QUANTDESK_NOTEBOOKS": str(scratch / "notebooks"), "QUANTDESK_KERNELS_FOLDER": str(scratch / "zygotes"),
        "QUANTDESK_KERNELS_WARM": "true", "QUANTDESK_KERNELS_ANSWER_S": "60",
    }  # fmt: skip
    from quantdesk.reports import kernels, run

    reports_kernels.written(scratch)
    try:
        run("averages")
        kernels.restart("worker")
        run("averages")
        with step(found, "two at a time", Path(os.environ["QUANTDESK_STATE"])), ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda _: run("averages"), range(size)))
        if any(one.problem for one in done):
            sys.exit("a report has failed")
        found["two at a time"]["child_mb"] = round(max(one.peak_memory_bytes or 0 for one in done) / 1e6, 1)
    finally:
        for one in kernels.status():
            if one.pid is not None:
                os.kill(one.pid, 9)
    return found


def scenarios(size: int, scratch: Path) -> Measured:  # noqa: ARG001  (all curves are called alike)
    """A grid of runs."""
    import scenarios_grid

    from quantdesk.compute import Processes

    found: Measured = {}
    cells = scenarios_grid.cells_of([scenarios_grid.path(20)], ["equal_weight"], seeds=range(size))
    with step(found, "two processes"):
        done = scenarios_grid.run_grid(cells, Processes(2))
    if done.count(scenarios_grid.Standing.DONE) != size:
        sys.exit("a run has failed")
    found["two processes"]["child_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3, 1)
    return found


CURVES: dict[str, Callable[[int, Path], Measured]] = {
    "symbols": symbols, "rows": rows, "runs": runs, "reports": reports, "scenarios": scenarios,
}  # fmt: skip


def point(curve: str, size: int) -> dict[str, Any]:
    """One size, in a process of its own."""
    print(f"  … {curve} {size:,}", file=sys.stderr, flush=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
    with tempfile.TemporaryDirectory(prefix="qd-scale-") as scratch:
        env = {**kept, "QUANTDESK_STATE": f"{scratch}/state", "OPENBLAS_NUM_THREADS": "1"}
        line = [sys.executable, "-W", "ignore", __file__, "--point", curve, str(size), scratch]
        done = subprocess.run(line, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure the curves that are named, or all; or one point, as a child."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("curves", nargs="*", choices=[*CURVES, []], help="which; all when none is named")
    options.add_argument("--quick", action="store_true", help="small sizes alone, to see that it works")
    options.add_argument("--json", action="store_true", help="one document of JSON")
    options.add_argument("--point", nargs=3, metavar=("CURVE", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.point:
        curve, size, scratch = given.point
        found = CURVES[curve](int(size), Path(scratch))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # the system counts in kB
        print(json.dumps({"size": int(size), "peak_mb": round(peak, 1), "steps": found}))
        return
    sizes = QUICK if given.quick else SIZES
    found = {name: [point(name, size) for size in sizes[name]] for name in given.curves or CURVES}
    print(json.dumps(found) if given.json else told(found))


def told(found: dict[str, list[dict[str, Any]]]) -> str:
    """A line for each point."""
    return "\n".join(
        f"{curve:9} {one['size']:>10,}  {one['peak_mb']:>7,.0f} MB  "
        + "; ".join(
            f"{name} " + ", ".join(f"{value:g} {unit}" for unit, value in each.items())
            for name, each in one["steps"].items()
        )
        for curve, points in found.items()
        for one in points
    )


if __name__ == "__main__":
    main()
