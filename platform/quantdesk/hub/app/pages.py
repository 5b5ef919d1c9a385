"""Pages: templates, the token of their forms, style sheets. An edge module: FastAPI, files of the package.

A page runs no inline script and loads nothing from elsewhere (see :func:`quantdesk.hub.app.guards.policy`).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from quantdesk.hub.app.access import CSRF_FIELD, User, csrf_token
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.problems import Refusal

__all__ = ["Pages", "router"]

router = APIRouter(include_in_schema=False)


class Pages:
    """Renders templates of this package, and of others that are added.

    In each template stand ``prefix`` (what each address begins with), ``hub_url``, ``user`` (or None),
    ``csrf_field()`` (the hidden field that each form needs), ``csrf_token`` and ``asset(name)``.

    Parameters
    ----------
    config
        Where the service is served.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._loader = ChoiceLoader([PackageLoader("quantdesk.hub.app", "templates")])
        self.environment = Environment(
            loader=self._loader,
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals |= {
            "prefix": config.prefix,
            "hub_url": config.hub_url,
            "asset": self._asset,
        }

    def add(self, package: str, folder: str = "templates") -> None:
        """Look for templates in another package, too; those of the shell stay first."""
        self._loader.loaders = [*self._loader.loaders, PackageLoader(package, folder)]

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as an answer; the user is the one of the request."""
        user = getattr(request.state, "known_user", None)
        token = csrf_token(request, user) if isinstance(user, User) else ""
        field = Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)
        given = {"request": request, "user": user, "csrf_token": token, "csrf_field": lambda: field}
        return HTMLResponse(self.environment.get_template(template).render(given | values), status)

    def problem(self, request: Request, refusal: Refusal, title: str, request_id: str) -> Response:
        """What went wrong, for a person."""
        response = self.render(
            request, "problem.html", refusal.status, title=title, refusal=refusal, request_id=request_id
        )
        response.headers.update(refusal.headers)
        return response

    def _asset(self, name: str) -> str:
        """The address of a style sheet, script or picture; it changes with its content."""
        return f"{self._config.prefix}/static/{name}?v={hashlib.sha256(assets()[name][0]).hexdigest()[:12]}"


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Each file that pages load: its content and its type. Read once."""
    kinds = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    hub = resources.files("quantdesk.hub")
    tokens = (resources.files("quantdesk.reports") / "tokens.css").read_bytes()
    found = {
        "desk.css": (tokens + b"\n" + (hub / "static" / "desk.css").read_bytes(), kinds[".css"]),
        "desk.js": ((hub / "static" / "desk.js").read_bytes(), kinds[".js"]),
        "mark.svg": ((hub / "static" / "mark.svg").read_bytes(), kinds[".svg"]),
    }
    for folder in (hub / "app" / "static", hub / "app" / "gallery" / "static"):
        if folder.is_dir():
            for one in folder.iterdir():
                suffix = "." + one.name.rpartition(".")[2]
                if suffix in kinds:
                    found[one.name] = (one.read_bytes(), kinds[suffix])
    return found


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """A file that pages load; nothing of it is secret."""
    if name not in assets():
        raise Refusal(404, "not_found", "There is no such file.")
    content, kind = assets()[name]
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {"Cache-Control": "public, max-age=86400", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
