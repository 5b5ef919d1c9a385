"""Prices as exact decimals. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from quantdesk.errors import BadInput

__all__ = ["exact_price"]


def exact_price(value: float | int | str | Decimal, what: str) -> Decimal:
    """A price as the decimal that it is written as: 0.1 is a tenth, not the nearest binary fraction.

    Raises
    ------
    BadInput
        It is no finite number above 0.
    """
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        exact = Decimal("NaN")
    if isinstance(value, bool) or not exact.is_finite() or exact <= 0:
        raise BadInput(f"The {what} {value!r} is no price.", "Give a finite number above 0, in dollars.")
    return exact
