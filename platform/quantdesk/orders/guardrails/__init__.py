"""What a desk allows: checks of orders against a policy."""

from __future__ import annotations

from quantdesk.orders.guardrails.decision import Decision, GuardrailViolation

__all__ = ["Decision", "GuardrailViolation"]
