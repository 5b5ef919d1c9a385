"""What the gallery's pages ask for: the catalogue, who looks, what a form holds. An edge module: FastAPI."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from quantdesk.hub.app.access import Right, User, needs
from quantdesk.hub.app.catalogue import Catalogue, viewer_of

__all__ = ["Act", "Books", "Form", "Look", "submitted", "viewer_of"]


def _catalogue(request: Request) -> Catalogue:
    found: Catalogue = request.app.state.catalogue
    return found


async def submitted(request: Request) -> FormData:
    """The fields of a form."""
    return await request.form()


Books = Annotated[Catalogue, Depends(_catalogue)]
Look = Annotated[User, Depends(needs(Right.READ))]
"""Somebody who looks."""
Act = Annotated[User, Depends(needs(Right.RUN))]
"""Somebody who runs reports, comments, signs and schedules."""
Form = Annotated[FormData, Depends(submitted)]
