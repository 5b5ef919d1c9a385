"""Carries jobs of JupyterLab out under the account of the worker. An edge module: processes and the disk.

That is right where the worker and the one user of the platform are one account, and nowhere else.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from quantdesk.errors import BadInput
from quantdesk.reports.dispatch.here import carry_out
from quantdesk.reports.dispatch.work import Execute, Outcome, Work, outcome_of
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.job import TRIGGER, LabJob

__all__ = ["JobsOfLab", "check_folder", "texts"]


class JobsOfLab:
    """Carries out jobs of JupyterLab, and has the rest carried out; see :data:`~quantdesk.reports.dispatch.Execute`.

    A job is never served from what was made before: it may read whatever its user has.

    Parameters
    ----------
    others
        Carries out runs that are no jobs of JupyterLab.
    """

    def __init__(self, others: Execute) -> None:
        self._others = others
        self._jobs = partial(carry_out, begin=_begin)

    def __call__(self, work: Work) -> Outcome:
        """Carry out one run."""
        return self._jobs(work) if work.run.trigger == TRIGGER else self._others(work)


def _begin(work: Work) -> Outcome:
    from quantdesk.reports.runner import ReportFailed, run

    asked, job = work.run, LabJob.of(work.run.details)
    kept.read(job)
    try:
        done = run(
            str(kept.path_of(job)),
            texts(asked.parameters),
            cancel=work.cancel,
            steps=work.tell,
            identity=asked.id,
            attempt=asked.attempt,
            requested_by=asked.requested_by,
            working_directory=check_folder(job),
        )
    except ReportFailed as error:
        done = error.run
    return outcome_of(done)


def texts(parameters: object) -> list[str]:
    """Parameters as they are typed, ``name=value``: each is read by the type that the notebook gives it."""
    return [f"{name}={value}" for name, value in parameters.items()] if isinstance(parameters, dict) else []


def check_folder(job: LabJob) -> Path:
    """The folder in which a job runs.

    Raises
    ------
    BadInput
        It is not there any more.
    """
    folder = Path(job.folder)
    if not folder.is_dir():
        raise BadInput(f"The folder {job.folder} of this job is not there.", "Make the job again from where it is now.")
    return folder
