"""What a run left in its folder, for those who may see the run. An edge module: the disk.

Names come from here and from the run's record, never from an address; a file that leads out of the folder is not there.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantdesk.reports.banner import TAG
from quantdesk.reports.ledger import Recorded
from quantdesk.reports.result import Run
from quantdesk.reports.thumbnails import PLOTLY
from quantdesk.reports.thumbnails.sketch import sketch

__all__ = ["Cell", "Log", "cells", "drawn", "kept", "log_tail", "record_of", "table", "thumbnail"]

LOG_BYTES = 64_000
"""Of a log, its end: what a page shows."""
_LARGEST_NOTEBOOK = 50_000_000
_FILES = {"page": "report.html", "notebook": "notebook.ipynb", "log": "log.txt", "metrics": "metrics.json"}


@dataclass(frozen=True)
class Cell:
    """A cell that somebody can speak about.

    Attributes
    ----------
    id
        In the executed notebook.
    name
        For people: ``Cell 3, Returns``.
    """

    id: str
    name: str


@dataclass(frozen=True)
class Log:
    """The end of a log, and the bytes of all of it."""

    text: str
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether there is more than is shown."""
        return self.size > LOG_BYTES


def kept(run: Recorded, what: str) -> Path | None:
    """A file of a run: ``page``, ``notebook``, ``log`` or ``metrics``; None where it is not there."""
    return _inside(run, _FILES[what])


def thumbnail(run: Recorded, number: int) -> Path | None:
    """One of the small pictures of a run's figures, from 0; None where there is none."""
    names = run.record.get("thumbnail_files", ())
    if not isinstance(names, list) or not 0 <= number < len(names):
        return None
    return _inside(run, f"thumbnails/{names[number]}")


def table(run: Recorded, name: str) -> Path | None:
    """The file of a recorded table; None where there is none."""
    made = record_of(run)
    found = next((one for one in made.tables if one.name == name), None) if made else None
    return _inside(run, found.file) if found else None


def drawn(run: Recorded, cell: int, output: int) -> tuple[bytes, str] | None:
    """A figure of the executed notebook as a picture and its type; None where there is none that can be drawn."""
    listed = _notebook(run)
    try:
        data = listed[cell]["outputs"][output]["data"] if cell >= 0 and output >= 0 else {}
        if PLOTLY in data:
            sketched = sketch(data[PLOTLY])
            return (sketched.encode(), "image/svg+xml") if sketched else None
        kind = next(one for one in ("image/svg+xml", "image/png", "image/jpeg", "image/gif") if one in data)
        text = "".join(data[kind]) if isinstance(data[kind], list) else data[kind]
        return (text.encode() if kind == "image/svg+xml" else base64.b64decode(text)), kind
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return None


def record_of(run: Recorded) -> Run | None:
    """The record of a run that has ended; None where there is none, or it cannot be read."""
    if not run.record:
        return None
    try:
        return Run.from_dict(run.record, Path(run.folder))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def log_tail(run: Recorded) -> Log | None:
    """The end of a run's log; None without one."""
    path = kept(run, "log")
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    # What a terminal would act on is nothing to read.
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    text = "".join(sign for sign in text.replace("\r\n", "\n") if sign in "\n\t" or sign.isprintable())
    return Log(text, size)


def cells(run: Recorded) -> tuple[Cell, ...]:
    """The code cells of the executed notebook, in their order, each under the heading above it; empty without one."""
    return tuple(_named(_notebook(run)))


def _notebook(run: Recorded) -> list[Any]:
    """The cells of the executed notebook as JSON has them; none where it cannot be read."""
    path = kept(run, "notebook")
    try:
        if path is None or path.stat().st_size > _LARGEST_NOTEBOOK:
            return []
        listed = json.loads(path.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return listed if isinstance(listed, list) else []


def _named(listed: list[Any]) -> list[Cell]:
    found: list[Cell] = []
    number, heading = 0, ""
    for cell in listed:
        if not isinstance(cell, Mapping) or TAG in _tags(cell):
            continue
        source = cell.get("source", "")
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if cell.get("cell_type") == "markdown":
            lines = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", text, re.MULTILINE)
            heading = lines[-1][:80] if lines else heading
        elif cell.get("cell_type") == "code" and "injected-parameters" not in _tags(cell):
            number += 1
            identity = cell.get("id")
            if isinstance(identity, str) and identity:
                found.append(Cell(identity[:200], f"Cell {number}, {heading}" if heading else f"Cell {number}"))
    return found


def _tags(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags", ()) if isinstance(metadata, Mapping) else ()
    return tuple(tags) if isinstance(tags, list) else ()


def _inside(run: Recorded, name: str) -> Path | None:
    if not run.folder:
        return None
    folder = Path(run.folder).resolve()
    try:
        path = (folder / name).resolve()
        there = path.is_file()
    except (OSError, ValueError):
        return None
    return path if there and path.is_relative_to(folder) else None
