"""What guardrails answer: a value, never an exception. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Decision", "GuardrailViolation", "Severity"]

Severity = Literal["blocking", "warning"]


@dataclass(frozen=True, slots=True)
class GuardrailViolation:
    """One check that did not pass.

    Attributes
    ----------
    code
        Which check: ``SYMBOL_HALTED``, ``PRICE_COLLAR`` ...
    message
        A sentence with the limit and the value.
    severity
        ``blocking`` stops the order, ``warning`` goes with it.
    limit, value
        What was allowed and what was found, as text with its unit.
    clause
        What the check serves: ``15c3-5(c)(1)(i)``, ``Rule 201`` ...
    """

    code: str
    message: str
    severity: Severity
    limit: str = ""
    value: str = ""
    clause: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Text."""
        return {name: getattr(self, name) for name in GuardrailViolation.__slots__}


@dataclass(frozen=True, slots=True)
class Decision:
    """All violations of one order, in the order of the policy's checks.

    Attributes
    ----------
    violations
        What did not pass.
    policy
        The name and hash of the policy that was asked.
    checked
        The codes of every check that was made.
    """

    violations: tuple[GuardrailViolation, ...]
    policy: str
    checked: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing blocks."""
        return all(violation.severity != "blocking" for violation in self.violations)

    @property
    def blocking(self) -> tuple[GuardrailViolation, ...]:
        """What blocks."""
        return tuple(violation for violation in self.violations if violation.severity == "blocking")

    @property
    def warnings(self) -> tuple[GuardrailViolation, ...]:
        """What only warns."""
        return tuple(violation for violation in self.violations if violation.severity == "warning")

    def to_dict(self) -> dict[str, Any]:
        """Text and truth values."""
        return {
            "allowed": self.allowed,
            "violations": [violation.to_dict() for violation in self.violations],
            "policy": self.policy,
            "checked": list(self.checked),
        }
