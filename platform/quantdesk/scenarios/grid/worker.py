"""What a worker does with a cell: the stage from its own store, the run, and the failure as a value. An edge module.

A process keeps the stages of the scenarios that it met last, so that two hundred runs do not replay two hundred times.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path as Folder
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from quantdesk.errors import QuantdeskError
from quantdesk.market import MarketStore
from quantdesk.scenarios.engine import ScenarioEngine, Subject
from quantdesk.scenarios.grid.cell import Cell
from quantdesk.scenarios.grid.result import CellResult, Standing
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.run import RunConfig, Stage
from quantdesk.scenarios.scenario import Scenario

__all__ = ["KeepingEngine", "run_cell", "run_packed"]

_KEPT = 8


class KeepingEngine(ScenarioEngine):
    """An engine that keeps the last stages it made.

    A stage of days depends on the settings of its market alone; one of minutes, and what is invented, on the seed too.
    """

    def __init__(self, store: MarketStore | None = None) -> None:
        super().__init__(store)
        self._made: OrderedDict[str, Stage] = OrderedDict()
        self._turn = threading.Lock()

    def stage(self, scenario: Subject, duration_minutes: int | None = None, config: RunConfig | None = None) -> Stage:
        """See :meth:`ScenarioEngine.stage`."""
        config = config or RunConfig()
        version = "" if isinstance(scenario, Path) else self.store.version
        what = (scenario, duration_minutes, config.market, version)
        with self._turn:
            for key in (_key(what), _key((*what, config.seed))):
                if key in self._made:
                    self._made.move_to_end(key)
                    return replace(self._made[key], config=config)
            made = super().stage(scenario, duration_minutes, config)
            is_of_days = isinstance(scenario, (str, Scenario)) and not made.path.is_intraday
            self._made[_key(what if is_of_days else (*what, config.seed))] = made
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return made


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
def _engine(root: Folder | None) -> KeepingEngine:
    return KeepingEngine(MarketStore(root))


def _key(what: Any) -> str:
    return hashlib.sha256(cloudpickle.dumps(what)).hexdigest()
