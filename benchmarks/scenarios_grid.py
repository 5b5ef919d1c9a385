"""How long a grid of runs takes on Dask workers of this machine, against one worker and against no Dask at all.

    python benchmarks/scenarios_grid.py [--json] [--quick]

The grid: 200 runs, each `equal_weight` with a million dollars through a made path of 20 stocks and 20 days with another
seed, so that every run does the whole work of the desk and none of it is shared but the stage. The clusters are started
before, and every worker has run a cell: what is measured is the grid. The results are compared byte by byte.

Rows: two workers against one (at most 0.625: 1.6 times as fast); one worker against the same loop in this process (what
Dask adds to a run is the difference over 200); two bare processes against one Dask worker.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import sys

import numpy as np

from quantdesk.compute import Compute, InProcess, LocalDask, Processes
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios import Asset, Path
from quantdesk.scenarios.grid import Cell, GridResult, Standing, cells_of, run_grid

SYMBOLS = tuple(f"S{number:02d}" for number in range(20))


def days(closes: np.ndarray, first: dt.date, history: Path | None = None) -> Path:
    """A path of days in New York, all of them taken as real."""
    sessions = sessions_between("XNYS", first, first + dt.timedelta(days=2 * len(closes) + 15))[: len(closes)]
    begins, ends = (times("XNYS", sessions).as_unit("ns").asi8.copy() for times in (open_times, event_times))
    assets = tuple(Asset(name, "equity") for name in SYMBOLS)
    return Path("bench", assets, begins, ends, closes, np.zeros(closes.shape, dtype=np.int8), history=history)


def path(bars: int) -> Path:
    """A window with three hundred days before it."""
    rng = np.random.default_rng(7)
    prices = 50 * np.exp(np.cumsum(0.015 * rng.standard_normal((300 + bars, len(SYMBOLS))), axis=0))
    history = days(prices[:300], dt.date(2007, 6, 1))
    return days(prices[300:], dt.date(2008, 9, 12), history)


def timed(cells: tuple[Cell, ...], place: Compute, turns: int) -> GridResult:
    """The fastest of some turns, after every worker has seen the scenario."""
    run_grid(cells[:8], place)
    return min((run_grid(cells, place) for _ in range(turns)), key=lambda found: found.seconds)


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    runs, bars, turns = (24, 10, 1) if given.quick else (200, 20, 1)
    cells = cells_of([path(bars)], ["equal_weight"], seeds=range(runs))
    found = {}
    places = {"here": InProcess(), "processes": Processes(2), "one": LocalDask(1), "two": LocalDask(2)}
    for name, place in places.items():
        with place if isinstance(place, LocalDask) else contextlib.nullcontext():
            found[name] = timed(cells, place, turns)
        print(f"  … {name}: {found[name].seconds:.2f} s", file=sys.stderr)
    if any(one.digest != found["here"].digest or one.count(Standing.DONE) != runs for one in found.values()):
        sys.exit("The results differ.")
    here, one, two, bare = (found[name].seconds for name in ("here", "one", "two", "processes"))
    rows = [
        {"what": f"grid of {runs} runs, 2 Dask workers", "seconds": two, "alternative": "1 Dask worker",
         "alternative_seconds": one},
        {"what": "a run on 1 Dask worker", "seconds": one / runs, "alternative": "in this process, without Dask",
         "alternative_seconds": here / runs},
        {"what": f"grid of {runs} runs, 2 Dask workers", "seconds": two, "alternative": "2 processes, started with it",
         "alternative_seconds": bare},
    ]  # fmt: skip
    if given.json:
        json.dump(rows, sys.stdout)
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        print(f"{row['what']}: {row['seconds']:.4f} s, {row['alternative']}: {row['alternative_seconds']:.4f} s, "
              f"{ratio:.2f}")  # fmt: skip
    print(
        f"Two workers are {one / two:.2f} times as fast as one; Dask adds {1000 * (one - here) / runs:.1f} ms to a run."
    )


if __name__ == "__main__":
    main()
