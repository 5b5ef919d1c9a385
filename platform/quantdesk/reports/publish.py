"""From a notebook that has ended to the folder that stays: record, banner, page. An edge module.

The worker calls it at the end of a run, and the parent in its place when the worker was killed.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from quantdesk.reports.cache import Asked, key_of
from quantdesk.reports.declaration import from_metadata
from quantdesk.reports.recorded import Recorded, collect
from quantdesk.reports.runs import CellTime, Problem, Provenance, Run, Status, publish

__all__ = ["Outcome", "Request", "finish"]


@dataclass(frozen=True)
class Request:
    """What the parent asks for.

    Parameters
    ----------
    id, report, title, notebook, notebook_sha256
        As in the record of the run.
    scratch
        Folder of the run while it is under way, absolute; holds ``input.ipynb``.
    folder
        Where the finished run goes.
    working_directory
        Of the kernel.
    defaults, given
        Parameters of the notebook, and the checked values that override them.
    total_s, cell_s
        Time limits in seconds.
    started
        UTC, ISO 8601.
    memory_bytes
        Memory limit of kernel and what it starts; None without one.
    largest_output
        Bytes of output that a cell keeps; see :mod:`quantdesk.reports.capped`.
    declaration
        As :meth:`~quantdesk.reports.declaration.Declaration.to_dict` writes it.
    seed
        What the kernel's generators start from; None for chance.
    attempt, requested_by
        As in the record of the run.
    """

    id: str
    report: str
    title: str
    notebook: str
    notebook_sha256: str
    scratch: str
    folder: str
    working_directory: str
    defaults: dict[str, Any]
    given: dict[str, Any]
    total_s: float
    cell_s: float
    started: str
    memory_bytes: int | None = None
    largest_output: int = 20_000_000
    declaration: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    attempt: int = 1
    requested_by: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it was made from.

    Parameters
    ----------
    status, problem, ended, made_from, peak_memory_bytes
        As in the record of the run.
    notes
        What a reader has to know beside: outputs that were cut.
    """

    status: Status
    problem: Problem | None
    ended: datetime
    made_from: Provenance
    peak_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()


def finish(request: Request, notebook: Any, outcome: Outcome, *, before: Callable[[], object] = lambda: None) -> Run:
    """Publish a run, with a banner in notebook and page when it is not complete.

    Parameters
    ----------
    request
        What was asked for.
    notebook
        The notebook as far as it came; it is changed.
    outcome
        How it ended.
    before
        Called when all is made and nothing is published yet: whoever still writes to the log can end meanwhile.

    Returns
    -------
    Run
        As published.

    Raises
    ------
    EnvironmentProblem
        The disk is full, or the folder cannot be written. Nothing is left then.
    """
    import nbformat

    from quantdesk.reports import banner, page
    from quantdesk.reports.page.outputs import labels_of

    values = {**request.defaults, **request.given}
    seed = values.get("seed")
    seed = seed if isinstance(seed, int) and not isinstance(seed, bool) else request.seed
    recorded, notes = _recorded(request, notebook)
    pictures = _thumbnails(notebook)
    run = Run(
        id=request.id,
        report=request.report,
        title=request.title,
        status=outcome.status,
        parameters=values,
        given=tuple(sorted(request.given)),
        seed=seed,
        notebook=request.notebook,
        notebook_sha256=request.notebook_sha256,
        started=datetime.fromisoformat(request.started),
        ended=outcome.ended,
        problem=outcome.problem,
        labels=labels_of([node for cell in notebook.cells for node in cell.get("outputs", ())]),
        provenance=outcome.made_from,
        folder=Path(request.folder),
        metrics=recorded.metrics,
        tables=recorded.tables,
        missing=recorded.missing,
        notes=(*outcome.notes, *notes, *recorded.notes),
        thumbnail_files=tuple(pictures),
        cells=_times(notebook),
        peak_memory_bytes=outcome.peak_memory_bytes,
        attempt=request.attempt,
        requested_by=request.requested_by,
        cache_key=_key(request, values, outcome),
    )
    try:
        html = page.render(run, notebook)
    except Exception as error:  # noqa: BLE001 (whatever a notebook holds, its run is published)
        traceback.print_exc(file=sys.stderr)
        html = page.render_bare(run, f"{type(error).__name__}: {error}")
    banner.mark(run, notebook)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    beside = {**recorded.files, **{f"thumbnails/{name}": content for name, content in pictures.items()}}
    if recorded.metrics or recorded.missing:
        beside["metrics.json"] = _metrics(run)
    before()
    return publish(run, notebook=text, page=html, log=Path(request.scratch) / "log.txt", beside=beside)


def _key(request: Request, values: dict[str, Any], outcome: Outcome) -> str | None:
    """By what the next run of the same finds this one."""
    if outcome.status is not Status.COMPLETED:
        return None
    asked = Asked(request.report, Path(request.notebook), request.notebook_sha256, request.declaration, values)
    return key_of(asked, outcome.made_from)


def _recorded(request: Request, notebook: Any) -> tuple[Recorded, tuple[str, ...]]:
    """What the notebook recorded; that of a notebook that holds something unheard of is none, with a note."""
    try:
        declaration = from_metadata(request.declaration, request.notebook)
        return collect(notebook, declaration), ()
    except Exception as error:  # noqa: BLE001 (whatever a notebook holds, its run is published)
        traceback.print_exc(file=sys.stderr)
        said = f"What it recorded cannot be read ({type(error).__name__}: {str(error)[:200]})."
        return Recorded((), (), {}, (), ()), (said,)


def _thumbnails(notebook: Any) -> Mapping[str, bytes]:
    from quantdesk.reports.thumbnails import thumbnails

    try:
        return thumbnails(notebook)
    except Exception:  # noqa: BLE001 (a report without a picture is a report)
        traceback.print_exc(file=sys.stderr)
        return {}


def _times(notebook: Any) -> tuple[CellTime, ...]:
    """What papermill noted of each code cell, the one that it put in itself left out."""
    code = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", ())
    ]
    noted = [(number, cell.metadata.get("papermill", {}).get("duration")) for number, cell in enumerate(code, 1)]
    return tuple(CellTime(number, round(float(took), 3)) for number, took in noted if isinstance(took, (int, float)))


def _metrics(run: Run) -> bytes:
    """``metrics.json``: for whoever wants the numbers and nothing else."""
    content = {
        "schema": 1,
        "run": run.id,
        "report": run.report,
        "status": run.status.value,
        "metrics": [{**asdict(one), "breach": one.breach} for one in run.metrics],
        "tables": [asdict(one) for one in run.tables],
        "missing": run.missing,
        "notes": run.notes,
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
