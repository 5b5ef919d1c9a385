"""The reports and the ledger of their runs, as one person may see them. An edge module: the disk, the database."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from typing import Any

from quantdesk.errors import EnvironmentProblem, QuantdeskError, UnknownName
from quantdesk.hub.app.access import Right, User
from quantdesk.reports.ledger import RunLedger, Viewer
from quantdesk.reports.notebooks import NotebooksConfig, Report, list_reports

__all__ = ["Catalogue", "viewer_of"]

_log = logging.getLogger(__name__)
_EVERYBODY = User("", frozenset({Right.ADMIN}))
_MOST = 5000
"""Values that are dear to find out, and are kept."""


def viewer_of(user: User) -> Viewer:
    """The user as the ledger knows him."""
    return Viewer(user.name, is_admin=user.may(Right.ADMIN))


class Catalogue:
    """Reports and runs. Read again when a notebook has changed; the ledger is opened at the first question."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self._mark: tuple[tuple[str, int, int], ...] | None = None
        self._reports: dict[str, Report] = {}
        self._broken: dict[str, str] = {}
        self._ledger: RunLedger | None = None

    @property
    def ledger(self) -> RunLedger:
        """The ledger of runs.

        Raises
        ------
        EnvironmentProblem, DataError
            It cannot be opened.
        """
        with self._lock:
            if self._ledger is None:
                self._ledger = RunLedger.open()
            return self._ledger

    def reports(self, user: User, *, strictly: bool = False) -> dict[str, Report]:
        """The reports that somebody may see, by name.

        Parameters
        ----------
        user
            Who asks.
        strictly
            Whether a folder that cannot be read is an error; otherwise there are none, and runs can be looked at all
            the same.

        Raises
        ------
        EnvironmentProblem
            The folder of notebooks cannot be read, and `strictly` was said.
        """
        try:
            return {name: one for name, one in self._all().items() if _seen(one, user)}
        except EnvironmentProblem as error:
            if strictly:
                raise
            _log.error("%s", error)
            return {}

    def report(self, name: str, user: User) -> Report:
        """One report, by its whole name: nothing that is given here is ever a path.

        Raises
        ------
        UnknownName
            There is none, or not for this user: the two look alike.
        EnvironmentProblem
            The folder of notebooks cannot be read.
        """
        mine = self.reports(user, strictly=True)
        if name not in mine:
            raise UnknownName("report", name[:200], mine)
        return mine[name]

    def broken(self) -> dict[str, str]:
        """The names of notebooks that cannot be read, and why; the empty name for their folder."""
        try:
            self._all()
        except EnvironmentProblem as error:
            return {"": str(error)}
        return dict(self._broken)

    def hidden(self, user: User) -> set[str]:
        """Names of notebooks that are there, and not for this person."""
        return (set(self.reports(_EVERYBODY)) | set(self.broken())) - set(self.reports(user))

    def now(self) -> datetime:
        """The clock that all users of the ledger share (UTC)."""
        return self.ledger.schedules.now()

    def kept(self, key: Any) -> Any:
        """What :meth:`keep` was told; None when it was not, or it was forgotten."""
        return self._kept.get(key)

    def keep(self, key: Any, value: Any) -> None:
        """Remember a value that is dear to find out; all are forgotten when there are too many."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = value

    def close(self) -> None:
        """Let go of the ledger."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None

    def _all(self) -> dict[str, Report]:
        folder = NotebooksConfig.from_env().folder
        try:
            mark = tuple(
                sorted(
                    (path.name, (stat := path.stat()).st_mtime_ns, stat.st_size)
                    for path in folder.iterdir()
                    if path.suffix in (".ipynb", ".toml")
                )
            )
        except OSError as error:
            raise EnvironmentProblem(f"The folder of notebooks {folder} cannot be read ({error.strerror}).") from error
        with self._lock:
            if mark != self._mark:
                broken: dict[str, str] = {}

                def note(name: str, error: QuantdeskError) -> None:
                    broken[name] = error.problem

                self._reports = {one.name: one for one in list_reports(broken=note)}
                self._broken, self._mark = broken, mark
            return self._reports


def _seen(report: Report, user: User) -> bool:
    declared = report.declaration
    return declared.visibility != "private" or declared.owner == user.name or user.may(Right.ADMIN)
