"""An order through the desk. An edge module: FastAPI, the desk's process."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from quantdesk.hub.app.access import Rights
from quantdesk.hub.app.api.shapes import answer
from quantdesk.hub.app.problems import Refusal, describe
from quantdesk.hub.app.replays import IdempotencyKey, once
from quantdesk.orders.client.wire import by_key
from quantdesk.orders.order import MAX_SHARES, Order

__all__ = ["OrderFields", "router"]

router = APIRouter(prefix="/api/v1", tags=["orders"])
Price = Annotated[Decimal, Field(gt=0, le=Decimal(10_000_000), max_digits=20, decimal_places=6)]


class OrderFields(BaseModel):
    """An order. Whose it is, the token says.

    Attributes
    ----------
    symbol, action, shares, order_type, limit_price, stop_price, time_in_force, stop_loss_price, urgency
        See :class:`quantdesk.orders.Order`. Prices in dollars.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"example": {"symbol": "AAPL", "action": "buy", "shares": 100, "order_type": "market"}},
    )

    symbol: Annotated[str, Field(min_length=1, max_length=32)]
    action: Literal["buy", "sell", "sell_short"]
    shares: Annotated[int, Field(ge=1, le=MAX_SHARES, strict=True)]
    order_type: Literal["market", "limit", "stop", "stop_limit", "midpoint_peg", "ioc"] = "market"
    limit_price: Price | None = None
    stop_price: Price | None = None
    time_in_force: Literal["day", "ioc", "opening", "closing"] = "day"
    stop_loss_price: Price | None = None
    urgency: Literal["low", "normal", "high"] = "normal"

    def given(self) -> dict[str, Any]:
        """The fields of :meth:`quantdesk.orders.Order.from_dict`."""
        found = self.model_dump()
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in found.items()}


class ExecutionAnswer(BaseModel):
    """What came of an order.

    Attributes
    ----------
    mode
        Where the fills come from: ``simulated`` and ``mock`` were traded nowhere, ``paper`` is a broker's practice
        account, ``live`` is real.
    idempotency_key
        By which the order is known, also when none was sent.
    result
        See :class:`quantdesk.orders.result.OrderResult`; money as text. An order that guardrails block is a result too:
        ``rejected``, with its violations.
    """

    mode: Literal["simulated", "paper", "live", "mock"]
    idempotency_key: str
    result: dict[str, Any]


@router.post(
    "/actions/execute",
    summary="Send an order through the desk",
    response_model=ExecutionAnswer,
    responses=describe(401, 403, 409, 413, 422, 429, 503, 504),
)
async def execute(asked: OrderFields, request: Request, user: Rights.Trade, key: IdempotencyKey = None) -> Response:
    """Guardrails, halts, router, ledger; then the exchanges that this desk is set up for. Needs the scope
    `custom:quantdesk:trade`. With an `Idempotency-Key` the order is executed once, however often it is sent: send one,
    as without it nobody can tell you after a broken connection what came of it.
    """
    order = Order.from_dict(asked.given() | {"user_id": user.name, "idempotency_key": key or str(uuid.uuid4())})
    return await once(request, user, key, lambda turn: _executed(request, order))


@router.get(
    "/actions/{key}",
    summary="What came of an order, by its idempotency key",
    response_model=ExecutionAnswer,
    responses=describe(401, 403, 404, 422, 429, 503, 504),
)
async def found(
    key: Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[!-.0-~]+$")], request: Request, user: Rights.Read
) -> Response:
    """As it stands now. Only one's own orders are found."""
    told = await request.app.state.desk.ask("GET", by_key(user.name, key))
    return _answered(told, key)


async def _executed(request: Request, order: Order) -> Response:
    told = await request.app.state.desk.ask("POST", "/orders", order.to_dict())
    return _answered(told, order.idempotency_key or "")


def _answered(told: tuple[int, dict[str, Any]] | None, key: str) -> Response:
    if told is None:
        raise Refusal(
            504, "unknown", "The desk did not answer in time: nobody knows yet what came of the order.",
            f"Ask for it by its key {key}, or send it again under the same key.", idempotency_key=key,
        )  # fmt: skip
    status, body = told
    if status == 200:
        result = body["result"]
        return answer({"mode": result["execution_mode"], "idempotency_key": key, "result": result})
    error = body.get("error", {})
    if status >= 500:
        raise Refusal(503, "desk_failed", "The desk could not take the order, or cannot answer.",
                      f"Ask for it by its key {key}.", idempotency_key=key)  # fmt: skip
    raise Refusal(status, str(error.get("code", "refused")).lower(), str(error.get("problem", "It was refused.")),
                  str(error.get("remedy", "")))  # fmt: skip
