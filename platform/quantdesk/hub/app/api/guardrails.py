"""What a policy says of an order. An edge module: FastAPI, the clock."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from quantdesk.hub.app.access import Rights
from quantdesk.hub.app.api.orders import OrderFields
from quantdesk.hub.app.api.shapes import answer
from quantdesk.hub.app.problems import describe
from quantdesk.orders.amounts import MICRO, nanoseconds
from quantdesk.orders.guardrails import Guardrails, Recent, Situation, day_rules, in_force
from quantdesk.orders.halts.hours import NEW_YORK, local_date
from quantdesk.orders.halts.phases import phase
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.order import Order
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.rulebook import in_force as rulebook
from quantdesk.orders.symbols import canonical

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["orders"])
_MOST = 1e12
Dollars = Annotated[float, Field(ge=-_MOST, le=_MOST)]
Price = Annotated[float, Field(gt=0, le=1e7)]
Whole = Annotated[int, Field(ge=-(10**9), le=10**9)]


class Holding(BaseModel):
    """Shares that are held, below 0 for a short, and their price in dollars."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    shares: Whole
    price: Price


class AccountFields(BaseModel):
    """The account before the order; dollars."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cash: Dollars = 1_000_000.0
    positions: Annotated[dict[str, Holding], Field(max_length=500)] = {}
    day_pnl: Dollars = 0.0


class MarketFields(BaseModel):
    """What is known of the market; what is left out is not known, which warns in research and blocks live."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    bid: Price | None = None
    ask: Price | None = None
    status: Literal["TRADING", "HALTED", "UNKNOWN"] | None = None
    market_halted: bool = False
    bands: Annotated[tuple[Price, Price] | None, Field(description="Lower and upper price band, dollars.")] = None
    previous_close: Price | None = None
    average_daily_volume: Annotated[int, Field(ge=0, le=10**12)] = 0
    short_sale_restricted: bool | None = None
    at: Annotated[dt.datetime | None, Field(description="When; with a zone, or New York's time. Now if left out.")] = (
        None
    )
    exchange: Annotated[str, Field(pattern=r"^[A-Z0-9]{4}$", description="MIC of the listing exchange.")] = "XNYS"


class CheckRequest(BaseModel):
    """An order, and what is known around it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "order": {
                    "symbol": "AAPL",
                    "action": "buy",
                    "shares": 100,
                    "order_type": "limit",
                    "limit_price": 189.5,
                },
                "account": {"cash": 50000},
                "market": {"bid": 189.4, "ask": 189.5, "status": "TRADING", "previous_close": 188.0},
            }
        },
    )

    order: OrderFields
    account: AccountFields = AccountFields()
    market: MarketFields = MarketFields()
    use: Literal["research", "live"] = "research"


class ViolationAnswer(BaseModel):
    """One check that did not pass."""

    code: str
    message: str
    severity: Literal["blocking", "warning"]
    limit: str
    value: str
    clause: str


class CheckAnswer(BaseModel):
    """What the policy in force says."""

    allowed: bool
    violations: list[ViolationAnswer]
    policy: str
    checked: list[str]
    use: str
    at: str
    phase: str


@router.post(
    "/guardrails/check",
    summary="Ask the guardrails about an order",
    response_model=CheckAnswer,
    responses=describe(401, 403, 413, 422, 429),
)
async def check(asked: CheckRequest, user: Rights.Read) -> Any:
    """As the first order of its day. Nothing is sent and nothing is kept. A refusal is an answer (`allowed` is false),
    not an error.
    """
    return answer(await anyio.to_thread.run_sync(_checked, asked, user.name))


def _checked(asked: CheckRequest, user: str) -> dict[str, Any]:
    order = Order.from_dict(asked.order.given() | {"user_id": user})
    market = asked.market
    at = market.at or dt.datetime.now(NEW_YORK)
    at = at if at.tzinfo is not None else at.replace(tzinfo=NEW_YORK)
    if not dt.datetime(1990, 1, 1, tzinfo=dt.UTC) <= at <= dt.datetime(2100, 1, 1, tzinfo=dt.UTC):
        from quantdesk.errors import BadDates

        raise BadDates(f"{at.isoformat()} is no time of trading.", "Give one from 1990 to 2099.")
    now, day = nanoseconds(at), local_date(at)
    quotes = _quotes(order.symbol, now, market)
    situation = Situation(
        at=now,
        use=asked.use,
        portfolio=_account(asked.account, day),
        quotes=quotes,
        halt=_status(order.symbol, market.status),
        market_halt=_status("*", "HALTED") if market.market_halted else None,
        bands=None if market.bands is None else (_micros(market.bands[0]), _micros(market.bands[1])),
        phase=phase(market.exchange, at).phase,
        short_sale_restricted=market.short_sale_restricted,
        previous_close=_micros(market.previous_close or 0.0),
        average_daily_volume=market.average_daily_volume,
        recent=Recent(),
        rules=day_rules(rulebook(), day),
        resting=(),
    )
    decision = Guardrails(in_force()).check(order, situation)
    return {**decision.to_dict(), "use": asked.use, "at": at.isoformat(), "phase": str(situation.phase)}


def _micros(dollars: float) -> int:
    return round(dollars * MICRO)


def _account(given: AccountFields, day: dt.date) -> Portfolio:
    account = Portfolio(_micros(given.cash))
    for name, held in given.positions.items():
        account.transfer(canonical(name), held.shares, _micros(held.price))
    account.start_day(day)
    account.equity_at_start -= _micros(given.day_pnl)
    return account


def _quotes(symbol: str, at: int, market: MarketFields) -> Quotes | None:
    if market.bid is None and market.ask is None:
        return None
    low, high = _micros(market.bid or 0.0), _micros(market.ask or 0.0)
    return Quotes.of(symbol, at, {"bid": (low, 100 if low else 0, 0, 0), "ask": (0, 0, high, 100 if high else 0)})


def _status(symbol: str, given: str | None) -> HaltStatus | None:
    return None if given is None else HaltStatus(symbol, Status(given), "", "as given in the request", "given", 0.0)
