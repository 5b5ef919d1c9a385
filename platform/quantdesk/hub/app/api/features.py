"""Features: as they were known, as they are, and which there are. An edge module: FastAPI, the feature store."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from quantdesk.errors import BadInput
from quantdesk.features import FeatureStore
from quantdesk.hub.app.access import Rights
from quantdesk.hub.app.api.shapes import answer
from quantdesk.hub.app.problems import describe

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/features", tags=["features"], dependencies=[Rights.reading])
_MOST_CELLS = 1_000_000
_AT_ONCE = 2
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=120)]], Field(min_length=1, max_length=200)]
Day = Annotated[str, Field(min_length=8, max_length=40, description="An ISO date or an aware moment.")]


class FeatureAnswer(BaseModel):
    """A feature: what it tells, its unit, its formula."""

    name: str
    description: str
    unit: str
    formula: str
    source: str
    look_back: int
    view: str


class FeatureList(BaseModel):
    """All features, and the symbols that have them."""

    features: list[FeatureAnswer]
    symbols: list[str]


class HistoricalRequest(BaseModel):
    """Which features, of which symbols, from when to when, as known by when."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "symbols": ["AAPL"],
                "feature_names": ["sma_20", "rsi_14"],
                "start_date": "2020-01-02",
                "end_date": "2020-01-31",
            }
        },
    )

    symbols: Names
    feature_names: Names
    start_date: Day | None = None
    end_date: Day | None = None
    as_of: Day | None = None


class HistoricalAnswer(BaseModel):
    """Rows as they were known at their timestamps, with the proof.

    Attributes
    ----------
    columns
        The features, in the order of each row's values.
    rows
        Moment (UTC), symbol, then the values; null where there is none.
    is_pit_validated
        Whether every check ran and passed.
    evidence, labels, doubts
        What was checked, what must be said of the data, and every reason not to believe the rows.
    """

    columns: list[str]
    rows: list[list[Any]]
    is_pit_validated: bool
    evidence: dict[str, Any]
    labels: dict[str, Any]
    doubts: list[str]


class OnlineRequest(BaseModel):
    """Which features of which symbols."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"example": {"symbols": ["AAPL", "MSFT"], "feature_names": ["sma_20"]}},
    )

    symbols: Names
    feature_names: Names

    @model_validator(mode="after")
    def _not_too_many(self) -> OnlineRequest:
        if len(self.symbols) * len(self.feature_names) > _MOST_CELLS:
            raise ValueError("too many values; ask for fewer symbols or features")
        return self


class OnlineAnswer(BaseModel):
    """The latest values: by symbol and feature; null where there is none.

    Attributes
    ----------
    as_of
        The moment up to which the online store was filled (UTC). It may lie years back.
    """

    values: dict[str, dict[str, float | None]]
    as_of: str
    labels: dict[str, Any]


@router.get("", summary="Which features there are", response_model=FeatureList, responses=describe(401, 403, 429, 503))
async def features(request: Request) -> Any:
    """With unit, formula and the sessions that the first value needs; the user's own come last."""
    return answer(await anyio.to_thread.run_sync(_all, request.app.state.features))


@router.post(
    "/historical",
    summary="Features as they were known",
    response_model=HistoricalAnswer,
    responses=describe(401, 403, 404, 413, 422, 429, 503),
)
async def historical(asked: HistoricalRequest, request: Request) -> Any:
    """One row per symbol and session, at the moment the session was known; with `as_of`, only what was known then.
    At most a million values.
    """
    async with _turns():
        return answer(await anyio.to_thread.run_sync(_historical, request.app.state.features, asked))


@router.post(
    "/online",
    summary="The latest features",
    response_model=OnlineAnswer,
    responses=describe(401, 403, 404, 413, 422, 429, 503),
)
async def online(asked: OnlineRequest, request: Request) -> Any:
    """The latest materialised value of each feature, and up to when they were materialised."""
    return answer(await anyio.to_thread.run_sync(_online, request.app.state.features, asked))


_turn: anyio.CapacityLimiter | None = None


def _turns() -> anyio.CapacityLimiter:
    """Big questions take turns, so that the others do not wait for a thread."""
    global _turn
    if _turn is None:
        _turn = anyio.CapacityLimiter(_AT_ONCE)
    return _turn


def _all(found: FeatureStore) -> dict[str, Any]:
    names = FeatureAnswer.model_fields
    return {
        "features": [{name: getattr(one, name) for name in names} for one in found.features()],
        "symbols": list(found.symbols()),
    }


def _historical(store: FeatureStore, asked: HistoricalRequest) -> dict[str, Any]:
    start, end, as_of = (_bound(text) for text in (asked.start_date, asked.end_date, asked.as_of))
    frame = store.get_historical_features(
        asked.symbols, asked.feature_names, start_date=start, end_date=end, as_of=as_of
    )
    values = frame.to_pandas()
    if values.size > _MOST_CELLS:
        raise BadInput(f"The answer would have {values.size:,} values.", f"Ask for at most {_MOST_CELLS:,} at a time.")
    moments = [stamp.isoformat() for stamp in values.index.get_level_values(0)]
    lines = zip(
        moments, values.index.get_level_values(1), values[list(frame.features)].to_numpy().tolist(), strict=True
    )
    doubts = frame.doubts
    return {
        "columns": list(frame.features),
        "rows": [[at, symbol, *line] for at, symbol, line in lines],
        "is_pit_validated": not doubts,
        "evidence": frame.evidence.to_dict(),
        "labels": frame.labels.to_dict(),
        "doubts": list(doubts),
    }


def _bound(text: str | None) -> str | dt.datetime | None:
    """A date as it is; a moment as one."""
    if text is None or len(text) <= len("2020-01-31"):
        return text
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return text  # the store says what is wrong with it


def _online(store: FeatureStore, asked: OnlineRequest) -> dict[str, Any]:
    found = store.get_online_features(asked.symbols, asked.feature_names)
    return {"values": found.to_dict(), "as_of": found.as_of.isoformat(), "labels": found.labels.to_dict()}
