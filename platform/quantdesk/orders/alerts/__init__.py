"""Alerts: rules that watch a desk, in production and in a scenario alike.

::

    watch        Watch: observations in, alerts out
    rules        AlertRules: which conditions, how bad, for how long
    catalogue    what there is to watch for
    conditions/  one class each: account, orders, market
    activity     from the entries of the ledger to what the conditions ask
    observation  what is looked at: the account, the market, what was written since
    files*       the bundled rules, and the desk's own
    observe*     an observation of a live desk

``*`` marks the edge. Time comes in with each observation: the same observations give the same alerts.

>>> watch = Watch(in_force())
>>> seen = observe_desk(desk)                      # doctest: +SKIP
>>> for alert in watch.look(seen):                 # doctest: +SKIP
...     print(alert)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.orders.alerts.files import bundled, in_force, read
    from quantdesk.orders.alerts.observation import Observation, Shown
    from quantdesk.orders.alerts.observe import Surroundings, observe_desk
    from quantdesk.orders.alerts.rules import AlertRule, AlertRules, parse
    from quantdesk.orders.alerts.watch import Alert, Watch

_HOMES = {
    "Alert": "watch",
    "AlertRule": "rules",
    "AlertRules": "rules",
    "Observation": "observation",
    "Shown": "observation",
    "Surroundings": "observe",
    "Watch": "watch",
    "bundled": "files",
    "in_force": "files",
    "observe_desk": "observe",
    "parse": "rules",
    "read": "files",
}

__all__ = [
    "Alert",
    "AlertRule",
    "AlertRules",
    "Observation",
    "Shown",
    "Surroundings",
    "Watch",
    "bundled",
    "in_force",
    "observe_desk",
    "parse",
    "read",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
