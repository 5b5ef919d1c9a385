"""The hub's own port, which stays the hub's while the hub is away. An edge module: sockets.

Servers of users talk to the hub at a port of this machine, and prove themselves there. When a hub was killed and is
started again, servers that went on must find it where it was; and nobody else may listen there in between, who would
be told their tokens. So the launcher holds the port, bound but not listening: the system lets the same account alone
bind it again, with ``SO_REUSEPORT``, and refuses at once who asks there while no hub listens.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from tornado.httpserver import HTTPServer

from quantdesk.hub.config import ADDRESS

__all__ = ["PORT", "held_port", "hold"]

PORT = "QUANTDESK_HUB_HELD_PORT"


def hold() -> socket.socket:
    """A socket that has a free port of this machine, for the hub; it is the hub's as long as this is open."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # and no SO_REUSEADDR, which would let others in
    made.bind((ADDRESS, 0))
    return made


def held_port() -> int:
    """The port that the launcher holds for this hub, which will listen there; 0 where there is no launcher."""
    port = int(os.environ.pop(PORT, 0))
    if port:
        _let_it_listen(port)
    return port


def _let_it_listen(port: int) -> None:
    """JupyterHub has no setting for this option of its socket, and tornado has."""
    plain = HTTPServer.listen

    def listen(self: HTTPServer, at: int, *arguments: Any, **settings: Any) -> None:
        plain(self, at, *arguments, **settings | ({"reuse_port": True} if at == port else {}))

    HTTPServer.listen = listen  # type: ignore[assignment,method-assign]
