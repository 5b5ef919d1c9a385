"""What is recommended, what was promised for it, and what was tried and rejected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantdesk.scenarios.recommend.chance import Chance
from quantdesk.scenarios.recommend.figures import Effect, Figures
from quantdesk.scenarios.recommend.rules import Rules
from quantdesk.scenarios.recommend.space import Change
from quantdesk.scenarios.run.config import RunConfig

__all__ = ["CalmCost", "Objection", "Recommendation", "Recommendations"]


@dataclass(frozen=True, slots=True)
class CalmCost:
    """What a change costs when nothing happens, below 0: gains.

    Attributes
    ----------
    points
        Percent of the starting value a year.
    dollars
        A year, on the starting value of the scenario in question.
    """

    points: float
    dollars: float


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a change is not recommended.

    Attributes
    ----------
    kind
        ``unpriced``, ``failed``, ``worse``, ``no_help``, ``calm_unpriced``, ``calm_cost``, ``not_worth``,
        ``adds_little``, ``same_levers``, ``not_judged``, ``not_confirmed``, ``outscored``, ``budget``.
    text
        A clause with the figures.
    """

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Recommendation:
    """A change of the settings, with what it does to every scenario.

    Attributes
    ----------
    scenario
        In question.
    levers
        The change.
    base
        The settings that it was compared with.
    quantities
        Of its hedges, by scenario and instrument: the same part is another quantity where prices differ.
    effects
        Before and after by scenario, those of the calm windows included; as far as it was run.
    unpriced
        Why it could not be run, by scenario.
    chosen_on, judged_on, calm
        Names of the scenarios that it was chosen on, of those that it was judged on and not chosen on, and of the calm
        windows.
    calm_cost
        None where it was rejected before that was known.
    score, judged_score
        See :mod:`quantdesk.scenarios.recommend.rules`; None likewise.
    chance
        How many would have looked as good by chance.
    tried
        How many changes were tried.
    rejected_because
        None for one that is recommended.
    """

    scenario: str
    levers: Change
    base: RunConfig
    quantities: Mapping[str, Mapping[str, float]]
    effects: Mapping[str, Effect]
    unpriced: Mapping[str, str]
    chosen_on: tuple[str, ...]
    judged_on: tuple[str, ...]
    calm: tuple[str, ...]
    calm_cost: CalmCost | None
    score: float | None
    judged_score: float | None
    chance: Chance | None
    tried: int
    rejected_because: Objection | None = None

    def apply(self, config: RunConfig, scenario: str | None = None) -> RunConfig:
        """The settings with the change.

        Parameters
        ----------
        config
            Any; what was promised was promised for :attr:`base`.
        scenario
            For which scenario hedges are sized; the one in question when None.
        """
        return self.levers.apply(config, self.quantities.get(scenario or self.scenario, {}))

    @property
    def change(self) -> dict[str, Any]:
        """The new settings for the scenario in question, by field of RunConfig."""
        applied = self.apply(self.base).to_dict()
        names = [*dict(self.levers.settings), *(["hedges"] if self.levers.hedges else [])]
        return {name: applied[name] for name in names}

    @property
    def promised(self) -> dict[str, Figures]:
        """What a re-run with the change gives, by scenario."""
        return {name: effect.after for name, effect in self.effects.items()}

    @property
    def action(self) -> str:
        """What to do."""
        return self.levers.words(self.base, self.quantities.get(self.scenario, {}))

    @property
    def worst_elsewhere(self) -> str:
        """The other crisis whose P&L or drawdown it helps least or harms most; empty where it was run on none."""
        others = [name for name in (*self.chosen_on, *self.judged_on) if name != self.scenario and name in self.effects]

        def worse(name: str) -> tuple[float, str]:
            effect = self.effects[name]
            return min(effect.pnl_points, effect.drawdown_points), name

        return min(others, key=worse, default="")

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        action = self.action[:1].upper() + self.action[1:]
        here = self.effects.get(self.scenario)
        if here is None:
            return f"{action}: rejected, because {self._why}."
        said = [
            f"in {self.scenario} the P&L goes from {dollars(here.before.pnl)} to {dollars(here.after.pnl)} and the "
            f"largest drawdown from {here.before.max_drawdown:.1f} % to {here.after.max_drawdown:.1f} %"
        ]
        worst = self.worst_elsewhere
        if worst:
            effect = self.effects[worst]
            said.append(
                f"the other crisis that it serves worst is {worst} (P&L {dollars(effect.pnl, sign=True)}, largest "
                f"drawdown {_depth(effect.drawdown_points)})"
            )
        if self.calm_cost is not None:
            cost = self.calm_cost
            verb = "costs" if cost.points > 0 else "gains"
            said.append(
                f"in calm times it {verb} {dollars(abs(cost.dollars))} ({abs(cost.points):.2f} % of the starting "
                "value) a year"
            )
        if self.unpriced:
            said.append(f"it could not be priced in {', '.join(sorted(self.unpriced))}")
        said.append(
            f"one of {self.tried} changes tried, chosen on {len(self.chosen_on)} {_crises(self.chosen_on)} and judged "
            f"on {len(self.judged_on)} {'other' if len(self.judged_on) == 1 else 'others'}"
        )
        if self.rejected_because is not None:
            said.append(f"rejected, because {self._why}")
        return f"{action}: {'; '.join(said)}."

    @property
    def _why(self) -> str:
        return "" if self.rejected_because is None else self.rejected_because.text

    def to_dict(self) -> dict[str, Any]:
        """For JSON; figures are rounded as results are."""
        return {
            "sentence": self.sentence,
            "change": self.change,
            "levers": list(self.levers.levers),
            "scenario": self.scenario,
            "quantities": {name: dict(sorted(many.items())) for name, many in sorted(self.quantities.items())},
            "effects": {name: effect.to_dict() for name, effect in self.effects.items()},
            "unpriced": dict(self.unpriced),
            "worst_elsewhere": self.worst_elsewhere,
            "calm_cost_per_year": None if self.calm_cost is None else round(self.calm_cost.dollars, 2),
            "calm_cost_points_per_year": None if self.calm_cost is None else round(self.calm_cost.points, 4),
            "chosen_on": list(self.chosen_on),
            "judged_on": list(self.judged_on),
            "calm": list(self.calm),
            "score": _rounded(self.score),
            "judged_score": _rounded(self.judged_score),
            "chance": None
            if self.chance is None
            else {
                "as_good": round(self.chance.as_good, 4),
                "any_as_good": round(self.chance.any_as_good, 6),
                "sentence": self.chance.sentence,
            },
            "tried": self.tried,
            "rejected_because": None
            if self.rejected_because is None
            else {"kind": self.rejected_because.kind, "text": self.rejected_because.text},
        }


@dataclass(frozen=True, eq=False)
class Recommendations:
    """What came of a search.

    Attributes
    ----------
    scenario
        In question.
    accepted
        Recommended, best score first.
    rejected
        Everything else that was tried, in the order in which it was tried.
    untried
        Changes for which no run was left.
    runs
        How many runs it took.
    chosen_on, judged_on, calm
        The split of the crises, and the calm windows.
    left_out
        Scenarios that could not be run without a change, and why.
    rules
        That were followed.
    reason
        Why nothing is recommended; empty where something is.
    labels
        What must be said of it.
    """

    scenario: str
    accepted: tuple[Recommendation, ...] = ()
    rejected: tuple[Recommendation, ...] = ()
    untried: tuple[Change, ...] = ()
    runs: int = 0
    chosen_on: tuple[str, ...] = ()
    judged_on: tuple[str, ...] = ()
    calm: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    reason: str = ""
    labels: tuple[str, ...] = ("calm_chosen_with_hindsight",)

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.accepted)

    def __len__(self) -> int:
        return len(self.accepted)

    @property
    def tried(self) -> int:
        """How many changes were run at all."""
        return len(self.accepted) + len(self.rejected)

    @property
    def judged(self) -> int:
        """How many of them were run on the crises that judge."""
        return sum(one.judged_score is not None for one in (*self.accepted, *self.rejected))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "scenario": self.scenario,
            "recommendations": [one.to_dict() for one in self.accepted],
            "rejected": [one.to_dict() for one in self.rejected],
            "tried": self.tried,
            "judged": self.judged,
            "untried": len(self.untried),
            "runs": self.runs,
            "chosen_on": list(self.chosen_on),
            "judged_on": list(self.judged_on),
            "calm": list(self.calm),
            "left_out": dict(self.left_out),
            "rules": self.rules.to_dict(),
            "reason": self.reason,
            "labels": list(self.labels),
        }


_KINDS = {
    "unpriced": "could not be priced",
    "failed": "made the strategy fail",
    "worse": "made a scenario worse than the tolerance",
    "no_help": "did not help",
    "calm_unpriced": "could not be priced in calm times",
    "calm_cost": "cost too much in calm times",
    "not_worth": "cost more in calm times than they saved",
    "adds_little": "added too little to a simpler one",
    "same_levers": "were other values of a better one",
    "not_judged": "could not be run on the crises that judge",
    "not_confirmed": "did not hold on the crises that judge",
    "outscored": "scored lower",
    "budget": "had no run left",
}


def why_none(scenario: str, rejected: tuple[Recommendation, ...]) -> str:
    """Why nothing is recommended, in one sentence with counts."""
    counts = Counter(one.rejected_because.kind for one in rejected if one.rejected_because is not None)
    said = ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS.items() if counts[kind])
    return f"None of the {len(rejected)} changes tried is worth recommending for {scenario}: {said}."


def dollars(amount: float, *, sign: bool = False) -> str:
    """``-$1,234``; with `sign`, a plus as well."""
    before = "-" if round(amount) < 0 else "+" if sign else ""
    return f"{before}${abs(round(amount)):,}"


def _depth(points: float) -> str:
    if abs(points) < 0.05:
        return "unchanged"
    return f"{abs(points):.1f} points {'shallower' if points > 0 else 'deeper'}"


def _crises(names: tuple[str, ...]) -> str:
    return "crisis" if len(names) == 1 else "crises"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
