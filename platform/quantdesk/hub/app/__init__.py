"""The hub's service: gallery and API behind JupyterHub's login. ``python -m quantdesk.hub.app`` runs it.

::

    factory, web        create_app(config); one worker that serves it
    __main__            the parent of a service's processes: workers, desk, jobs
    config              what a service is told from outside
    access, hub_client  who asks, and what he may do; JupyterHub asked for it
    login, signing      log in through JupyterHub, with several workers
    pages               templates, their forms' tokens, the Content-Security-Policy
    problems            one form for all errors: problem+json, or a page
    guards, logs        limits of size and rate, headers, request ids, lines of JSON
    metrics, health     what an operator asks
    backlog             what waits: reports, scenarios
    database, replays   what a service must not forget: answers to repeated requests
    jobs, runner        scenarios that take long
    desk                the one process through which orders go
    api                 ``/api/v1``

The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.hub.app.access import Right, User, current_user, needs
    from quantdesk.hub.app.config import ServiceConfig
    from quantdesk.hub.app.factory import create_app

_HOMES = {
    "Right": "access",
    "ServiceConfig": "config",
    "User": "access",
    "create_app": "factory",
    "current_user": "access",
    "needs": "access",
}

__all__ = ["Right", "ServiceConfig", "User", "create_app", "current_user", "needs"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
