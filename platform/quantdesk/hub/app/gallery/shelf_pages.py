"""The gallery itself. An edge module: FastAPI."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from quantdesk.hub.app.access import Right
from quantdesk.hub.app.gallery.library import Books, Look
from quantdesk.hub.app.gallery.look import GROUPS
from quantdesk.hub.app.gallery.shelf import NEVER, Row, Wanted, chosen, rows
from quantdesk.hub.app.gallery.show import fragment, show

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Query(max_length=200)]


def asked(q: Word = "", status: Word = "", owner: Word = "", tag: Word = "") -> Wanted:
    """What somebody looks for, from the address."""
    return Wanted(q.strip(), status, owner, tag)


@router.get("/")
def gallery(
    request: Request,
    user: Look,
    books: Books,
    wanted: Annotated[Wanted, Depends(asked)],
) -> Response:
    """All reports."""
    now = books.now()
    every = rows(books, user, now)
    return show(
        request,
        "shelf.html",
        now=now,
        rows=chosen(every, wanted),
        every=every,
        wanted=wanted,
        groups=(*GROUPS, NEVER),
        owners=sorted({row.owner for row in every if row.owner}),
        tags=sorted({tag for row in every for tag in row.tags}),
        counts=_counts(every),
        broken=books.broken(),
        is_admin=user.may(Right.ADMIN),
    )


@router.get("/live/gallery")
def live(
    request: Request,
    user: Look,
    books: Books,
    wanted: Annotated[Wanted, Depends(asked)],
) -> Response:
    """The rows alone, for the page's script; nothing where nothing has changed."""
    now = books.now()
    every = rows(books, user, now)
    return fragment(request, "shelf_rows.html", now=now, rows=chosen(every, wanted), counts=_counts(every))


def _counts(every: tuple[Row, ...]) -> dict[str, Any]:
    groups = [row.group for row in every]
    return {name: groups.count(name) for name in (*GROUPS, NEVER) if name in groups}
