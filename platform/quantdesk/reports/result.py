"""What a run of a report is: status, problem, provenance, metrics, tables, times. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from quantdesk.reports.amounts import amount

__all__ = ["CellTime", "Metric", "Problem", "Provenance", "Run", "Status", "Table", "is_id"]


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KERNEL_DIED = "kernel_died"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Problem:
    """Why a run is not complete.

    Parameters
    ----------
    message
        One or two sentences.
    cell
        Number of the code cell, counted from 1 as in ``In [7]``; None when no cell was running.
    cell_id
        Its id in the executed notebook.
    heading
        The last heading above it.
    """

    message: str
    cell: int | None = None
    cell_id: str | None = None
    heading: str = ""


@dataclass(frozen=True)
class Provenance:
    """What a run was made from, as far as this machine could tell; None where it could not.

    Parameters
    ----------
    data_version
        Content hash of the market store's catalogue.
    data_until
        The newest day in it, ISO.
    features_version
        Key of the current build of the features; ``none`` where none were built.
    features_data, features_code
        The data version that they were built from, and the hash of their definitions.
    features_until
        When they were loaded last (ISO, UTC): what was known later is not in them.
    lock_sha256
        Of ``requirements.lock`` in the checkout.
    packages
        Versions of the packages that quantdesk asks for.
    python
        Version of the interpreter.
    git_commit
        Of the checkout; with ``+changes`` at its end when tracked files differed from it.
    code_version
        Of quantdesk: the commit when nothing differed from it, otherwise a hash of the package's files.
    changed
        What was exchanged while the run was under way: ``data``, ``features``; empty when nothing was.
    host, user
        Where and as whom it ran.
    """

    data_version: str | None = None
    lock_sha256: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    git_commit: str | None = None
    host: str = ""
    user: str = ""
    data_until: str | None = None
    features_version: str | None = None
    features_data: str | None = None
    features_code: str | None = None
    features_until: str | None = None
    code_version: str | None = None
    changed: str = ""


@dataclass(frozen=True)
class Metric:
    """A value that a run recorded, with what its report declared of it at that time.

    Parameters
    ----------
    name
        As recorded.
    value
        A number, a text, True or False; None where there was none, and `reason` says why.
    unit
        As recorded, otherwise as declared.
    cell
        Number of the code cell that recorded it, counted from 1.
    reason
        Why there is no value: NaN, infinite, or the notebook's own words.
    label, direction
        As declared.
    lower, upper
        The declared bounds, both included; None where there is none.
    severity
        Of an alert when the value lies outside of them: ``info``, ``warning``, ``critical``.
    """

    name: str
    value: int | float | str | bool | None
    unit: str = ""
    cell: int | None = None
    reason: str = ""
    label: str = ""
    direction: Literal["higher", "lower", "none"] = "none"
    lower: float | None = None
    upper: float | None = None
    severity: Literal["info", "warning", "critical"] = "warning"

    @property
    def words(self) -> str:
        """The value with its unit, for people."""
        match self.value:
            case None:
                return "no value"
            case bool() | str():
                text = str(self.value)
            case int():
                text = f"{self.value:,}"
            case _:
                text = amount(self.value)
        return f"{text} {self.unit}" if self.unit else text

    @property
    def bounds(self) -> str:
        """The bounds with their unit, for people; empty without any."""
        unit = f" {self.unit}" if self.unit else ""
        if self.lower is not None and self.upper is not None:
            return f"{amount(self.lower)} to {amount(self.upper)}{unit}"
        if self.lower is not None:
            return f"at least {amount(self.lower)}{unit}"
        return "" if self.upper is None else f"at most {amount(self.upper)}{unit}"

    @property
    def breach(self) -> str:
        """How it lies outside of its bounds, a sentence without its stop; empty when it does not, or has none.

        A metric with bounds and without a number is outside of them: nobody can say that it is within.
        """
        if self.lower is None and self.upper is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        if self.value is None or isinstance(self.value, (str, bool)):
            return f"{self.name} has no number to hold against its bounds" + (
                f" ({self.reason})" if self.reason else ""
            )
        if self.lower is not None and self.value < self.lower:
            return f"{self.name} is {self.words}, below {amount(self.lower)}{unit}"
        if self.upper is not None and self.value > self.upper:
            return f"{self.name} is {self.words}, above {amount(self.upper)}{unit}"
        return ""


@dataclass(frozen=True)
class Table:
    """A frame that a run recorded.

    Parameters
    ----------
    name
        As recorded.
    file
        Path below the folder of the run, a parquet file.
    rows, columns
        How many rows, and the names of the columns in their order; an index comes first.
    cell
        Number of the code cell that recorded it.
    label
        As declared.
    """

    name: str
    file: str
    rows: int
    columns: tuple[str, ...]
    cell: int | None = None
    label: str = ""


@dataclass(frozen=True)
class CellTime:
    """How long a code cell took: its number from 1 without the cell that sets parameters, and seconds."""

    cell: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """One run of a report, as its ``run.json`` tells it.

    Parameters
    ----------
    id
        Name of the run: UTC start, report, six random digits.
    report, title
        Name of the notebook, and its heading.
    status
        How it ended.
    parameters
        All values that the notebook ran with, defaults included.
    given
        The names among them that were given.
    seed
        The parameter ``seed`` where the notebook has one, otherwise the declared one.
    notebook, notebook_sha256
        Path of the notebook that was run, and hash of its bytes.
    started, ended
        UTC.
    problem
        Why it is not complete; None when it is.
    labels
        The kinds of data that the notebook stated (see :data:`quantdesk.reports.theme.LABELS`).
    provenance
        Data, packages, commit, host.
    folder
        Where the run lies; not part of the record.
    metrics, tables
        What it recorded.
    missing
        Names of declared metrics and tables that it did not record.
    notes
        What a reader has to know of the record: outputs that were cut, names that were recorded twice; sentences.
    thumbnail_files
        Names below ``thumbnails/``; the first one stands for the report.
    cells
        Seconds of each cell that ran.
    peak_memory_bytes
        The most memory that kernel and what it started used together (proportional set size, so that pages shared with
        other processes count in part); None where nobody measured.
    attempt, requested_by
        Which try it was, from 1, and the user who asked for it; None where nobody said.
    cache_key
        What it was made from, hashed (:mod:`quantdesk.reports.cache`): a run of the same key need not be made again.
        None where that cannot be told, and for a run that is not complete.
    """

    id: str
    report: str
    title: str
    status: Status
    parameters: Mapping[str, Any]
    given: tuple[str, ...]
    seed: int | None
    notebook: str
    notebook_sha256: str
    started: datetime
    ended: datetime
    problem: Problem | None
    labels: tuple[str, ...]
    provenance: Provenance
    folder: Path
    metrics: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    thumbnail_files: tuple[str, ...] = ()
    cells: tuple[CellTime, ...] = ()
    peak_memory_bytes: int | None = None
    attempt: int = 1
    requested_by: str | None = None
    cache_key: str | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return (self.ended - self.started).total_seconds()

    @property
    def page(self) -> Path:
        """The self-contained HTML page."""
        return self.folder / "report.html"

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / "notebook.ipynb"

    @property
    def log(self) -> Path:
        """What worker and kernel wrote past the notebook."""
        return self.folder / "log.txt"

    @property
    def thumbnails(self) -> tuple[Path, ...]:
        """Small pictures of its figures; the first one stands for the report."""
        return tuple(self.folder / "thumbnails" / name for name in self.thumbnail_files)

    def metric(self, name: str) -> Metric | None:
        """The recorded metric of that name."""
        return next((one for one in self.metrics if one.name == name), None)

    @property
    def breaches(self) -> tuple[Metric, ...]:
        """The metrics that lie outside of their bounds."""
        return tuple(one for one in self.metrics if one.breach)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        record = asdict(self)
        record.pop("folder")
        record["started"], record["ended"] = self.started.isoformat(), self.ended.isoformat()
        return {"schema": 1, **record, "status": self.status.value, "duration_s": round(self.duration_s, 3)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], folder: Path) -> Run:
        """Read a record back; what an older record does not have is at its default.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            It is no record of a run.
        """
        values = {name: record[name] for name in cls.__dataclass_fields__ if name in record and name != "folder"}
        problem = record["problem"]
        values |= {
            "status": Status(record["status"]),
            "started": datetime.fromisoformat(record["started"]),
            "ended": datetime.fromisoformat(record["ended"]),
            "problem": None if problem is None else Problem(**problem),
            "provenance": Provenance(**record["provenance"]),
            "metrics": tuple(Metric(**one) for one in record.get("metrics", ())),
            "tables": tuple(Table(**{**one, "columns": tuple(one["columns"])}) for one in record.get("tables", ())),
            "cells": tuple(CellTime(**one) for one in record.get("cells", ())),
            "folder": folder,
        }
        for name in ("labels", "given", "missing", "notes", "thumbnail_files"):
            values[name] = tuple(record.get(name, ()))
        # A record comes from a disk or a store: a name in it leads nowhere but into the folder.
        if any("/" in name or name.startswith(".") for name in values["thumbnail_files"]):
            raise ValueError("a thumbnail outside of its folder")
        if any(not re.fullmatch(r"tables/[^/]+", one.file) for one in values["tables"]):
            raise ValueError("a table outside of its folder")
        return cls(**values)


def is_id(text: str) -> bool:
    """Whether `text` may be the name of a run: it becomes the name of a folder."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}", text) is not None
