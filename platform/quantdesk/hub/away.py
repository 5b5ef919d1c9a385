"""What JupyterHub answers while its database is away or its disk is full: status 503, and a sentence. An edge module.

JupyterHub takes whoever asks for nobody while it cannot look him up, so that pages lead to the login, and a program,
such as the service, is told that its token is none. Neither is true, and both make work: here it is said what is.
"""

from __future__ import annotations

import sys
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from tornado.web import HTTPError

__all__ = ["AWAY", "FULL", "say_so", "sentence"]

TITLE = "The hub cannot answer at the moment"
AWAY = (
    "The database of the hub does not answer. Nothing is lost, and servers that run go on: try again in a minute. "
    "If it lasts, tell whoever looks after this hub."
)
FULL = (
    "The disk of the hub is full, so this was not saved. Nothing else is lost, and servers that run go on: tell "
    "whoever looks after this hub, and try again when there is room."
)
_GONE = (OperationalError, InterfaceError, DisconnectionError)
_NO_ROOM = ("disk is full", "no space left", "disk full")


def sentence(error: BaseException) -> str:
    """What to say of a database's error; empty where it is not about a database that is away or has no room."""
    if not isinstance(error, _GONE):
        return ""
    told = str(getattr(error, "orig", error)).lower()
    return FULL if any(word in told for word in _NO_ROOM) else AWAY


def say_so() -> None:
    """Have JupyterHub's handlers say it, once; they have no setting for that."""
    if hasattr(BaseHandler, "_database_error"):
        return
    BaseHandler._database_error = None
    BaseHandler.get_current_user = _noticed(BaseHandler.get_current_user)
    BaseHandler._resolve_roles_and_scopes = _refused(BaseHandler._resolve_roles_and_scopes)
    BaseHandler._handle_request_exception = _told(BaseHandler._handle_request_exception)


def _noticed(plain: Any) -> Any:
    async def get_current_user(self: Any) -> Any:
        try:
            return await plain(self)
        except SQLAlchemyError as error:
            self._database_error = error
            raise

    return get_current_user


def _refused(plain: Any) -> Any:
    """What JupyterHub calls next, having decided that somebody whom it could not look up is nobody."""

    def resolve(self: Any) -> None:
        plain(self)
        error, self._database_error = self._database_error, None
        said = sentence(error) if error is not None else ""
        if said:
            raise _marked(HTTPError(503, said, reason=TITLE), said)

    return resolve


def _told(plain: Any) -> Any:
    def handle(self: Any, error: BaseException) -> None:
        said = sentence(error)
        if not said or self._finished:
            plain(self, error)
            return
        self.log.error("%s %s: %s", self.request.method, self.request.path, getattr(error, "orig", error))
        self.db.rollback()
        _marked(error, said)
        self.send_error(503, exc_info=sys.exc_info())

    return handle


def _marked(error: Any, said: str) -> Any:
    """With what the page of an error looks for."""
    error.jupyterhub_message, error.desk_title = said, TITLE
    return error
