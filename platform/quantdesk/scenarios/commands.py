"""What the command line calls: one call a command. An edge module: it reads files, and the environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput, DataError

if TYPE_CHECKING:
    from quantdesk.scenarios.run import RunConfig
    from quantdesk.scenarios.scenario import Scenario
    from quantdesk.scenarios.strategies import Named, Wisher

__all__ = ["compared", "configured", "listed", "portfolio_of"]

Progress = Callable[[str, int, int], None]

_LARGEST = 1_000_000


def listed() -> tuple[Scenario, ...]:
    """The catalogue, a user's own scenarios included, in the order of time."""
    from quantdesk.scenarios import catalog

    return tuple(sorted((catalog.load(name) for name in catalog.names()), key=lambda one: one.start))


def portfolio_of(pairs: Sequence[str], file: Path | None) -> dict[str, float]:
    """A portfolio from ``NAME=QUANTITY`` and a JSON file; a million dollars when there is neither.

    Raises
    ------
    BadInput
        A pair that is none, or a name twice.
    DataError
        The file cannot be read, or holds no object of numbers.
    """
    found: dict[str, float] = {} if file is None else _read(file)
    for pair in pairs:
        name, equals, quantity = pair.rpartition("=")
        try:
            amount = float(quantity.replace("_", ""))
        except ValueError:
            amount = float("nan")
        if not equals or not name or amount != amount:
            raise BadInput(
                f"{pair!r} is no part of a portfolio.", "Give NAME=QUANTITY, as in cash=1000000 or AAPL=500."
            )
        if name in found:
            raise BadInput(f"{name} stands twice in the portfolio.", "Give each once.")
        found[name] = amount
    return found or {"cash": 1_000_000.0}


def _read(file: Path) -> dict[str, float]:
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(f"{file} is larger than a megabyte.", "Give a portfolio.")
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read ({error}).", 'Give a JSON file: {"cash": 1000000, "AAPL": 500}.'
        ) from None
    if not isinstance(given, dict):
        raise DataError(f"{file} holds no object.", 'Give {"cash": 1000000, "AAPL": 500}.')
    return {str(name): value for name, value in given.items()}


def configured(settings: Mapping[str, Any], hedges: Sequence[str] = ()) -> RunConfig:
    """The settings of a run: those that were given, and the defaults for the others."""
    from quantdesk.scenarios.run import RunConfig

    given = {name: value for name, value in settings.items() if value is not None}
    bought = portfolio_of(hedges, None) if hedges else {}
    return RunConfig(**given, hedges=bought)


def compared(
    scenarios: Sequence[str],
    strategies: Mapping[str, str | Named | Wisher],
    portfolio: Mapping[str, float],
    *,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> list[dict[str, Any]]:
    """Every strategy through every scenario, on the processes or the cluster of the environment.

    Returns
    -------
    list of dict
        One a scenario and strategy, the scenarios in the order of time: P&L and starting value in dollars, drawdown in
        percent, counts, the share of real data, and the error of what failed.

    Raises
    ------
    UnknownName
        No such scenario.
    """
    from quantdesk.scenarios import catalog
    from quantdesk.scenarios.grid import cells_of, run_grid

    for name in scenarios:
        catalog.load(name)  # a name that is none is an error of the caller, not of a cell
    names = list(scenarios) or [one.name for one in listed()]
    cells = cells_of(names, dict(strategies), portfolios={"": portfolio}, seeds=(seed,))
    found = run_grid(cells, progress=lambda done, total: progress("scenarios x strategies", done, total))
    rows = []
    for one in found:
        result = one.result
        rows.append(
            {
                "scenario": one.cell.scenario_name if result is None else result.scenario,
                "strategy": one.cell.strategy_name,
                "pnl": None if result is None else round(result.pnl_impact, 2),
                "start_value": None if result is None else round(float(result.value[0]), 2),
                "max_drawdown": None if result is None else round(result.max_drawdown, 4),
                "risk_limit_breaches": None if result is None else len(result.events("breaches")),
                "execution_failures": None if result is None else len(result.events("failures")),
                "system_alerts": None if result is None else len(result.events("alerts")),
                "share_real": None if result is None else round(result.share_real["all"], 4),
                "scenario_id": None if result is None else result.scenario_id,
                "error": one.error,
            }
        )
    return rows
