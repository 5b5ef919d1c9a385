"""Why a change is not recommended: every test that it must pass, on runs that were made. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantdesk.scenarios.recommend.figures import Effect, Figures
from quantdesk.scenarios.recommend.recommendation import CalmCost, Objection
from quantdesk.scenarios.recommend.rules import Rules
from quantdesk.scenarios.recommend.runner import Runs, Unrun
from quantdesk.scenarios.recommend.space import Change

__all__ = ["BASE", "Trial", "Verdicts"]

BASE = Change()
"""Nothing is changed."""


@dataclass
class Trial:
    """A change on its way through the search.

    Attributes
    ----------
    change
        What is tried.
    parts
        Of a pair, its two changes.
    benefit
        Points gained on the crises that choose, on average.
    cost, score, judged_score
        As far as they are known.
    objection
        The first one that was raised.
    """

    change: Change
    parts: tuple[Change, ...] = ()
    benefit: float = 0.0
    cost: CalmCost | None = None
    score: float | None = None
    judged_score: float | None = None
    objection: Objection | None = None


@dataclass(frozen=True)
class Verdicts:
    """Judges changes.

    Attributes
    ----------
    runs
        What was run.
    rules
        The score and the tolerance.
    choosing, judging, calm
        Names of scenarios; the first that chooses is the one in question.
    """

    runs: Runs
    rules: Rules
    choosing: tuple[str, ...]
    judging: tuple[str, ...]
    calm: tuple[str, ...]

    @property
    def scenario(self) -> str:
        """In question."""
        return self.choosing[0]

    def effect(self, name: str, change: Change) -> Effect | None:
        """Of a change in one scenario; None where it was not run, or could not be."""
        before, after = self.runs.get(name, BASE), self.runs.get(name, change)
        return Effect(before, after) if isinstance(before, Figures) and isinstance(after, Figures) else None

    def benefit(self, change: Change, names: Sequence[str]) -> float:
        """The mean over crises; one in which the change could not be priced counts as nothing gained."""
        return float(np.mean(self.benefits(change, names)))

    def benefits(self, change: Change, names: Sequence[str]) -> list[float]:
        """Points gained in each crisis; 0 where the change could not be priced."""
        effects = [self.effect(name, change) for name in names]
        return [0.0 if effect is None else self.rules.benefit(effect) for effect in effects]

    def harm(self, one: Trial, names: Sequence[str]) -> Objection | None:
        """A failed strategy, or a scenario that became worse than the tolerance."""
        for name in names:
            found = self.runs.get(name, one.change)
            if isinstance(found, Unrun) and found.failed:
                return Objection("failed", f"in {name} the strategy fails with it: {found.why}")
            effect = self.effect(name, one.change)
            if effect is not None and self.rules.is_worse(effect):
                return Objection(
                    "worse",
                    f"it changes {name} by {effect.pnl_points:+.2f} points of P&L and {effect.drawdown_points:+.2f} of "
                    f"drawdown, where {self.rules.worse_pnl:g} and {self.rules.worse_drawdown:g} points worse are "
                    "tolerated",
                )
        return None

    def unfit(self, one: Trial) -> Objection | None:
        """What speaks against a change on the crises that choose."""
        here = self.runs.get(self.scenario, one.change)
        if isinstance(here, Unrun) and not here.failed:
            return Objection("unpriced", f"it cannot be priced in {self.scenario}: {here.why}")
        harm = self.harm(one, self.choosing)
        if harm is not None:
            return harm
        gain = self.benefits(one.change, [self.scenario])[0]
        if gain < self.rules.least_gain:
            return Objection(
                "no_help",
                f"it gains {gain:.2f} points in {self.scenario}, less than {self.rules.least_gain:g}",
            )
        if one.benefit <= 0:
            return Objection("no_help", f"on the crises that choose it gains {one.benefit:.2f} points on average")
        return None

    def price(self, one: Trial) -> Objection | None:
        """Find cost and score; what speaks against a change at that price."""
        effects = [effect for name in self.calm if (effect := self.effect(name, one.change)) is not None]
        harm = next((harm for name in self.calm if (harm := self._failed(name, one)) is not None), None)
        if harm is not None:
            return harm
        if not effects:
            return Objection("calm_unpriced", "it cannot be priced in any calm window")
        points = -sum(effect.pnl_points for effect in effects) / sum(effect.before.years for effect in effects)
        here = self.runs.get(self.scenario, BASE)
        value = here.start_value if isinstance(here, Figures) else 0.0
        one.cost = CalmCost(points, points / 100 * value)
        one.score = self.rules.score(one.benefit, points)
        if points > self.rules.most_calm_cost:
            return Objection(
                "calm_cost",
                f"it costs {points:.2f} points a year in calm times, more than {self.rules.most_calm_cost:g}",
            )
        if one.score <= 0:
            return Objection(
                "not_worth",
                f"it saves {one.benefit:.2f} points in a crisis and costs {points * self.rules.years_between:.2f} "
                "until the next",
            )
        return None

    def _failed(self, name: str, one: Trial) -> Objection | None:
        found = self.runs.get(name, one.change)
        if isinstance(found, Unrun) and found.failed:
            return Objection("failed", f"in {name} the strategy fails with it: {found.why}")
        return None

    def sentenced(self, one: Trial) -> Objection | None:
        """Find the score on the crises that judge; what speaks against a change there."""
        harm = self.harm(one, self.judging)
        if all(self.effect(name, one.change) is None for name in self.judging):
            return harm or Objection("not_judged", "none of the crises that judge can price it")
        one.judged_score = self.rules.score(
            self.benefit(one.change, self.judging), 0.0 if one.cost is None else one.cost.points
        )
        if harm is not None:
            return harm
        if one.judged_score <= 0:
            return Objection(
                "not_confirmed",
                f"its score is {one.score:.2f} on the crises that it was chosen on and {one.judged_score:.2f} on the "
                f"{len(self.judging)} that judge",
            )
        return None
