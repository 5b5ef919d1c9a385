"""What a report asks for: the parameters of a notebook, their types and bounds, and the check of what was given. Pure.

::

    parameter   one parameter: type, bounds, choices, and which values it takes
    cell        the cell tagged ``parameters``, read and never run
    refine      what the declaration adds: unit, bounds, choices, label, help
    checks      given values, checked before any kernel starts

The cell tagged ``parameters`` is read, never run: each line gives a name, an optional annotation, a plain value as the
default and a trailing comment as help::

    symbols: list[str] = ["AAPL", "MSFT"]   # which series
    start = "2010-01-04"                     # first session
    window: int | None = None                # sessions; None for all

Types come from the annotation where there is one, otherwise from the default; a text that is an ISO date makes the
parameter a date. Values are data from beginning to end: they arrive as JSON, are checked here against the type
(strictly: ``"20"`` is no integer), and reach the notebook as literals.
"""

from __future__ import annotations

from quantdesk.reports.spec.cell import read_parameters
from quantdesk.reports.spec.checks import check, parse, taken
from quantdesk.reports.spec.parameter import Parameter
from quantdesk.reports.spec.refine import refined

__all__ = ["Parameter", "check", "parse", "read_parameters", "refined", "taken"]
