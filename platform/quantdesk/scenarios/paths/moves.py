"""The history that drawn paths are fitted to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.path import Path

__all__ = ["LEAST_DAYS", "Moves"]

Floats = NDArray[np.float64]

LEAST_DAYS = 100
"""Days of history below which nothing is fitted."""


@dataclass(frozen=True, eq=False)
class Moves:
    """Daily moves of several assets, all known on each day.

    Attributes
    ----------
    symbols
        Of the columns, N.
    values
        Shape ``(T, N)``: simple returns; differences for a rate.
    labels
        What must be said of all that comes of it.

    Raises
    ------
    BadInput
        Fewer than 100 days, a number that is not finite, another shape, or a column that never moves.
    """

    symbols: tuple[str, ...]
    values: Floats
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.symbols) or not self.symbols:
            raise BadInput(
                f"The moves of {len(self.symbols)} symbols have the shape {self.values.shape}.",
                "Give one row a day and one column a symbol.",
            )
        if len(self.values) < LEAST_DAYS:
            raise BadInput(
                f"There are {len(self.values)} days on which all of {', '.join(self.symbols)} moved.",
                f"At least {LEAST_DAYS} are needed: begin the history earlier, or leave a symbol out.",
            )
        wrong = np.argwhere(~np.isfinite(self.values))
        if len(wrong):
            row, column = (int(place) for place in wrong[0])
            raise BadInput(
                f"The move of {self.symbols[column]} in row {row} is {self.values[row, column]!r}.",
                "Moves are finite numbers: drop or repair the day first.",
            )
        still = np.ptp(self.values, axis=0) == 0
        if still.any():
            name = self.symbols[int(np.flatnonzero(still)[0])]
            raise BadInput(f"{name} makes the same move every day.", "Leave it out: nothing can be learnt from it.")

    @classmethod
    def of(cls, path: Path) -> Moves:
        """From the days of a daily path on which every asset has a value; a day that one lacks is left out for all.

        What happened over a day left out comes in the move of the next.

        Raises
        ------
        BadInput
            The path is intraday, holds a price that is not above 0, or too few days.
        """
        if path.is_intraday:
            raise BadInput(f"The path {path.name!r} is by the minute.", "Drawn paths are fitted to daily bars.")
        closes = path.close[~np.isnan(path.close).any(axis=1)]
        rates = np.array([asset.kind == "rate" for asset in path.assets])
        if (closes[:, ~rates] <= 0).any():
            raise BadInput(
                f"The path {path.name!r} holds a price that is not above 0.",
                "There is no return from it: leave the asset out or begin after it.",
            )
        steps = np.diff(closes, axis=0)
        values = np.where(rates, steps, steps / np.where(rates, 1.0, closes[:-1]))
        return cls(path.symbols, values, path.labels)
