"""The gallery: reports, their runs, what these left behind, and what people make of them, as pages.

Server-rendered and complete without JavaScript; with it, what is under way moves by itself. Each page shows what the
ledger of runs says to the one who looks, and nothing else: a private run is not there for others.

::

    shelf, shelf_pages        the gallery itself: one row for each report, searched and filtered
    run_pages                 the runs of a report; one run, live while it is under way
    leavings, frame_pages     files of a run; its page in a frame that reaches nothing
    form, order_pages         a form made from typed parameters; run it, cancel it
    remark_pages              comments and sign-offs
    timetable, schedule_pages when reports run by themselves
    compare_pages             two runs, side by side
    look, sparkline           words, shapes, numbers, times; a line of values as a picture     (pure)
    library                   what the pages ask for: the catalogue, who looks, the fields of a form
    lab                       where a notebook opens in JupyterLab

:func:`routers` and the folders ``templates`` and ``static`` are what the service takes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["routers"]

_PAGES = ("shelf_pages", "order_pages", "run_pages", "frame_pages", "remark_pages", "schedule_pages", "compare_pages")


def routers() -> tuple[APIRouter, ...]:
    """All pages of the gallery."""
    return tuple(importlib.import_module(f"{__name__}.{name}").router for name in _PAGES)
