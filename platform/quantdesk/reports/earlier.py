"""A run of this disk that answers a question before anything is run. An edge module: it reads the disk.

It is for who starts a report without the ledger, and has to be cheap: a folder is listed and some records are read, and
only where one of them could be the answer is the machine asked what a run would be made from now.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from typing import Any

from quantdesk.reports import provenance
from quantdesk.reports.cache import cache_key
from quantdesk.reports.notebooks import Report, find_report
from quantdesk.reports.result import Provenance, Run, Status
from quantdesk.reports.runs import RunsConfig, newest
from quantdesk.reports.spec import taken

__all__ = ["earlier_run"]


def earlier_run(
    name: str | Report,
    parameters: Mapping[str, Any] | list[str] | None = None,
    *,
    collect: Callable[[], Provenance] | None = None,
) -> Run | None:
    """The newest complete run of this disk that was made from exactly what a run would be made from now.

    Parameters
    ----------
    name, parameters
        As for :func:`quantdesk.reports.run`.
    collect
        Tells what a run that begins now is made from; this machine when None.

    Returns
    -------
    Run or None
        None where the report has to run: something differs or is not known, it wants no cache
        (:class:`~quantdesk.reports.Declaration`), or it is private and was run by somebody else.

    Raises
    ------
    UnknownName, BadInput, BadParameter, DataError
        As of :func:`quantdesk.reports.run`, before anything is run.
    """
    report = find_report(name)
    values = taken(report.parameters, parameters, report=report.name)
    if not report.declaration.cache:
        return None
    possible = [
        run
        for run in newest(report.name, RunsConfig.from_env())
        if run.status is Status.COMPLETED
        and run.cache_key is not None
        and run.notebook_sha256 == report.sha256
        and (report.declaration.visibility != "private" or _maker(run) in _mine())
        and run.page.is_file()
    ]
    key = cache_key(report, values, (collect or provenance.collect)()) if possible else None
    return None if key is None else next((run for run in possible if run.cache_key == key), None)


def _maker(run: Run) -> str:
    return run.requested_by or run.provenance.user


def _mine() -> set[str]:
    """The names under which somebody runs reports here."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        account = ""
    return {os.environ.get("JUPYTERHUB_USER", ""), account} - {""}
