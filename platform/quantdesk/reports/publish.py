"""From a notebook that has ended to the folder that stays: record, banner, page. An edge module.

The worker calls it at the end of a run, and the parent in its place when the worker was killed.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from quantdesk.reports.runs import Problem, Provenance, Run, Status, publish

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


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it was made from."""

    status: Status
    problem: Problem | None
    ended: datetime
    made_from: Provenance


def finish(request: Request, notebook: Any, outcome: Outcome) -> Run:
    """Publish a run, with a banner in notebook and page when it is not complete.

    Parameters
    ----------
    request
        What was asked for.
    notebook
        The notebook as far as it came; it is changed.
    outcome
        How it ended.

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
    run = Run(
        id=request.id,
        report=request.report,
        title=request.title,
        status=outcome.status,
        parameters=values,
        given=tuple(sorted(request.given)),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        notebook=request.notebook,
        notebook_sha256=request.notebook_sha256,
        started=datetime.fromisoformat(request.started),
        ended=outcome.ended,
        problem=outcome.problem,
        labels=labels_of([node for cell in notebook.cells for node in cell.get("outputs", ())]),
        provenance=outcome.made_from,
        folder=Path(request.folder),
    )
    try:
        html = page.render(run, notebook)
    except Exception as error:  # noqa: BLE001 (whatever a notebook holds, its run is published)
        traceback.print_exc(file=sys.stderr)
        html = page.render_bare(run, f"{type(error).__name__}: {error}")
    banner.mark(run, notebook)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return publish(run, notebook=text, page=html, log=Path(request.scratch) / "log.txt")
