"""What a book loses when factors move. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.shocks.moves import Covariance, is_rate

__all__ = ["Loss", "exposures_of", "linear_loss", "priced_loss"]

Floats = NDArray[np.float64]

Loss = Callable[[Floats], float]
"""From moves, in the order of the covariance's symbols (log returns; percent points of rates), to what is lost.

It is positive for a loss, in the unit of the limit. A full revaluation of a book is one.
"""


def exposures_of(book: Mapping[str, float], cov: Covariance) -> Floats:
    """A book as an array in the order of the covariance, shape ``(N,)``.

    Raises
    ------
    BadInput, UnknownName
        Nothing in it, no number, or a symbol that the covariance does not have.
    """
    found = np.zeros(len(cov.symbols))
    found[cov.places(list(book))] = list(book.values())
    if not np.isfinite(found).all() or not found.any():
        raise BadInput(f"The book {dict(book)!r} holds nothing, or no numbers.", "Give amounts by symbol.")
    return found


def linear_loss(book: Mapping[str, float], cov: Covariance) -> Loss:
    """Loss in proportion to the moves.

    Parameters
    ----------
    book
        By symbol, currency for a move of 1: the value held, or for a rate the gain if it rises by a percent point.
    cov
        Whose symbols the moves are of.
    """
    exposures = exposures_of(book, cov)
    return lambda moves: -float(exposures @ moves)


def priced_loss(book: Mapping[str, float], cov: Covariance) -> Loss:
    """Loss of a book of prices, whose moves are log returns: ``value x (1 - exp(move))``; of rates as above."""
    exposures = exposures_of(book, cov)
    rates = np.array([is_rate(name, {}) for name in cov.symbols])
    return lambda moves: -float(exposures @ np.where(rates, moves, np.expm1(np.where(rates, 0.0, moves))))
