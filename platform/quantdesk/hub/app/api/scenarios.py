"""Scenarios: at once where they are quick, as jobs where they are not. An edge module: FastAPI, the database."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from quantdesk.hub.app.access import Right, Rights, User
from quantdesk.hub.app.api.shapes import Cursor, Limit, answer, moment
from quantdesk.hub.app.jobs import Job, Jobs, JobState
from quantdesk.hub.app.problems import Refusal, describe
from quantdesk.hub.app.replays import IdempotencyKey, Turn, once
from quantdesk.scenarios.wire import Answer
from quantdesk.scenarios.wire import Request as Asked

__all__ = ["plain", "router"]

router = APIRouter(prefix="/api/v1", tags=["scenarios"])
plain = APIRouter(tags=["scenarios"])
_FIRST_LOOK, _LAST_LOOK = 0.02, 0.25
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="`id` of a job.")]


class ScenarioRequest(Asked):
    """See :class:`quantdesk.scenarios.wire.Request`: whole numbers of JSON are taken for dollars and shares, too."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scenario_name": "covid_2020",
                "strategies": ["momentum_alpha"],
                "portfolio": {"cash": 1000000, "AAPL": 500},
                "seed": 0,
            }
        }
    )


class ProgressAnswer(BaseModel):
    """How far a job is.

    Attributes
    ----------
    elapsed_s
        Seconds since it began.
    usual_s
        What such scenarios took lately, at the median; null for a first one. An estimate.
    share
        What of the usual time is over, below 1 until it ends; null without an estimate.
    ahead
        Jobs that come before it.
    """

    elapsed_s: float | None
    usual_s: float | None
    share: float | None
    ahead: int


class JobAnswer(BaseModel):
    """A scenario that was asked for.

    Attributes
    ----------
    id, state, is_cancelling
        Which, and how far.
    progress
        Of one that has not ended.
    created, started, ended
        UTC.
    request
        What was asked.
    result
        What came of it, of a completed one; left out in lists.
    problem
        Why it failed.
    """

    id: str
    state: Literal["queued", "running", "completed", "failed", "cancelled"]
    is_cancelling: bool
    progress: ProgressAnswer | None
    created: str
    started: str | None
    ended: str | None
    request: dict[str, Any]
    result: Answer | None = None
    problem: dict[str, Any] | None = None


class JobList(BaseModel):
    """A page of jobs, newest first; `next` gives those after them."""

    items: list[JobAnswer]
    next: str | None = Field(description="The cursor of the next page; null at the end.")


_RUN: dict[str, Any] = {
    "summary": "Let strategies trade a portfolio through a crisis",
    "response_model": Answer,
    "responses": {
        202: {"model": JobAnswer, "description": "It takes longer: ask for the job at `Location`."},
        **describe(401, 403, 404, 409, 413, 422, 429, 503, 504),
    },
}


@router.post("/simulation/run-scenario", **_RUN)
@plain.post("/simulation/run-scenario", **_RUN)
async def run_scenario(
    asked: ScenarioRequest, request: Request, user: Rights.Run, key: IdempotencyKey = None
) -> Response:
    """The answer is the run's result where that takes some seconds only, else a job to ask for (202). The same seed
    gives the same figures; what is real, reconstructed or simulated stands in `share_real`, `grades` and `labels`.
    """
    return await once(request, user, key, lambda turn: _run(asked, request, user, turn))


@router.get("/simulation/jobs", summary="One's own scenarios", response_model=JobList,
            responses=describe(401, 403, 422, 429, 503))  # fmt: skip
async def jobs(
    request: Request,
    user: Rights.Read,
    limit: Limit = 50,
    cursor: Cursor = None,
    everybody: Annotated[bool, Query(description="Of everybody; for administrators.")] = False,
) -> Any:
    """Newest first."""
    whose = None if everybody and user.may(Right.ADMIN) else user.name
    kept: Jobs = request.app.state.jobs
    found, following = await anyio.to_thread.run_sync(kept.of, whose, limit, cursor)
    return answer({"items": [_told(job) for job in found], "next": following})


@router.get("/simulation/jobs/{job_id}", summary="How far a scenario is, and its result", response_model=JobAnswer,
            responses=describe(401, 403, 404, 422, 429, 503))  # fmt: skip
async def job(job_id: JobId, request: Request, user: Rights.Read) -> Any:
    """Ask again every second or so until the state is `completed`, `failed` or `cancelled`."""
    return answer(_told(await _own(request, user, job_id), whole=True))


@router.post("/simulation/jobs/{job_id}/cancel", summary="Cancel a scenario", response_model=JobAnswer,
             responses=describe(401, 403, 404, 422, 429, 503))  # fmt: skip
async def cancel(job_id: JobId, request: Request, user: Rights.Run) -> Any:
    """At once where it waits, within a moment where it is under way. One that has ended stays as it is."""
    await _own(request, user, job_id)
    found = await anyio.to_thread.run_sync(request.app.state.jobs.cancel, job_id)
    return answer(_told(found))


async def _run(asked: Asked, request: Request, user: User, turn: Turn) -> Response:
    kept: Jobs = request.app.state.jobs
    wait = request.app.state.config.scenario_seconds
    found = await anyio.to_thread.run_sync(kept.add, turn.mark, user.name, asked.model_dump_json(), asked.scenario_name)
    if found is None:
        raise Refusal(429, "too_many_jobs", "Too many of your scenarios wait already.", "Wait, or cancel some.",
                      headers={"Retry-After": "30"})  # fmt: skip
    deadline, look = time.monotonic() + wait, _FIRST_LOOK
    while not found.state.is_final and time.monotonic() < deadline:
        await asyncio.sleep(look)
        look = min(_LAST_LOOK, look * 1.5)
        found = await anyio.to_thread.run_sync(kept.get, found.id) or found
    if found.state is JobState.COMPLETED and found.result is not None:
        return Response(found.result, media_type="application/json")
    if found.state is JobState.FAILED and found.problem:
        told = found.problem
        raise Refusal(told["status"], told["code"], told["detail"], told.get("remedy", ""), job=found.id)
    place = f"{request.app.state.config.prefix}/api/v1/simulation/jobs/{found.id}"
    return answer(_told(found), 202, {"Location": place, "Retry-After": "1"})


async def _own(request: Request, user: User, job_id: str) -> Job:
    found: Job | None = await anyio.to_thread.run_sync(request.app.state.jobs.get, job_id)
    if found is None or (found.user != user.name and not user.may(Right.ADMIN)):
        raise Refusal(404, "unknown_name", f"There is no job {job_id}.", "Jobs are kept for a week.")
    return found


def _told(job: Job | None, *, whole: bool = False) -> dict[str, Any]:
    if job is None:
        raise Refusal(404, "unknown_name", "There is no such job.")
    share = None
    if job.usual_s and job.elapsed_s is not None:
        share = min(0.99, round(job.elapsed_s / job.usual_s, 3))
    progress = {"elapsed_s": job.elapsed_s, "usual_s": job.usual_s, "share": share, "ahead": job.ahead}
    told = {
        "id": job.id,
        "state": job.state.value,
        "is_cancelling": job.is_cancelling,
        "progress": None if job.state.is_final else progress,
        "created": moment(job.created),
        "started": moment(job.started),
        "ended": moment(job.ended),
        "request": json.loads(job.asked),
        "problem": job.problem,
    }
    if whole and job.result is not None:
        told["result"] = json.loads(job.result)
    return told
