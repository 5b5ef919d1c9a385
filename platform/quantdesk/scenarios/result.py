"""What came of a scenario: figures, events, and what they rest on. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Account", "Attribution", "Event", "StressResult"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run, because of what the pipeline did.

    Attributes
    ----------
    at
        Nanoseconds since 1970 (UTC).
    kind
        ``risk_limit_breach``, ``execution_failure``, ``system_alert``, ``halt``, ``strategy_failure``.
    cause
        The code of a guardrail, the name of an alert rule, how an order ended, the code of a halt.
    symbol
        Which, or empty.
    message
        A sentence.
    numbers
        What was found and what was allowed, the seconds until it was detected, shares ... by name.
    severity
        Of an alert: ``info``, ``warning``, ``critical``; of a refusal: ``blocking``.
    """

    at: int
    kind: str
    cause: str
    symbol: str = ""
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    severity: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Text and numbers; the time in ISO 8601 (UTC)."""
        return {
            "at": pd.Timestamp(self.at, tz="UTC").isoformat(),
            "kind": self.kind,
            "cause": self.cause,
            "symbol": self.symbol,
            "message": self.message,
            "severity": self.severity,
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
        }


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where a profit or loss comes from, three times over: each of the three sums to it.

    Attributes
    ----------
    asset_class, sector
        Dollars by name.
    cause
        Dollars: ``price`` (what the wished-for positions would have made at midpoints), ``spread``, ``impact``,
        ``fees``, ``unfilled`` (what was lost or spared because wishes were not filled), ``broken`` where trades were
        broken afterwards, and ``liquidation`` where what was left had to be sold.
    """

    asset_class: Mapping[str, float]
    sector: Mapping[str, float]
    cause: Mapping[str, float]

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Plain dictionaries."""
        return {name: dict(getattr(self, name)) for name in ("asset_class", "sector", "cause")}


@dataclass(frozen=True, eq=False)
class Account:
    """What one strategy did with the portfolio.

    Attributes
    ----------
    strategy
        Its name.
    ends
        Nanoseconds, shape ``(T + 1,)``: the moment before the first trade, then the end of each bar.
    value
        Dollars, the same shape: the whole portfolio at its marks.
    attribution
        Of ``value[-1] - value[0]``.
    breaches, failures, alerts, halts
        In the order of time.
    orders, filled_shares, wished_shares
        Sent; traded; wanted.
    stale
        Marks of positions that were not of their bar: the market was closed or the value is missing.
    error
        Why the strategy ended early; empty where it did not. Then the value is as it stood.
    ledger
        Hash of the last entry of the desk's ledger.
    labels
        What is taken for granted in the values of instruments.
    liquidation
        What it would take to sell the shares that are held at the end: ``days``, and dollars of ``spread`` and
        ``impact``.
    """

    strategy: str
    ends: NDArray[np.int64]
    value: Floats
    attribution: Attribution
    breaches: tuple[Event, ...] = ()
    failures: tuple[Event, ...] = ()
    alerts: tuple[Event, ...] = ()
    halts: tuple[Event, ...] = ()
    orders: int = 0
    filled_shares: int = 0
    wished_shares: int = 0
    stale: int = 0
    error: str = ""
    ledger: str = ""
    labels: tuple[str, ...] = ()
    liquidation: Mapping[str, float] = field(default_factory=dict)

    @property
    def pnl(self) -> float:
        """Dollars."""
        return float(self.value[-1] - self.value[0])

    @property
    def drawdown(self) -> Floats:
        """Percent below the highest value so far, 0 or negative, the shape of `value`."""
        highest = np.maximum.accumulate(self.value)
        return np.where(highest > 0, (self.value / np.where(highest > 0, highest, 1.0) - 1) * 100, 0.0)

    @property
    def max_drawdown(self) -> float:
        """The deepest, percent."""
        return float(self.drawdown.min())

    def to_dict(self) -> dict[str, Any]:
        """Figures, events, and the path of the value."""
        return {
            "strategy": self.strategy,
            "pnl": round(self.pnl, 2),
            "max_drawdown": round(self.max_drawdown, 4),
            "start_value": round(float(self.value[0]), 2),
            "end_value": round(float(self.value[-1]), 2),
            "orders": self.orders,
            "filled_shares": self.filled_shares,
            "wished_shares": self.wished_shares,
            "stale_marks": self.stale,
            "attribution": self.attribution.to_dict(),
            "events": {
                name: [event.to_dict() for event in getattr(self, name)]
                for name in ("breaches", "failures", "alerts", "halts")
            },
            "liquidation": {name: round(value, 4) for name, value in self.liquidation.items()},
            "error": self.error,
            "ledger": self.ledger,
        }


@dataclass(frozen=True, eq=False)
class StressResult:
    """A scenario, and what it did to a portfolio under each strategy.

    Several strategies share the capital in equal parts: the value of the portfolio is the mean of their accounts, each
    of which was run on the whole of it; events are those of all.

    Attributes
    ----------
    scenario, title
        Which.
    accounts
        One a strategy, in the order in which they were asked for.
    share_real
        The part of all bars of the assets in use that is real, by asset class, and for all as ``all``.
    grades
        How many bars have each grade, by symbol.
    methods
        How bars came about that are not real, by symbol.
    seed
        Of everything that was left to chance.
    data_hashes
        SHA-256 by name of all that went in.
    labels
        What must be said of it.
    notes
        What could not be judged, what stands in for what, how a shock came about.
    recommendations
        See :mod:`quantdesk.scenarios.recommend`; empty where nobody asked for them.
    started_at
        When it was run (UTC), in ISO 8601; it is no part of :attr:`digest`.
    """

    scenario: str
    title: str
    accounts: tuple[Account, ...]
    share_real: Mapping[str, float]
    grades: Mapping[str, Mapping[str, int]]
    methods: Mapping[str, str]
    seed: int
    data_hashes: Mapping[str, str]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    recommendations: tuple[Any, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    started_at: str = ""

    @property
    def ends(self) -> NDArray[np.int64]:
        """See :class:`Account`."""
        return self.accounts[0].ends

    @property
    def value(self) -> Floats:
        """Dollars: the mean of the accounts."""
        found: Floats = np.mean([account.value for account in self.accounts], axis=0)
        return found

    @property
    def pnl_impact(self) -> float:
        """Dollars."""
        return float(self.value[-1] - self.value[0])

    @property
    def max_drawdown(self) -> float:
        """Percent, 0 or negative."""
        value = self.value
        highest = np.maximum.accumulate(value)
        return float(np.where(highest > 0, (value / np.where(highest > 0, highest, 1.0) - 1) * 100, 0.0).min())

    def events(self, kind: str) -> tuple[tuple[str, Event], ...]:
        """``breaches``, ``failures``, ``alerts`` or ``halts`` of all accounts, by time, each with its strategy."""
        found = [(account.strategy, event) for account in self.accounts for event in getattr(account, kind)]
        return tuple(sorted(found, key=lambda one: (one[1].at, one[0])))

    def content(self) -> dict[str, Any]:
        """Everything but the id and the time of the run: equal for equal seeds and data, to the byte."""
        told = {
            name: [{"strategy": strategy, **event.to_dict()} for strategy, event in self.events(kind)]
            for name, kind in (
                ("risk_limit_breaches", "breaches"),
                ("execution_failures", "failures"),
                ("system_alerts", "alerts"),
            )
        }
        told["halts"] = [event.to_dict() for event in self.accounts[0].halts]  # the same for all
        return {
            "scenario": self.scenario,
            "title": self.title,
            "results": {
                "pnl_impact": round(self.pnl_impact, 2),
                "max_drawdown": round(self.max_drawdown, 4),
                "risk_limit_breaches": len(told["risk_limit_breaches"]),
                "execution_failures": len(told["execution_failures"]),
                "system_alerts": len(told["system_alerts"]),
            },
            "recommendations": [str(one.sentence) for one in self.recommendations],
            "recommendation_details": [one.to_dict() for one in self.recommendations],
            "events": told,
            "by_strategy": [account.to_dict() for account in self.accounts],
            "path": {
                "at": [pd.Timestamp(int(at), tz="UTC").isoformat() for at in self.ends],
                "value": [round(float(one), 2) for one in self.value],
            },
            "share_real": {name: _plain(share) for name, share in self.share_real.items()},
            "grades": {symbol: dict(counts) for symbol, counts in self.grades.items()},
            "methods": dict(self.methods),
            "labels": list(self.labels),
            "notes": list(self.notes),
            "config": dict(self.config),
            "seed": self.seed,
            "data_hashes": dict(self.data_hashes),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`content` as JSON."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()

    @property
    def scenario_id(self) -> str:
        """The scenario's name and the beginning of the digest: the same run has the same one."""
        return f"{self.scenario}-{self.digest[:12]}"

    def to_dict(self) -> dict[str, Any]:
        """The content, the id and the time of the run."""
        return {"scenario_id": self.scenario_id, "started_at": self.started_at, **self.content()}


def _plain(value: float) -> float | None:
    """A number of JSON: NaN becomes null, and floats are cut to what a reader can use."""
    return None if not math.isfinite(value) else round(float(value), 6)


def merged(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums by name."""
    found: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = found.get(name, 0.0) + amount
    return found
