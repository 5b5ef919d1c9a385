"""How long the pages of the gallery take over a ledger of 1,000 runs.

    python benchmarks/reports_gallery.py [--json] [--times 40] [--runs 1000] [--reports 40]

The whole service answers, in process: login, scopes, ledger (SQLite), templates; no network and no browser. Each run
has a record as the runner leaves it (60 packages, 12 metrics, 30 cells). The pages:

    gallery     all reports, each with last run, figure, metric over 30 runs and next run
    again       the same as its script asks for it every five seconds: the rows alone
    runs        the newest 50 of all runs
    report      the newest 50 runs of one report that has all of them

The figure is the median of the turns; the first one, which reads the notebooks, is told apart. What stands against it
is the limit that the gallery was given: 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests" / "hub" / "gallery"
sys.path.insert(0, str(TESTS.parents[1]))  # what those tests share
LIMIT_S = 0.1


def fill(seed: Any, folder: Path, runs: int, reports: int) -> None:
    """Notebooks and a ledger with runs of them, newest last; the first report has a run for each of the others' too."""
    from quantdesk.reports.ledger import RunLedger, Schedule
    from quantdesk.reports.result import CellTime, Metric, Provenance, Run, Status

    notebooks = folder / "notebooks"
    notebooks.mkdir()
    names = [f"report_{number:02d}" for number in range(reports)]
    for number, name in enumerate(names):
        toml = f'owner = "ana"\ntags = ["risk", "t{number % 7}"]\n[[metrics]]\nname = "m0"\nunit = "USD"\n'
        seed.notebook(notebooks / f"{name}.ipynb", f"Report {number:02d}", "window = 250  # sessions\n", toml)
    packages = {f"package-{number}": f"1.{number}.0" for number in range(60)}
    told = seed.Told("", "", seed.START)
    with RunLedger.open() as ledger:
        for name in names:
            ledger.schedules.add(Schedule("", name, "30 minutes after the NYSE close", "America/New_York", "ana"))
        for number in range(runs):
            name, at = names[number % reports], seed.START + timedelta(minutes=number)
            metrics = tuple(Metric(f"m{place}", float(number * place % 97), "USD") for place in range(12))
            made = Run(
                id=f"{at:%Y%m%dT%H%M%S}.000Z-{name}-{number:06x}", report=name, title=name, status=Status.COMPLETED,
                parameters={"window": 250}, given=(), seed=None, notebook=name, notebook_sha256="0" * 64, started=at,
                ended=at + timedelta(seconds=9), problem=None, labels=("real",), folder=folder,
                provenance=Provenance("0" * 64, "0" * 64, packages, "3.11.9", "0" * 40, "desk", "ana"),
                metrics=metrics, thumbnail_files=("1.svg",), cells=tuple(CellTime(place, 0.25) for place in range(30)),
            )  # fmt: skip
            seed.noted(ledger, replace(told, report=name, title=name, at=at, metrics=metrics), made)


def measure(times: int, runs: int, reports: int) -> dict[str, float]:
    """Seconds of each page."""
    from modules import module_at

    seed, service = module_at(TESTS / "seed.py", "gallery_seed"), module_at(TESTS / "conftest.py", "gallery_service")
    import httpx

    from quantdesk.hub.app import ServiceConfig, create_app

    taken: dict[str, list[float]] = {}
    first = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for place, count, kinds in (("many", reports, ("gallery", "again", "runs")), ("one", 1, ("report",))):
            folder = Path(scratch, place)
            (folder / "state" / "reports").mkdir(parents=True)
            os.environ |= {"QUANTDESK_STATE": str(folder / "state"), "QUANTDESK_NOTEBOOKS": str(folder / "notebooks")}
            fill(seed, folder, runs, count)
            config = ServiceConfig(folder=folder / "state" / "service", hub_api="http://hub")
            app = create_app(config, hub=httpx.MockTransport(service.people))
            paths = {"gallery": "/", "again": "/live/gallery", "runs": "/runs", "report": "/reports/report_00"}
            with asyncio.Runner() as runner:
                person = service.Person(app, "ana", runner)
                began = time.perf_counter()
                assert person.get(paths[kinds[0]]).status_code == 200
                first = first or time.perf_counter() - began
                for _ in range(times):
                    for kind in kinds:
                        began = time.perf_counter()
                        answer = person.get(paths[kind])
                        taken.setdefault(kind, []).append(time.perf_counter() - began)
                        assert answer.status_code == 200
            app.state.catalogue.close()
            app.state.database.close()
    return {"first": first, **{kind: statistics.median(seconds) for kind, seconds in taken.items()}}


def main() -> None:
    """Print one line per page, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=40, help="how often each page is asked for")
    options.add_argument("--runs", type=int, default=1000, help="runs in the ledger")
    options.add_argument("--reports", type=int, default=40, help="reports that they are of")
    given = options.parse_args()
    seconds = measure(given.times, given.runs, given.reports)
    named = {
        "gallery": f"gallery, {given.reports} reports with {given.runs:,} runs",
        "again": "the same, as its script asks for it",
        "runs": f"the newest 50 of {given.runs:,} runs",
        "report": f"a report with {given.runs:,} runs",
    }
    if given.json:
        rows = [
            {"what": said, "seconds": seconds[name], "alternative": "the limit", "alternative_seconds": LIMIT_S}
            for name, said in named.items()
        ]
        print(json.dumps(rows))
        return
    for name, said in named.items():
        print(f"{said}: {seconds[name] * 1e3:.1f} ms at the median")
    print(f"the first gallery, notebooks and market calendars read: {seconds['first'] * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
