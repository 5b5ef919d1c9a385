"""All cells of a grid, wherever there is room. An edge module: it uses a place of compute, and the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path as Folder

import cloudpickle

from quantdesk.compute import Compute, Lost, chosen
from quantdesk.errors import BadInput, DataError
from quantdesk.market import MarketStore
from quantdesk.scenarios.grid.cell import Cell
from quantdesk.scenarios.grid.result import CellResult, GridResult, Standing
from quantdesk.scenarios.grid.worker import run_packed

__all__ = ["Progress", "run_grid"]

Progress = Callable[[int, int], None]
"""Told how many cells are done, of how many."""

_GRACE_S = 120.0


def run_grid(
    cells: Sequence[Cell],
    compute: Compute | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    store: MarketStore | None = None,
) -> GridResult:
    """Run every cell.

    A cell that fails, fails alone: its strategy raises, never returns, or ends its process. The order of the results is
    that of the cells, and they are the same bytes whatever the number of workers.

    Parameters
    ----------
    cells
        See :func:`~quantdesk.scenarios.grid.cells_of`.
    compute
        Where. When None, what the environment names; a Dask cluster of this machine's processors if it names nothing.
    progress
        Called before the first cell, and after each one.
    cancelled
        Asked several times a second; once it says yes, what is done is kept, and the rest is not run. Ctrl-C does the
        same.
    store
        Where history comes from. Workers read the same folder; the environment's, and theirs, when None.

    Returns
    -------
    GridResult
        Its cells are ``not_run`` where the grid was cancelled.

    Raises
    ------
    BadInput
        There is no cell, or a strategy that cannot travel to a worker; nothing is run then.
    DataError
        Two workers made different paths of one scenario: they do not read the same market data.
    EnvironmentProblem
        The cluster cannot be reached, or was lost.
    """
    if not cells:
        raise BadInput("The grid has no cells.", "Give at least one.")
    place = compute if compute is not None else chosen(local=os.cpu_count() or 1)
    root = None if store is None else store.root
    packed = [_packed(cell, root) for cell in cells]
    limit = max(cell.config.time_limit_s for cell in cells) + _GRACE_S
    found: dict[int, CellResult] = {}
    begun = time.monotonic()
    if progress is not None:
        progress(0, len(cells))
    try:
        for number, answer in place.each(run_packed, packed, limit_s=limit, stop=cancelled):
            found[number] = _unpacked(cells[number], answer)
            if progress is not None:
                progress(len(found), len(cells))
    except KeyboardInterrupt:
        pass  # what is done is kept
    seconds = time.monotonic() - begun
    results = tuple(
        found.get(number) or CellResult(cell, Standing.NOT_RUN, None, "The grid was cancelled before.")
        for number, cell in enumerate(cells)
    )
    _agree(results)
    return GridResult(results, seconds, type(place).__name__)


def _packed(cell: Cell, root: Folder | None) -> tuple[bytes, Folder | None]:
    try:
        return bytes(cloudpickle.dumps(cell)), root
    except Exception as error:
        raise BadInput(
            f"The strategy {cell.strategy_name!r} cannot travel to a worker ({type(error).__name__}: {error}).",
            "Let it open files, locks and connections when it is called, instead of holding them.",
        ) from error


def _unpacked(cell: Cell, answer: bytes | Lost) -> CellResult:
    if isinstance(answer, Lost):
        return CellResult(cell, Standing.LOST, None, answer.why)
    standing, result, error = cloudpickle.loads(answer)
    return CellResult(cell, standing, result, error)


def _agree(results: Sequence[CellResult]) -> None:
    """Refuse results that rest on different data: some workers may read another store."""
    seen: dict[tuple[str, str, int], dict[str, str]] = {}
    for one in results:
        if one.result is None or not isinstance(one.cell.scenario, str):
            continue
        key = (one.cell.scenario, str(one.cell.duration_minutes), one.cell.config.seed)
        hashes = {name: sha for name, sha in one.result.data_hashes.items() if not name.startswith("strategy ")}
        if seen.setdefault(key, hashes) != hashes:
            names = sorted(name for name in hashes if hashes[name] != seen[key].get(name))
            raise DataError(
                f"Two workers made different paths of {one.cell.scenario}: {', '.join(names)}.",
                "Let all workers read the same market data (QUANTDESK_MARKET_ROOT).",
            )
