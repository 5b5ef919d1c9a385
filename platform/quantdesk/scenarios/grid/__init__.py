"""Many runs at once: scenarios x strategies x settings, wherever there is room, with the same results everywhere.

>>> from quantdesk.scenarios.grid import cells_of, run_grid
>>> cells = cells_of(["lehman", "covid"], ["momentum_alpha", "mean_reversion"], seeds=range(5))  # doctest: +SKIP
>>> run_grid(cells).to_frame()                                                                    # doctest: +SKIP

::

    cell     Cell: one run, as names and settings; cells_of makes all of them   (pure)
    worker   what a worker does with a cell                                     (edge)
    result   what came of all of them                                           (pure)
    grid     run_grid                                                           (edge)
"""

from __future__ import annotations

from quantdesk.scenarios.grid.cell import Cell, cells_of
from quantdesk.scenarios.grid.grid import run_grid
from quantdesk.scenarios.grid.result import CellResult, GridResult, Standing
from quantdesk.scenarios.grid.worker import run_cell

__all__ = ["Cell", "CellResult", "GridResult", "Standing", "cells_of", "run_cell", "run_grid"]
