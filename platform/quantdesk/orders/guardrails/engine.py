"""Asking every check about an order, or about a ranked list of symbols. Pure, but for the bundled policy's file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.guardrails.case import Case, Check, Found, Rule
from quantdesk.orders.guardrails.catalogue import BY_CODE
from quantdesk.orders.guardrails.decision import Decision
from quantdesk.orders.guardrails.files import bundled
from quantdesk.orders.guardrails.policy import Policy
from quantdesk.orders.guardrails.situation import Situation
from quantdesk.orders.order import Order
from quantdesk.orders.symbols import canonical

__all__ = ["Explained", "Guardrails"]

_KEPT = 4096
"""Pairs of user and symbol whose settings are kept ready."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One check as a policy has it, in words.

    Attributes
    ----------
    code, about, clause
        Which, what it stops, what it serves.
    enabled
        Whether it is asked at all.
    severity
        ``blocking`` or ``warning``; empty for a check that speaks only of a missing input.
    limits
        With their units; empty for a check without any.
    hard
        How far a limit may be loosened; empty where nowhere.
    research, live
        What a missing input does: ``warns``, ``blocks``, or empty where none can be missing.
    reducing
        ``pass`` where risk-reducing orders do.
    picks
        Whether it is asked about a symbol without an order.
    needs
        What it must know.
    overrides
        For whom or for what something else holds.
    """

    code: str
    about: str
    clause: str
    enabled: bool
    severity: str
    limits: str
    hard: str
    research: str
    live: str
    reducing: str
    picks: bool
    needs: str
    overrides: str

    def to_dict(self) -> dict[str, Any]:
        """Text and truth values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Ready:
    """The checks for one use, user and symbol."""

    asked: tuple[tuple[Check, Rule], ...]
    checked: tuple[str, ...]
    for_picks: tuple[tuple[Check, Rule], ...]
    checked_for_picks: tuple[str, ...]


class Guardrails:
    """What a desk allows, asked before anything is sent.

    Parameters
    ----------
    policy
        Limits, severities and fail modes; those that ship with quantdesk when left out.

    Examples
    --------
    >>> from quantdesk.orders.guardrails import Guardrails, Situation
    >>> from quantdesk.orders import Order
    >>> from quantdesk.orders.portfolio import Portfolio
    >>> situation = Situation(at=1_764_000_000_000_000_000, use="research", portfolio=Portfolio(cash=10**12))
    >>> decision = Guardrails().check(Order("AAPL", "buy", 200_000), situation)
    >>> decision.allowed, [violation.code for violation in decision.blocking]
    (False, ['MAX_SHARES'])
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = bundled() if policy is None else policy
        self._ready: dict[tuple[str, str | None, str, int], _Ready] = {}

    def check(self, order: Order, situation: Situation) -> Decision:
        """Ask every check that the policy enables.

        Parameters
        ----------
        order
            What somebody wants to trade.
        situation
            What is known at that moment. It is read, never changed.

        Returns
        -------
        Decision
            All violations, in the order of the catalogue; a check that stops does not keep others from being asked.

        Raises
        ------
        BadInput
            The quotes or the halt are of another symbol.
        """
        symbol = order.symbol
        quotes, halt = situation.quotes, situation.halt
        if quotes is not None and quotes.symbol != symbol:
            raise BadInput(f"The quotes are of {quotes.symbol}.", f"Give those of {symbol}, which the order is for.")
        if halt is not None and halt.symbol != symbol:
            raise BadInput(f"The halt status is of {halt.symbol}.", f"Give that of {symbol}, which the order is for.")
        ready = self._of(order.user_id, symbol, situation)
        case = Case(order, situation)
        found: Found = []
        for check, rule in ready.asked:
            check(case, rule, found)
        return Decision(tuple(found), self.policy.title, ready.checked)

    def check_picks(
        self, symbols: Iterable[str], situation_of: Callable[[str], Situation], user_id: str | None = None
    ) -> list[tuple[str, Decision]]:
        """Ask about a ranked list of symbols, before there are orders.

        Each is asked about as a purchase of one share, by the checks for which shares, side and price make no
        difference: breakers, halts, the phase of the day, the restricted list.

        Parameters
        ----------
        symbols
            In the order of their rank, which the answer keeps.
        situation_of
            From a symbol to what is known of it.
        user_id
            Whose overrides hold.

        Returns
        -------
        list of (str, Decision)
            One for each symbol, in its one form.

        Raises
        ------
        BadInput
            Something is no symbol.
        """
        answers = []
        for name in symbols:
            symbol = canonical(name)
            situation = situation_of(symbol)
            ready = self._of(user_id, symbol, situation)
            case = Case(Order(symbol, "buy", 1, user_id=user_id), situation)  # type: ignore[arg-type]  # text will do
            found: Found = []
            for check, rule in ready.for_picks:
                check(case, rule, found)
            answers.append((symbol, Decision(tuple(found), self.policy.title, ready.checked_for_picks)))
        return answers

    def explain(self, user: str | None = None, symbol: str = "", at: int = 0) -> tuple[Explained, ...]:
        """Every check, its limits, severity, clause and fail modes, in words.

        Parameters
        ----------
        user, symbol
            For whom and for what; overrides that hold are in the limits.
        at
            Nanoseconds since 1970 (UTC): temporary changes that hold then are in the limits.
        """
        return tuple(_explained(self.policy, code, user, symbol, at) for code in BY_CODE)

    def _of(self, user: str | None, symbol: str, situation: Situation) -> _Ready:
        key = (situation.use, user, symbol, self.policy.epoch(situation.at))
        ready = self._ready.get(key)
        if ready is None:
            if len(self._ready) >= _KEPT:
                self._ready.clear()
            rules = self.policy.rules(situation.use, user, symbol, situation.at)
            picks = [rule for rule in rules if BY_CODE[rule.code].for_picks]
            ready = self._ready[key] = _Ready(
                tuple((rule.check, rule) for rule in rules),
                tuple(rule.code for rule in rules),
                tuple((rule.check, rule) for rule in picks),
                tuple(rule.code for rule in picks),
            )
        return ready


def _explained(policy: Policy, code: str, user: str | None, symbol: str, at: int) -> Explained:
    one, held = BY_CODE[code], policy.settings(code, user, symbol, at)
    says = {"open": "warns", "closed": "blocks"}
    bounds = policy.hard.get(code, {})
    overrides = [
        f"{who}: {_said(code, settings)}"
        for over in (policy.users, policy.symbols)
        for who, checks in sorted(over.items())
        for settings in [checks.get(code)]
        if settings
    ]
    return Explained(
        code=code,
        about=one.about,
        clause=one.clause,
        enabled=held["enabled"],
        severity=held.get("severity", ""),
        limits=_said(code, {name: held[name] for name in one.limits}),
        hard=_said(code, bounds),
        research=says.get(held.get("fail.research", ""), ""),
        live=says.get(held.get("fail.live", ""), ""),
        reducing="pass" if one.lets_reduce else "",
        picks=one.for_picks,
        needs=one.needs,
        overrides="; ".join(overrides),
    )


def _said(code: str, settings: Mapping[str, Any]) -> str:
    return ", ".join(_one(code, key, value) for key, value in settings.items())


def _one(code: str, key: str, value: Any) -> str:
    limit = BY_CODE[code].limits.get(key)
    if limit is None:
        return f"{key} {str(value).lower()}"
    shown = limit.unit.show(value)
    if key == limit.unit.name:
        return shown
    return f"{shown} of {key.removeprefix('of_')}" if key.startswith("of_") else f"{key} {shown}"
