"""Run a report from a form; cancel a run. An edge module: FastAPI, the ledger."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import Response

from quantdesk.errors import UnknownName
from quantdesk.hub.app.access import Right, User
from quantdesk.hub.app.api.reports import order_of
from quantdesk.hub.app.gallery.form import Reading, blank, read
from quantdesk.hub.app.gallery.leavings import record_of
from quantdesk.hub.app.gallery.library import Act, Books, Form, Library, viewer_of
from quantdesk.hub.app.gallery.show import goto, show
from quantdesk.hub.app.problems import Refusal
from quantdesk.hub.app.replays import Turn
from quantdesk.reports.notebooks import Report

__all__ = ["router", "texts"]

router = APIRouter(include_in_schema=False)


@router.get("/reports/{name}/run")
def form(
    name: str, request: Request, user: Act, books: Books, like: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """The form of a report: with its defaults, or with what an earlier run had."""
    found = books.report(name, user)
    values: dict[str, Any] = {}
    if like:
        run = books.ledger.search.run(like, viewer_of(user))
        if run.report != name:
            raise UnknownName("run", like, [])
        made = record_of(run)
        values = dict(made.parameters if made is not None else run.parameters)
    return _shown(request, found, Reading(blank(found.parameters, values), None), like=like)


@router.post("/reports/{name}/run")
async def order(name: str, request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Ask for a run, and go to it."""
    await request.app.state.rates.hit("run", user.name)
    return await run_in_threadpool(_order, name, request, user, books, sent)


def _order(name: str, request: Request, user: User, books: Library, sent: FormData) -> Response:
    found = books.report(name, user)
    reading = read(found.parameters, texts(sent), report=name)
    if reading.given is None:
        return _shown(request, found, reading, 422, is_private="private" in sent)
    ask = str(sent.get("ask", ""))[:64]
    if ask:  # the form sent twice, by an impatient click or a reload, is one run
        turn = books.ledger.keys.begin(user.name, f"gallery {ask}", name)
        if not turn.is_mine:
            return goto(request, f"/runs/{turn.answer}" if turn.answer else f"/reports/{name}")
    wanted = order_of(found, reading.given, user, Turn("", books.now(), ""), is_private="private" in sent)
    run, _ = books.ledger.queue.add(wanted)
    books.ledger.remarks.trace(user.name, "asked for the run", run.id, {"report": name, "parameters": reading.given})
    if ask:
        books.ledger.keys.answer(user.name, f"gallery {ask}", 303, run.id)
    return goto(request, f"/runs/{run.id}")


@router.post("/runs/{run_id}/cancel")
def cancel(run_id: str, request: Request, user: Act, books: Books) -> Response:
    """Cancel a run: for who asked for it, the report's owner, and administrators."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    if user.name not in (run.requested_by, run.owner) and not user.may(Right.ADMIN):
        raise Refusal(403, "not_yours", f"{user.name} did not ask for this run.", f"Ask {run.requested_by}.")
    if not run.state.is_final:
        books.ledger.queue.cancel(run.id, f"It was cancelled by {user.name}.")
        books.ledger.remarks.trace(user.name, "cancelled the run", run.id)
    return goto(request, f"/runs/{run.id}")


def texts(sent: FormData) -> dict[str, list[str]]:
    """The texts of a form, by name; files, which no form here asks for, are left out."""
    found: dict[str, list[str]] = {}
    for name, value in sent.multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


def _shown(request: Request, found: Report, reading: Reading, status: int = 200, **values: Any) -> Response:
    given = {"like": "", "is_private": False} | values
    return show(request, "order.html", status, report=found, reading=reading, ask=secrets.token_hex(16), **given)
