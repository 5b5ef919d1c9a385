"""What is known of each traded symbol of a path before its window: volatility and volume. Pure."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.market.config import MarketConfig
from quantdesk.scenarios.path import Path

__all__ = ["Known"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Known:
    """What is known before.

    Parameters
    ----------
    path
        With its history.
    config
        What is assumed where the history does not say.
    """

    def __init__(self, path: Path, config: MarketConfig) -> None:
        self.path, self.config = path, config
        self.columns = [path.column(symbol) for symbol in path.traded]

    @cached_property
    def sigma(self) -> Floats:
        """Daily volatility of the history, shape ``(traded,)``."""
        history = self.path.history
        found = np.full(len(self.columns), np.nan)
        if history is not None and len(history.ends) > 20:
            closes = history.close[-61:, [history.column(symbol) for symbol in self.path.traded]]
            with np.errstate(invalid="ignore"):
                moves = np.diff(np.log(closes), axis=0)
            enough = np.isfinite(moves).sum(axis=0) >= 20
            found[enough] = np.nanstd(moves[:, enough], axis=0, ddof=1)
        return np.where((found > 0) & np.isfinite(found), found, self.config.daily_volatility)

    @cached_property
    def volume(self) -> Floats:
        """Shares a day before the window, shape ``(traded,)``; from the assumed dollar volume where unknown."""
        first = np.array([self.first_price(column) for column in self.columns])
        return np.where(self.is_assumed, self.config.dollar_volume / first, self._known_volume)

    @cached_property
    def is_assumed(self) -> Bools:
        """Of which symbols the volume is not known; that of an index is of its members, and not of a fund."""
        kinds = np.array([asset.kind == "index" for asset in self.path.assets])[self.columns]
        return np.asarray(~(self._known_volume > 0) | kinds, dtype=np.bool_)

    @cached_property
    def _known_volume(self) -> Floats:
        """Mean of the last days before the window, shape ``(traded,)``; NaN where there is none."""
        found = np.full(len(self.columns), np.nan)
        history = self.path.history
        if history is not None and history.volume is not None:
            volumes = history.volume[-21:, [history.column(symbol) for symbol in self.path.traded]]
            known = np.isfinite(volumes).any(axis=0)
            found[known] = np.nanmean(volumes[:, known], axis=0)
        return found

    def first_price(self, column: int) -> float:
        """Of a column of the path; 1 where it has none."""
        values = self.path.close[:, column]
        known = values[np.isfinite(values)]
        return float(known[0]) if known.size else 1.0
