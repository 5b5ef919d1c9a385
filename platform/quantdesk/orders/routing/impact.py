"""What a trade does to the price: the square-root law, and the model of Almgren and others. Pure.

Both give fractions of the price; above 0 is a cost, whatever the side. NaN is refused, not passed on.

Sources: for the square-root law and its exponent, .489 +/- .0015 over all stocks of Tokyo, arXiv 2411.13965; Almgren,
Thum, Hauptmann and Li, *Direct Estimation of Equity Market Impact*, Risk, July 2005.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantdesk.errors import BadInput

__all__ = ["Impact", "almgren", "square_root"]

GAMMA, ETA, BETA, DELTA = 0.314, 0.142, 0.6, 0.25
"""Almgren et al. (2005), section 4.3: permanent and temporary coefficients, the power of the rate, that of turnover."""


@dataclass(frozen=True, slots=True)
class Impact:
    """The impact of one order, as fractions of the price.

    Attributes
    ----------
    permanent
        How far the price has moved when the dust has settled.
    temporary
        What trading at that rate costs besides.
    realised
        What the order pays on average against its arrival price: half of the permanent move, and the temporary one.
    """

    permanent: float
    temporary: float
    realised: float


def square_root(shares: float, daily_volume: float, daily_volatility: float, *, y: float = 1.0) -> float:
    """The square-root law: ``y * volatility * sqrt(shares / volume)``.

    Parameters
    ----------
    shares
        Of the whole order, at least 0.
    daily_volume
        Shares traded in a day, above 0.
    daily_volatility
        Of a day's return, as a fraction, at least 0.
    y
        The prefactor, about 1.

    Raises
    ------
    BadInput
        A value that is out of its range or no number.
    """
    _check("number of shares", shares, 0, strict=False)
    _check("daily volume", daily_volume, 0)
    _check("daily volatility", daily_volatility, 0, strict=False)
    _check("prefactor y", y, 0)
    return y * daily_volatility * math.sqrt(shares / daily_volume)


def almgren(
    shares: float, daily_volume: float, daily_volatility: float, days: float, *, turnover: float = 1 / 200
) -> Impact:
    """The impact of an order that is traded at an even rate, after Almgren et al. (2005), section 4.

    With the fraction ``x = shares / volume``: permanent ``gamma * volatility * x * (1 / turnover) ** (1/4)``, temporary
    ``eta * volatility * (x / days) ** 0.6``.

    Parameters
    ----------
    shares, daily_volume, daily_volatility
        As in :func:`square_root`.
    days
        For how long it is traded, in trading days, above 0.
    turnover
        Fraction of the shares outstanding that trades in a day; the paper's inverse turnover is 1 over it.

    Raises
    ------
    BadInput
        A value that is out of its range or no number.
    """
    _check("number of shares", shares, 0, strict=False)
    _check("daily volume", daily_volume, 0)
    _check("daily volatility", daily_volatility, 0, strict=False)
    _check("number of days", days, 0)
    _check("turnover", turnover, 0)
    part = shares / daily_volume
    permanent = GAMMA * daily_volatility * part * (1 / turnover) ** DELTA
    temporary = ETA * daily_volatility * (part / days) ** BETA
    return Impact(permanent, temporary, permanent / 2 + temporary)


def _check(what: str, value: float, least: float, *, strict: bool = True) -> None:
    if not math.isfinite(value) or value < least or (strict and value == least):
        raise BadInput(f"The {what} is {value!r}.", f"Give a number {'above' if strict else 'of at least'} {least:g}.")
