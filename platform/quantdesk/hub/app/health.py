"""Whether the service is well, and its figures. An edge module: FastAPI, the database."""

from __future__ import annotations

import hmac
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from quantdesk import __version__
from quantdesk.errors import QuantdeskError
from quantdesk.hub.app import metrics
from quantdesk.hub.app.access import Right, current_user
from quantdesk.hub.app.backlog import Backlog
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.problems import Refusal, describe

__all__ = ["router"]

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Whether this worker answers", response_description="It does.")
async def healthz() -> dict[str, str]:
    """Ask nothing else of anybody: a worker that answers this is alive. Needs no token."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", summary="Whether the service can do its work", responses=describe(503))
async def readyz(request: Request) -> Any:
    """Ask the database. 503 while it cannot be reached. Needs no token, and says no more than yes or no."""
    checks = {"database": await anyio.to_thread.run_sync(_reachable, request.app.state.database)}
    if not all(checks.values()):
        raise Refusal(503, "not_ready", "The service cannot do its work at the moment.", checks=checks)
    return JSONResponse({"status": "ready", "checks": checks})


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    responses={200: {"content": {"text/plain": {}}}, **describe(401, 403, 429)},
    response_class=Response,
)
async def figures(request: Request) -> Response:
    """Counts and times of all workers. Needs the service's own token for metrics, or the scope
    ``custom:quantdesk:admin``.
    """
    config: ServiceConfig = request.app.state.config
    given = request.headers.get("authorization", "").rpartition(" ")[2]
    own = config.metrics_token.get_secret_value() if config.metrics_token else ""
    if not (own and given.isascii() and hmac.compare_digest(own, given)):
        user = await current_user(request)
        if not user.may(Right.ADMIN):
            raise Refusal(403, "missing_scope", f"The scope {Right.ADMIN.scope} is missing.", scope=Right.ADMIN.scope)
    text = await anyio.to_thread.run_sync(_figures, request.app.state)
    return Response(text, media_type=metrics.CONTENT_TYPE_LATEST)


def _figures(state: Any) -> bytes:
    """Of all workers, and of what waits; without the latter where the ledger cannot be opened."""
    try:
        return metrics.exposed(Backlog(state.database, state.catalogue.ledger.database))
    except QuantdeskError:
        return metrics.exposed()


def _reachable(database: Any) -> bool:
    try:
        with database.reading() as connection:
            return bool(connection.exec_driver_sql("SELECT 1").scalar() == 1)
    except QuantdeskError:
        return False
