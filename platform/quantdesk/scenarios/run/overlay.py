"""What a portfolio holds beside shares: instruments that are valued and not traded, hedges among them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments import Book, bind, state_of
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.run.portfolio import Holdings

__all__ = ["Overlay", "overlay_of"]


@dataclass(frozen=True, eq=False)
class Overlay:
    """Instruments along a path.

    Attributes
    ----------
    total
        Dollars at the end of each bar, collateral included, shape ``(T,)``.
    cash
        Dollars that are left to the desk once the hedges are paid for.
    by_class, by_sector
        Dollars won since the first bar; those without a sector stand under their asset class.
    stale
        How many values rest on a price of before.
    labels
        What is taken for granted in the values.
    """

    total: NDArray[np.float64]
    cash: float
    by_class: Mapping[str, float]
    by_sector: Mapping[str, float]
    stale: int = 0
    labels: tuple[str, ...] = ()


def overlay_of(path: Path, holdings: Holdings, hedges: Mapping[str, float]) -> Overlay:
    """Bind the instruments of a portfolio and its hedges at the first bar, and value them at every bar.

    Hedges are bought at the first bar, at their values: without a spread, which is said in the labels. What a short
    sale brings in is kept as collateral: no strategy trades with it, and it earns nothing. There is no fee for the loan
    and no margin, which is said too.

    Raises
    ------
    BadInput, UnknownName
        See :func:`quantdesk.scenarios.instruments.bind`; or the cash does not pay for the hedges.
    """
    quantities = dict(holdings.instruments)
    for text, many in hedges.items():
        quantities[text] = quantities.get(text, 0.0) + many
    if not quantities:
        return Overlay(np.zeros(len(path.ends)), holdings.cash, {}, {})
    start = state_of(path, 0)
    bound = bind(Book(quantities), start)
    costs = (
        [one.quantity * one.instrument.value(start) for one in bind(Book(hedges), start).positions] if hedges else []
    )
    paid, collateral = sum(max(cost, 0.0) for cost in costs), sum(max(-cost, 0.0) for cost in costs)
    if paid > holdings.cash:
        raise BadInput(
            f"The hedges cost {paid:,.0f} dollars and the portfolio has {holdings.cash:,.0f} in cash.",
            "Give more cash, or fewer hedges.",
        )
    values = bound.values(path)
    won = values.values[-1] - values.values[0]
    classes: dict[str, float] = {}
    sectors: dict[str, float] = {}
    for position, amount in zip(values.positions, won.tolist(), strict=True):
        kind = str(position.instrument.asset_class)
        for sums, key in ((classes, kind), (sectors, position.instrument.sector or kind)):
            sums[key] = sums.get(key, 0.0) + amount
    labels = (
        *values.labels,
        *(("hedges are bought at midpoints",) if hedges else ()),
        *(("what is sold short pays no loan and no margin",) if collateral else ()),
    )
    return Overlay(
        values.total + collateral, holdings.cash - paid, classes, sectors, sum(values.stale.values()), labels
    )
