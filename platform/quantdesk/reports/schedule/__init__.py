"""When reports are due: cron, and the hours of exchanges, in words. Pure.

::

    trigger     Trigger: what a schedule is asked
    text        parse(): from what people write to a trigger
    cron        five fields, right over daylight saving
    market      "30 minutes after the NYSE close", "first session of the month at 08:00"
    days        sessions of an exchange, and fixing days
    catch_up    missed(): what to run of that which was missed

The clock never comes from here: each question holds its moment. The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.schedule.catch_up import CatchUp, Decision, missed
    from quantdesk.reports.schedule.text import parse
    from quantdesk.reports.schedule.trigger import CalendarEnds, Trigger

_HOMES = {
    "CalendarEnds": "trigger",
    "CatchUp": "catch_up",
    "Decision": "catch_up",
    "Trigger": "trigger",
    "missed": "catch_up",
    "parse": "text",
}

__all__ = ["CalendarEnds", "CatchUp", "Decision", "Trigger", "missed", "parse"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
