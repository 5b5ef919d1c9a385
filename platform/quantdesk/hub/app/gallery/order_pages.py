"""Run a report from a form; cancel a run. An edge module: FastAPI, the ledger."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import Response

from quantdesk.errors import UnknownName
from quantdesk.hub.app.access import Right, User
from quantdesk.hub.app.api.reports import order_of
from quantdesk.hub.app.catalogue import Catalogue
from quantdesk.hub.app.gallery.form import Reading, blank, read
from quantdesk.hub.app.gallery.leavings import record_of
from quantdesk.hub.app.gallery.library import Act, Books, Form, viewer_of
from quantdesk.hub.app.gallery.show import goto, show
from quantdesk.hub.app.problems import Refusal
from quantdesk.hub.app.replays import Replays, Turn
from quantdesk.reports.notebooks import Report

__all__ = ["router", "texts"]

router = APIRouter(include_in_schema=False)
WAIT_S = 5.0
"""Seconds for which the second of two clicks waits for the first."""


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


def _order(name: str, request: Request, user: User, books: Catalogue, sent: FormData) -> Response:
    found = books.report(name, user)
    reading = read(found.parameters, texts(sent), report=name)
    if reading.given is None:
        return _shown(request, found, reading, 422, is_private="private" in sent)
    is_private = "private" in sent
    ask = str(sent.get("ask", ""))[:64]
    if not ask:
        return goto(request, _added(found, reading.given, user, books, Turn("", books.now(), ""), is_private))
    # The form sent twice, by an impatient click or a reload, is one run; changed and sent again, it is another one.
    replays: Replays = request.app.state.replays
    asked = digest(name, reading.given, is_private)
    key = f"gallery {ask} {asked}"
    turn = _turn(replays, user.name, key, asked)
    if not isinstance(turn, Turn):
        return goto(request, turn[1]["location"])
    path = None
    try:
        path = _added(found, reading.given, user, books, turn, is_private)
    finally:
        replays.end(user.name, key, turn, None if path is None else (303, {"location": path}, ""))
    return goto(request, path)


def digest(name: str, given: Mapping[str, Any], is_private: bool) -> str:
    """What a form asks for, hashed."""
    asked = json.dumps([name, dict(given), is_private], sort_keys=True, default=str)
    return hashlib.sha256(asked.encode()).hexdigest()


def _turn(replays: Replays, user: str, key: str, asked: str) -> Turn | tuple[int, dict[str, str], str]:
    """The turn, or the answer there is; while the other click is carried out, it is waited for."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return replays.begin(user, key, asked)
        except Refusal as refusal:
            if refusal.status != 409 or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _added(found: Report, given: Mapping[str, Any], user: User, books: Catalogue, turn: Turn, is_private: bool) -> str:
    """Ask the ledger for the run; the path of its page."""
    run, is_new = books.ledger.queue.add(order_of(found, dict(given), user, turn, is_private=is_private))
    if is_new:
        said = {"report": found.name, "parameters": dict(given)}
        books.ledger.remarks.trace(user.name, "asked for the run", run.id, said)
    return f"/runs/{run.id}"


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
