"""What came of a shock: a path, what else it does to markets, and how far the method can be believed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.scenarios.path import Path
from quantdesk.scenarios.shocks.correlation import Repair
from quantdesk.scenarios.shocks.moves import Covariance
from quantdesk.scenarios.shocks.propagation import PropagationError
from quantdesk.scenarios.shocks.shock import Shocks

__all__ = ["Outage", "Shocked"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outage:
    """A window in which feeds show nothing of some symbols: ``begins <= t < ends``, nanoseconds since 1970 (UTC)."""

    symbols: tuple[str, ...]
    begins: int
    ends: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Shocked:
    """The result of :func:`~quantdesk.scenarios.shocks.generate.generate`. T bars, N assets of the path.

    Attributes
    ----------
    path
        Daily; its first bar is the last of the base, all others are simulated.
    shocks
        What was asked.
    cov
        Of the era by which the others moved.
    moves
        Index of symbols, at the bar at which the last shock has its full extent, from the first close: ``role``
        (``shocked``, ``conditional``, ``missing``), ``unit`` (``%`` or ``bp``), ``mean`` (asked, or expected given
        the shocked), ``simulated`` (with noise; NaN where its market is closed), ``deviation`` (of one day in the era).
    spread, depth
        Shape ``(T, N)``: multiples of what they would be otherwise.
    outages
        Of feeds.
    correlation
        What became of a correlation_breakdown; None without one.
    error
        How wrong the method was in the crises; None where the panel reaches none of them.
    notes
        How numbers came about.
    seed
        Of the noise.
    """

    path: Path
    shocks: Shocks
    cov: Covariance
    moves: pd.DataFrame
    spread: Floats
    depth: Floats
    outages: tuple[Outage, ...] = ()
    correlation: Repair | None = None
    error: PropagationError | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0

    def text(self) -> str:
        """For people: what was asked, what moves how, and how wrong the method was."""
        cov = self.cov
        lines = [
            f"{self.shocks.describe()} (simulated, seed {self.seed})",
            f"Covariance: {cov.era.describe()}, {cov.days} days, {cov.estimator}",
            f"{'symbol':<10}{'role':<13}{'mean':>10}{'simulated':>12}{'daily sd':>11}",
        ]
        for symbol, row in self.moves.iterrows():
            said = [f"{row[name]:.2f} {row['unit']}" for name in ("mean", "simulated", "deviation")]
            said = ["-" if one.startswith("nan") else one for one in said]
            lines.append(f"{symbol!s:<10}{row['role']:<13}{said[0]:>10}{said[1]:>12}{said[2]:>11}")
        lines += self.notes
        if self.correlation is not None:
            lines.append(self.correlation.describe())
        lines += [
            "",
            self.error.text() if self.error else "The panel reaches none of the crises: the error is unknown.",
        ]
        return "\n".join(lines)
