"""Notebooks as reports: typed parameters, runs that always leave a page, one visual language.

::

    theme            plotly template, palettes, tokens.css, the line of labels
    figures          the figures that notebooks draw
    spec             parameters of a notebook, and the check of what was given       (pure)
    notebooks        the notebooks that can run: found by name, read, checked
    runner           run(name, parameters): one process each, limits, progress, cancellation
    runs             what runs leave behind: list, find, read
    page             the self-contained HTML page of a run                           (pure)
    kernelspec       the Jupyter kernel named quantdesk
    scratch, supervise, worker, engine, watch, processes, publish, banner, environment, provenance
                     how a run is carried out

The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.kernelspec import install as install_kernel
    from quantdesk.reports.notebooks import Report, find_report, list_reports
    from quantdesk.reports.runner import ReportFailed, run
    from quantdesk.reports.runs import Run, Status, find_run, list_runs
    from quantdesk.reports.scratch import recover
    from quantdesk.reports.spec import Parameter
    from quantdesk.reports.watch import Limits

_HOMES = {
    "Limits": ("watch", "Limits"),
    "Parameter": ("spec", "Parameter"),
    "Report": ("notebooks", "Report"),
    "ReportFailed": ("runner", "ReportFailed"),
    "Run": ("runs", "Run"),
    "Status": ("runs", "Status"),
    "find_report": ("notebooks", "find_report"),
    "find_run": ("runs", "find_run"),
    "list_reports": ("notebooks", "list_reports"),
    "list_runs": ("runs", "list_runs"),
    "install_kernel": ("kernelspec", "install"),
    "recover": ("scratch", "recover"),
    "run": ("runner", "run"),
}

__all__ = [
    "Limits",
    "Parameter",
    "Report",
    "ReportFailed",
    "Run",
    "Status",
    "find_report",
    "find_run",
    "install_kernel",
    "list_reports",
    "list_runs",
    "recover",
    "run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home[0]}"), home[1])


def __dir__() -> list[str]:
    return __all__
