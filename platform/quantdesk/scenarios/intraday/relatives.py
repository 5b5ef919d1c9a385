"""How an asset moves with the index, from the daily bars before; its minutes are made of that. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.path import Asset, Path

__all__ = ["LEAST_DAYS", "Relative", "index_of", "moves", "relative"]

Floats = NDArray[np.float64]

LEAST_DAYS = 60
"""Common days below which no beta is estimated."""
WINDOW = 250
"""Days that are looked back, the last ones before the first minute."""
_USUAL = 0.01
"""Daily standard deviation that stands in where there is no history."""


@dataclass(frozen=True, slots=True)
class Relative:
    """An asset and the index.

    Attributes
    ----------
    beta
        Moves of the asset for one of the index.
    rest
        Daily standard deviation of what the index does not explain.
    logs
        Whether moves are those of logarithms.
    days
        From how many common days; 0 where there were too few, and beta is 1 for what is traded as a share, else 0.
    """

    beta: float
    rest: float
    logs: bool
    days: int

    @property
    def said(self) -> str:
        """In words."""
        if not self.days:
            return f"beta {self.beta:g} for want of a history"
        return f"beta {self.beta:.2f} from {self.days} days before"


def index_of(path: Path, symbol: str | None = None) -> int | None:
    """The column of the index that the market goes by: the one named, else SPX, else the first; None without any."""
    if symbol is not None:
        return path.column(symbol)
    if "SPX" in path.symbols:
        return path.column("SPX")
    return next((place for place, asset in enumerate(path.assets) if asset.kind == "index"), None)


def is_relative(asset: Asset, *values: float) -> bool:
    """Whether moves are counted as logarithms: rates and what is at or below 0 move by differences."""
    return asset.kind != "rate" and all(value > 0 for value in values)


def moves(asset: Asset, closes: Floats) -> Floats:
    """From close to close, shape ``(T - 1,)``: differences of logarithms, or of values where they cannot be had."""
    if is_relative(asset, *closes[~np.isnan(closes)].tolist()):
        return np.diff(np.log(closes))
    return np.diff(closes)


def relative(asset: Asset, closes: Floats, index: Asset | None, index_closes: Floats | None) -> Relative:
    """Least squares of the asset's daily moves on the index's.

    Parameters
    ----------
    asset, closes
        Which, and its daily closes before the first minute, shape ``(T,)``, NaN where there is none.
    index, index_closes
        Of the index on the same days; None where there is no index.
    """
    closes = closes[-WINDOW - 1 :]
    own = moves(asset, closes)
    logs = is_relative(asset, *closes[~np.isnan(closes)].tolist())
    beta = 1.0 if asset.is_traded else 0.0
    known = own[~np.isnan(own)]
    spread = float(known.std()) if len(known) >= LEAST_DAYS else 0.0
    if index is not None and index_closes is not None:
        driver = moves(index, index_closes[-WINDOW - 1 :])
        both = ~np.isnan(own) & ~np.isnan(driver)
        if both.sum() >= LEAST_DAYS and driver[both].std() > 0:
            x, y = driver[both] - driver[both].mean(), own[both] - own[both].mean()
            slope = float(x @ y / (x @ x))
            return Relative(slope, float((y - slope * x).std()), logs, int(both.sum()))
    return Relative(beta if index is not None else 0.0, spread or _scale(asset, closes), logs, 0)


def _scale(asset: Asset, closes: Floats) -> float:
    """A usual day's move: one percent, or of a rate five basis points."""
    known = closes[~np.isnan(closes)]
    if is_relative(asset, *known.tolist()):
        return _USUAL
    return 0.05 if asset.kind == "rate" else _USUAL * float(np.abs(known).mean() if len(known) else 1.0)
