"""What a run starts with: cash, shares, instruments. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.path import Path

__all__ = ["Holdings", "holdings_of"]

_MOST = 1e15


@dataclass(frozen=True, slots=True)
class Holdings:
    """A checked portfolio.

    Attributes
    ----------
    cash
        Dollars.
    shares
        Whole shares by symbol, traded through the desk.
    instruments
        Quantities by instrument, valued and not traded: see :mod:`quantdesk.scenarios.instruments`.
    """

    cash: float
    shares: Mapping[str, int]
    instruments: Mapping[str, float]


def holdings_of(portfolio: Mapping[str, float], path: Path) -> Holdings:
    """Read a portfolio: ``{"cash": 1_000_000, "AAPL": 500, "UST:10Y": 250_000}``.

    Raises
    ------
    BadInput
        It is empty, its cash is negative or no number, or a quantity is none; a symbol has no price when it starts.
    UnknownName
        A symbol that the scenario does not have, and that is no instrument.
    """
    if not isinstance(portfolio, Mapping) or not portfolio:
        raise BadInput(f"The portfolio is {portfolio!r}.", 'Give at least cash: {"cash": 1000000, "AAPL": 500}.')
    amounts = {str(name): _number(str(name), value) for name, value in portfolio.items()}
    cash = amounts.pop("cash", 0.0)
    if cash < 0:
        raise BadInput(f"The portfolio's cash is {cash:,.2f}.", "Give at least 0: what is owed is no cash.")
    amounts = {name: value for name, value in amounts.items() if value}
    if not cash and not amounts:
        raise BadInput("The portfolio holds nothing.", 'Give cash, shares or instruments: {"cash": 1000000}.')
    shares: dict[str, int] = {}
    instruments: dict[str, float] = {}
    for name, value in amounts.items():
        if name in path.traded:
            if value != int(value):
                raise BadInput(f"{value!r} shares of {name}.", "Give whole shares.")
            if not np.isfinite(path.close[0, path.column(name)]):
                raise BadInput(
                    f"{name} has no price on {path.sessions[0].date()}, when {path.name} begins.",
                    f"Choose among {', '.join(_priced(path))}.",
                )
            shares[name] = int(value)
        elif ":" in name:
            instruments[name] = value
        else:
            raise UnknownName(f"symbol that {path.name} trades", name, path.traded)
    return Holdings(cash, shares, instruments)


def _number(name: str, value: object) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > _MOST:  # type: ignore[arg-type]
        raise BadInput(f"The portfolio holds {value!r} of {name}.", f"Give a finite number, at most {_MOST:.0e}.")
    return float(value)  # type: ignore[arg-type]


def _priced(path: Path) -> list[str]:
    return [name for name in path.traded if np.isfinite(path.close[0, path.column(name)])]
