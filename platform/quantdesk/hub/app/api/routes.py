"""All routes of the API. An edge module: FastAPI."""

from __future__ import annotations

from quantdesk.hub.app.api import features, guardrails, halts, lab, orders, reports, scenarios

__all__ = ["ROUTERS"]

ROUTERS = (
    halts.router,
    guardrails.router,
    features.router,
    orders.router,
    scenarios.router,
    scenarios.plain,
    reports.router,
    lab.router,
)
