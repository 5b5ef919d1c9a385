"""Reports, their runs and what these leave behind. An edge module: FastAPI, the ledger, files."""

from __future__ import annotations

import datetime as dt
import mimetypes
import os
import stat
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse, Response

from quantdesk.errors import BadDates, UnknownName
from quantdesk.hub.app.access import Right, Rights, User
from quantdesk.hub.app.api.shapes import Cursor, Limit, answer
from quantdesk.hub.app.catalogue import Catalogue, viewer_of
from quantdesk.hub.app.guards import policy
from quantdesk.hub.app.problems import Refusal, describe
from quantdesk.hub.app.replays import IdempotencyKey, Turn, once
from quantdesk.reports.ledger import Filter, Order, Recorded, State
from quantdesk.reports.notebooks import Report
from quantdesk.reports.runs import new_id
from quantdesk.reports.spec import check

__all__ = ["artefact", "check_kept", "order_of", "router", "run_told"]

router = APIRouter(prefix="/api/v1", tags=["reports"])
_ERRORS = (401, 403, 404, 422, 429, 503)
ReportName = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]*$", description="A report's name.")
]
RunId = Annotated[
    str, Path(max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$", description="`id` of a run.")
]
StateName = Literal["waiting", "queued", "running", "completed", "failed", "timed_out", "kernel_died", "out_of_memory",
                    "cancelled", "lost", "unreadable"]  # fmt: skip


class ParameterAnswer(BaseModel):
    """A parameter of a report; see :class:`quantdesk.reports.Parameter`."""

    name: str
    type: str
    default: Any
    help: str
    unit: str
    label: str
    minimum: Any
    maximum: Any
    choices: list[Any]


class ReportAnswer(BaseModel):
    """A report: a notebook whose parameters have types."""

    name: str
    title: str
    description: str
    owner: str
    visibility: Literal["team", "private"]
    tags: list[str]
    sha256: str
    parameters: list[ParameterAnswer]


class ReportList(BaseModel):
    """All reports that the user may see, and notebooks that cannot be read, with the reason."""

    items: list[ReportAnswer]
    broken: dict[str, str]


class MetricAnswer(BaseModel):
    """A value that a run recorded."""

    value: float | str | None
    unit: str


class RunAnswer(BaseModel):
    """A run of a report; see :class:`quantdesk.reports.ledger.Recorded`. Times in UTC."""

    id: str
    report: str
    title: str
    state: StateName
    parameters: dict[str, Any]
    requested_by: str
    owner: str
    is_private: bool
    trigger: str
    due: str | None
    queued: str
    started: str | None
    ended: str | None
    duration_s: float | None
    attempt: int
    attempts: int
    is_cancelling: bool
    progress: dict[str, Any]
    problem: str
    metrics: dict[str, MetricAnswer]
    cached_from: str | None
    removed: str | None = Field(default=None, description="When its files were removed by retention; null: kept.")
    provenance: dict[str, Any] = Field(default_factory=dict)


class RunList(BaseModel):
    """A page of runs, newest first; `next` gives those after them."""

    items: list[RunAnswer]
    next: str | None = Field(description="The cursor of the next page; null at the end.")


class RunRequest(BaseModel):
    """What to run a report with; parameters that are left out keep their defaults."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"example": {"parameters": {}, "is_private": False}}
    )

    parameters: dict[str, Any] = Field(default_factory=dict)
    is_private: Annotated[bool, Field(description="Whether only you, the owner and administrators see it.")] = False


class ArtefactList(BaseModel):
    """The files that a run has left: path below its folder, bytes, type."""

    items: list[dict[str, Any]]


@router.get("/reports", summary="All reports", response_model=ReportList, responses=describe(401, 403, 429, 503))
async def reports(
    request: Request,
    user: Rights.Read,
    text: Annotated[str, Query(max_length=200, description="In name, title or description.")] = "",
    tag: Annotated[str, Query(max_length=60, description="With this tag.")] = "",
) -> Any:
    """With the types, bounds and defaults of their parameters."""
    catalogue: Catalogue = request.app.state.catalogue
    found = await anyio.to_thread.run_sync(lambda: catalogue.reports(user, strictly=True))
    sought = text.lower()
    chosen = [
        one for one in found.values()
        if sought in f"{one.name}\n{one.title}\n{one.description}".lower()
        and (not tag or tag in one.declaration.tags)
    ]  # fmt: skip
    broken = await anyio.to_thread.run_sync(catalogue.broken)
    return answer({"items": [_report(one) for one in chosen], "broken": broken})


@router.get("/reports/{name}", summary="One report", response_model=ReportAnswer, responses=describe(*_ERRORS))
async def report(name: ReportName, request: Request, user: Rights.Read) -> Any:
    """By its whole name."""
    return answer(_report(await anyio.to_thread.run_sync(request.app.state.catalogue.report, name, user)))


@router.post(
    "/reports/{name}/runs",
    summary="Run a report now",
    status_code=202,
    response_model=RunAnswer,
    responses=describe(401, 403, 404, 409, 413, 422, 429, 503),
)
async def run_now(
    name: ReportName, asked: RunRequest, request: Request, user: Rights.Run, key: IdempotencyKey = None
) -> Response:
    """The parameters are checked before anything starts. The run waits for a worker; ask for it at `Location`."""

    async def work(turn: Turn) -> Response:
        catalogue: Catalogue = request.app.state.catalogue

        def added() -> Recorded:
            found = catalogue.report(name, user)
            order = order_of(found, asked.parameters, user, turn, is_private=asked.is_private, trigger="api")
            return catalogue.ledger.queue.add(order)[0]

        run = await anyio.to_thread.run_sync(added)
        place = f"{request.app.state.config.prefix}/api/v1/runs/{run.id}"
        return answer(run_told(run), 202, {"Location": place})

    return await once(request, user, key, work)


@router.get(
    "/reports/{name}/runs", summary="The runs of a report", response_model=RunList, responses=describe(*_ERRORS)
)
async def runs_of(
    name: ReportName, request: Request, user: Rights.Read, limit: Limit = 50, cursor: Cursor = None
) -> Any:
    """Newest first. Also of a report whose notebook is gone."""
    return answer(await _page(request, user, Filter(report=name), limit, cursor))


@router.get("/runs", summary="Runs of all reports", response_model=RunList, responses=describe(401, 403, 422, 429, 503))
async def runs(
    request: Request,
    user: Rights.Read,
    report: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[list[StateName] | None, Query(max_length=20, description="Any of these.")] = None,
    requested_by: Annotated[str | None, Query(max_length=200)] = None,
    text: Annotated[str, Query(max_length=200, description="In report, title or id.")] = "",
    since: Annotated[str | None, Query(max_length=40, description="Asked for at or after, with a zone.")] = None,
    until: Annotated[str | None, Query(max_length=40, description="Asked for before, with a zone.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Newest first."""
    states = tuple(State(one) for one in state or ())
    wanted = Filter(report, states, requested_by, text=text, since=_moment(since), until=_moment(until))
    return answer(await _page(request, user, wanted, limit, cursor))


@router.get("/runs/{run_id}", summary="One run", response_model=RunAnswer, responses=describe(*_ERRORS))
async def run(run_id: RunId, request: Request, user: Rights.Read) -> Any:
    """With progress while it is under way; with provenance, metrics and problem when it has ended."""
    return answer(run_told(await _seen(request, user, run_id), whole=True))


@router.post("/runs/{run_id}/cancel", summary="Cancel a run", response_model=RunAnswer, responses=describe(*_ERRORS))
async def cancel(run_id: RunId, request: Request, user: Rights.Run) -> Any:
    """At once where it waits, by its worker where it is under way. For who asked for it, the report's owner, and
    administrators. One that has ended stays as it is.
    """
    found = await _seen(request, user, run_id)
    if user.name not in (found.requested_by, found.owner) and not user.may(Right.ADMIN):
        raise Refusal(403, "not_yours", f"{user.name} did not ask for this run.", f"Ask {found.requested_by}.")
    ended = await anyio.to_thread.run_sync(
        request.app.state.catalogue.ledger.queue.cancel, run_id, f"It was cancelled by {user.name}."
    )
    return answer(run_told(ended))


@router.get("/runs/{run_id}/artefacts", summary="The files of a run", response_model=ArtefactList,
            responses=describe(*_ERRORS))  # fmt: skip
async def artefacts(run_id: RunId, request: Request, user: Rights.Read) -> Any:
    """Notebook, page, log, tables and whatever else it has left."""
    found = await _seen(request, user, run_id)
    return answer({"items": await anyio.to_thread.run_sync(_files, found)})


@router.get(
    "/runs/{run_id}/artefacts/{path:path}",
    summary="One file of a run",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **describe(*_ERRORS, 410)},
)
async def artefact_of(
    run_id: RunId, path: Annotated[str, Path(max_length=500)], request: Request, user: Rights.Read
) -> Response:
    """To be saved: whatever it holds, a browser runs nothing of it."""
    found = await _seen(request, user, run_id)
    check_kept(found)
    file = await anyio.to_thread.run_sync(artefact, found, path)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    sealed = policy(sandbox="", script_src="'none'", style_src="'unsafe-inline'")
    return FileResponse(file, media_type=kind, filename=file.name, headers={"Content-Security-Policy": sealed})


def artefact(run: Recorded, path: str) -> FilePath:
    """A file of a run, which lies in the run's folder and is reached without a link.

    Raises
    ------
    UnknownName
        There is none.
    """
    if run.folder and path and not any(part in ("", ".", "..") for part in path.split("/")) and "\0" not in path:
        folder = FilePath(run.folder)
        file = folder
        try:
            for part in path.split("/"):
                file = file / part
                if stat.S_ISLNK(os.lstat(file).st_mode):
                    break
            else:
                if stat.S_ISREG(os.lstat(file).st_mode) and file.resolve().is_relative_to(folder.resolve()):
                    return file
        except (OSError, ValueError):
            pass
    raise UnknownName("file", path[:200], [one["path"] for one in _files(run)])


def check_kept(run: Recorded) -> None:
    """Refuse where the files of a run were removed.

    Raises
    ------
    Refusal
        410, and when.
    """
    if run.removed is not None:
        said = f"The files of the run {run.id} were removed by retention on {run.removed:%Y-%m-%d %H:%M} UTC."
        raise Refusal(410, "removed", said, "Run its report again.")


def order_of(
    report: Report, given: dict[str, Any], user: User, turn: Turn, *, is_private: bool = False, trigger: str = "manual"
) -> Order:
    """What the ledger is asked for, with checked parameters.

    Raises
    ------
    BadParameter
        A parameter that the report does not have, or whose value has the wrong type or is out of bounds.
    """
    declared = report.declaration
    run_id = new_id(report.name, turn.at)
    return Order(
        id=f"{run_id[:-6]}{turn.mark[:6]}" if turn.number else run_id,
        report=report.name,
        title=report.title,
        parameters=check(report.parameters, given, report=report.name),
        requested_by=user.name,
        owner=declared.owner,
        is_private=is_private or declared.visibility == "private",
        trigger=trigger,
        attempts=declared.retries + 1,
        concurrency=declared.concurrency,
    )


def run_told(run: Recorded, *, whole: bool = False) -> dict[str, Any]:
    """A run as JSON."""
    names = set(RunAnswer.model_fields) - {"state", "metrics", "provenance"}
    told: dict[str, Any] = {name: getattr(run, name) for name in names}
    told |= {
        "state": run.state.value,
        "parameters": dict(run.parameters),
        "progress": dict(run.progress),
        "metrics": {name: {"value": value, "unit": unit} for name, (value, unit) in run.metrics.items()},
        "provenance": run.record.get("provenance") or {} if whole else {},
    }
    return told


def _report(one: Report) -> dict[str, Any]:
    declared = one.declaration
    return {
        "name": one.name,
        "title": one.title,
        "description": one.description,
        "owner": declared.owner,
        "visibility": declared.visibility,
        "tags": list(declared.tags),
        "sha256": one.sha256,
        "parameters": [{name: getattr(it, name) for name in ParameterAnswer.model_fields} for it in one.parameters],
    }


async def _page(request: Request, user: User, wanted: Filter, limit: int, cursor: str | None) -> dict[str, Any]:
    catalogue: Catalogue = request.app.state.catalogue

    def asked() -> Any:
        return catalogue.ledger.search.runs(wanted, viewer_of(user), limit=limit, cursor=cursor)

    page = await anyio.to_thread.run_sync(asked)
    return {"items": [run_told(one) for one in page.runs], "next": page.cursor}


async def _seen(request: Request, user: User, run_id: str) -> Recorded:
    catalogue: Catalogue = request.app.state.catalogue

    def asked() -> Recorded:
        return catalogue.ledger.search.run(run_id, viewer_of(user))

    return await anyio.to_thread.run_sync(asked)


def _files(run: Recorded) -> list[dict[str, Any]]:
    if not run.folder:
        return []
    root, found = FilePath(run.folder), []
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = FilePath(folder, name)
            facts = file.lstat()
            if stat.S_ISREG(facts.st_mode) and not name.startswith("."):
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                found.append({"path": str(file.relative_to(root)), "bytes": facts.st_size, "type": kind})
    return sorted(found, key=lambda one: str(one["path"]))


def _moment(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1970 <= found.astimezone(dt.UTC).year < 2262:
        raise BadDates(f"{text[:40]!r} is no moment.", "Give one with a zone, such as 2026-03-02T15:40:00Z.")
    return found
