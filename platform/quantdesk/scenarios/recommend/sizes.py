"""How large a hedge is in each scenario: from sensitivities at its start. Pure.

A strategy's book is not known when the hedge is bought. So the whole starting value is taken to lie in the scenario's
stocks, in equal parts, with betas of the year before: no figure of the scenario itself goes in. Whether the hedge fits
what the strategy then holds, the re-run shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Book, betas_of, bind, index_hedge, parse, put_hedge, state_of
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.recommend.space import HedgeChoice

__all__ = ["Sizes", "sizes_in"]

Sizes = Callable[[str, HedgeChoice, float], float]
"""From a scenario, a hedge and the account's starting value in dollars to the quantity, below 0: sold short."""

_FACE = 1000


def sizes_in(path_of: Callable[[str], Path]) -> Sizes:
    """Sizes for the scenarios of an engine.

    Parameters
    ----------
    path_of
        The path of a scenario, by name.

    Returns
    -------
    Sizes
        It raises :class:`~quantdesk.errors.BadInput` where the scenario cannot price the hedge, or the account is too
        small for one unit.
    """
    return lambda scenario, hedge, value: _size(path_of(scenario), hedge, value)


def _size(path: Path, hedge: HedgeChoice, value: float) -> float:
    state = state_of(path, 0)
    if hedge.kind == "rates":
        parse(hedge.instrument).bind(state)  # says what it lacks
        face = float(round(hedge.share * value / _FACE) * _FACE)
        if not face:
            raise BadInput(f"{hedge.share:.0%} of ${value:,.0f} is no thousand of face.", "The account is too small.")
        return face
    index, *terms = _terms(hedge)
    betas = betas_of(path, index)
    row = path.close[0]
    stocks = [
        asset.symbol
        for column, asset in enumerate(path.assets)
        if asset.kind in ("equity", "etf") and asset.symbol in betas and np.isfinite(row[column])
    ]
    if not stocks:
        raise BadInput(f"{path.name} has no stock with a beta.", "Give it a history, or try no hedge by beta.")
    each = value / len(stocks)
    book = bind(Book({name: each / float(row[path.column(name)]) for name in stocks}), state)
    made = (
        put_hedge(book, state, betas, hedge.share, (terms[0], terms[1]), index)
        if hedge.kind == "volatility"
        else index_hedge(book, state, betas, hedge.share, index)
    )
    return float(made.quantities[hedge.instrument])


def _terms(hedge: HedgeChoice) -> list[str]:
    """The index, and of a put its strike and time."""
    if hedge.kind == "index":
        return [hedge.instrument]
    parts = hedge.instrument.split(":")
    if len(parts) != 5 or parts[0] != "OPT" or parts[2] != "P":
        raise BadInput(f"The hedge {hedge.instrument!r} is no put.", "Give one as in OPT:SPX:P:90%:6M.")
    return [parts[1], parts[3], parts[4]]
