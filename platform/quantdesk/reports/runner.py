"""Runs a report: one process each, limits, progress, and a published folder whatever happens. An edge module.

Runs do not meet: each has a process, a scratch folder, kernel sockets and an id of its own, and the working directory
of the caller stays what it was.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, BadParameter, EnvironmentProblem, QuantdeskError, RunFailed
from quantdesk.reports.environment import cleaned
from quantdesk.reports.limits import RunnerConfig, limits_for
from quantdesk.reports.notebooks import Report, find_report
from quantdesk.reports.progress import Last, Step
from quantdesk.reports.publish import Request
from quantdesk.reports.runs import Run, RunsConfig, Status, is_id, last_completed, new_id, read_run
from quantdesk.reports.scratch import prepared, recover
from quantdesk.reports.spec import taken
from quantdesk.reports.storage import current
from quantdesk.reports.supervise import Progress, supervise
from quantdesk.reports.watch import Limits

__all__ = ["ReportFailed", "RunnerConfig", "limits_for", "run"]


log = logging.getLogger(__name__)


class ReportFailed(RunFailed):
    """A report did not complete; what it computed is published all the same.

    Parameters
    ----------
    run
        The published run.
    """

    def __init__(self, run: Run) -> None:
        from quantdesk.reports.banner import sentence, shown

        self.run = run
        what = f"The report {run.report} is not complete. {shown(run.status).word}: {sentence(run)}"
        super().__init__(
            what if what.endswith((".", "!", "?")) else f"{what}.",
            f"What it computed is in {run.folder} (notebook.ipynb, report.html, log.txt).",
        )


def run(
    name: str | Report,
    parameters: Mapping[str, Any] | list[str] | None = None,
    *,
    output: Path | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    cancel: threading.Event | None = None,
    steps: Callable[[Step], None] | None = None,
    identity: str | None = None,
    attempt: int = 1,
    requested_by: str | None = None,
    working_directory: Path | None = None,
) -> Run:
    """Run a report and publish its folder.

    Parameters
    ----------
    name
        Name of a report, a beginning that fits it alone, or the path of an ``.ipynb`` file; or a report that was read
        already, which is not read again.
    parameters
        Values by name, or ``name=value`` texts (see :func:`quantdesk.reports.spec.parse`).
    output
        Folder for the finished run, which must not exist; ``runs/<id>`` below the reports folder when not given.
    progress
        Called in this thread, a few times a cell at most.
    limits
        Limits of time and memory; those that the report declares when not given, and those of :class:`RunnerConfig`
        where it declares none.
    cancel
        When set by another thread, the run is cancelled. Ctrl-C does the same.
    steps
        As `progress`, with the time that has passed and the time that is left by the report's last complete run.
    identity
        The name of the run, chosen before by a queue with :func:`quantdesk.reports.runs.new_id`. When a run of that
        name is there already, nothing runs and it is what is returned, or raised.
    attempt, requested_by
        For the record: which try it is, and the user who asked.
    working_directory
        Of the kernel; the folder of the notebook when not given.

    Returns
    -------
    Run
        As published, complete.

    Raises
    ------
    UnknownName, BadInput
        There is no such report, `output` is there already, `identity` is no name, or its run is under way.
    BadParameter
        A parameter that the report does not have, or a wrong type.
    DataError
        The notebook cannot be read.
    EnvironmentProblem
        The disk is full, or a folder cannot be written.
    ReportFailed
        It did not complete: a cell raised, time ran out, the kernel died, it was cancelled. What was computed is
        published, with a banner that says so, and the message names the folder.
    """
    config = RunsConfig.from_env()
    if identity is not None and (done := _done(identity, output, config)) is not None:
        return _complete(done)
    report = find_report(name)
    values = taken(report.parameters, parameters, report=report.name)
    settings = RunnerConfig.from_env()
    limits = limits or settings.limits_of(report.declaration)
    if limits.total_s <= 0 or limits.cell_s <= 0:
        raise BadParameter(
            f"A time limit of {min(limits.total_s, limits.cell_s):g} s is none.", "Give seconds above 0."
        )
    if output is not None:
        _make_room(output)
    recover(config)
    started = datetime.now(UTC)
    identity = identity or new_id(report.name, started)
    request = Request(
        id=identity,
        report=report.name,
        title=report.title,
        notebook=str(report.path),
        notebook_sha256=report.sha256,
        scratch=str(config.scratch / identity),
        folder=str((output or config.runs / identity).resolve()),
        working_directory=str(working_directory or report.path.parent),
        defaults={item.name: item.default for item in report.parameters},
        given=values,
        total_s=limits.total_s,
        cell_s=limits.cell_s,
        started=started.isoformat(),
        memory_bytes=limits.memory_bytes,
        largest_output=int(settings.largest_output_mb * 1_000_000),
        declaration=report.declaration.to_dict(),
        seed=report.declaration.seed,
        attempt=attempt,
        requested_by=requested_by,
    )
    environment = cleaned(os.environ, settings.allow_env)
    for name in [name for name in environment if name.startswith("QUANTDESK_REPORTS_STORE")]:
        del environment[name]  # a notebook has no business with the runs of the team
    with prepared(request) as place:
        published = supervise(place, environment, _told(request, progress, steps, config), cancel)
    if output is None:
        _send(published, config)
    return _complete(published)


def _send(run: Run, config: RunsConfig) -> None:
    """Send it to the store, where there is one; what cannot be sent is sent by the next `push_pending`."""
    try:
        store = current(config.reports_root)
        if store is not None:
            store.push(run.folder)
    except QuantdeskError as error:
        log.warning("the run %s stays on this disk for now: %s", run.id, error)


def _complete(run: Run) -> Run:
    if run.status is not Status.COMPLETED:
        raise ReportFailed(run)
    return run


def _done(identity: str, output: Path | None, config: RunsConfig) -> Run | None:
    """The finished run of that name, where there is one."""
    if not is_id(identity):
        raise BadInput(
            f"{identity[:80]!r} is no name of a run.",
            "Use letters, digits, _, - and ., at most 120, none of ._- first.",
        )
    recover(config)
    folder = output or config.runs / identity
    if (folder / "run.json").is_file() and (found := read_run(folder)).id == identity:
        return found
    store = current(config.reports_root) if output is None else None
    if store is not None and (elsewhere := store.fetch(identity)) is not None:
        return elsewhere  # another machine has done it
    if (config.scratch / identity).exists():
        raise BadInput(f"The run {identity} is under way.", "Wait for its end, or cancel it.")
    return None


def _told(
    request: Request, progress: Progress | None, steps: Callable[[Step], None] | None, config: RunsConfig
) -> Progress:
    """Whom to tell: both callers, the second with times."""
    if steps is None:
        return progress or _silent
    last = _last(request, config)
    begun = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        elapsed = time.monotonic() - begun
        if progress is not None:
            progress(what, done, total)
        steps(Step(what, done, total, elapsed, last.remaining(done, total, elapsed) if last is not None else None))

    return tell


def _make_room(output: Path) -> None:
    """Make the folder around `output`, so that a run does not find out at its end that it cannot."""
    if output.exists():
        raise BadInput(f"{output} is there already.", "Name a folder that does not exist: no run replaces another.")
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(output.absolute().parent, os.W_OK)
    except OSError as error:
        raise EnvironmentProblem(f"{output} cannot be written ({error.strerror}).", "Name another folder.") from error
    if not writable:
        raise EnvironmentProblem(f"{output} cannot be written.", "Name another folder, or make the one above writable.")


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def _last(request: Request, config: RunsConfig) -> Last | None:
    run = last_completed(request.report, config)
    if run is None:
        return None
    same = run.notebook_sha256 == request.notebook_sha256
    return Last(run.duration_s, tuple(one.seconds for one in run.cells) if same else (), 1 if request.given else 0)
