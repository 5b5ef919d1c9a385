"""Comments on a run or on one of its cells, and sign-offs. An edge module: FastAPI, the ledger."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from quantdesk.errors import BadParameter
from quantdesk.hub.app.gallery.leavings import cells
from quantdesk.hub.app.gallery.library import Act, Books, Form, viewer_of
from quantdesk.hub.app.gallery.run_pages import run_page
from quantdesk.hub.app.gallery.show import goto
from quantdesk.hub.app.problems import Refusal
from quantdesk.reports.ledger import Recorded, Verdict

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.post("/runs/{run_id}/comments")
def comment(run_id: str, request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Say something of a run that has ended, or of one of its cells."""
    run = _ended(books.ledger.search.run(run_id, viewer_of(user)))
    text, cell = str(sent.get("text", "")), str(sent.get("cell", ""))
    try:
        if cell and cell not in {one.id for one in cells(run)}:
            raise BadParameter("The run has no such cell.", "Choose one of the list, or the run as a whole.")
        made = books.ledger.remarks.comment(run.id, user.name, text, cell_id=cell)
    except BadParameter as error:
        typed = {"text": text, "cell": cell}
        return run_page(run_id, request, user, books, 422, problem=error.problem, remedy=error.remedy, typed=typed)
    books.ledger.remarks.trace(user.name, "commented", run.id, {"comment": made.number, "cell": cell})
    return goto(request, f"/runs/{run.id}#comment-{made.number}")


@router.post("/runs/{run_id}/sign-off")
def sign(run_id: str, request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Approve, reject, or withdraw what one said before."""
    run = _ended(books.ledger.search.run(run_id, viewer_of(user)))
    word, note = str(sent.get("verdict", "")), str(sent.get("note", ""))
    try:
        if word not in set(Verdict):
            raise BadParameter(f"{word[:40]!r} is no verdict.", "Approve, reject, or withdraw.")
        made = books.ledger.remarks.sign(run.id, user.name, Verdict(word), note)
    except BadParameter as error:
        given = {"problem": error.problem, "remedy": error.remedy, "typed": {"note": note}}
        return run_page(run_id, request, user, books, 422, **given)
    books.ledger.remarks.trace(user.name, f"{made.verdict.value} the run", run.id, {"sign_off": made.number})
    return goto(request, f"/runs/{run.id}#sign-off")


def _ended(run: Recorded) -> Recorded:
    if not run.state.is_final:
        raise Refusal(409, "under_way", f"The run {run.id} has not ended.", "Say what you think of it when it has.")
    return run
