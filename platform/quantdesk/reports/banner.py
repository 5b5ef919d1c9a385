"""What a reader is told about how a run ended: one word, one shape, one sentence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

from quantdesk.reports.result import Run, Status
from quantdesk.reports.theme import LIGHT

__all__ = ["TAG", "Shown", "mark", "place", "sentence", "shown"]

TAG = "quantdesk-banner"
"""Tag of the cell that carries the banner in an executed notebook."""


def place(cells: list[Any], cell: Any) -> tuple[int | None, str]:
    """Where a reader finds a cell: its number among the code cells from 1, and the heading above it.

    Both are empty (None and "") for a cell that is none of `cells`.
    """
    number, heading = 0, ""
    for other in cells:
        if other.cell_type == "markdown":
            found = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", other.source, re.MULTILINE)
            heading = found[-1] if found else heading
        number += other.cell_type == "code"
        if other is cell:
            return number, heading
    return None, ""


@dataclass(frozen=True)
class Shown:
    """How a status looks: its shape, its word, and which colour of the palette it takes."""

    shape: str
    word: str
    tone: str


_SHOWN = {
    Status.COMPLETED: Shown("✓", "Completed", "positive"),
    Status.FAILED: Shown("✕", "Failed", "negative"),
    Status.TIMED_OUT: Shown("◷", "Timed out", "negative"),
    Status.KERNEL_DIED: Shown("▼", "Kernel died", "negative"),
    Status.OUT_OF_MEMORY: Shown("▲", "Out of memory", "negative"),
    Status.CANCELLED: Shown("■", "Cancelled", "warning"),
    Status.LOST: Shown("?", "Lost", "negative"),
    Status.UNREADABLE: Shown("?", "Unreadable", "negative"),
}


def shown(status: Status) -> Shown:
    """Shape, word and tone of a status."""
    return _SHOWN[status]


def sentence(run: Run) -> str:
    """What happened, in plain text: which cell, and why. Empty for a complete run."""
    problem = run.problem
    if problem is None:
        return ""
    where = ""
    if problem.cell is not None:
        where = f"In cell {problem.cell}" + (f", under “{problem.heading}”" if problem.heading else "") + ": "
    return where + problem.message


def mark(run: Run, notebook: Any) -> None:
    """Put the banner at the top of the executed notebook when the run is not complete."""
    import nbformat

    if run.problem is None:
        return
    look = shown(run.status)
    # One HTML block without an empty line: Markdown leaves such a block alone, so nothing in the message acts.
    words = " ".join(escape(sentence(run)).split())
    colour = getattr(LIGHT, look.tone)
    source = (
        f'<div class="alert alert-danger" role="alert" style="border-left: 6px solid {colour}; padding: 0.8em">'
        f"<strong>{look.shape} {look.word}.</strong> {words}<br>"
        "What was computed before that is below; the rest did not run.</div>"
    )
    cell = nbformat.v4.new_markdown_cell(source, metadata={"tags": [TAG]})  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, cell)
