"""Hedges sized from a book's sensitivities, with what they cost at once and in calm times. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments.book import Book, BoundBook, bind
from quantdesk.scenarios.instruments.options import SHARES
from quantdesk.scenarios.instruments.sensitivities import sensitivities
from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import state_of
from quantdesk.scenarios.path import Path

__all__ = ["Hedge", "betas_of", "calm_cost", "duration_hedge", "index_hedge", "put_hedge"]

_YEAR, _LEAST = 252, 60
_CALM_DAYS = 30
_FACE = 1_000


@dataclass(frozen=True)
class Hedge:
    """What to add to a book.

    Attributes
    ----------
    name
        For people: ``short SPX``.
    quantities
        Of a :class:`~quantdesk.scenarios.instruments.book.Book`; whole units, contracts or thousands of face.
    price
        Dollars paid for it at the start; below 0 where a short sale brings money in.
    standstill
        Dollars that it gains, below 0 loses, in 30 days in which no price, yield or VIX moves: its theta and roll.
    before, after
        The sensitivity that it is about, of the book alone and with it: beta dollars, or dollars per basis point.
    """

    name: str
    quantities: Mapping[str, float]
    price: float
    standstill: float
    before: float
    after: float


def betas_of(path: Path, index: str = "SPX") -> dict[str, float]:
    """How far each stock moved with the index: the slope of daily returns in the year before the path.

    Only history is used, so that nothing of the path is known. Symbols with fewer than 60 returns are left out.

    Raises
    ------
    BadInput
        There is no history, or not of the index.
    """
    history = path.history
    if history is None or index not in history.symbols:
        raise BadInput(f"The path {path.name!r} has no history of {index}.", "Give it one; betas come from there.")
    found: dict[str, float] = {}
    market = history.close[:, history.column(index)]
    for asset in history.assets:
        if asset.is_traded:
            own = history.close[:, history.column(asset.symbol)]
            both = ~np.isnan(own) & ~np.isnan(market) & (own > 0) & (market > 0)
            x, y = (np.diff(np.log(series[both]))[-_YEAR:] for series in (market, own))
            if len(x) >= _LEAST and x.var() > 0:
                found[asset.symbol] = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
    return found


def index_hedge(
    bound: BoundBook, state: State, betas: Mapping[str, float], share: float = 1.0, index: str = "SPX"
) -> Hedge:
    """Sell index units short against a share of the book's beta.

    Parameters
    ----------
    bound, state
        The book, and when.
    betas
        By symbol, against the index, whose own is 1: see :func:`betas_of`.
    share
        Of the beta dollars that is taken away, above 0 and at most 1.

    Raises
    ------
    BadInput
        A share out of range, a symbol without a beta, a book without beta, or one too small for a unit.
    """
    _checked(share)
    beta = _BetaDollars(betas, index)
    before = beta(bound, state)
    units = round(-share * before / state.value(index))
    return _priced(f"short {index}", index, units, bound, state, beta)


def put_hedge(
    bound: BoundBook,
    state: State,
    betas: Mapping[str, float],
    share: float = 1.0,
    terms: tuple[str, str] = ("90%", "3M"),
    index: str = "SPX",
) -> Hedge:
    """Buy puts on the index for a share of the book's beta dollars: so many contracts that their notional equals it.

    Parameters
    ----------
    bound, state, betas, share, index
        As for :func:`index_hedge`.
    terms
        Strike and time to expiry, as in a text ``OPT:SPX:P:90%:3M``.

    Raises
    ------
    BadInput
        As for :func:`index_hedge`; also a book that gains when the index falls.
    """
    _checked(share)
    beta = _BetaDollars(betas, index)
    before = beta(bound, state)
    if before < 0:
        raise BadInput(
            f"The book has {before:,.0f} beta dollars.", "Puts hedge a book that loses when the index falls."
        )
    text = f"OPT:{index}:P:{terms[0]}:{terms[1]}"
    contracts = round(share * before / (SHARES * state.value(index)))
    return _priced(f"{terms[0]} puts on {index} to {terms[1]}", text, contracts, bound, state, beta)


def duration_hedge(bound: BoundBook, state: State, share: float = 1.0, tenor: str = "10Y") -> Hedge:
    """Sell a Treasury short against a share of what the book loses when all yields rise.

    Parameters
    ----------
    bound, state, share
        As for :func:`index_hedge`.
    tenor
        Of the bond that is sold; a book that gains from rising yields buys it.

    Raises
    ------
    BadInput
        A share out of range, a book that yields do not move, or one too small for a thousand of face.
    """
    _checked(share)
    before = _dv01(bound, state)
    if not abs(before) > 1e-9:
        raise BadInput(f"The book gains {before:g} dollars per basis point.", "There is no duration to hedge.")
    text = f"UST:{tenor}"
    face = -share * before / _dv01(bind(Book({text: 1.0}), state), state)
    side = "short" if face < 0 else "long"
    return _priced(f"{side} {tenor} Treasury", text, round(face / _FACE) * _FACE, bound, state, _dv01)


def calm_cost(hedge: Hedge, path: Path) -> float:
    """Dollars that a hedge loses, below 0 gains, when it is bought at the first bar of a path and sold at the last."""
    totals = bind(Book(hedge.quantities), state_of(path, 0)).values(path).total
    return float(totals[0] - totals[-1])


@dataclass(frozen=True, slots=True)
class _BetaDollars:
    """What a book gains per 100 % that the index rises, when each symbol moves by its beta as much."""

    betas: Mapping[str, float]
    index: str

    def __call__(self, bound: BoundBook, state: State) -> float:
        total = 0.0
        for symbol, dollars in sensitivities(bound, state).equity.items():
            if symbol != self.index and symbol not in self.betas:
                raise BadInput(f"There is no beta of {symbol}.", "Give one for each symbol of the book.")
            total += dollars * (1.0 if symbol == self.index else self.betas[symbol])
        return total


def _dv01(bound: BoundBook, state: State) -> float:
    return sensitivities(bound, state).dv01


def _checked(share: float) -> None:
    if not 0 < share <= 1:
        raise BadInput(f"The share to hedge is {share!r}.", "Give one above 0 and at most 1.")


def _priced(
    name: str, text: str, quantity: int, bound: BoundBook, state: State, measure: Callable[[BoundBook, State], float]
) -> Hedge:
    before = measure(bound, state)
    if quantity == 0:
        raise BadInput(f"A hedge of {before:,.2f} dollars with {text} rounds to none.", "The book is too small for it.")
    hedge = bind(Book({text: quantity}), state)
    price = hedge.value(state)
    later = replace(state, on=state.on + dt.timedelta(days=_CALM_DAYS))
    return Hedge(
        name, {text: float(quantity)}, price, hedge.value(later) - price, before, before + measure(hedge, state)
    )
