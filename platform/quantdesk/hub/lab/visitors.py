"""Visitors of a shared server whose door was closed: what they have open is closed, too. An edge module: connections.

Jupyter asks who somebody is when a connection to a kernel, a terminal or a document is opened, and never again; so
whoever has a page open would go on after the owner took the server back. Here each connection of a visitor is asked
about as often as the hub is, in the server's own process. Kernels go on, and the owner's connections are left alone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

__all__ = ["REFUSED", "Visitors", "watch"]

REFUSED = 4403
"""The code with which a connection is closed."""
_log = logging.getLogger(__name__)


class Visitors:
    """The open connections of one server.

    Parameters
    ----------
    owner
        Whose server it is.
    every_s
        Seconds between two looks.
    """

    def __init__(self, owner: str, every_s: float) -> None:
        self.owner, self.every_s = owner, every_s
        self._open: set[Any] = set()
        self._looking: asyncio.Task[None] | None = None

    def came(self, connection: Any) -> None:
        """A connection is being opened, in the running loop."""
        self._open.add(connection)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())

    def went(self, connection: Any) -> None:
        """It is closed."""
        self._open.discard(connection)

    async def _look(self) -> None:
        while self._open:
            await asyncio.sleep(self.every_s)
            for one in list(self._open):
                try:
                    if not await self._may_stay(one):
                        _log.warning("A connection of %s is closed: the server is not shared any more", _name(one))
                        one.close(REFUSED, "This server is not shared with you any more.")
                except HTTPError as error:
                    _log.warning("The hub does not say who may stay (%s); everybody does", error)

    async def _may_stay(self, connection: Any) -> bool:
        """Ask the hub again; whoever is not known yet is being asked about already."""
        if _name(connection) in ("", self.owner):
            return True
        for kept in ("_jupyterhub_user", "_cached_hub_user"):  # what is remembered of the answer to the first question
            connection.__dict__.pop(kept, None)
        return await connection.identity_provider.get_user(connection) is not None


def _name(connection: Any) -> str:
    return str(getattr(getattr(connection, "current_user", None), "username", ""))


def watch(owner: str, every_s: float) -> Visitors:
    """Watch all connections of this process from now on."""
    visitors, get = Visitors(owner, every_s), WebSocketHandler.get

    async def watched(connection: WebSocketHandler, *arguments: Any, **named: Any) -> None:
        visitors.came(connection)
        try:
            await get(connection, *arguments, **named)
        finally:
            visitors.went(connection)

    WebSocketHandler.get = watched  # type: ignore[method-assign,assignment]  # Jupyter's several kinds all end here
    return visitors
