"""Errors: ``application/problem+json`` (RFC 9457) for programs, a page for people. An edge module: FastAPI.

What nobody expected is logged whole and told as nothing but its request id: no trace of it leaves the service.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError, RunFailed, UnknownName

__all__ = ["MEDIA", "Problem", "Refusal", "describe", "install", "problem_response", "told", "wants_page"]

MEDIA = "application/problem+json"
_log = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[QuantdeskError], int], ...] = (
    (UnknownName, 404),
    (BadInput, 422),
    (DataError, 503),
    (EnvironmentProblem, 503),
    (RunFailed, 500),
)


class Problem(BaseModel):
    """An error as this service tells it.

    Attributes
    ----------
    type
        ``about:blank``, as the status says what kind it is.
    title
        The status in words.
    status
        The HTTP status.
    detail
        What is wrong, with the value.
    remedy
        What would be right.
    code
        The kind of error, for programs.
    request_id
        By which the log knows it.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["Unknown symbol 'APPL'."])
    remedy: str = Field("", examples=["Did you mean AAPL?"])
    code: str = Field(examples=["unknown_name"])
    request_id: str = Field("", examples=["0f8fad5b-d9cb-469f-a165-70867728950e"])


class Refusal(Exception):
    """An answer that is a problem.

    Parameters
    ----------
    status
        The HTTP status.
    code
        The kind, for programs.
    detail, remedy
        One sentence each.
    headers
        Sent with it.
    more
        Further members of the problem.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        remedy: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.remedy = status, code, detail, remedy
        self.headers, self.more = dict(headers or {}), more


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says of its errors in the OpenAPI document."""
    return {
        status: {
            "description": _title(status),
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def problem_response(request: Request, refusal: Refusal) -> Response:
    """A refusal as the one who asked can read it."""
    if 300 <= refusal.status < 400:
        return Response(status_code=refusal.status, headers=refusal.headers)
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    pages = getattr(request.app.state, "pages", None)
    if pages is not None and wants_page(request):
        return pages.problem(request, refusal, _title(refusal.status), request_id)  # type: ignore[no-any-return]
    return JSONResponse(told(refusal, request_id), refusal.status, refusal.headers, MEDIA)


def told(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """A refusal as the members of a :class:`Problem`."""
    problem = Problem(
        title=_title(refusal.status),
        status=refusal.status,
        detail=refusal.detail,
        remedy=refusal.remedy,
        code=refusal.code,
        request_id=request_id,
        **refusal.more,
    )
    return problem.model_dump()


def wants_page(request: Request) -> bool:
    """Whether a person looks: a browser that asks for HTML, and not below ``/api``."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return "text/html" in request.headers.get("accept", "") and not path.startswith(("/api/", "/simulation/"))


def install(app: FastAPI) -> None:
    """Have every error of an app told in this form."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)  # noqa: S101  (registered for it)
        return problem_response(request, error)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, QuantdeskError)  # noqa: S101
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        if status >= 500:
            _log.error("request failed", exc_info=error)
            if isinstance(error, EnvironmentProblem | DataError):  # it may name paths and addresses: for the log
                said = Refusal(status, _code(error), "The service cannot answer this at the moment.", _LOGGED)
                return problem_response(request, said)
        return problem_response(request, Refusal(status, _code(error), error.problem, error.remedy))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        wrong = [
            {"at": "/".join(str(part) for part in one["loc"]), "problem": str(one["msg"])[:300]}
            for one in error.errors()[:20]
        ]
        first = wrong[0] if wrong else {"at": "the request", "problem": "cannot be read"}
        told = Refusal(422, "invalid", f"{first['at']}: {first['problem']}.", "See errors, and the API's page.",
                       errors=wrong)  # fmt: skip
        return problem_response(request, told)

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        known = {404: "There is nothing at this address.", 405: "This address does not take that method."}
        detail = known.get(error.status_code, str(error.detail))
        refusal = Refusal(error.status_code, _name(error.status_code), detail, headers=error.headers)
        return problem_response(request, refusal)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(QuantdeskError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


_LOGGED = "Try again later; the administrator finds the reason in the log under the request id."
UNEXPECTED = Refusal(500, "internal", "The service failed in a way that nobody expected.", _LOGGED)
"""What is told of a mistake of our own."""


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _name(status: int) -> str:
    return _title(status).lower().replace(" ", "_").replace("-", "_")


def _code(error: QuantdeskError) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in type(error).__name__).strip("_")
