"""What a drill showed: which alerts fired, how fast, which did not, and whether anything was lost or doubled. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from quantdesk.orders.alerts import Alert
from quantdesk.orders.amounts import SECOND, moment
from quantdesk.scenarios.drills.faults import Window

__all__ = ["Detection", "DrillReport", "DrillResult", "Kept"]


@dataclass(frozen=True, slots=True)
class Detection:
    """A rule that should have fired.

    Attributes
    ----------
    condition
        What it watches.
    rule
        Its name; empty where no rule in force watches the condition.
    after_s
        Seconds from the beginning of the fault to its first alert; None where it did not fire in the time of the fault.
    without_fault
        Whether it fired in the same time without the fault too: then it says nothing.
    """

    condition: str
    rule: str
    after_s: float | None
    without_fault: bool

    @property
    def is_noticed(self) -> bool:
        """Whether the fault was noticed by this rule."""
        return self.after_s is not None and not self.without_fault


@dataclass(frozen=True, slots=True)
class Kept:
    """What the books say when all is over, held against what the exchanges did.

    Attributes
    ----------
    orders, blocked
        Orders that came while the fault lasted, and those of them that guardrails blocked.
    added
        Of those that came then, the ones that traded and did not reduce what was held.
    fills
        That the exchanges made in the whole drill.
    lost
        Fills that are not in the ledger.
    doubled
        Fills that are in the ledger twice, or that no exchange made.
    misheld
        Shares by which positions differ from what traded, all symbols added up.
    differences
        Of the desk's own reconciliation.
    unresolved
        Orders without an end after everything was cancelled.
    verified
        Whether every entry of the ledger is as it was written.
    """

    orders: int
    blocked: int
    added: int
    fills: int
    lost: int
    doubled: int
    misheld: int
    differences: int
    unresolved: int
    verified: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost, doubled or left open."""
        wrong = (self.lost, self.doubled, self.misheld, self.differences, self.unresolved)
        return self.verified and not any(wrong)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One drill.

    Attributes
    ----------
    name, title, about
        Which.
    scenario
        The path that it was run on.
    window
        Of the fault.
    detections
        One for each rule that should have fired.
    alerts
        All that fired, in their order, before and after the fault too.
    control
        Those of the same run without the fault.
    kept
        Whether anything was lost or doubled.
    ledger
        Hash of the last entry.
    """

    name: str
    title: str
    about: str
    scenario: str
    window: Window
    detections: tuple[Detection, ...]
    alerts: tuple[Alert, ...]
    control: tuple[Alert, ...]
    kept: Kept
    ledger: str

    @property
    def missed(self) -> tuple[str, ...]:
        """Rules that should have fired and did not, or fire anyway; conditions that no rule watches."""
        return tuple(one.rule or f"no rule for {one.condition}" for one in self.detections if not one.is_noticed)

    @property
    def others(self) -> tuple[str, ...]:
        """Rules that fired from the fault on, were not expected, and do not fire without it."""
        expected = {one.rule for one in self.detections}
        anyway = {one.rule for one in self.control}
        found = (one.rule for one in self.alerts if one.at >= self.window.begins)
        return tuple(dict.fromkeys(rule for rule in found if rule not in expected | anyway))

    def to_dict(self) -> dict[str, Any]:
        """Text and numbers."""
        return {
            "name": self.name,
            "title": self.title,
            "about": self.about,
            "scenario": self.scenario,
            "begins": moment(self.window.begins).isoformat(),
            "ends": moment(self.window.ends).isoformat(),
            "detections": [{**asdict(one), "is_noticed": one.is_noticed} for one in self.detections],
            "missed": list(self.missed),
            "others": list(self.others),
            "alerts": [one.to_dict() for one in self.alerts],
            "kept": {**asdict(self.kept), "is_whole": self.kept.is_whole},
            "ledger": self.ledger,
        }


@dataclass(frozen=True, slots=True)
class DrillReport:
    """Several drills on one path."""

    results: tuple[DrillResult, ...]

    def __iter__(self) -> Iterator[DrillResult]:
        return iter(self.results)

    def __getitem__(self, name: str) -> DrillResult:
        return next(one for one in self.results if one.name == name)

    def to_frame(self) -> pd.DataFrame:
        """One row for each rule that should have fired; seconds are NaN where it did not."""
        return pd.DataFrame(
            [
                {
                    "drill": one.title,
                    "rule": seen.rule or f"(none for {seen.condition})",
                    "noticed": seen.is_noticed,
                    "after_s": float("nan") if seen.after_s is None else seen.after_s,
                    "without_fault": seen.without_fault,
                    "lasted_s": (one.window.ends - one.window.begins) / SECOND,
                    "others": ", ".join(one.others),
                    "orders": one.kept.orders,
                    "blocked": one.kept.blocked,
                    "lost": one.kept.lost,
                    "doubled": one.kept.doubled,
                    "whole": one.kept.is_whole,
                }
                for one in self
                for seen in one.detections
            ]
        )
