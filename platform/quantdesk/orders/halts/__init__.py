"""What stops trading: single stocks at their bands, the whole market at its levels, the hours of the day, the feeds.

::

    status      TRADING, HALTED or UNKNOWN; the plug-in point of halts
    known       halts that a caller declares, for scenarios and venues
    client*     all sources merged: HaltClient (config*, remote*, commands*)
    evidence    what each source says, and how their words become one
    board       what the feeds said last
    feeds*      the trade halts of Nasdaq and New York
    luld        limit up / limit down: bands, monitor
    breakers    the market-wide breakers
    phases      the phase of the day, auctions and their cut-offs
    sessions    when an exchange opens, closes and has lunch
    closures    days on which an exchange was shut that calendars lack
    hours       the regular session of New York

``*`` marks the edges. Names are imported when they are used, so that the pure ones do not load the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.orders.halts import breakers, feeds, luld, phases
    from quantdesk.orders.halts.client import HaltClient, get_halt_client
    from quantdesk.orders.halts.known import KnownHalts
    from quantdesk.orders.halts.status import Halts, HaltStatus, Status

_ROOMS = ("breakers", "feeds", "luld", "phases")
_HOMES = {
    "HaltClient": "client",
    "HaltStatus": "status",
    "Halts": "status",
    "KnownHalts": "known",
    "Status": "status",
    "get_halt_client": "client",
}

__all__ = [
    "HaltClient",
    "HaltStatus",
    "Halts",
    "KnownHalts",
    "Status",
    "breakers",
    "feeds",
    "get_halt_client",
    "luld",
    "phases",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
