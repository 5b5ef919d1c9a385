"""What a desk allows: limits, severities and fail modes of every check, as data with a name and a hash. Pure.

A limit comes from the policy itself; an override for the user or for the symbol takes its place, and where both have
one, the stricter holds. A temporary change (:class:`LimitChange`) takes the place of what it names until its end, at
which it reverts by itself: nobody has to remember.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.guardrails.case import Rule
from quantdesk.orders.guardrails.catalogue import CHECKS, Spec, spec
from quantdesk.orders.guardrails.decision import Severity
from quantdesk.orders.guardrails.limits import Limit, seconds
from quantdesk.orders.guardrails.situation import Use
from quantdesk.orders.symbols import canonical

__all__ = ["LimitChange", "Policy", "Settings"]

Settings = Mapping[str, Any]
"""What is set of one check: ``enabled``, ``severity``, ``fail.research``, ``fail.live``, and its limits by name."""
Overrides = Mapping[str, Mapping[str, Settings]]

_SEVERITY: Mapping[str, Severity] = {"open": "warning", "closed": "blocking"}
_ORDER = {"enabled": (False, True), "severity": ("warning", "blocking")}  # from the looser to the stricter


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A limit that is another one for a while. A value, to be kept in the ledger.

    Attributes
    ----------
    check, field
        Which limit: ``MAX_SHARES``, ``shares``.
    value
        As in TOML: whole numbers for shares and counts, text for dollars, fractions and seconds.
    until
        Nanoseconds since 1970 (UTC): from this moment on it holds no longer.
    by, why
        Who changes it, and the reason.
    at
        From when it holds: nanoseconds since 1970 (UTC).
    user, symbol
        For whom or for what it holds; at most one of them. Without either it takes the place of the policy's own limit,
        and overrides go on taking its place.
    """

    check: str
    field: str
    value: int | str
    until: int
    by: str
    why: str
    at: int
    user: str | None = None
    symbol: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Text and whole numbers; the arguments of another one like it."""
        return asdict(self)


@dataclass(frozen=True)
class Policy:
    """The settings of every check, overrides, and the temporary changes that were made. It never changes itself.

    Attributes
    ----------
    name
        For people; it stands on every decision, with the hash.
    checks
        Per check its settings.
    hard
        Per check the bounds of its limits by name.
    users, symbols
        Overrides: per user or symbol and check, what is set otherwise.
    longest_change
        Nanoseconds for which a temporary change may hold.
    changes
        Temporary changes in the order in which they were made, past ones included.
    """

    name: str
    checks: Mapping[str, Settings]
    hard: Mapping[str, Mapping[str, int]]
    users: Overrides = field(default_factory=dict)
    symbols: Overrides = field(default_factory=dict)
    longest_change: int = 86_400 * SECOND
    changes: tuple[LimitChange, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """The hash of everything that it says, temporary changes included."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def title(self) -> str:
        """Name and the beginning of the hash, as on a decision."""
        return f"{self.name} {self.sha256[:12]}"

    @cached_property
    def _boundaries(self) -> list[int]:
        return sorted({moment for change in self.changes for moment in (change.at, change.until)})

    def epoch(self, at: int) -> int:
        """A number that is the same for moments between which no temporary change begins or ends."""
        return bisect_right(self._boundaries, at) if self.changes else 0

    def with_change(self, change: LimitChange) -> Policy:
        """The same policy with one more temporary change.

        Raises
        ------
        UnknownName
            There is no such check, or no such limit.
        BadInput
            It cannot be made: no number, looser than the hard bound or loosened without one, too long, over before it
            begins, for a user and a symbol at once, by nobody, or for no reason.
        """
        what = _limit(change)
        try:
            value = what.read(change.value)
        except ValueError as error:
            raise BadInput(f"{change.check} {change.field} = {change.value!r}: {error}.",
                           f"Give {what.unit.name} as in the policy.") from None  # fmt: skip
        if change.user is not None and change.symbol is not None:
            raise BadInput("A temporary change for a user and a symbol at once.", "Name one of them.")
        if change.symbol is not None:
            change = replace(change, symbol=canonical(change.symbol))
        show = what.unit.show
        bound = self.hard.get(change.check, {}).get(change.field)
        own = self.checks[change.check][change.field]
        if bound is None and what.is_beyond(value, own):
            raise BadInput(f"{change.check} {change.field} cannot be loosened to {show(value)} for a while: the policy "
                           "has no hard bound for it.", f"It may only be made stricter than {show(own)}.")  # fmt: skip
        if bound is not None and what.is_beyond(value, bound):
            raise BadInput(f"{change.check} {change.field} = {show(value)} is beyond the hard bound.",
                           f"{show(bound)} is the loosest that the policy {self.name!r} allows.")  # fmt: skip
        if not 0 < change.until - change.at <= self.longest_change:
            raise BadInput(f"A temporary change of {seconds(max(change.until - change.at, 0))}.",
                           f"Let it end after it begins, within {seconds(self.longest_change)}.")  # fmt: skip
        if not change.by or not change.why:
            raise BadInput("A temporary change without a person or a reason.", "Say who makes it, and why.")
        return replace(self, changes=(*self.changes, change))

    def with_changes(self, changes: Iterable[LimitChange], at: int) -> Policy:
        """The same policy with the changes that a ledger holds, in their order, without those that are over by `at`.

        Raises
        ------
        UnknownName, BadInput
            One that is not over cannot be made, for example because the policy has become stricter since.
        """
        policy = self
        for change in changes:
            if change.until > at:
                policy = policy.with_change(change)
        return policy

    def settings(self, code: str, user: str | None = None, symbol: str = "", at: int = 0) -> Settings:
        """What is in force of a check for a user and a symbol at a moment (nanoseconds since 1970, UTC).

        Raises
        ------
        UnknownName
            There is no such check.
        """
        one = spec(code)
        base = {**self.checks[code], **self._changed(code, at, None, None)}
        own = {**self.users.get(user or "", {}).get(code, {}), **self._changed(code, at, user, None)} if user else {}
        about = (
            {**self.symbols.get(symbol, {}).get(code, {}), **self._changed(code, at, None, symbol)} if symbol else {}
        )
        for key in {*own, *about}:
            if key in own and key in about:
                over = _strictest(one, key, own[key], about[key])
            else:
                over = own[key] if key in own else about[key]
            base[key] = one.limits[key].laid_over(base[key], over) if key in one.limits else over
        return base

    def rules(self, use: Use, user: str | None, symbol: str, at: int) -> tuple[Rule, ...]:
        """The checks that are enabled, in the order of the catalogue, ready to be asked."""
        found = []
        for one in CHECKS:
            held = self.settings(one.code, user, symbol, at)
            if not held["enabled"]:
                continue
            unknown = _SEVERITY[held.get(f"fail.{use}", "closed")]
            limits = {name: held[name] for name in one.limits}
            severity = held.get("severity", unknown)
            found.append(Rule(one.code, one.clause, severity, unknown, limits, one.check))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in text, whole numbers, lists and mappings; limits in the units that are counted."""
        return {
            "name": self.name,
            "checks": _plain(self.checks),
            "hard": _plain(self.hard),
            "users": _plain(self.users),
            "symbols": _plain(self.symbols),
            "longest_change": self.longest_change,
            "changes": [change.to_dict() for change in self.changes],
        }

    def _changed(self, code: str, at: int, user: str | None, symbol: str | None) -> dict[str, Any]:
        """The limits that a temporary change gives at a moment; of several the last that was made."""
        if not self.changes:
            return {}
        return {
            change.field: _limit(change).read(change.value)
            for change in self.changes
            if change.check == code
            and change.at <= at < change.until
            and (change.user, change.symbol) == (user, symbol)
        }


def _limit(change: LimitChange) -> Limit:
    one = spec(change.check)
    numbers = {name: limit for name, limit in one.limits.items() if limit.is_number}
    if change.field not in numbers:
        raise UnknownName(f"limit of {one.code} that can be changed for a while", change.field, numbers)
    return numbers[change.field]


def _strictest(one: Spec, key: str, first: Any, second: Any) -> Any:
    if key in one.limits:
        return one.limits[key].strictest(first, second)
    order = _ORDER.get(key, ("open", "closed"))
    return max(first, second, key=order.index)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in sorted(value.items())}
    return sorted(value) if isinstance(value, frozenset) else value
