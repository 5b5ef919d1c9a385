"""What a run leaves behind: one folder with notebook, page, log and record. An edge module: it writes and reads them.

::

    state/reports/runs/20261123T014539.123Z-02_strategy_backtest-9f3a1c/
        notebook.ipynb      executed as far as it came
        report.html         the page, complete in itself
        run.json            the record: parameters, provenance, status, metrics
        log.txt             what worker and kernel wrote past the notebook
        metrics.json        recorded metrics and what is missing, where the report records or declares any
        tables/             recorded frames, a parquet file each
        thumbnails/         small pictures of its figures

A folder appears whole or not at all and is never changed. Its name sorts by start and is unique.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.home import state_dir
from quantdesk.records import atomic_directory
from quantdesk.reports.result import CellTime, Metric, Problem, Provenance, Run, Status, Table, is_id
from quantdesk.reports.storage import current

__all__ = [
    "CellTime",
    "Metric",
    "Problem",
    "Provenance",
    "Run",
    "RunsConfig",
    "Status",
    "Table",
    "find_run",
    "is_id",
    "last_completed",
    "list_runs",
    "new_id",
    "newest",
    "publish",
    "read_run",
]


log = logging.getLogger(__name__)


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


def new_id(report: str, at: datetime) -> str:
    """A name for a run: it sorts by `at`, and two never meet."""
    moment = at.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{_stem(report)}-{secrets.token_hex(3)}"


def publish(run: Run, *, notebook: str, page: str, log: Path | None, beside: Mapping[str, bytes] | None = None) -> Run:
    """Write the folder of a run, whole or not at all.

    Parameters
    ----------
    run
        Its `folder` must not exist yet.
    notebook, page
        Text of the executed notebook (JSON) and of the HTML page.
    log
        A file to keep beside them.
    beside
        Further files: content by path below the folder.

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
            for path, content in (beside or {}).items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes(content)
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
        return Run.from_dict(json.loads(path.read_text("utf-8")), folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no record of a run ({error}).", "Delete the folder, or restore it.") from error


def last_completed(report: str, config: RunsConfig | None = None, *, most: int = 20) -> Run | None:
    """The newest complete run of a report among its `most` newest ones on this disk; None where there is none."""
    return next((run for run in newest(report, config, most=most) if run.status is Status.COMPLETED), None)


def newest(report: str, config: RunsConfig | None = None, *, most: int = 20) -> Iterator[Run]:
    """The `most` newest runs of a report on this disk, the newest first; each is read when it is asked for."""
    folder = (config or RunsConfig.from_env()).runs
    for name in [name for name in _names(folder) if _report_of(name) == _stem(report)][:most]:
        run = _listed(folder / name)
        if run.report == report:
            yield run


def list_runs(config: RunsConfig | None = None) -> tuple[Run, ...]:
    """Every finished run, newest first: those of this disk, and those of the store where there is one.

    One with a damaged record is there too, as `Status.UNREADABLE`. The `folder` of a run that only the store has holds
    its files after :func:`find_run`. When the store cannot be read, that is logged, and the runs of this disk are told.
    """
    config = config or RunsConfig.from_env()
    here = _names(config.runs)
    elsewhere: dict[str, Run] = {}
    try:
        store = current(config.reports_root)
        if store is not None:
            elsewhere = store.records(sorted(store.names() - set(here)))
    except EnvironmentProblem as error:
        log.warning("%s", error)
    names = sorted({*here, *elsewhere}, reverse=True)
    return tuple(elsewhere[name] if name in elsewhere else _listed(config.runs / name) for name in names)


def find_run(name: str, config: RunsConfig | None = None) -> Run:
    """One finished run: by id, by a beginning that fits it alone, by the name of its report (the newest), or "latest".

    One that only the store has is fetched.

    Raises
    ------
    UnknownName
        No run fits.
    BadInput
        Several runs fit.
    DataError
        Its record is damaged.
    EnvironmentProblem
        It is not on this disk, and the store cannot be read.
    """
    config = config or RunsConfig.from_env()
    here = _names(config.runs)
    if name in here:
        return read_run(config.runs / name)
    store = current(config.reports_root)
    names = here if store is None else sorted({*here, *store.names()}, reverse=True)
    of_report = [known for known in names if name == "latest" or _report_of(known) == name]
    fitting = [known for known in names if name and known.startswith(name)]
    for known in of_report or fitting:
        if not of_report and len(fitting) > 1 and known != name:
            raise BadInput(f"{name!r} fits {len(fitting)} runs.", f"Write more of the id, for example {fitting[0]}.")
        if known in here:
            return read_run(config.runs / known)
        # One without a record is still being sent.
        if store is not None and (run := store.fetch(known)) is not None:
            return run
    raise UnknownName("run", name[:200], names)


def _stem(report: str) -> str:
    """The part of a run's name that stands for its report."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", report)[:60].strip("-") or "report"


def _report_of(name: str) -> str:
    return name.split("-", 1)[-1].rpartition("-")[0]


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
