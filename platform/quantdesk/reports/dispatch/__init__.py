"""The worker of reports: due times become runs, and runs that wait are carried out. Each once, whatever dies.

::

    work            a run to carry out, and how it ended; whether it is tried again       (pure)
    dependencies    whether a run that waits for other reports may go on                  (pure)
    orders          what a schedule asks the ledger for                                   (a name by chance)
    config          how many at once, how patiently                                       (edge: environment)
    declared        schedules of notebooks, kept in the ledger                            (edge: disk, database)
    due             due times into the queue, runs that waited, runs whose worker died    (edge: database)
    here            carries a run out on this machine                                     (edge: processes, disk)
    elsewhere       carries a run out on a Dask cluster                                   (edge: disk, threads)
    served          what an earlier run answers, since nothing has changed                (edge: disk, database)
    found           the record of a run that nobody announced, read as what a stranger left    (edge: disk)
    adopt           runs made without the ledger, noted in it                             (edge: disk, database)
    retention       which runs are past what their report keeps                           (pure)
    removal         their files are removed                                               (edge: disk, database, store)
    upkeep          what a worker does beside its runs: notes, sends, removes             (edge: threads)
    tell            whom the end of a run is told                                         (edge: database, threads)
    wake            a wait that a signal can end                                          (edge: a pipe)
    active          what is under way: heartbeats, ends, through a database that is gone  (edge: database, threads)
    worker          the process: claims, drains                                           (edge: threads, signals)

Whoever dies at any moment leaves nothing undone: a due time is in the queue or its schedule is not handled that far; a
run that was claimed comes back when its claim is over; a finished folder is found by the run's name and not made again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.dispatch.config import WorkerConfig
    from quantdesk.reports.dispatch.due import Scheduler
    from quantdesk.reports.dispatch.work import Execute, Outcome, Work
    from quantdesk.reports.dispatch.worker import Worker

_HOMES = {
    "Execute": "work",
    "Outcome": "work",
    "Scheduler": "due",
    "Work": "work",
    "Worker": "worker",
    "WorkerConfig": "config",
}

__all__ = ["Execute", "Outcome", "Scheduler", "Work", "Worker", "WorkerConfig"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
