"""Alpaca's latest quote as a book. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import micros, nanoseconds
from quantdesk.orders.brokers.reports import VENUE, Unreadable
from quantdesk.orders.quotes import Quotes

__all__ = ["book"]


class _Quote(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    t: AwareDatetime
    bp: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
    bs: Annotated[int, Field(ge=0)]
    ap: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
    as_: Annotated[int, Field(ge=0, alias="as")]


def book(symbol: str, answer: Any, lot: int, now: int) -> Quotes | None:
    """The book in an answer of ``/v2/stocks/quotes/latest``; None where it has no quote of the symbol.

    Parameters
    ----------
    symbol
        Which.
    answer
        The JSON.
    lot
        Shares in one unit of a size.
    now
        When it was asked: nanoseconds since 1970 (UTC). A quote that is later than that stands for itself: the clocks
        of two machines differ.

    Raises
    ------
    Unreadable
        It is no such answer, or its bid is not below its offer.
    """
    quotes = answer.get("quotes") if isinstance(answer, dict) else None
    if not isinstance(quotes, dict):
        raise Unreadable("there are no quotes in it")
    if quotes.get(symbol) is None:
        return None
    try:
        quote = _Quote.model_validate(quotes[symbol])
        bid, ask = (micros(price) if price else 0 for price in (quote.bp, quote.ap))
        bid_size, ask_size = quote.bs * lot, quote.as_ * lot
        at = nanoseconds(quote.t)
        quoted: dict[str, Any] = {
            name: [value]
            for side, price, size in (("bid", bid, bid_size), ("ask", ask, ask_size))
            for name, value in zip((side, f"{side}_size"), _side(price, size), strict=True)
        }
        return Quotes(symbol, max(now, at), (VENUE,), **quoted, quoted_at=[at])
    except ValidationError as error:
        raise Unreadable(f"the quote of {symbol}: {error.errors(include_url=False)[0]['msg']}") from None
    except BadInput as error:
        raise Unreadable(error.problem) from None


def _side(price: int, size: int) -> tuple[int, int]:
    # Alpaca writes 0 for what is missing, in the price or the size.
    return (price, size) if price and size else (0, 0)
