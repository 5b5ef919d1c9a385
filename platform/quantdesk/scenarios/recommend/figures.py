"""What is kept of a run, and what a change did to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Effect", "Figures", "Told", "figures_of"]

_YEAR = 365.25 * 86_400e9


class _Account(Protocol):
    @property
    def error(self) -> str: ...


class Told(Protocol):
    """What is asked of a result; a :class:`~quantdesk.scenarios.result.StressResult` has it."""

    @property
    def accounts(self) -> Sequence[_Account]:
        """Each with its `error`."""

    @property
    def value(self) -> NDArray[np.float64]:
        """Dollars at the ends of bars."""

    @property
    def ends(self) -> NDArray[np.int64]:
        """Of bars, nanoseconds."""

    @property
    def pnl_impact(self) -> float:
        """Dollars."""

    @property
    def max_drawdown(self) -> float:
        """Percent, 0 or negative."""

    @property
    def digest(self) -> str:
        """Equal for equal results."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run.

    Attributes
    ----------
    pnl
        Dollars.
    max_drawdown
        Percent, 0 or negative.
    start_value
        Dollars.
    years
        Length of the window.
    digest
        Of the whole result.
    """

    pnl: float
    max_drawdown: float
    start_value: float
    years: float
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Rounded as results are."""
        return {"pnl": round(self.pnl, 2), "max_drawdown": round(self.max_drawdown, 4), "digest": self.digest}


def figures_of(result: Told) -> Figures:
    """The figures of a result."""
    ends = result.ends
    return Figures(
        pnl=float(result.pnl_impact),
        max_drawdown=float(result.max_drawdown),
        start_value=float(result.value[0]),
        years=float(ends[-1] - ends[0]) / _YEAR,
        digest=result.digest,
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """One scenario before and after a change.

    Attributes
    ----------
    before, after
        The figures.
    """

    before: Figures
    after: Figures

    @property
    def pnl(self) -> float:
        """Dollars gained by the change, below 0: lost."""
        return self.after.pnl - self.before.pnl

    @property
    def pnl_points(self) -> float:
        """The same in percent of the starting value before the change."""
        return self.pnl / self.before.start_value * 100

    @property
    def drawdown_points(self) -> float:
        """Percentage points by which the deepest drawdown became shallower, below 0: deeper."""
        return self.after.max_drawdown - self.before.max_drawdown

    def to_dict(self) -> dict[str, Any]:
        """Both, and the differences."""
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "pnl_gain": round(self.pnl, 2),
            "drawdown_gain_points": round(self.drawdown_points, 4),
        }
