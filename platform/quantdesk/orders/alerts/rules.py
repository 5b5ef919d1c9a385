"""Which conditions are watched, how bad each is, how long it must hold: data with a name and a hash. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.alerts.catalogue import CONDITIONS

__all__ = ["AlertRule", "AlertRules", "Severity", "parse"]

Severity = Literal["info", "warning", "critical"]

_SPANS = ("for_s", "clear_s", "again_s")
_LONGEST = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule.

    Attributes
    ----------
    rule_id
        Its name, on every alert: ``DRAWDOWN``.
    condition
        What is watched: a name of :data:`~quantdesk.orders.alerts.catalogue.CONDITIONS`.
    severity
        ``info``, ``warning`` or ``critical``.
    limit
        The numbers of the condition.
    about
        What it means, a sentence.
    runbook
        What to do first, a sentence.
    for_s
        Seconds for which the condition must have held before the rule fires.
    clear_s
        Seconds for which it must hold no longer before the alert is resolved.
    again_s
        Seconds after an alert within which the rule does not fire again for the same subject.
    enabled
        Whether it is watched.

    Raises
    ------
    BadInput, UnknownName
        Names the rule and what is wrong.
    """

    rule_id: str
    condition: str
    severity: Severity
    limit: Mapping[str, float]
    about: str
    runbook: str
    for_s: float = 0.0
    clear_s: float = 0.0
    again_s: float = 0.0
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise UnknownName("condition of an alert rule", str(self.condition), CONDITIONS)
        if self.severity not in get_args(Severity):
            self._refuse("severity", f"{self.severity!r} is none", f"Give {', '.join(get_args(Severity))}.")
        for name in ("about", "runbook"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip():
                self._refuse(name, f"{text!r} is no sentence", "Say what it means, and what to do first.")
        for name in _SPANS:
            span = getattr(self, name)
            number = isinstance(span, int | float) and not isinstance(span, bool) and math.isfinite(span)
            if not number or not 0 <= span <= _LONGEST:
                self._refuse(name, f"{span!r} is no number of seconds", f"Give 0 to {_LONGEST:,.0f}.")
        if not isinstance(self.enabled, bool):
            self._refuse("enabled", f"{self.enabled!r} is no truth value", "Give true or false.")
        wanted = CONDITIONS[self.condition].parameters
        for name in self.limit:
            if name not in wanted:
                raise UnknownName(f"number of {self.rule_id} ({self.condition})", name, wanted)
        for name, bounds in wanted.items():
            if name not in self.limit:
                self._refuse(name, "it is missing", f"Give {bounds.least:g} to {bounds.most:g} {bounds.unit}.")
            if why := bounds.refusal(self.limit[name]):
                self._refuse(name, why, f"Give {bounds.least:g} to {bounds.most:g} {bounds.unit}.")

    def _refuse(self, name: str, what: str, remedy: str) -> None:
        raise BadInput(f"{name} of the alert rule {self.rule_id}: {what}.", remedy)


@dataclass(frozen=True)
class AlertRules:
    """Rules in an order, which is that of alerts that fire together.

    Attributes
    ----------
    name
        For people.
    rules
        By their ids.
    """

    name: str
    rules: Mapping[str, AlertRule]

    def __iter__(self) -> Iterator[AlertRule]:
        return iter(self.rules.values())

    def __len__(self) -> int:
        return len(self.rules)

    def __getitem__(self, rule_id: str) -> AlertRule:
        """The rule of an id.

        Raises
        ------
        UnknownName
            There is none.
        """
        if rule_id not in self.rules:
            raise UnknownName("alert rule", rule_id, self.rules)
        return self.rules[rule_id]

    @cached_property
    def sha256(self) -> str:
        """The hash of everything that they say."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def title(self) -> str:
        """Name and the beginning of the hash."""
        return f"{self.name} {self.sha256[:12]}"

    def to_dict(self) -> dict[str, Any]:
        """Text, numbers and mappings."""
        return {"name": self.name, "rules": [{**asdict(rule), "limit": dict(rule.limit)} for rule in self]}


def parse(text: str, source: str, base: AlertRules | None = None) -> AlertRules:
    """Read rules.

    Parameters
    ----------
    text
        TOML: a ``name``, and one table ``[rules.ID]`` for each rule. With a `base`, the table of a rule that is there
        holds what differs; any other is a new rule.
    source
        The file's name, for messages.
    base
        The rules that it is laid over.

    Raises
    ------
    BadInput
        It is no TOML, or a rule is wrong; the message names file, rule and key.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source} is not TOML: {error}.", "Mend that line.") from error
    for key in content:
        if key not in ("name", "rules"):
            raise BadInput(f"{source}: there is no {key!r} in alert rules.", "Give a name, and tables [rules.ID].")
    name, tables = content.get("name", base.name if base is not None else None), content.get("rules", {})
    if not isinstance(name, str) or not 0 < len(name.strip()) <= 60 or not name.isprintable():
        raise BadInput(f"{source}: the name of the rules is {name!r}.", "Give 1 to 60 printable characters.")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise BadInput(f"{source}: rules is no table of tables.", "Write [rules.ID].")
    rules = {} if base is None else dict(base.rules)
    for rule_id, table in tables.items():
        try:
            rules[rule_id] = _rule(rule_id, table, rules.get(rule_id))
        except BadInput as error:
            raise BadInput(f"{source}, [rules.{rule_id}]: {error.problem}", error.remedy) from error
    return AlertRules(name, rules)


def _rule(rule_id: str, table: Mapping[str, Any], before: AlertRule | None) -> AlertRule:
    own = {name: table[name] for name in ("severity", "about", "runbook", "enabled", *_SPANS) if name in table}
    limit = {name: value for name, value in table.items() if name not in (*own, "condition")}
    if before is not None and table.get("condition", before.condition) == before.condition:
        return replace(before, **own, limit={**before.limit, **limit})
    for name in ("condition", "severity", "about", "runbook"):
        if name not in table:
            raise BadInput(f"The new alert rule {rule_id} has no {name}.", "Give condition, severity, about, runbook.")
    return AlertRule(rule_id=rule_id, condition=table["condition"], limit=limit, **own)
