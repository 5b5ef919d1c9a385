"""The watch: observations in, alerts out. Pure: it reads no clock, and the same observations give the same alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.alerts.activity import Activity
from quantdesk.orders.alerts.catalogue import CONDITIONS
from quantdesk.orders.alerts.conditions.condition import NOW, Breach, Condition, Scene, nanos
from quantdesk.orders.alerts.observation import Observation
from quantdesk.orders.alerts.rules import AlertRule, AlertRules, Severity
from quantdesk.orders.amounts import SECOND, moment

__all__ = ["Alert", "Watch"]


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that fired.

    Attributes
    ----------
    rule, severity
        Which, and how bad it is.
    at
        When it fired, nanoseconds since 1970 (UTC).
    since
        When its condition began; that of an order, a report or a quote where it began between two looks.
    symbol
        What it concerns: a symbol, sector or user; empty for the whole desk.
    message
        A sentence.
    numbers
        What was found (``value``), from where on it is too much (``limit``), and more.
    runbook
        What to do first.
    resolved
        When it was over, None while it is not.
    """

    rule: str
    severity: Severity
    at: int
    since: int
    symbol: str
    message: str
    numbers: Mapping[str, float]
    runbook: str
    resolved: int | None = None

    @property
    def detected_after_s(self) -> float:
        """Seconds from the beginning of the condition to the alert."""
        return (self.at - self.since) / SECOND

    def __str__(self) -> str:
        return f"{moment(self.at):%Y-%m-%d %H:%M:%S} {self.severity} {self.rule}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Text and numbers."""
        return {**{name: getattr(self, name) for name in Alert.__slots__}, "numbers": dict(self.numbers)}


@dataclass(slots=True)
class _Episode:
    """From the beginning of a condition to its end, of one rule and subject."""

    since: int
    alert: Alert | None = None
    gone_at: int | None = None


class _Watched:
    """One rule, its condition, and what goes on of it."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.condition: Condition = CONDITIONS[rule.condition](rule.limit)
        self.episodes: dict[str, _Episode] = {}
        self.quiet_until: dict[str, int] = {}
        self._for, self._clear, self._again = nanos(rule.for_s), nanos(rule.clear_s), nanos(rule.again_s)

    def look(self, scene: Scene, fired: list[Alert], ended: list[Alert]) -> None:
        found = self.condition.breaches(scene)
        if not found and not self.episodes:
            return
        at = scene.seen.at
        for breach in found:
            begun = at if breach.since == NOW else min(breach.since, at)
            episode = self.episodes.setdefault(breach.subject, _Episode(begun))
            episode.gone_at = None
            quiet = self.quiet_until.get(breach.subject, at)
            if episode.alert is None and at - episode.since >= self._for and at >= quiet:
                episode.alert = self._alert(breach, at, episode.since)
                self.quiet_until[breach.subject] = at + self._again
                fired.append(episode.alert)
        if len(self.episodes) > len(found):
            self._end({breach.subject for breach in found}, at, ended)

    def _end(self, holding: set[str], at: int, ended: list[Alert]) -> None:
        for subject, episode in list(self.episodes.items()):
            if subject in holding:
                continue
            if episode.gone_at is None:
                episode.gone_at = at
            if episode.alert is None:
                del self.episodes[subject]
            elif at - episode.gone_at >= self._clear:
                ended.append(replace(episode.alert, resolved=at))
                del self.episodes[subject]

    def _alert(self, breach: Breach, at: int, since: int) -> Alert:
        rule = self.rule
        subject, message, numbers, _ = breach
        return Alert(rule.rule_id, rule.severity, at, since, subject, message, numbers, rule.runbook)


class Watch:
    """Looks at a desk, again and again.

    Parameters
    ----------
    rules
        What it watches.

    Attributes
    ----------
    seq
        The number of the last entry of the ledger that it was shown: the next observation begins behind it.
    resolved
        The alerts that were over at the last look.
    """

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self.seq = 0
        self.resolved: tuple[Alert, ...] = ()
        self._at: int | None = None
        self._activity = Activity()
        self._watched = [_Watched(rule) for rule in rules if rule.enabled]

    @property
    def active(self) -> tuple[Alert, ...]:
        """The alerts that fired and are not over, in the order of the rules."""
        return tuple(
            episode.alert
            for watched in self._watched
            for episode in watched.episodes.values()
            if episode.alert is not None
        )

    def look(self, seen: Observation) -> tuple[Alert, ...]:
        """Look once.

        Parameters
        ----------
        seen
            Not older than the one before; entries of the ledger each once.

        Returns
        -------
        tuple of Alert
            Those that fire now, in the order of the rules.

        Raises
        ------
        BadInput
            The observation is older than the one before, or shows an entry again.
        """
        if self._at is not None and seen.at < self._at:
            raise BadInput(f"An observation of {seen.at} after one of {self._at}.", "Show them in their order.")
        if seen.entries and seen.entries[0].seq <= self.seq:
            raise BadInput(
                f"The entry {seen.entries[0].seq} after {self.seq}.", "Show each entry once: those behind seq."
            )
        self._at = seen.at
        self._activity.take(seen.entries)
        self.seq = max(self.seq, seen.seq, seen.entries[-1].seq if seen.entries else 0)
        scene = Scene(seen, self._activity)
        fired: list[Alert] = []
        ended: list[Alert] = []
        for watched in self._watched:
            watched.look(scene, fired, ended)
        self.resolved = tuple(ended)
        return tuple(fired)
