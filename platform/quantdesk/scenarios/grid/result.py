"""What came of a grid: one result a cell, in the order of the cells, and what was not run. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from quantdesk.scenarios.grid.cell import Cell
from quantdesk.scenarios.result import StressResult

__all__ = ["CellResult", "GridResult", "Standing"]


class Standing(StrEnum):
    """How a cell ended."""

    DONE = "done"
    FAILED = "failed"
    """Its strategy raised or took too long, or its scenario, portfolio or settings are none; `error` says which."""
    LOST = "lost"
    """It ended its process time after time, or its process had to be ended for it."""
    NOT_RUN = "not_run"
    """The grid was cancelled before."""


@dataclass(frozen=True, eq=False)
class CellResult:
    """One run, or why there is none.

    Attributes
    ----------
    cell
        What was asked.
    standing
        How it ended.
    result
        Of the one strategy. A strategy that failed in the middle has one too: what it held is held to the end. None
        where the run did not begin or was lost.
    error
        A sentence; empty where all is well.
    """

    cell: Cell
    standing: Standing
    result: StressResult | None = None
    error: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of all that is told, without the time of the run; equal runs have equal ones, wherever they ran."""
        told = "" if self.result is None else self.result.digest
        return hashlib.sha256(f"{self.standing}\n{self.error}\n{told}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class GridResult:
    """All cells.

    Attributes
    ----------
    cells
        In the order in which they were given.
    seconds
        That it took; no part of the digest.
    where
        On what it ran; no part of the digest.
    """

    cells: tuple[CellResult, ...]
    seconds: float = 0.0
    where: str = ""

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[CellResult]:
        return iter(self.cells)

    def count(self, standing: Standing) -> int:
        """How many cells ended so."""
        return sum(one.standing is standing for one in self.cells)

    @property
    def is_complete(self) -> bool:
        """Whether every cell was run, well or not."""
        return not self.count(Standing.NOT_RUN)

    @property
    def digest(self) -> str:
        """SHA-256 of those of the cells: the same for any number of workers."""
        return hashlib.sha256("\n".join(one.digest for one in self.cells).encode()).hexdigest()

    def to_frame(self) -> pd.DataFrame:
        """One row a cell: what it is, dollars, percent, counts, and how it ended. NaN where there is no result."""
        return pd.DataFrame([_row(one) for one in self.cells])

    def table(self, figure: str = "pnl") -> pd.DataFrame:
        """A figure of :meth:`to_frame`: one row a scenario, one column a strategy, the mean over what else differs."""
        frame = self.to_frame()
        return frame.pivot_table(figure, "scenario", "strategy", sort=False, dropna=False)


def _row(one: CellResult) -> dict[str, object]:
    found, cell = one.result, one.cell
    return {
        "scenario": cell.scenario_name if found is None else found.scenario,
        "strategy": cell.strategy_name,
        "variant": cell.variant,
        "seed": cell.config.seed,
        "pnl": float("nan") if found is None else found.pnl_impact,
        "max_drawdown": float("nan") if found is None else found.max_drawdown,
        "risk_limit_breaches": float("nan") if found is None else len(found.events("breaches")),
        "execution_failures": float("nan") if found is None else len(found.events("failures")),
        "system_alerts": float("nan") if found is None else len(found.events("alerts")),
        "share_real": float("nan") if found is None else found.share_real["all"],
        "standing": str(one.standing),
        "error": one.error,
    }
