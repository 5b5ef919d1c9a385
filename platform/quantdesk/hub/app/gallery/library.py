"""The reports and the ledger of runs, as one person may see them. An edge module: the disk, the database, FastAPI."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import FormData

from quantdesk.errors import EnvironmentProblem, UnknownName
from quantdesk.hub.app.access import Right, User, needs
from quantdesk.hub.app.catalogue import Catalogue, viewer_of
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.notebooks import Report

__all__ = ["Act", "Books", "Form", "Library", "Look", "library", "submitted", "viewer_of"]

_log = logging.getLogger(__name__)
_EVERYBODY = User("", frozenset({Right.ADMIN}))
_MOST = 5000


class Library:
    """Reports and runs, and what is dear to find out about them.

    Parameters
    ----------
    catalogue
        Of the service.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._kept: dict[Any, Any] = {}

    @property
    def ledger(self) -> RunLedger:
        """The ledger of runs."""
        return self._catalogue.ledger

    def reports(self, user: User) -> dict[str, Report]:
        """The reports that somebody may see, by name; none while their folder cannot be read."""
        try:
            return {one.name: one for one in self._catalogue.reports(user)}
        except EnvironmentProblem as error:  # runs can be looked at all the same
            _log.error("%s", error)
            return {}

    def report(self, name: str, user: User) -> Report:
        """One report, by its whole name.

        Raises
        ------
        UnknownName
            There is none, or not for this person: the two look alike.
        """
        mine = self.reports(user)
        if name not in mine:
            raise UnknownName("report", name[:200], mine)
        return mine[name]

    def broken(self) -> dict[str, str]:
        """The names of notebooks that cannot be read, and why."""
        try:
            return self._catalogue.broken()
        except EnvironmentProblem as error:
            return {"": str(error)}

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
        """Remember a value; all are forgotten when there are too many."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = value


def library(request: Request) -> Library:
    """The library of a service."""
    state = request.app.state
    found = getattr(state, "library", None)
    if not isinstance(found, Library):
        found = state.library = Library(state.catalogue)
    return found


async def submitted(request: Request) -> FormData:
    """The fields of a form."""
    return await request.form()


Books = Annotated[Library, Depends(library)]
Look = Annotated[User, Depends(needs(Right.READ))]
"""Somebody who looks."""
Act = Annotated[User, Depends(needs(Right.RUN))]
"""Somebody who runs reports, comments, signs and schedules."""
Form = Annotated[FormData, Depends(submitted)]
