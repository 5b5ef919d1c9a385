"""Pages and parts of pages, with what every template of the gallery needs. An edge module: FastAPI."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request
from starlette.responses import Response

from quantdesk.hub.app.gallery.look import FILTERS, ago
from quantdesk.hub.app.pages import Pages
from quantdesk.reports import theme

__all__ = ["fragment", "goto", "show"]


def show(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A whole page."""
    pages: Pages = request.app.state.pages
    environment = pages.environment
    if "ago" not in environment.globals:
        environment.filters.update(FILTERS)
        environment.globals.update(ago=ago, labels=theme.LABELS)
    return pages.render(request, f"gallery/{template}", status, **values)


def fragment(request: Request, template: str, **values: Any) -> Response:
    """A part of a page, for its script; 304 where the browser has it already."""
    response = show(request, template, **values)
    etag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def goto(request: Request, path: str) -> Response:
    """After a form: another page of ours, by GET."""
    prefix = request.app.state.config.prefix
    return Response(status_code=303, headers={"Location": f"{prefix}{path}"})
