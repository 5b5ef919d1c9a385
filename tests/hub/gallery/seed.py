"""A desk's reports with a past: notebooks, run folders as the runner publishes them, and the ledger that knows them.

Tests, the browser's tests and the benchmark of the gallery stand on it. Nothing runs here; what a kernel would have
left is written, so that every page has what it shows in earnest.
"""

from __future__ import annotations

import base64
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
from sqlalchemy import update

from quantdesk.reports import page
from quantdesk.reports.ledger import Order, Recorded, RunLedger, State
from quantdesk.reports.ledger.tables import RUNS, nanoseconds
from quantdesk.reports.result import Metric, Problem, Provenance, Run, Status
from quantdesk.reports.runs import publish
from quantdesk.reports.thumbnails import thumbnails

START = datetime(2026, 11, 2, 21, 30, tzinfo=UTC)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
)
TABLE = (
    "<table class='dataframe'><thead><tr><th>Book</th><th>Value at risk (USD)</th><th>Limit (USD)</th></tr></thead>"
    "<tbody><tr><td>Core</td><td>{core:,.0f}</td><td>180,000</td></tr>"
    "<tr><td>Event</td><td>61,250</td><td>70,000</td></tr></tbody></table>"
)


@dataclass(frozen=True)
class Told:
    """What a seeded run says of itself."""

    report: str
    title: str
    at: datetime
    status: Status = Status.COMPLETED
    problem: Problem | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    labels: tuple[str, ...] = ("real",)
    requested_by: str = "ana"
    owner: str = "ana"
    is_private: bool = False
    trigger: str = "manual"
    seconds: float = 12.5
    picture: bytes | None = PIXEL
    cells: tuple[tuple[str, str, tuple[Mapping[str, Any], ...]], ...] = (
        ("markdown", "# Title\n\nProse.", ()), ("code", "1 + 1", ()),
    )  # fmt: skip
    log: str = "worker: started\nworker: done\n"
    suffix: str = ".png"


def notebook(path: Path, title: str, parameters: str, toml: str = "", prose: str = "What it is about.") -> None:
    """Write a notebook that can run as a report, and its declaration."""
    made = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[
            nbformat.v4.new_markdown_cell(f"# {title}\n\n{prose}", id="head"),  # type: ignore[no-untyped-call]
            nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),  # type: ignore[no-untyped-call]
            nbformat.v4.new_markdown_cell("## Result", id="result"),  # type: ignore[no-untyped-call]
            nbformat.v4.new_code_cell("window", id="shown"),  # type: ignore[no-untyped-call]
        ]
    )
    path.write_text(json.dumps(made), "utf-8")
    if toml:
        path.with_suffix(".toml").write_text(toml, "utf-8")


def desk(folder: Path) -> None:
    """The notebooks of a desk: four that are shared, one that is ana's alone, one that is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook(
        folder / "daily_risk.ipynb", "Daily risk",
        'symbols: list[str] = ["AAPL", "MSFT"]  # whose positions\nwindow = 250  # look-back\n'
        'confidence: float = 0.95  # of the loss that is not exceeded\nsince = "2015-01-02"  # first session\n'
        'method = "historical"  # how it is estimated\nstressed = True  # with the crises\n'
        "note: str | None = None  # said in the head\n",
        'owner = "ana"\ntags = ["risk", "daily"]\nretries = 1\n'
        '[[schedules]]\ntrigger = "30 minutes after the NYSE close"\n'
        '[parameters.window]\nunit = "sessions"\nminimum = 20\nmaximum = 500\nlabel = "Look-back"\n'
        "[parameters.confidence]\nminimum = 0.5\nmaximum = 0.999\n"
        '[parameters.since]\nminimum = "2010-01-04"\nmaximum = "2026-11-25"\n'
        '[parameters.method]\nchoices = ["historical", "parametric", "monte_carlo"]\n'
        '[[metrics]]\nname = "var_95"\nlabel = "Value at risk, 95 %"\nunit = "USD"\n'
        'bounds = { upper = 250000, severity = "critical" }\n[[metrics]]\nname = "gross"\nunit = "%"\n',
        "Value at risk, stress losses and exposure of every book, against its limits.",
    )  # fmt: skip
    notebook(
        folder / "execution_quality.ipynb", "Execution quality", "window = 20  # sessions\n",
        'owner = "bo"\ntags = ["execution"]\n[[metrics]]\nname = "shortfall"\nlabel = "Shortfall"\nunit = "bp"\n',
        "What orders cost against arrival, by venue and hour.",
    )  # fmt: skip
    notebook(
        folder / "data_freshness.ipynb", "Data freshness", "window = 1\n",
        'owner = "bo"\ntags = ["data", "daily"]\n', "How old each source is, and which sessions are missing.",
    )  # fmt: skip
    notebook(
        folder / "scenario_stress.ipynb", "Scenario stress", "window = 1\nseed = 7\n",
        'owner = "ana"\ntags = ["risk", "scenario"]\n', "The book in six crises, reconstructed session by session.",
    )  # fmt: skip
    notebook(
        folder / "anas_idea.ipynb", "Ana's idea", "window = 3\n", 'owner = "ana"\nvisibility = "private"\n',
        "Not for everybody yet.",
    )  # fmt: skip
    (folder / "broken.ipynb").write_text("{", "utf-8")


def executed_notebook(told: Told) -> Any:
    """What the kernel would have left."""
    made = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for place, (kind, source, outputs) in enumerate(told.cells):
        if kind == "markdown":
            made.cells.append(nbformat.v4.new_markdown_cell(source, id=f"c{place}"))  # type: ignore[no-untyped-call]
        else:
            given = [nbformat.v4.new_output("display_data", dict(one)) for one in outputs]  # type: ignore[no-untyped-call]
            made.cells.append(
                nbformat.v4.new_code_cell(source, id=f"c{place}", execution_count=place + 1, outputs=given)  # type: ignore[no-untyped-call]
            )
    return made


def left(ledger: RunLedger, root: Path, told: Told, number: int = 0) -> Recorded:
    """A run that has ended: its folder, and what the ledger has of it."""
    identity = f"{told.at:%Y%m%dT%H%M%S}.{number % 1000:03d}Z-{told.report}-{number:06x}"
    ended = told.at + timedelta(seconds=told.seconds)
    executed = executed_notebook(told)
    pictures = {f"1{told.suffix}": told.picture} if told.picture is not None else thumbnails(executed)
    made = Run(
        id=identity, report=told.report, title=told.title, status=told.status, parameters=told.parameters,
        given=told.given, seed=7, notebook=f"/srv/notebooks/{told.report}.ipynb", notebook_sha256="5f" * 32,
        started=told.at, ended=ended, problem=told.problem, labels=told.labels,
        provenance=Provenance("c0ffee" * 10 + "c0ff", "ab" * 32, {"numpy": "2.3.4", "pandas": "2.3.3"}, "3.11.9",
                              "1234567890abcdef1234567890abcdef12345678", "desk-1", "qd-ana"),
        folder=root / "runs" / identity, metrics=told.metrics,
        thumbnail_files=tuple(pictures), peak_memory_bytes=412_000_000,
        requested_by=told.requested_by,
    )  # fmt: skip
    log = root / f"{identity}.log"
    root.mkdir(parents=True, exist_ok=True)
    log.write_text(told.log, "utf-8")
    publish(made, notebook=json.dumps(executed), page=page.render(made, executed), log=log,
            beside={f"thumbnails/{name}": content for name, content in pictures.items()})  # fmt: skip
    log.unlink()
    return noted(ledger, told, made)


def noted(ledger: RunLedger, told: Told, made: Run) -> Recorded:
    """The ledger's line of a run whose folder is there."""
    order = Order(
        id=made.id, report=told.report, title=told.title,
        parameters={name: told.parameters[name] for name in told.given},
        requested_by=told.requested_by, owner=told.owner, is_private=told.is_private, trigger=told.trigger,
    )  # fmt: skip
    metrics = {
        one.name: (float(one.value) if isinstance(one.value, (int, float)) else one.value, one.unit)
        for one in told.metrics
    }
    run, _ = ledger.queue.note(
        order, made.to_dict(), State(told.status.value), folder=str(made.folder), metrics=metrics,
        problem=told.problem.message if told.problem else "",
    )  # fmt: skip
    return run


def under_way(ledger: RunLedger, report: str, title: str, by: str = "ana", **progress: Any) -> tuple[Recorded, Any]:
    """A run that a worker has, with what it says of its progress; and the claim."""
    at = ledger.schedules.now()
    identity = f"{at:%Y%m%dT%H%M%S}.001Z-{report}-aaaaaa"
    ledger.queue.add(Order(id=identity, report=report, title=title, parameters={}, requested_by=by, owner="ana"))
    claim = ledger.queue.claim("worker-1", 600)
    assert claim is not None
    assert claim.run.id == identity
    claim, _ = ledger.queue.renew(claim, 600, progress)
    return ledger.queue.get(identity), claim


def chart(title: str, unit: str, values: Sequence[float], colour: str = "#2a6fb0") -> dict[str, Any]:
    """A figure as plotly's JSON has it, in the house's template."""
    from quantdesk.reports import theme

    trace = {"type": "scatter", "mode": "lines", "y": [round(one, 3) for one in values], "line": {"color": colour}}
    layout = {"title": {"text": title}, "yaxis": {"title": {"text": unit}},
              "template": theme.template(theme.LIGHT).to_plotly_json()}  # fmt: skip
    return {"application/vnd.plotly.v1+json": {"data": [trace], "layout": layout}}


def daily_risk(day: int, sessions: int, *, figures: bool) -> Told:
    """Daily risk on one session: the third to last fails, the last one jumps, every fifth is run by hand."""
    rng = random.Random(day)
    value = 180_000 + 40_000 * math.sin(day / 3) + rng.uniform(-9_000, 9_000) + 75_000 * (day == sessions - 1)
    metrics = (
        Metric("var_95", round(value, 2), "USD", 3, label="Value at risk, 95 %", upper=250_000.0, severity="critical",
               direction="lower"),
        Metric("gross", round(140 + 5 * math.cos(day), 1), "%"),
    )  # fmt: skip
    failed, by_hand = day == sessions - 3, day % 5 == 0
    walk = [0.0]
    for _ in range(160):
        walk.append(walk[-1] + rng.gauss(0, 8))
    drawn = (chart("Profit and loss by session", "thousand USD", walk),) if figures else ()
    parameters = {"symbols": ["AAPL", "MSFT"], "window": 120 if by_hand else 250, "confidence": 0.95,
                  "since": "2015-01-02", "method": "historical", "stressed": True, "note": None}  # fmt: skip
    cells = (
        ("markdown", "# Daily risk\n\nEvery book against its limits.", ()),
        ("markdown", "## Exposure", ()),
        ("code", "exposure(book)", drawn),
        ("code", "value_at_risk(book, confidence)", ({"text/html": TABLE.format(core=value - 61_250)},)),
        ("markdown", "## Stress", ()),
        ("code", "stress(book)", ()),
    )
    return Told(
        "daily_risk", "Daily risk", START + timedelta(days=day), Status.FAILED if failed else Status.COMPLETED,
        Problem("KeyError: 'MSFT' has no close on 2026-11-17.", 2, "c3", "Exposure") if failed else None, parameters,
        ("window",) if by_hand else (), () if failed else metrics, ("real", "reconstructed"),
        "ana" if by_hand else "scheduler", trigger="manual" if by_hand else "schedule", seconds=9 + day % 4,
        picture=None if figures else PIXEL, cells=cells,
    )  # fmt: skip


def past(ledger: RunLedger, root: Path, *, sessions: int = 6, figures: bool = False) -> list[Recorded]:
    """Some weeks of the desk: daily risk on each session, then runs of the others; ana's private one is last."""
    found = [left(ledger, root, daily_risk(day, sessions, figures=figures), day) for day in range(sessions)]
    for day in (3, 9, 15):
        at = START + timedelta(days=day, hours=1)
        curve = (chart("Shortfall by hour", "bp", [4 + math.cos(hour / 2 + day) for hour in range(30)], "#e8622c"),)
        told = Told(
            "execution_quality", "Execution quality", at,
            metrics=(Metric("shortfall", round(4.2 + day / 10, 2), "bp", label="Shortfall"),), requested_by="bo",
            owner="bo", picture=None if figures else PIXEL, cells=(("code", "costs()", curve if figures else ()),),
        )  # fmt: skip
        found.append(left(ledger, root, told, 100 + day))
    late = Told("scenario_stress", "Scenario stress", START + timedelta(days=14), Status.TIMED_OUT,
                Problem("It had 600 s in all.", 3, "c3", "Paths"), labels=("real", "simulated"), seconds=600,
                picture=None)  # fmt: skip
    found.append(left(ledger, root, late, 200))
    curve = (chart("An idea", "", [math.sin(step / 9) * step for step in range(90)], "#1fa07c"),)
    own = Told("anas_idea", "Ana's idea", START + timedelta(days=15), is_private=True, labels=("simulated",),
               picture=None if figures else PIXEL, cells=(("code", "idea()", curve if figures else ()),))  # fmt: skip
    found.append(left(ledger, root, own, 201))
    return found


def moved(ledger: RunLedger, run: Recorded, at: datetime) -> None:
    """Say that a run was asked for at another time: the list is by that."""
    with ledger.database.writing() as connection:
        connection.execute(update(RUNS).where(RUNS.c.id == run.id).values(queued=nanoseconds(at)))
