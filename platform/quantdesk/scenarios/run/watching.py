"""The platform's own alert rules look at the desk of a run, as they look at one in production. Pure.

The scenario decides nothing here: it shows what a desk shows anybody, and takes down what the rules say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.backtest.sectors import SECTORS
from quantdesk.orders.alerts import Alert, AlertRules, Observation, Shown, Surroundings, Watch, observe_desk
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.desk import Desk
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.result import Event

__all__ = ["RISK_CONDITIONS", "Watching", "sector_of"]

Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Breach:
    """A limit that was breached, and when a rule said so."""

    alert: Alert
    seen: int | None = None
    over: int | None = None

    @property
    def detected_after_s(self) -> float:
        """Seconds from the beginning to the alert; NaN where there was none."""
        return float("nan") if self.seen is None else (self.seen - self.alert.at) / SECOND

    def event(self) -> Event:
        """As it is told."""
        alert, numbers = self.alert, {**self.alert.numbers, "detected_after_s": self.detected_after_s}
        if self.over is not None:
            numbers["lasted_s"] = (self.over - alert.at) / SECOND
        return Event(alert.at, "risk_limit_breach", alert.rule, "", alert.message, numbers, alert.severity)


def _at_once(rules: AlertRules) -> AlertRules:
    """The rules that guard limits of risk, without patience."""
    return AlertRules(
        f"{rules.name}, at once",
        {
            rule.rule_id: replace(rule, for_s=0.0, clear_s=0.0, again_s=0.0)
            for rule in rules
            if rule.enabled and rule.condition in RISK_CONDITIONS
        },
    )


RISK_CONDITIONS = frozenset(
    {
        "cash_negative", "day_loss", "drawdown", "gross_exposure", "margin", "net_exposure", "position_concentration",
        "sector_concentration", "value_at_risk",
    }
)  # fmt: skip
"""Conditions of rules that guard a limit of risk: when one fires, a limit was breached."""
_CONFIDENCE = 0.99


def _quantile(values: Floats, part: float) -> float:
    """As :func:`numpy.quantile`, which takes many times as long over one short row as the sorting does."""
    place = part * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    low, high = float(ordered[below]), float(ordered[above])
    share = place - below
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def sector_of(path: Path, symbol: str) -> str:
    """The sector of a traded symbol; its kind where it has none."""
    asset = path.asset(symbol)
    return asset.sector or SECTORS.get(symbol, asset.kind)


class Watching:
    """A watch over one desk, and beside it what there was to see.

    The watch looks once in so many seconds, as one in production does. A second one, with the same rules and without
    their patience, looks at every quote: it says when a limit of risk really was breached. What the first one never
    saw, or not in time, is told by the difference.

    Parameters
    ----------
    desk
        Which.
    market
        What its exchanges show.
    rules
        What is watched.
    every_s
        Seconds between two looks.

    Attributes
    ----------
    alerts
        Events of the watch so far.
    """

    def __init__(self, desk: Desk, market: PathMarket, rules: AlertRules, every_s: float) -> None:
        self.alerts: list[Event] = []
        self._desk, self._market, self._every = desk, market, round(every_s * SECOND)
        self._watch, self._truth = Watch(rules), Watch(_at_once(rules))
        self._sectors = {symbol: sector_of(market.path, symbol) for symbol in market.symbols}
        self._normal = market.normal_spreads
        self._valued: list[int] = []
        self._at_risk: int | None = None
        self._breaches: dict[tuple[str, str], list[_Breach]] = {}

    @property
    def breaches(self) -> list[Event]:
        """Breaches of limits of risk, each at its beginning; without ``detected_after_s`` where no alert came."""
        return [one.event() for breaches in self._breaches.values() for one in breaches]

    def next_look(self, at: int) -> int:
        """When the watch looks next: the first moment of its grid after another one."""
        return at - at % self._every + self._every

    def see(self) -> None:
        """Look at what there is to see: after every quote, before anybody else looks."""
        seen = self._observed(self._truth.seq)
        for alert in self._truth.look(seen):
            self._breaches.setdefault((alert.rule, alert.symbol), []).append(_Breach(alert))
        for alert in self._truth.resolved:
            for breach in self._breaches[alert.rule, alert.symbol]:
                breach.over = breach.over or seen.at

    def look(self) -> None:
        """Let the watch look."""
        for alert in self._watch.look(self._observed(self._watch.seq)):
            numbers = {**alert.numbers, "detected_after_s": alert.detected_after_s}
            for breach in self._breaches.get((alert.rule, alert.symbol), ()):
                if not breach.over and breach.seen is None:
                    breach.seen = alert.at
                    numbers["detected_after_s"] = breach.detected_after_s
            event = Event(
                alert.at, "system_alert", alert.rule, self._symbol(alert), alert.message, numbers, alert.severity
            )
            self.alerts.append(event)

    def _symbol(self, alert: Alert) -> str:
        return alert.symbol if alert.symbol in self._sectors else ""

    def _observed(self, after: int) -> Observation:
        desk = self._desk
        held = desk.portfolio.positions
        at = desk.world.now()
        shown = {symbol: Shown(*seen) for symbol in held if (seen := self._market.shown(symbol, at)) is not None}
        around = Surroundings(
            shown=shown,
            sectors=self._sectors,
            normal_spreads=self._normal,
            value_at_risk=self._value_at_risk(held),
        )
        return observe_desk(desk, around, after=after)

    def _value_at_risk(self, held: dict[str, int]) -> int | None:
        """Historical: the loss on the worst of a hundred days of the history, in micro-dollars."""
        if not held or not len(self._past):
            return None
        account = self._desk.portfolio
        values = [held[name] * account.position(name).mark if name in held else 0 for name in self._market.symbols]
        if values != self._valued:
            worst = _quantile(self._past @ np.array(values, dtype=float), 1 - _CONFIDENCE)
            self._valued, self._at_risk = values, max(round(-worst), 0)
        return self._at_risk

    @cached_property
    def _past(self) -> Floats:
        """Daily returns of the history, shape ``(days, traded)``; 0 where one is not known.

        Days on which none of them traded, and another market did, are no days of theirs.
        """
        history = self._market.path.history
        if history is None:
            return np.zeros((0, len(self._market.symbols)))
        closes = history.close[:, [history.column(symbol) for symbol in self._market.symbols]]
        closes = closes[np.isfinite(closes).any(axis=1)]
        if len(closes) < 100:
            return np.zeros((0, len(self._market.symbols)))
        found: Floats = np.nan_to_num(closes[1:] / closes[:-1] - 1)
        return found
