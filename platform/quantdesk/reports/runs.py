"""What a run leaves behind: one folder with notebook, page, log and record. An edge module: it writes and reads them.

::

    state/reports/runs/20261123T014539.123Z-02_strategy_backtest-9f3a1c/
        notebook.ipynb      executed as far as it came
        report.html         the page, complete in itself
        run.json            the record: parameters, provenance, status
        log.txt             what worker and kernel wrote past the notebook

A folder appears whole or not at all and is never changed. Its name sorts by start and is unique.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.home import state_dir
from quantdesk.records import atomic_directory

__all__ = [
    "Problem",
    "Provenance",
    "Run",
    "RunsConfig",
    "Status",
    "find_run",
    "list_runs",
    "new_id",
    "publish",
    "read_run",
]


class RunsConfig(BaseSettings):
    """Where runs are kept.

    Parameters
    ----------
    reports_root
        The folder, from ``QUANTDESK_REPORTS_ROOT``; ``reports/`` in the state directory when it is not set.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True)

    reports_root: Path = Field(default_factory=lambda: state_dir() / "reports")

    @classmethod
    def from_env(cls) -> RunsConfig:
        """Read the environment."""
        return cls()

    @property
    def runs(self) -> Path:
        """Finished runs."""
        return self.reports_root / "runs"

    @property
    def scratch(self) -> Path:
        """Runs that are under way."""
        return self.reports_root / "scratch"


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KERNEL_DIED = "kernel_died"
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
    lock_sha256
        Of ``requirements.lock`` in the checkout.
    packages
        Versions of the packages that quantdesk asks for.
    python
        Version of the interpreter.
    git_commit
        Of the checkout; with ``+changes`` at its end when tracked files differed from it.
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
        The parameter ``seed`` where the notebook has one.
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

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        record = asdict(self)
        record.pop("folder")
        record["started"], record["ended"] = self.started.isoformat(), self.ended.isoformat()
        return {"schema": 1, **record, "status": self.status.value, "duration_s": round(self.duration_s, 3)}


def new_id(report: str, at: datetime) -> str:
    """A name for a run: it sorts by `at`, and two never meet."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", report)[:60].strip("-") or "report"
    moment = at.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{stem}-{secrets.token_hex(3)}"


def publish(run: Run, *, notebook: str, page: str, log: Path | None) -> Run:
    """Write the folder of a run, whole or not at all.

    Parameters
    ----------
    run
        Its `folder` must not exist yet.
    notebook, page
        Text of the executed notebook (JSON) and of the HTML page.
    log
        A file to keep beside them.

    Raises
    ------
    EnvironmentProblem
        The disk is full, or the folder cannot be written, or is there already. Nothing is left then.
    """
    record = json.dumps(run.to_dict(), indent=1, ensure_ascii=False) + "\n"
    try:
        with atomic_directory(run.folder) as folder:
            (folder / "notebook.ipynb").write_text(notebook, "utf-8")
            (folder / "report.html").write_text(page, "utf-8", newline="\n")
            (folder / "run.json").write_text(record, "utf-8")
            if log is not None and log.is_file():
                shutil.copyfile(log, folder / "log.txt")
            else:
                (folder / "log.txt").touch()
    except OSError as error:
        raise EnvironmentProblem(
            f"{run.folder} cannot be written ({error.strerror or error}).", "Name a folder that can be made anew."
        ) from error
    return run


def read_run(folder: Path) -> Run:
    """The record of the run in `folder`.

    Raises
    ------
    DataError
        There is no record, or it is damaged: the message names the file.
    """
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text("utf-8"))
        problem = record["problem"]
        known = {item.name for item in fields(Run)}
        values = {name: value for name, value in record.items() if name in known}
        values |= {
            "status": Status(record["status"]),
            "started": datetime.fromisoformat(record["started"]),
            "ended": datetime.fromisoformat(record["ended"]),
            "problem": None if problem is None else Problem(**problem),
            "provenance": Provenance(**record["provenance"]),
            "labels": tuple(record["labels"]),
            "given": tuple(record["given"]),
            "folder": folder,
        }
        return Run(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no record of a run ({error}).", "Delete the folder, or restore it.") from error


def list_runs(config: RunsConfig | None = None) -> tuple[Run, ...]:
    """Every finished run, newest first. One with a damaged record is there too, as `Status.UNREADABLE`."""
    folder = (config or RunsConfig.from_env()).runs
    return tuple(_listed(folder / name) for name in _names(folder))


def find_run(name: str, config: RunsConfig | None = None) -> Run:
    """One finished run: by id, by a beginning that fits it alone, by the name of its report (the newest), or "latest".

    Raises
    ------
    UnknownName
        No run fits.
    BadInput
        Several runs fit.
    DataError
        Its record is damaged.
    """
    folder = (config or RunsConfig.from_env()).runs
    names = _names(folder)
    if name in names:
        return read_run(folder / name)
    of_report = [known for known in names if name == "latest" or known.split("-", 1)[-1].rpartition("-")[0] == name]
    if of_report:
        return read_run(folder / of_report[0])
    fitting = [known for known in names if name and known.startswith(name)]
    if len(fitting) > 1:
        raise BadInput(f"{name!r} fits {len(fitting)} runs.", f"Write more of the id, for example {fitting[0]}.")
    if not fitting:
        raise UnknownName("run", name[:200], names)
    return read_run(folder / fitting[0])


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if not path.name.startswith(".")), reverse=True)


def _listed(folder: Path) -> Run:
    try:
        return read_run(folder)
    except DataError as error:
        moment, _, rest = folder.name.partition("-")
        try:
            at = datetime.strptime(moment, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            at = datetime.fromtimestamp(0, UTC)
        name = rest.rpartition("-")[0] or folder.name
        return Run(
            id=folder.name,
            report=name,
            title=name,
            status=Status.UNREADABLE,
            parameters={},
            given=(),
            seed=None,
            notebook="",
            notebook_sha256="",
            started=at,
            ended=at,
            problem=Problem(error.problem),
            labels=(),
            provenance=Provenance(),
            folder=folder,
        )
