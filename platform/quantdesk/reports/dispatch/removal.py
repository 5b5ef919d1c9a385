"""The files of runs that are past their report's retention are removed. An edge module: disk, database, store.

A run is marked in the ledger first (:mod:`quantdesk.reports.ledger.keeping`), its folder is renamed out of the way as a
whole, the store lets go of it, and then what was renamed is deleted. A death at any moment leaves a mark or something
in ``trash/``, and the next round goes on there. The row in the ledger stays, with all that the run was made from.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch.retention import past
from quantdesk.reports.ledger import Recorded, RunLedger
from quantdesk.reports.ledger.entry import Left
from quantdesk.reports.notebooks import list_reports
from quantdesk.reports.result import is_id
from quantdesk.reports.runs import RunsConfig
from quantdesk.reports.storage import current

__all__ = ["Removal"]

_log = logging.getLogger(__name__)
APART_S = 3600.0
"""Seconds by which the clock of the day and the steady one may drift apart between two rounds."""
DOUBT_S = 24 * 3600.0
"""Seconds for which nothing is removed after the clock has jumped."""


class Removal:
    """Removes what is past its retention.

    Parameters
    ----------
    ledger
        Of the runs.
    config
        Where their folders are.
    steady
        Seconds of a clock that nobody sets.
    """

    def __init__(self, ledger: RunLedger, config: RunsConfig, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._config, self._steady = ledger, config, steady
        self._trash = config.reports_root / "trash"
        self._last: tuple[datetime, float] | None = None
        self._doubt_until = float("-inf")

    def step(self, is_over: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
        """Look at every report once; the names of the runs that were removed now.

        Parameters
        ----------
        is_over
            Asked between two runs; True ends the round, and the next one goes on.

        Raises
        ------
        EnvironmentProblem
            The database, the notebooks or the disk cannot be used. The next round goes on where this one stopped.
        """
        self._empty_trash()
        for run in self._ledger.keeping.unfinished():
            self._clear(run)
        now = self._ledger.schedules.now()
        removed: list[str] = []
        if not self._trusted(now):
            return ()
        for report in list_reports(broken=lambda _name, _error: None):
            retention = report.declaration.retention
            if retention.runs is None and retention.days is None:
                continue
            left = self._ledger.keeping.left(report.name)
            here = {one.id for one in left if self._is_here(one)}
            for name in past(left, retention, now):
                if is_over():
                    return tuple(removed)
                if name in here and self._ledger.keeping.remove(name):
                    _log.info("run %s is past the retention of %s, and is removed", name, report.name)
                    removed.append(name)
                    self._clear(self._ledger.queue.get(name))
        return tuple(removed)

    def _trusted(self, now: datetime) -> bool:
        """Whether the clock tells how old runs are: one that has jumped does not, for a day."""
        at = self._steady()
        if self._last is not None:
            apart = abs((now - self._last[0]).total_seconds() - (at - self._last[1]))
            if apart > APART_S:
                _log.warning("the clock has jumped by %.0f s: no run is removed for a day", apart)
                self._doubt_until = at + DOUBT_S
        self._last = (now, at)
        return at >= self._doubt_until

    def _is_here(self, one: Left) -> bool:
        """Whether its files are those of this folder of runs, or another's."""
        return one.cached_from is not None or Path(one.folder) == self._config.runs / one.id

    def _clear(self, run: Recorded) -> None:
        """Remove the files of a marked run; what cannot be removed now stays marked, for the next round."""
        try:
            if run.cached_from is None and is_id(run.id):
                for folder in (self._config.runs / run.id, self._config.reports_root / "attempts" / run.id):
                    self._throw_away(folder)
                store = current(self._config.reports_root)
                if store is not None:
                    store.remove(run.id)
                self._empty_trash()
        except EnvironmentProblem as error:
            _log.warning("the files of the run %s are removed later: %s", run.id, error)
            return
        self._ledger.keeping.emptied(run.id)

    def _throw_away(self, folder: Path) -> None:
        try:
            self._trash.mkdir(parents=True, exist_ok=True)
            os.rename(folder, self._trash / f"{folder.name}.{secrets.token_hex(4)}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentProblem(
                f"{folder} cannot be moved to {self._trash} ({error.strerror}).", "Make both writable."
            ) from error

    def _empty_trash(self) -> None:
        try:
            there = list(self._trash.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentProblem(
                f"{self._trash} cannot be read ({error.strerror}).", "Make it readable."
            ) from error
        for one in there:
            shutil.rmtree(one, ignore_errors=True)
            if one.exists():
                _log.warning("%s cannot be deleted altogether", one)
