"""What a worker does with a cell: the stage from its own store, the run, and the failure as a value. An edge module.

A process keeps one engine, which keeps its last stages: two hundred runs do not replay two hundred times.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as Folder
from typing import Any

import cloudpickle

from quantdesk.errors import QuantdeskError
from quantdesk.market import MarketStore
from quantdesk.scenarios.engine import ScenarioEngine
from quantdesk.scenarios.grid.cell import Cell
from quantdesk.scenarios.grid.result import CellResult, Standing

__all__ = ["run_cell", "run_packed"]


def run_cell(cell: Cell, root: Folder | None = None) -> CellResult:
    """Run one cell.

    Parameters
    ----------
    cell
        Which.
    root
        Folder of the market data; the one of this process's environment when None.

    Returns
    -------
    CellResult
        Whatever goes wrong with the cell is in it; nothing is raised.
    """
    try:
        result = _engine(root).run(
            cell.scenario,
            {cell.strategy_name: cell.strategy},
            cell.portfolio,
            cell.duration_minutes,
            seed=cell.config.seed,
            config=cell.config,
        )
    except QuantdeskError as error:
        return CellResult(cell, Standing.FAILED, None, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a strategy may do anything, and fails alone)
        return CellResult(cell, Standing.FAILED, None, f"{type(error).__name__}: {error}")
    why = result.accounts[0].error
    return CellResult(cell, Standing.FAILED if why else Standing.DONE, result, why)


def run_packed(packed: tuple[bytes, Folder | None]) -> bytes:
    """The same for a cell that came from elsewhere; what goes back does not hold the cell again."""
    cell, root = packed
    found = run_cell(cloudpickle.loads(cell), root)
    told: Any = (found.standing, found.result, found.error)
    return bytes(cloudpickle.dumps(told))


@lru_cache(maxsize=2)
def _engine(root: Folder | None) -> ScenarioEngine:
    return ScenarioEngine(MarketStore(root))
