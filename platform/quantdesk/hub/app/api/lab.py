"""Jobs of JupyterLab, for the scheduler in each user's server. An edge module: FastAPI, the ledger, files.

Everybody sees and changes what is his own.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from quantdesk.hub.app.access import Rights, User
from quantdesk.hub.app.api.lab_shapes import (
    ChangedDefinition,
    DefinitionAnswer,
    DefinitionId,
    DefinitionList,
    FromDefinition,
    JobAnswer,
    JobId,
    JobList,
    Moment,
    Most,
    NewDefinition,
    NewJob,
    Offset,
    Word,
    Words,
)
from quantdesk.hub.app.api.shapes import answer
from quantdesk.hub.app.guards import policy
from quantdesk.hub.app.lab_jobs import LabJobs, When, handed_in, now_ms
from quantdesk.hub.app.problems import describe
from quantdesk.hub.app.replays import IdempotencyKey, Turn, once
from quantdesk.reports.lab import described
from quantdesk.reports.lab.job import LabJob

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/lab", tags=["lab"])
T = TypeVar("T")
_ERRORS = (401, 403, 404, 422, 429, 503)
_ADDING = (401, 403, 409, 413, 422, 429, 503)


@router.post("/jobs", summary="Run a notebook once", status_code=202, response_model=JobAnswer,
             responses=describe(*_ADDING))  # fmt: skip
async def add_job(asked: NewJob, request: Request, user: Rights.Run, key: IdempotencyKey = None) -> Response:
    """It waits for a worker, and runs under its user's own account."""

    async def work(turn: Turn) -> Response:
        def added(mine: LabJobs) -> Response:
            job, content = _new(asked)
            return answer(described.job(mine.add(job, content, asked.parameters, turn)), 202)

        return await _of(request, user, added)

    return await once(request, user, key, work)


@router.get("/jobs", summary="My jobs", response_model=JobList, responses=describe(401, 403, 422, 429, 503))
async def jobs(
    request: Request, user: Rights.Read, name: Word = "", status: Word = "", definition: Word = "", tag: Words = None,
    since: Moment = None, sort: Words = None, offset: Offset = 0, limit: Most = 1000,
) -> Any:  # fmt: skip
    """Newest first, unless sorted by `sort=field:asc`."""
    wanted = described.Wanted(name, status, definition, tuple(tag or ()), since, tuple(sort or ()), offset, limit)
    return await _of(request, user, lambda mine: _page(described.page(map(described.job, mine.all()), wanted)))


@router.get("/jobs/{job_id}", summary="One of my jobs", response_model=JobAnswer, responses=describe(*_ERRORS))
async def job(job_id: JobId, request: Request, user: Rights.Read) -> Any:
    """How far it is."""
    return await _of(request, user, lambda mine: answer(described.job(mine.one(job_id))))


@router.post("/jobs/{job_id}/stop", summary="Stop a job", response_model=JobAnswer, responses=describe(*_ERRORS))
async def stop(job_id: JobId, request: Request, user: Rights.Run) -> Any:
    """At once where it waits, in a moment where it is under way. One that has ended stays as it is."""
    return await _of(request, user, lambda mine: answer(described.job(mine.stop(job_id))))


@router.delete("/jobs/{job_id}", summary="Take a job off my list", status_code=204, responses=describe(*_ERRORS))
async def remove_job(job_id: JobId, request: Request, user: Rights.Run) -> Response:
    """It is stopped. The ledger keeps that it was."""
    await _of(request, user, lambda mine: mine.hide(job_id))
    return Response(status_code=204)


@router.get("/jobs/{job_id}/files/{kind}", summary="A file of a job", response_class=FileResponse,
            responses={200: {"content": {"application/octet-stream": {}}}, **describe(*_ERRORS)})  # fmt: skip
async def file(job_id: JobId, kind: Literal["input", "ipynb", "html"], request: Request, user: Rights.Read) -> Response:
    """The notebook that was handed in, the executed one, or the page; to be saved, not to be looked at."""
    path = await _of(request, user, lambda mine: mine.file(job_id, kind))
    sealed = policy(sandbox="", script_src="'none'", style_src="'unsafe-inline'")
    media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=media, filename=path.name, headers={"Content-Security-Policy": sealed})


@router.post("/definitions", summary="Schedule a notebook", status_code=201, response_model=DefinitionAnswer,
             responses=describe(*_ADDING))  # fmt: skip
async def add_definition(
    asked: NewDefinition, request: Request, user: Rights.Run, key: IdempotencyKey = None
) -> Response:
    """Due times count from now on. It runs whether its user's server does or not."""

    async def work(turn: Turn) -> Response:
        def added(mine: LabJobs) -> Response:
            job, content = _new(asked)
            when = When(asked.schedule, asked.timezone)
            return answer(described.definition(mine.schedule(job, content, asked.parameters, when, turn)), 201)

        return await _of(request, user, added)

    return await once(request, user, key, work)


@router.get("/definitions", summary="My job definitions", response_model=DefinitionList,
            responses=describe(401, 403, 422, 429, 503))  # fmt: skip
async def definitions(
    request: Request, user: Rights.Read, name: Word = "", tag: Words = None, since: Moment = None, sort: Words = None,
    offset: Offset = 0, limit: Most = 1000,
) -> Any:  # fmt: skip
    """Newest first, unless sorted by `sort=field:asc`."""
    wanted = described.Wanted(name, "", "", tuple(tag or ()), since, tuple(sort or ()), offset, limit)
    found = described.definition
    return await _of(request, user, lambda mine: _page(described.page(map(found, mine.definitions()), wanted)))


@router.get("/definitions/{definition_id}", summary="One of my job definitions", response_model=DefinitionAnswer,
            responses=describe(*_ERRORS))  # fmt: skip
async def definition(definition_id: DefinitionId, request: Request, user: Rights.Read) -> Any:
    """When it runs, and what."""
    return await _of(request, user, lambda mine: answer(described.definition(mine.definition(definition_id))))


@router.patch("/definitions/{definition_id}", summary="Change a job definition", response_model=DefinitionAnswer,
              responses=describe(401, 403, 404, 413, 422, 429, 503))  # fmt: skip
async def change_definition(
    definition_id: DefinitionId, asked: ChangedDefinition, request: Request, user: Rights.Run
) -> Any:
    """For the runs to come. What would have been due in a pause is not caught up."""

    def changed(mine: LabJobs) -> Response:
        given = asked.model_dump(exclude_none=True)
        text, formats = given.pop("notebook", None), given.pop("output_formats", None)
        given |= {"formats": tuple(formats)} if formats is not None else {}
        given |= {"tags": tuple(given["tags"])} if "tags" in given else {}
        after = mine.change(definition_id, given, None if text is None else handed_in(text))
        return answer(described.definition(after))

    return await _of(request, user, changed)


@router.delete("/definitions/{definition_id}", summary="Delete a job definition", status_code=204,
               responses=describe(*_ERRORS))  # fmt: skip
async def remove_definition(definition_id: DefinitionId, request: Request, user: Rights.Run) -> Response:
    """Its jobs stay."""
    await _of(request, user, lambda mine: mine.remove(definition_id))
    return Response(status_code=204)


@router.post("/definitions/{definition_id}/jobs", summary="Run a job definition now", status_code=202,
             response_model=JobAnswer, responses=describe(401, 403, 404, 409, 422, 429, 503))  # fmt: skip
async def run_definition(
    definition_id: DefinitionId, asked: FromDefinition, request: Request, user: Rights.Run, key: IdempotencyKey = None
) -> Response:
    """Besides its schedule."""

    async def work(turn: Turn) -> Response:
        def added(mine: LabJobs) -> Response:
            return answer(described.job(mine.run(definition_id, asked.parameters, turn)), 202)

        return await _of(request, user, added)

    return await once(request, user, key, work)


def _new(asked: NewJob) -> tuple[LabJob, bytes]:
    content = handed_in(asked.notebook)
    digest = hashlib.sha256(content).hexdigest()
    job = LabJob(
        asked.name, asked.filename, digest, asked.folder, now_ms(), tuple(asked.output_formats), tuple(asked.tags),
        asked.environment,
    )  # fmt: skip
    return job, content


def _page(found: described.Page) -> Response:
    return answer({"items": list(found.items), "total": found.total, "next": found.next})


async def _of(request: Request, user: User, work: Callable[[LabJobs], T]) -> T:
    """Ask for one user's jobs, in a thread."""
    state = request.app.state
    return await anyio.to_thread.run_sync(lambda: work(LabJobs(state.catalogue.ledger, state.signer, user)))
