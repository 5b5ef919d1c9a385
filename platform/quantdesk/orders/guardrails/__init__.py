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

``*`` marks the edge.
"""

from __future__ import annotations

from quantdesk.orders.guardrails.day import DayRules, day_rules
from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation
from quantdesk.orders.guardrails.engine import Explained, Guardrails
from quantdesk.orders.guardrails.files import bundled, in_force, read
from quantdesk.orders.guardrails.kills import Kill, Kills
from quantdesk.orders.guardrails.policy import LimitChange, Policy
from quantdesk.orders.guardrails.recent import Recent
from quantdesk.orders.guardrails.situation import Resting, Situation
from quantdesk.orders.guardrails.text import parse

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
