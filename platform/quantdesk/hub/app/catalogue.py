"""The reports that there are, and the ledger of their runs. An edge module: the disk, the database."""

from __future__ import annotations

import threading

from quantdesk.errors import EnvironmentProblem, QuantdeskError, UnknownName
from quantdesk.hub.app.access import Right, User
from quantdesk.reports.ledger import RunLedger, Viewer
from quantdesk.reports.notebooks import NotebooksConfig, Report, list_reports

__all__ = ["Catalogue", "viewer_of"]


def viewer_of(user: User) -> Viewer:
    """The user as the ledger knows him."""
    return Viewer(user.name, is_admin=user.may(Right.ADMIN))


class Catalogue:
    """Reports and runs. Read again when a notebook has changed; the ledger is opened at the first question."""

    def __init__(self) -> None:
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

    def reports(self, user: User) -> tuple[Report, ...]:
        """The reports that a user may see, by name."""
        return tuple(one for one in self._all().values() if _seen(one, user))

    def broken(self) -> dict[str, str]:
        """The names of notebooks that cannot be read, and why."""
        self._all()
        return dict(self._broken)

    def report(self, name: str, user: User) -> Report:
        """One report, by its whole name: nothing that is given here is ever a path.

        Raises
        ------
        UnknownName
            There is none, or not for this user: the two look alike.
        """
        mine = {one.name: one for one in self.reports(user)}
        if name not in mine:
            raise UnknownName("report", name[:200], mine)
        return mine[name]

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
