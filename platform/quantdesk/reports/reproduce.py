"""A finished run, made again from what it recorded, and what differs. An edge module: it runs a notebook.

The notebook is the file that ran, where it still has the recorded hash, and otherwise what the executed notebook holds
of it. Parameters and seed are those of the record; data, features, packages and code are those of today, and every one
that is not the recorded one is named.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError
from quantdesk.records import sha256_of
from quantdesk.reports import runner
from quantdesk.reports.banner import TAG
from quantdesk.reports.compare import Comparison, Tolerance, compare_runs
from quantdesk.reports.notebooks import load
from quantdesk.reports.result import Run, Status
from quantdesk.reports.runs import RunsConfig, find_run, new_id
from quantdesk.reports.supervise import Progress

__all__ = ["Notebook", "Reproduction", "as_it_was", "compare", "reproduce"]

LARGEST = 2_000_000_000
"""Bytes of an executed notebook that is read back."""


class Notebook(StrEnum):
    """Where the notebook of a reproduction came from."""

    FILE = "file"
    """The file that ran is still what it was."""
    CHANGED = "changed"
    """The file has changed since: the sources in the executed notebook ran."""
    GONE = "gone"
    """The file is not there any more: the sources in the executed notebook ran."""


@dataclass(frozen=True)
class Reproduction:
    """A run and its repetition.

    Attributes
    ----------
    run, again
        The run, and what was made now.
    notebook
        What ran.
    comparison
        The run before, the repetition after.
    """

    run: Run
    again: Run
    notebook: Notebook
    comparison: Comparison

    @property
    def is_same(self) -> bool:
        """Whether it gave the same results: status, metrics, and the outputs of every cell."""
        return self.comparison.has_same_results

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "run": self.run.id,
            "again": str(self.again.folder),
            "notebook": self.notebook.value,
            "is_same": self.is_same,
            "comparison": self.comparison.to_dict(),
        }


def compare(before: str, after: str, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two finished runs by name; see :func:`~quantdesk.reports.runs.find_run` for what names one.

    Raises
    ------
    UnknownName, BadInput
        No run fits a name, or several do.
    DataError
        A record or an executed notebook is damaged.
    """
    first, second = find_run(before), find_run(after)
    return compare_runs(first, second, (_executed(first), _executed(second)), tolerance)


def reproduce(
    name: str,
    *,
    output: Path | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Make a finished run again and compare.

    Parameters
    ----------
    name
        Names a run, as for :func:`~quantdesk.reports.runs.find_run`.
    output
        A new folder for the repetition; ``reproductions/<id>`` below the reports folder when not given. It is no run
        of the report: the list of runs does not have it, and nobody is alerted.
    tolerance
        How far numbers may lie apart and count as one.
    progress
        As for :func:`quantdesk.reports.run`.

    Raises
    ------
    UnknownName, BadInput
        No run fits the name, or several do.
    DataError
        Its record or its notebook is damaged, or it was cancelled or lost: what it would have given nobody knows.
    EnvironmentProblem
        The disk is full, or a folder cannot be written.
    """
    run = find_run(name)
    if run.status in {Status.CANCELLED, Status.LOST, Status.UNREADABLE}:
        raise DataError(f"The run {run.id} was {run.status.value}.", "Reproduce one that came to an end of its own.")
    executed = _executed(run)
    config = RunsConfig.from_env()
    folder = output or config.reports_root / "reproductions" / new_id(run.report, datetime.now(UTC))
    with _notebook(run, executed) as (path, kind):
        home = Path(run.notebook).parent
        try:
            again = runner.run(
                str(path),
                {key: run.parameters[key] for key in run.given},
                output=folder,
                progress=progress,
                requested_by=run.requested_by,
                working_directory=home if home.is_dir() else None,
            )
        except runner.ReportFailed as failed:
            again = failed.run
    return Reproduction(run, again, kind, compare_runs(run, again, (executed, _executed(again)), tolerance))


def as_it_was(executed: Any) -> Any:
    """The notebook that a run began with, as far as its executed notebook tells: without outputs and marks of the run.

    Parameters
    ----------
    executed
        It is not changed.
    """
    import nbformat

    book = nbformat.from_dict(dict(executed))  # type: ignore[no-untyped-call]
    book.metadata = {key: value for key, value in book.metadata.items() if key != "papermill"}
    cells = []
    for cell in book.cells:
        tags = cell.metadata.get("tags", ())
        if TAG in tags or "injected-parameters" in tags:
            continue
        kept = nbformat.from_dict(dict(cell))  # type: ignore[no-untyped-call]
        kept.metadata = {key: value for key, value in cell.metadata.items() if key not in {"papermill", "execution"}}
        if cell.cell_type == "code":
            kept.outputs, kept.execution_count = [], None
        cells.append(kept)
    book.cells = cells
    return book


@contextmanager
def _notebook(run: Run, executed: Any) -> Iterator[tuple[Path, Notebook]]:
    """The file to run, and where it came from."""
    import nbformat

    file = Path(run.notebook)
    try:
        kind = Notebook.FILE if sha256_of(file) == run.notebook_sha256 else Notebook.CHANGED
    except OSError:
        kind = Notebook.GONE
    if kind is Notebook.FILE:
        yield file, kind
        return
    with tempfile.TemporaryDirectory(prefix="quantdesk-reproduce-") as scratch:
        path = Path(scratch) / (file.name or f"{run.report}.ipynb")
        nbformat.write(as_it_was(executed), path)  # type: ignore[no-untyped-call]
        beside = file.with_suffix(".toml")
        if beside.is_file():  # its declaration: units and limits; nobody kept an earlier one
            shutil.copyfile(beside, path.with_suffix(".toml"))
        yield path, kind


def _executed(run: Run) -> Any:
    notebook, _ = load(run.executed, largest=LARGEST)
    return notebook
