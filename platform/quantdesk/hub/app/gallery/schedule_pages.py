"""When reports run by themselves: list, add, edit, pause, remove. An edge module: FastAPI, the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.hub.app.access import Right, User, needs
from quantdesk.hub.app.catalogue import Catalogue
from quantdesk.hub.app.gallery.form import Reading, blank, read
from quantdesk.hub.app.gallery.library import Act, Books, Form, Look, viewer_of
from quantdesk.hub.app.gallery.order_pages import texts
from quantdesk.hub.app.gallery.shelf import Due, next_due
from quantdesk.hub.app.gallery.show import fragment, goto, show
from quantdesk.hub.app.gallery.timetable import CATCH_UP, Typed, common_zones, preview, typed, typed_of
from quantdesk.hub.app.problems import Refusal
from quantdesk.reports.ledger import Schedule
from quantdesk.reports.notebooks import Report
from quantdesk.reports.schedule import parse

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Query(max_length=300)]


@dataclass(frozen=True)
class Line:
    """A schedule in the list: its report's title, what it means, when it is due, and whether this person changes it."""

    it: Schedule
    title: str
    words: str
    due: Due | None
    is_mine: bool


@router.get("/schedules")
def schedules(request: Request, user: Look, books: Books) -> Response:
    """All schedules that somebody may see."""
    viewer, now = viewer_of(user), books.now()
    titles = {name: one.title for name, one in books.reports(user).items()}
    listed = [
        Line(one, titles.get(one.report, one.report), _words(one), next_due(books, [one], now), _may_change(user, one))
        for one in books.ledger.schedules.list(viewer)
    ]
    listed.sort(key=lambda line: (line.due is None, line.due.at if line.due else now, line.it.id))
    return show(request, "schedules.html", now=now, listed=listed, may_run=user.may(Right.RUN))


@router.get("/schedules/preview", dependencies=[Depends(needs(Right.READ))])
def ahead(request: Request, books: Books, trigger: Word = "", timezone: Word = "") -> Response:
    """What a trigger means and when it is due next, for the form's script."""
    return fragment(request, "schedule_preview.html", ahead=preview(trigger.strip(), timezone.strip(), books.now()),
                    timezone=timezone)  # fmt: skip


@router.get("/schedules/new")
def blank_form(request: Request, user: Act, books: Books, report: Word = "") -> Response:
    """The form of a new schedule."""
    reports = books.reports(user)
    found = books.report(report, user) if report else None
    reading = Reading(blank(found.parameters), None) if found else Reading((), None)
    return _shown(request, books, found, Typed(), reading, reports=reports)


@router.post("/schedules/new")
def add(request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Add a schedule, or show when it would be due."""
    said = texts(sent)
    found = books.report((said.get("report") or [""])[0], user)
    reports = books.reports(user)
    given, reading = typed(said, reports, found.name), read(found.parameters, said, report=found.name)
    if "preview" in said or given.errors or reading.given is None:
        return _shown(request, books, found, given, reading, 200 if "preview" in said else 422, reports=reports)
    is_private = given.is_private or found.declaration.visibility == "private"
    made = books.ledger.schedules.add(
        Schedule("", found.name, given.trigger, given.timezone, user.name, reading.given, given.catch_up,
                 given.is_enabled, given.after, is_private)
    )  # fmt: skip
    books.ledger.remarks.trace(user.name, "added the schedule", made.id, _told(made))
    return goto(request, f"/schedules#{made.id}")


@router.get("/schedules/{schedule_id}")
def edit_form(schedule_id: str, request: Request, user: Look, books: Books) -> Response:
    """One schedule; its form, for those who may change it."""
    schedule = books.ledger.schedules.get(schedule_id, viewer_of(user))
    reports = books.reports(user)
    found = reports.get(schedule.report)
    reading = Reading(blank(found.parameters, schedule.parameters) if found else (), None)
    return _shown(request, books, found, typed_of(schedule), reading, reports=reports, schedule=schedule,
                  may_change=_may_change(user, schedule))  # fmt: skip


@router.post("/schedules/{schedule_id}")
def edit(schedule_id: str, request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Change a schedule, unless somebody else has changed it in the meantime."""
    said = texts(sent)
    schedule = _changeable(books, schedule_id, user)
    reports = books.reports(user)
    found = reports.get(schedule.report)
    given = typed(said, reports, schedule.report)
    reading = read(found.parameters, said, report=found.name) if found else Reading((), dict(schedule.parameters))
    again: dict[str, Any] = {"reports": reports, "schedule": schedule, "may_change": True}
    if "preview" in said or given.errors or reading.given is None:
        return _shown(request, books, found, given, reading, 200 if "preview" in said else 422, **again)
    changed = replace(
        schedule, trigger=given.trigger, timezone=given.timezone, catch_up=given.catch_up, is_enabled=given.is_enabled,
        after=given.after, is_private=given.is_private or bool(found and found.declaration.visibility == "private"),
        parameters=reading.given, version=given.version,
    )  # fmt: skip
    try:
        kept = books.ledger.schedules.change(changed)
    except BadInput as error:
        clash = replace(reading, problem=error.problem, remedy=error.remedy)
        return _shown(request, books, found, given, clash, 409, **again)
    books.ledger.remarks.trace(user.name, "changed the schedule", kept.id, _told(kept))
    return goto(request, f"/schedules#{kept.id}")


@router.post("/schedules/{schedule_id}/pause")
def pause(schedule_id: str, request: Request, user: Act, books: Books, sent: Form) -> Response:
    """Pause a schedule, or let it go on; what is due during a pause is not caught up."""
    schedule = _changeable(books, schedule_id, user)
    on = texts(sent).get("on") == ["yes"]
    if schedule.is_enabled is not on:
        books.ledger.schedules.change(replace(schedule, is_enabled=on))
        books.ledger.remarks.trace(user.name, "resumed the schedule" if on else "paused the schedule", schedule.id)
    return goto(request, f"/schedules#{schedule.id}")


@router.post("/schedules/{schedule_id}/remove")
def remove(schedule_id: str, request: Request, user: Act, books: Books) -> Response:
    """Take a schedule away; its runs stay."""
    schedule = _changeable(books, schedule_id, user)
    books.ledger.schedules.remove(schedule.id)
    books.ledger.remarks.trace(user.name, "removed the schedule", schedule.id, _told(schedule))
    return goto(request, "/schedules")


def _may_change(user: User, schedule: Schedule) -> bool:
    """Whose it is, and administrators; what a notebook declares is changed in the notebook."""
    return user.may(Right.ADMIN) or (user.may(Right.RUN) and schedule.created_by == user.name)


def _changeable(books: Catalogue, schedule_id: str, user: User) -> Schedule:
    schedule = books.ledger.schedules.get(schedule_id, viewer_of(user))
    if not _may_change(user, schedule):
        raise Refusal(403, "not_yours", f"This schedule is {schedule.created_by}'s.",
                      f"Ask {schedule.created_by} or an administrator to change it.")  # fmt: skip
    return schedule


def _words(schedule: Schedule) -> str:
    try:
        return parse(schedule.trigger, schedule.timezone).describe()
    except QuantdeskError as error:
        return str(error)


def _told(schedule: Schedule) -> dict[str, Any]:
    return {"report": schedule.report, "trigger": schedule.trigger, "timezone": schedule.timezone,
            "parameters": dict(schedule.parameters), "enabled": schedule.is_enabled}  # fmt: skip


def _shown(
    request: Request, books: Catalogue, found: Report | None, given: Typed, reading: Reading, status: int = 200,
    **values: Any,
) -> Response:  # fmt: skip
    ahead = preview(given.trigger, given.timezone, books.now()) if given.trigger else None
    rest = {"schedule": None, "may_change": True} | values
    return show(request, "schedule.html", status, report=found, given=given, reading=reading, ahead=ahead,
                catch_up=CATCH_UP, zones=common_zones(), timezone=given.timezone, now=books.now(), **rest)  # fmt: skip
