"""The notebooks that were handed in from JupyterLab, each by its hash. An edge module: the disk.

::

    state/reports/lab/<sha256>/<name>.ipynb

A file is written once, read by whoever carries its job out, and checked against its hash at each reading; when nothing
needs it any more, :mod:`.clearing` removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.records import atomic_write, exclusive
from quantdesk.reports.lab.job import LabJob
from quantdesk.reports.runs import RunsConfig

__all__ = ["handing_in", "keep", "path_of", "read", "root"]


def root(config: RunsConfig | None = None) -> Path:
    """The folder of all of them."""
    return (config or RunsConfig.from_env()).reports_root / "lab"


def path_of(job: LabJob, config: RunsConfig | None = None) -> Path:
    """Where the notebook of a job is."""
    return root(config) / job.sha256 / job.filename


@contextlib.contextmanager
def handing_in(config: RunsConfig | None = None) -> Iterator[None]:
    """Nothing is cleared in this block: keep a notebook, and have the ledger name it.

    Raises
    ------
    LockHeld
        Others are at it for a minute.
    EnvironmentProblem
        The folder cannot be written.
    """
    with exclusive(root(config) / ".lock", timeout=60):
        yield


def keep(job: LabJob, content: bytes, config: RunsConfig | None = None) -> Path:
    """Write the notebook of a job, unless it is there.

    Raises
    ------
    EnvironmentProblem
        The disk is full, or the folder cannot be written. Nothing is left then.
    """
    path = path_of(job, config)
    with contextlib.suppress(DataError):
        read(job, config)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o2750)  # the group of the reports has who carries the job out, and nobody else
        with atomic_write(path, mode=0o640) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be written ({error.strerror or error}).", "Make the folder of the reports writable."
        ) from error
    return path


def read(job: LabJob, config: RunsConfig | None = None) -> bytes:
    """The notebook of a job.

    Raises
    ------
    DataError
        It is not there, or is another one than was handed in.
    """
    path = path_of(job, config)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The notebook {job.filename} of this job cannot be read ({error.strerror}).", "Make the job again."
        ) from error
    if hashlib.sha256(content).hexdigest() != job.sha256:
        raise DataError(f"The notebook {job.filename} of this job was changed since.", "Make the job again.")
    return content
