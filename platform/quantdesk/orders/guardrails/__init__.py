"""What a desk allows: checks of orders against a policy.

::

    engine      Guardrails: every check, asked about an order or a list of picks
    catalogue   what there is: code, clause, limits, what each check must know
    checks/     the checks, one function each: market, price, size, exposure, conduct
    case        what the checks of one order share; what "risk-reducing" means
    situation   what is known at the moment of a decision
    policy      limits, severities and fail modes; overrides; temporary changes
    text        from TOML to a policy
    files*      the bundled policy, and the desk's own
    limits      units: how a limit is written, counted and shown
    day         the rules of the day, taken out of the rulebook
    recent      what was sent lately
    kills       kill switches
    decision    the answer

``*`` marks the edge. Names are imported when they are used: the answer alone, which results carry, loads quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation

if TYPE_CHECKING:
    from quantdesk.orders.guardrails.day import DayRules, day_rules
    from quantdesk.orders.guardrails.engine import Explained, Guardrails
    from quantdesk.orders.guardrails.files import bundled, in_force, read
    from quantdesk.orders.guardrails.kills import Kill, Kills
    from quantdesk.orders.guardrails.policy import LimitChange, Policy
    from quantdesk.orders.guardrails.recent import Recent
    from quantdesk.orders.guardrails.situation import Resting, Situation
    from quantdesk.orders.guardrails.text import parse

_HOMES = {
    "DayRules": "day",
    "Explained": "engine",
    "Guardrails": "engine",
    "Kill": "kills",
    "Kills": "kills",
    "LimitChange": "policy",
    "Policy": "policy",
    "Recent": "recent",
    "Resting": "situation",
    "Situation": "situation",
    "bundled": "files",
    "day_rules": "day",
    "in_force": "files",
    "parse": "text",
    "read": "files",
}

__all__ = [
    "DayRules",
    "Decision",
    "Explained",
    "GuardrailViolation",
    "Guardrails",
    "Kill",
    "Kills",
    "LimitChange",
    "Policy",
    "Recent",
    "Resting",
    "Situation",
    "bundled",
    "day_rules",
    "in_force",
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
