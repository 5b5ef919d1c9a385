"""The application. An edge module: FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from quantdesk import __version__
from quantdesk.features import FeatureStore
from quantdesk.hub.app import front, health, login, pages, problems
from quantdesk.hub.app.api.routes import ROUTERS
from quantdesk.hub.app.catalogue import Catalogue
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.database import opened
from quantdesk.hub.app.desk import DeskClient
from quantdesk.hub.app.guards import Guard
from quantdesk.hub.app.hub_client import HubClient
from quantdesk.hub.app.jobs import Jobs
from quantdesk.hub.app.pages import Pages
from quantdesk.hub.app.problems import MEDIA, Problem
from quantdesk.hub.app.rates import Rates
from quantdesk.hub.app.replays import Replays
from quantdesk.hub.app.signing import Signer

__all__ = ["create_app"]


def create_app(
    config: ServiceConfig | None = None,
    *,
    hub: httpx.AsyncBaseTransport | None = None,
    desk: httpx.AsyncBaseTransport | None = None,
    routers: tuple[APIRouter, ...] | None = None,
) -> FastAPI:
    """The service: pages and API, with everything that stands around each request.

    Parameters
    ----------
    config
        The environment's when None.
    hub, desk
        How JupyterHub and the desk's process are reached; the network when None.
    routers
        Pages besides the shell's; those of the gallery, and that of the API, when None.

    Raises
    ------
    BadParameter
        A setting that is none.
    EnvironmentProblem, DataError
        The database cannot be opened.
    """
    config = config or ServiceConfig.from_env()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.hub.close()
        await app.state.desk.close()
        await app.state.rates.close()
        app.state.features.close()
        app.state.catalogue.close()
        app.state.database.close()

    app = FastAPI(
        title="quantdesk",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=life,
    )
    state = app.state
    state.config, state.signer = config, Signer(config.signing_secret)
    state.hub, state.rates, state.pages = HubClient(config, hub), Rates(config), Pages(config)
    state.database = opened(config)
    state.replays, state.jobs = Replays(state.database), Jobs(state.database)
    state.desk, state.catalogue = DeskClient(config, desk), Catalogue()
    state.features = FeatureStore()
    problems.install(app)
    for router in (
        health.router,
        pages.router,
        login.router,
        *ROUTERS,
        *(front.routers(app) if routers is None else routers),
    ):
        app.include_router(router)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, owner=app)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with our form of errors in it."""
    if app.openapi_schema:
        return app.openapi_schema
    found = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes,
                        servers=[{"url": app.state.config.prefix or "/"}], tags=_TAGS)  # fmt: skip
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of the hub's token page."}
    }
    problem = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, methods in found["paths"].items():
        for operation in methods.values():
            answers = operation["responses"]
            if "422" in answers and "HTTPValidationError" in str(answers["422"]):
                answers["422"] = {"description": "Unprocessable Content", "content": problem}
            answers["default"] = {"description": "Any other problem", "content": problem}
            if path not in ("/healthz", "/readyz"):
                operation["security"] = [{"token": []}]
    app.openapi_schema = found
    return found


_ABOUT = """What a program asks of a desk: what trades, what guardrails say of an order, features as they were known,
orders, scenarios, reports.

Send a token of the hub's token page as `Authorization: Bearer TOKEN`. Its scopes say what it may do:
`custom:quantdesk:read`, `:run`, `:trade`, `:admin`. Every error is `application/problem+json`. What changes something
takes an `Idempotency-Key`. Lists are paged: pass `next` of an answer as `cursor`.
"""
_TAGS = [
    {"name": "market", "description": "What trades now."},
    {"name": "orders", "description": "What guardrails say of an order, and orders themselves."},
    {"name": "features", "description": "Features as they were known, with the evidence."},
    {"name": "scenarios", "description": "What a portfolio would have gone through."},
    {"name": "reports", "description": "Reports, their runs and what these leave behind."},
    {"name": "lab", "description": "A user's own notebooks, run and scheduled from JupyterLab."},
    {"name": "operation", "description": "Whether the service is well."},
]
