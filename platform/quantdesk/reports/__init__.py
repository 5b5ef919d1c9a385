"""Notebooks as reports: typed parameters, runs that always leave a page, one visual language.

::

    theme            plotly template, palettes, tokens.css, the line of labels
    figures          the figures that notebooks draw
    spec             parameters of a notebook, and the check of what was given       (pure)
    declaration      owner, schedules, limits, units and bounds, metrics: in metadata or a TOML file  (pure)
    recording        record(): what a notebook says of its results
    notebooks        the notebooks that can run: found by name, read, checked
    runner           run(name, parameters): one process each, limits, progress, cancellation
    runs             what runs leave behind: list, find, read
    result           what a run is                                                   (pure)
    amounts          numbers for people                                              (pure)
    progress         how far a run is, and how long it takes yet                     (pure)
    recorded         metrics and tables, collected from an executed notebook         (pure)
    thumbnails       small pictures of its figures                                   (pure)
    capped           how much output of a cell is kept                               (pure)
    memory, limits   how much memory a run uses, and what it may take
    storage          the store of a team, over fsspec
    page             the self-contained HTML page of a run                           (pure)
    ledger           runs, schedules, remarks and messages, in a database
    schedule         when a report is due: cron, and the hours of markets            (pure)
    dispatch         the worker: due times become runs, runs are carried out, each once
    deliver          pages and alerts to people
    compare          two runs side by side                                           (pure)
    lab              JupyterLab's own interface for jobs, kept by the platform
    reproduce        a run made again
    cache, earlier   a run that need not be made again
    kernels          kernels and workers forked from a process that has imported the stack
    kernelspec       the Jupyter kernel named quantdesk
    scratch, supervise, worker, engine, watch, processes, publish, banner, environment, provenance
                     how a run is carried out

The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.declaration import Declaration
    from quantdesk.reports.kernelspec import install as install_kernel
    from quantdesk.reports.notebooks import Report, find_report, list_reports
    from quantdesk.reports.progress import Step
    from quantdesk.reports.recording import record
    from quantdesk.reports.result import Metric
    from quantdesk.reports.runner import ReportFailed, run
    from quantdesk.reports.runs import Run, Status, find_run, list_runs
    from quantdesk.reports.scratch import recover
    from quantdesk.reports.spec import Parameter
    from quantdesk.reports.watch import Limits

_HOMES = {
    "Declaration": ("declaration", "Declaration"),
    "Limits": ("watch", "Limits"),
    "Metric": ("result", "Metric"),
    "Parameter": ("spec", "Parameter"),
    "Report": ("notebooks", "Report"),
    "ReportFailed": ("runner", "ReportFailed"),
    "Run": ("runs", "Run"),
    "Status": ("runs", "Status"),
    "Step": ("progress", "Step"),
    "find_report": ("notebooks", "find_report"),
    "find_run": ("runs", "find_run"),
    "list_reports": ("notebooks", "list_reports"),
    "list_runs": ("runs", "list_runs"),
    "install_kernel": ("kernelspec", "install"),
    "record": ("recording", "record"),
    "recover": ("scratch", "recover"),
    "run": ("runner", "run"),
}

__all__ = [
    "Declaration",
    "Limits",
    "Metric",
    "Parameter",
    "Report",
    "ReportFailed",
    "Run",
    "Status",
    "Step",
    "find_report",
    "find_run",
    "install_kernel",
    "list_reports",
    "list_runs",
    "record",
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
