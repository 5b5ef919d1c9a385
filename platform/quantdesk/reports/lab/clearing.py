"""Kept notebooks that no job needs any more are removed. An edge module: the disk, the ledger.

A notebook is needed by a job definition, by a job that has not ended, and by one that has, as long as its user has not
deleted it and retention has not removed its files. Who hands one in holds :func:`.kept.handing_in` until the ledger
names it, so that nothing goes in between.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantdesk.reports.lab.job import HIDDEN, TRIGGER
from quantdesk.reports.lab.kept import handing_in, root
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig

__all__ = ["clear"]

_log = logging.getLogger(__name__)


def clear(ledger: RunLedger, config: RunsConfig | None = None) -> tuple[Path, ...]:
    """Remove the notebooks that nothing needs.

    Parameters
    ----------
    ledger
        Of the jobs and their definitions.
    config
        Where the notebooks are; the environment's when None.

    Returns
    -------
    tuple of Path
        What was removed.

    Raises
    ------
    EnvironmentProblem
        The database or the disk cannot be used.
    """
    removed: list[Path] = []
    if not root(config).is_dir():
        return ()
    with handing_in(config):
        needed = _needed(ledger)
        for folder in sorted(root(config).iterdir()):
            if not folder.is_dir() or folder.is_symlink():
                continue
            try:
                for path in sorted(folder.iterdir()):
                    if (folder.name, path.name) not in needed:
                        path.unlink()
                        removed.append(path)
            except OSError as error:
                _log.warning("%s cannot be cleared (%s)", folder, error.strerror or error)
                continue
            with contextlib.suppress(OSError):  # one that is needed is not empty
                folder.rmdir()
    return tuple(removed)


def _needed(ledger: RunLedger) -> set[tuple[str, str]]:
    """Hashes and names of what is needed."""
    found = [one.details for one in ledger.schedules.list() if one.source == TRIGGER]
    for state, is_removed, details in ledger.keeping.ordered(TRIGGER):
        if not state.is_final or not (is_removed or details.get(HIDDEN)):
            found.append(details)
    return {one for one in map(_name, found) if one is not None}


def _name(details: Mapping[str, Any]) -> tuple[str, str] | None:
    job = details.get(TRIGGER)
    if not isinstance(job, Mapping):
        return None
    return str(job.get("sha256")), str(job.get("filename"))
