"""What several answers are made of: numbers that JSON has, moments, pages. An edge module: FastAPI."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

__all__ = ["Cursor", "Limit", "answer", "moment", "plain"]

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.", examples=[50])]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; the first page when left out.")
]


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Anything as JSON; NaN and infinities are null.

    Nearly always the value is written as it is, in C; one that JSON does not have is looked for only when that fails.
    """
    try:
        body = _ENCODE(value)
    except (ValueError, TypeError):
        body = _ENCODE(plain(value))
    return Response(body.encode(), status, headers, "application/json")


def moment(nanoseconds: int | None) -> str | None:
    """A time in ISO 8601 (UTC)."""
    return None if nanoseconds is None else dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).isoformat()


def _other(value: Any) -> Any:
    """What JSON has no type for."""
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return plain(value)


_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other).encode


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    return plain(value.item()) if hasattr(value, "item") else json.loads(json.dumps(value, default=str))
