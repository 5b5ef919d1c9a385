"""The platform's own alert rules look at the desk of a run, as they look at one in production. Pure.

The scenario decides nothing here: it shows what a desk shows anybody, and takes down what the rules say.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantdesk.backtest.sectors import SECTORS
from quantdesk.orders.alerts import Alert, AlertRules, Shown, Surroundings, Watch, observe_desk
from quantdesk.orders.desk import Desk
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.result import Event

__all__ = ["RISK_CONDITIONS", "Watching", "sector_of"]

Floats = NDArray[np.float64]

RISK_CONDITIONS = frozenset(
    {
        "cash_negative", "day_loss", "drawdown", "gross_exposure", "margin", "net_exposure", "position_concentration",
        "sector_concentration", "value_at_risk",
    }
)  # fmt: skip
"""Conditions of rules that guard a limit of risk: when one fires, a limit was breached."""
_CONFIDENCE = 0.99


def sector_of(path: Path, symbol: str) -> str:
    """The sector of a traded symbol; its kind where it has none."""
    asset = path.asset(symbol)
    return asset.sector or SECTORS.get(symbol, asset.kind)


class Watching:
    """A watch over one desk.

    Parameters
    ----------
    desk
        Which.
    market
        What its exchanges show.
    rules
        What is watched.

    Attributes
    ----------
    alerts, breaches
        Events so far. A breach stands at the moment at which it began, with the seconds until a rule fired.
    """

    def __init__(self, desk: Desk, market: PathMarket, rules: AlertRules) -> None:
        self.alerts: list[Event] = []
        self.breaches: list[Event] = []
        self._desk, self._market = desk, market
        self._watch = Watch(rules)
        self._guards = {rule.rule_id for rule in rules if rule.condition in RISK_CONDITIONS}
        self._sectors = {symbol: sector_of(market.path, symbol) for symbol in market.symbols}
        self._normal = market.normal_spreads

    def look(self) -> None:
        """Show the rules the desk as it stands."""
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
        for alert in self._watch.look(observe_desk(desk, around, after=self._watch.seq)):
            self._take(alert)

    def _take(self, alert: Alert) -> None:
        numbers = {**alert.numbers, "detected_after_s": alert.detected_after_s}
        symbol = alert.symbol if alert.symbol in self._sectors else ""
        self.alerts.append(Event(alert.at, "system_alert", alert.rule, symbol, alert.message, numbers, alert.severity))
        if alert.rule in self._guards:
            self.breaches.append(
                Event(alert.since, "risk_limit_breach", alert.rule, symbol, alert.message, numbers, alert.severity)
            )

    def _value_at_risk(self, held: dict[str, int]) -> int | None:
        """Historical: the loss on the worst of a hundred days of the history, in micro-dollars."""
        if not held or not len(self._past):
            return None
        marks = dict(self._desk.portfolio)
        values = np.array(
            [held.get(symbol, 0) * marks[symbol].mark if symbol in held else 0 for symbol in self._market.symbols]
        )
        return max(round(-float(np.quantile(self._past @ values.astype(float), 1 - _CONFIDENCE))), 0)

    @cached_property
    def _past(self) -> Floats:
        """Daily returns of the history, shape ``(days, traded)``; 0 where one is not known."""
        history = self._market.path.history
        if history is None or len(history.ends) < 100:
            return np.zeros((0, len(self._market.symbols)))
        closes = history.close[:, [history.column(symbol) for symbol in self._market.symbols]]
        found: Floats = np.nan_to_num(closes[1:] / closes[:-1] - 1)
        return found
