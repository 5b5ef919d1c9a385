"""The place of a run while it is under way, and what to do with one that was left behind. An edge module.

::

    state/reports/scratch/<run-id>/
        lock                held by parent and worker as long as one of them lives
        request.json        what was asked for
        input.ipynb         the notebook as it was when the run began
        notebook.ipynb      the notebook as far as it came
        sockets             link to the folder of the kernel's sockets, whose path has to be short
        log.txt             what worker and kernel wrote
        ipython/            the kernel's own profile: it holds the seed where one is declared
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.reports import kernelspec, processes
from quantdesk.reports.banner import place
from quantdesk.reports.notebooks import load
from quantdesk.reports.publish import Outcome, Request, finish
from quantdesk.reports.runs import Problem, Provenance, Run, RunsConfig, Status

__all__ = ["Place", "prepared", "publish_checkpoint", "recover"]


HALF_MADE_S = 3600.0
"""Seconds after which a folder that was being prepared is taken for one that nobody will finish."""


@dataclass(frozen=True)
class Place:
    """A prepared run.

    Parameters
    ----------
    request
        What was asked for.
    folder
        The scratch folder.
    sockets
        A private folder with a short path, for the sockets of the kernel.
    lock
        Descriptor of the lock, to hand to the worker.
    """

    request: Request
    folder: Path
    sockets: Path
    lock: int


@contextlib.contextmanager
def prepared(request: Request) -> Iterator[Place]:
    """Make the scratch folder of a run, lock it, and remove it at the end.

    Raises
    ------
    EnvironmentProblem
        It cannot be written.
    BadInput
        A run of this id is under way.
    DataError
        The notebook cannot be read, or is not the one any more that the request was made from.
    """
    import nbformat

    folder = Path(request.scratch)
    # Under a hidden name until the lock is held, so that `recover` does not take it for one that was left behind.
    hidden = folder.with_name(f".{folder.name}.{secrets.token_hex(3)}")
    with contextlib.ExitStack() as stack:
        try:
            hidden.mkdir(parents=True, mode=0o700)
            stack.callback(shutil.rmtree, hidden, ignore_errors=True)
            handle = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            notebook, digest = load(Path(request.notebook))
            if request.notebook_sha256 not in ("", digest):
                raise DataError(f"{request.notebook} was changed while its run began.", "Run it again.")
            (hidden / "input.ipynb").write_text(nbformat.writes(notebook), "utf-8")  # type: ignore[no-untyped-call]
            (hidden / "request.json").write_text(json.dumps(asdict(request)), "utf-8")
            kernelspec.install(hidden)
            if request.seed is not None:
                _seed(hidden / "ipython", request.seed)
            sockets = Path(tempfile.mkdtemp(prefix="qd-run-"))
            stack.callback(shutil.rmtree, sockets, ignore_errors=True)
            (hidden / "sockets").symlink_to(sockets)
            _rename(hidden, folder)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback((folder / "request.json").unlink, missing_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"{folder} cannot be written ({error.strerror or error}).",
                "Make it writable and free some space, or set QUANTDESK_STATE to another folder.",
            ) from error
        yield Place(request, folder, sockets, handle)


_SEEDING = """\
def _quantdesk_seed():
    import itertools, random
    import numpy
    numbers = itertools.count()
    def begin(*_):
        start = ({seed} + 1_000_003 * next(numbers)) % 2**32
        random.seed(start)
        numpy.random.seed(start)
    get_ipython().events.register("pre_run_cell", begin)
_quantdesk_seed()
del _quantdesk_seed
"""
"""Before each cell, not once: the machinery of a kernel draws from the same generators, now and then."""


def _seed(profile: Path, seed: int) -> None:
    """Have each cell begin with its generators at a place of its own: IPython runs what lies in this folder first."""
    startup = profile / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-seed.py").write_text(_SEEDING.format(seed=seed), "utf-8")


def _rename(hidden: Path, folder: Path) -> None:
    try:
        os.rename(hidden, folder)
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise BadInput(f"The run {folder.name} is under way.", "Wait for its end, or cancel it.") from error
        raise


def recover(config: RunsConfig | None = None) -> tuple[Run, ...]:
    """Publish what is left of runs whose parent and worker are both gone, for example after a power cut.

    Returns
    -------
    tuple of Run
        The runs that were published now, as `Status.LOST`.
    """
    folder = (config or RunsConfig.from_env()).scratch
    found: list[Run] = []
    for scratch in sorted(folder.iterdir()) if folder.is_dir() else ():
        with contextlib.suppress(OSError), _left_behind(scratch / "lock") as left:
            if left and scratch.name.startswith("."):
                # It was being prepared. Whoever does that takes the lock at once, so an hour is far more than enough.
                if time.time() - scratch.stat().st_mtime > HALF_MADE_S:
                    shutil.rmtree(scratch, ignore_errors=True)
            elif left:
                found += _salvaged(scratch)
                if (scratch / "sockets").is_symlink():
                    shutil.rmtree((scratch / "sockets").readlink(), ignore_errors=True)
                shutil.rmtree(scratch, ignore_errors=True)
    return tuple(found)


@contextlib.contextmanager
def _left_behind(lock: Path) -> Iterator[bool]:
    """Whether nobody holds the lock; if so, it is held here."""
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        yield False
    else:
        try:
            yield True
        finally:
            os.close(handle)


def _salvaged(scratch: Path) -> list[Run]:
    try:
        request = Request(**json.loads((scratch / "request.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return []  # it had ended, or not begun
    processes.end_all(request.id)
    if Path(request.folder).exists():
        return []
    problem = Problem("The processes that ran it ended without a word.")
    return [publish_checkpoint(request, Outcome(Status.LOST, problem, datetime.now(UTC), Provenance()))]


def publish_checkpoint(request: Request, outcome: Outcome) -> Run:
    """Publish a run as far as it was kept, in place of a worker that cannot.

    Raises
    ------
    EnvironmentProblem
        The disk is full, or the folder cannot be written.
    """
    kept = Path(request.scratch) / "notebook.ipynb"
    notebook, _ = load(kept if kept.is_file() else Path(request.scratch) / "input.ipynb", largest=math.inf)
    running = next((cell for cell in notebook.cells if _status(cell) == "running"), None)
    if running is not None and outcome.problem is not None:
        number, heading = place(notebook.cells, running)
        problem = replace(outcome.problem, cell=number, cell_id=running.get("id"), heading=heading)
        outcome = replace(outcome, problem=problem)
    return finish(request, notebook, outcome)


def _status(cell: Any) -> str | None:
    """What papermill noted last about a cell."""
    noted: str | None = cell.metadata.get("papermill", {}).get("status")
    return noted
