"""Two runs side by side, for a screen, a page and for the proof that a run can be made again. Pure.

::

    values       whether numbers, texts and trees of JSON say the same
    outputs      what a cell gave, in a form that can be compared
    cells        which cells belong together (nbdime), and what differs in each
    comparison   :func:`compare_runs`: parameters, metrics, provenance, cells, figures
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.compare.cells import CellDiff, Figure, FigurePair
    from quantdesk.reports.compare.comparison import Change, Comparison, MetricChange, compare_runs
    from quantdesk.reports.compare.outputs import OutputDiff
    from quantdesk.reports.compare.values import Tolerance

_HOMES = {
    "CellDiff": "cells",
    "Change": "comparison",
    "Comparison": "comparison",
    "Figure": "cells",
    "FigurePair": "cells",
    "MetricChange": "comparison",
    "OutputDiff": "outputs",
    "Tolerance": "values",
    "compare_runs": "comparison",
}

__all__ = [
    "CellDiff",
    "Change",
    "Comparison",
    "Figure",
    "FigurePair",
    "MetricChange",
    "OutputDiff",
    "Tolerance",
    "compare_runs",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
