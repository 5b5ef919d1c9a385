"""Files of a run: its page for the frame, its notebook, log, tables and pictures. An edge module: FastAPI, the disk.

The page is other people's HTML. It was cleaned when it was made, and it is trusted all the same with nothing: it comes
with a policy that puts it into an origin of its own (``sandbox`` without ``allow-same-origin``), so that it has no
cookie, no storage, no way to the page around it, and that lets it load nothing from anywhere.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from quantdesk.hub.app.api.reports import check_kept
from quantdesk.hub.app.gallery.leavings import drawn, kept, table, thumbnail
from quantdesk.hub.app.gallery.library import Books, Look, viewer_of
from quantdesk.hub.app.problems import Refusal
from quantdesk.reports.ledger import Recorded

__all__ = ["FRAME_POLICY", "router"]

router = APIRouter(include_in_schema=False)
FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; "
    # The scripts are those that the page's own policy names by their hashes: both policies have to agree.
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src 'none'; connect-src 'none'; "
    "form-action 'none'; base-uri 'none'; frame-src 'none'; frame-ancestors 'self'"
)
_PICTURES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
_INERT = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get("/runs/{run_id}/page")
def page(run_id: str, request: Request, user: Look, books: Books) -> Response:
    """The page of a run, for a frame or a tab of its own."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    path = kept(run, "page")
    if run.removed is not None:
        said = _REMOVED.format(f"{run.removed:%Y-%m-%d %H:%M} UTC")
        return HTMLResponse(said, 410, headers={"Content-Security-Policy": FRAME_POLICY})
    if path is None:
        return HTMLResponse(_NO_PAGE, 404, headers={"Content-Security-Policy": FRAME_POLICY})
    return _sent(request, path, "text/html; charset=utf-8", {
        "Content-Security-Policy": FRAME_POLICY,
        # A sandboxed page cannot be in an opener's group: a browser refuses to show one that asks for it.
        "Cross-Origin-Opener-Policy": "unsafe-none",
    })  # fmt: skip


@router.get("/runs/{run_id}/notebook.ipynb")
def notebook(run_id: str, request: Request, user: Look, books: Books) -> Response:
    """The executed notebook, to be kept."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    return _download(request, run, kept(run, "notebook"), f"{run.id}.ipynb", "application/x-ipynb+json")


@router.get("/runs/{run_id}/log.txt")
def log(run_id: str, request: Request, user: Look, books: Books) -> Response:
    """The whole log, to be kept."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    return _download(request, run, kept(run, "log"), f"{run.id}.log.txt", "text/plain; charset=utf-8")


@router.get("/runs/{run_id}/tables/{name}")
def frame(run_id: str, name: str, request: Request, user: Look, books: Books) -> Response:
    """A recorded table as parquet, to be kept."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    return _download(request, run, table(run, name), f"{run.id}.{name}.parquet", "application/vnd.apache.parquet")


@router.get("/runs/{run_id}/thumbnails/{number}")
def picture(run_id: str, number: int, request: Request, user: Look, books: Books) -> Response:
    """A small picture of one of a run's figures."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    check_kept(run)
    path = thumbnail(run, number)
    if path is None or path.suffix not in _PICTURES:
        raise Refusal(404, "not_found", "This run left no such picture.")
    # A picture can be a document too (SVG): opened by itself it is as shut in as a page.
    return _sent(request, path, _PICTURES[path.suffix], {"Content-Security-Policy": _INERT})


@router.get("/runs/{run_id}/figures/{cell}/{output}")
def figure(run_id: str, cell: int, output: int, user: Look, books: Books) -> Response:
    """One figure of the executed notebook as a picture: place of its cell, and of the output in it, both from 0."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    check_kept(run)
    found = drawn(run, cell, output)
    if found is None:
        raise Refusal(404, "not_found", "There is no such figure in this run.")
    content, kind = found
    return Response(content, media_type=kind, headers={"Content-Security-Policy": _INERT,
                                                       "Cache-Control": "private, max-age=300"})  # fmt: skip


def _download(request: Request, run: Recorded, path: Path | None, name: str, kind: str) -> Response:
    check_kept(run)
    if path is None:
        raise Refusal(404, "not_found", f"The run {run.id} left no such file.", "It may have ended before it could.")
    shown = f"attachment; filename*=UTF-8''{quote(name)}"
    return _sent(request, path, kind, {"Content-Disposition": shown, "Content-Security-Policy": _INERT})


def _sent(request: Request, path: Path, kind: str, headers: dict[str, str]) -> Response:
    """A file; the browser keeps it, and asks each time whether it may still be seen."""
    response = FileResponse(path, media_type=kind, headers=headers | {"Cache-Control": "private, no-cache"},
                            stat_result=path.stat())  # fmt: skip
    if request.headers.get("if-none-match") == response.headers["etag"]:
        kept_headers = {"ETag": response.headers["etag"], "Cache-Control": "private, no-cache"}
        return Response(status_code=304, headers=kept_headers | headers)
    return response


_REMOVED = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>Removed</title><p>The page of this run was removed by retention on {}.</p></html>"
)
_NO_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>No page</title><p>This run left no page.</p></html>"
)
