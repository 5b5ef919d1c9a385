"""From a path to a stage: minutes where they are asked for, the halts that emerge, the market. Pure."""

from __future__ import annotations

from quantdesk.errors import BadInput
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.run.config import RunConfig
from quantdesk.scenarios.run.loop import Stage
from quantdesk.scenarios.scenario import Scenario

__all__ = ["stage_of"]


def stage_of(path: Path, scenario: Scenario | None, config: RunConfig, *, minutes: int | None = None) -> Stage:
    """Everything that the accounts of a run share.

    Parameters
    ----------
    path
        Days, as the store has them; or a path of its own.
    scenario
        What declared it; None for a path of its own.
    config
        The settings.
    minutes
        So many minutes instead of the whole window.

    Raises
    ------
    BadInput
        The scenario has no minutes, or fewer.
    """
    if minutes is not None:
        raise BadInput("not yet", "")
    return Stage(
        path,
        PathMarket(path, config.market),
        config,
        label=label_of(path),
        title="" if scenario is None else scenario.title,
    )


def label_of(path: Path) -> str:
    """What must be said of every fill."""
    said = ", ".join(path.labels)
    return f"quotes simulated around the values of {path.name}" + (f" ({said})" if said else "")
