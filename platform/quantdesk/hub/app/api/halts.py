"""What trades. An edge module: FastAPI; feeds and the clock behind it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from quantdesk.hub.app.access import Rights
from quantdesk.hub.app.problems import describe
from quantdesk.orders.halts import get_halt_client
from quantdesk.orders.symbols import canonical

__all__ = ["Symbol", "router"]

router = APIRouter(prefix="/api/v1", tags=["market"], dependencies=[Rights.reading])
Symbol = Annotated[
    str,
    Path(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9.\-/ ^=+]+$", description="A symbol.", examples=["AAPL"]),
]


class HaltAnswer(BaseModel):
    """Whether a symbol trades.

    Attributes
    ----------
    symbol, status, is_halted
        Which, and how it stands. UNKNOWN where nobody can say: it is never taken for TRADING.
    halt_type, message
        The code of the halt, and a sentence.
    source, age_s
        Who says so, and how many seconds ago.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str = Field(examples=["AAPL"])
    status: Literal["TRADING", "HALTED", "UNKNOWN"]
    is_halted: bool
    halt_type: str = Field(examples=["LULD"])
    message: str
    source: str = Field(examples=["nasdaq"])
    age_s: float | None


@router.get(
    "/halts/{symbol}",
    summary="Whether a symbol trades",
    response_model=HaltAnswer,
    responses=describe(401, 403, 422, 429),
)
async def halt(symbol: Symbol) -> Any:
    """Merged from the feeds of the exchanges, the hours of the listing exchange and whatever else is configured.
    A source that fails makes it UNKNOWN.
    """
    return await get_halt_client().check_halt_status(canonical(symbol))
