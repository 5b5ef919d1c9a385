"""A run as a request and an answer, for HTTP and for other languages. Pure: any web framework can be put around it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantdesk.errors import BadInput
from quantdesk.scenarios.result import StressResult

__all__ = ["Answer", "Counts", "EventModel", "Request", "answered", "read"]

Run = Callable[..., StressResult]
"""``ScenarioEngine().run``."""
_LONGEST = 60 * 24 * 366
_MOST_STRATEGIES, _MOST_HOLDINGS = 20, 500


class Request(BaseModel):
    """What is asked.

    Attributes
    ----------
    scenario_name
        A name or an alias of the catalogue. No path of a file: what a server reads is not for its callers to say.
    strategies
        Names.
    portfolio
        ``cash`` in dollars, shares by symbol, instruments by their text.
    duration_minutes
        Minute by minute for so long; the whole window when left out.
    seed
        Of everything that is left to chance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    scenario_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
    strategies: Annotated[list[str], Field(min_length=1, max_length=_MOST_STRATEGIES)] = ["momentum_alpha"]
    portfolio: Annotated[dict[str, float], Field(min_length=1, max_length=_MOST_HOLDINGS)]
    duration_minutes: Annotated[int | None, Field(ge=1, le=_LONGEST)] = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


class EventModel(BaseModel):
    """See :class:`quantdesk.scenarios.result.Event`; a halt is no strategy's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str = ""
    at: dt.datetime
    kind: str
    cause: str
    symbol: str
    message: str
    severity: str
    numbers: dict[str, float | None]


class Counts(BaseModel):
    """The results in five numbers.

    Attributes
    ----------
    pnl_impact
        Dollars.
    max_drawdown
        Percent, 0 or negative.
    risk_limit_breaches, execution_failures, system_alerts
        How many; the events themselves stand in :attr:`Answer.events`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pnl_impact: float
    max_drawdown: Annotated[float, Field(le=0)]
    risk_limit_breaches: Annotated[int, Field(ge=0)]
    execution_failures: Annotated[int, Field(ge=0)]
    system_alerts: Annotated[int, Field(ge=0)]


class Answer(BaseModel):
    """What came of it; the fields are those of :meth:`quantdesk.scenarios.StressResult.to_dict`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario_id: str
    started_at: str
    scenario: str
    title: str
    results: Counts
    recommendations: list[str]
    recommendation_details: list[dict[str, Any]]
    events: dict[str, list[EventModel]]
    by_strategy: list[dict[str, Any]]
    path: dict[str, list[Any]]
    share_real: dict[str, float | None]
    grades: dict[str, dict[str, int]]
    methods: dict[str, str]
    labels: list[str]
    notes: list[str]
    config: dict[str, Any]
    seed: int
    data_hashes: dict[str, str]


def read(body: bytes | str) -> Request:
    """A request out of JSON.

    Raises
    ------
    BadInput
        It is none: names the field, the value and what would be right.
    """
    try:
        return Request.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        given = repr(first.get("input"))[:80]
        raise BadInput(f"{where} is {given}: {first['msg'].lower()}.", f"Give {_FORM}.") from None


_FORM = '{"scenario_name": "covid_2020", "strategies": ["momentum_alpha"], "portfolio": {"cash": 1000000}}'


def answered(request: Request, run: Run) -> Answer:
    """Run what is asked.

    Raises
    ------
    BadInput, UnknownName
        See :meth:`quantdesk.scenarios.ScenarioEngine.run`.
    """
    result = run(
        request.scenario_name,
        request.strategies,
        request.portfolio,
        request.duration_minutes,
        seed=request.seed,
    )
    return Answer.model_validate(result.to_dict())
