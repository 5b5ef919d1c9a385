"""One worker that answers requests. An edge module: it serves a socket that was handed down.

``python -m quantdesk.hub.app.web``, started by the service's parent process.
"""

from __future__ import annotations

import socket

from quantdesk.compute.inherited import inherit
from quantdesk.hub.app.config import ServiceConfig

__all__ = ["main"]


def main() -> None:
    """The process."""
    import uvicorn

    from quantdesk.hub.app.factory import create_app
    from quantdesk.hub.app.logs import set_up
    from quantdesk.reports import grammar

    set_up("quantdesk-web")
    grammar.spare()
    inherit()
    config = ServiceConfig.from_env()
    settings = uvicorn.Config(
        create_app(config),
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=config.proxies,
        timeout_graceful_shutdown=config.drain_seconds,
        h11_max_incomplete_event_size=32_768,
        ws="none",
    )
    listeners = None if config.socket is None else [socket.socket(fileno=config.socket)]
    uvicorn.Server(settings).run(sockets=listeners)


if __name__ == "__main__":
    main()
