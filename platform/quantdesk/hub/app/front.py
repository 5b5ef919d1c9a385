"""The pages of the service: the gallery, which has the front page, and the page of the API. An edge module: FastAPI."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from markupsafe import Markup
from starlette.responses import Response

from quantdesk.hub.app import gallery
from quantdesk.hub.app.access import Rights

__all__ = ["routers"]

pages = APIRouter(include_in_schema=False)


def routers(app: FastAPI) -> tuple[APIRouter, ...]:
    """Those of the gallery, whose templates and files are added to the pages; and the page of the API."""
    app.state.pages.add(gallery.__name__)
    return (pages, *gallery.routers())


@pages.get("/api", dependencies=[Rights.reading])
async def reference(request: Request) -> Response:
    """The API, for people."""
    document = request.app.openapi()
    found: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for verb, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            shape = document["components"]["schemas"].get(body.get("$ref", "").rpartition("/")[2], {})
            example = shape.get("example")
            found.setdefault((operation.get("tags") or ["other"])[0], []).append(
                {
                    "verb": verb.upper(),
                    "path": path,
                    "summary": operation.get("summary", ""),
                    "description": _marked(operation.get("description", "")),
                    "parameters": operation.get("parameters", []),
                    "example": json.dumps(example, indent=2) if example is not None else "",
                    "statuses": [status for status in operation["responses"] if status != "default"],
                }
            )
    about = {tag["name"]: tag["description"] for tag in document["tags"]}
    return request.app.state.pages.render(  # type: ignore[no-any-return]
        request, "reference.html", groups={name: ops for name, ops in found.items() if ops}, about=about
    )


def _marked(text: str) -> Markup:
    """Plain text with words in backticks as code; everything in it is escaped."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(it) if at % 2 else it for at, it in enumerate(parts))
