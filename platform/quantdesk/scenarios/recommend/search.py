"""The search: one lever after the other, then the best two by two; chosen on some crises and judged on others. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.scenarios.recommend.chance import by_chance
from quantdesk.scenarios.recommend.figures import Figures
from quantdesk.scenarios.recommend.question import Question
from quantdesk.scenarios.recommend.recommendation import Objection, Recommendation, Recommendations, why_none
from quantdesk.scenarios.recommend.rules import Rules
from quantdesk.scenarios.recommend.runner import Batch, Run, Runs, Unrun, one_by_one
from quantdesk.scenarios.recommend.sizes import Sizes
from quantdesk.scenarios.recommend.space import Change, SearchSpace
from quantdesk.scenarios.recommend.verdicts import BASE, Trial, Verdicts
from quantdesk.scenarios.run.config import RunConfig

__all__ = ["recommend"]


def recommend(
    run: Run | Batch,
    question: Question,
    base: RunConfig | None = None,
    *,
    space: SearchSpace | None = None,
    rules: Rules | None = None,
    sizes: Sizes | None = None,
) -> Recommendations:
    """Search for changes of the settings that help in a scenario, and for what they do elsewhere.

    Parameters
    ----------
    run
        Gives the result of a scenario under settings, for the strategies and the portfolio that are asked about; many
        at once as a :class:`~quantdesk.scenarios.recommend.runner.Batch`. It must be deterministic: then what is
        promised is what a re-run gives.
    question
        Which scenarios.
    base
        The settings as they are.
    space
        What is tried.
    rules
        The score, the tolerance, the budget.
    sizes
        Of hedges, :func:`~quantdesk.scenarios.recommend.sizes.sizes_in`; when None no hedge is tried.

    Returns
    -------
    Recommendations
        The accepted ones and all others with the reason; in the same order for the same arguments. Where nothing
        helps, none, with the reason.

    Raises
    ------
    BadInput
        ``max_runs`` is not enough to try and judge a single change.
    """
    batch = run if isinstance(run, Batch) else one_by_one(run)
    return _Search(batch, question, base or RunConfig(), rules or Rules(), sizes).run(space or SearchSpace())


class _Search:
    def __init__(self, batch: Batch, question: Question, base: RunConfig, rules: Rules, sizes: Sizes | None) -> None:
        self.question, self.base, self.rules, self.sizes = question, base, rules, sizes
        self.runs = Runs(batch, base, sizes)
        self.trials: dict[Change, Trial] = {}
        self.untried: list[Change] = []
        self.labels = ["calm_chosen_with_hindsight"]
        self.verdicts = Verdicts(self.runs, rules, (question.scenario,), (), ())
        self.left_out: dict[str, str] = {}

    def run(self, space: SearchSpace) -> Recommendations:
        self._need(len(self.question.others) + len(self.question.calm) + 1)
        reason = self._begin()
        if reason:
            return self._answer((), reason)
        if space.hedges and self.sizes is None:
            self.labels.append("hedges_not_tried")
        singles = [one for one in space.singles(self.base) if self.sizes is not None or not one.hedges]
        if not singles:
            return self._answer((), "There is nothing to try: every value of the search space is set already.")
        self._need(self.runs.made + len(self.verdicts.choosing) + len(self.verdicts.calm) + len(self.verdicts.judging))
        self._try([Trial(change) for change in singles])
        self._try(self._pairs())
        return self._answer(self._judge())

    # ------------------------------------------------------------------------------------------------------- stages

    def _need(self, runs: int) -> None:
        if runs > self.rules.max_runs:
            raise BadInput(
                f"max_runs is {self.rules.max_runs}.", f"Give at least {runs}: fewer judge no change at all."
            )

    def _begin(self) -> str:
        """Run everything without a change; why there is nothing to search, or empty."""
        question = self.question
        names = (question.scenario, *question.others, *question.calm)
        self.runs.take([(name, BASE) for name in names])
        for name in names:
            found = self.runs.get(name, BASE)
            if isinstance(found, Unrun):
                self.left_out[name] = found.why
            elif isinstance(found, Figures) and not (found.start_value > 0 and found.years > 0):
                self.left_out[name] = "The account has no value when it begins, or the window no length."
        if question.scenario in self.left_out:
            return f"{question.scenario} itself cannot be run: {self.left_out[question.scenario]}"
        choosing, judging = question.split(name for name in names if name not in self.left_out)
        calm = tuple(name for name in question.calm if name not in self.left_out)
        self.verdicts = Verdicts(self.runs, self.rules, choosing, judging, calm)
        if not judging:
            return "No other crisis is left to judge a change on, and none is recommended unjudged."
        if not calm:
            return "No calm window can be run, and no change is recommended without its price."
        return ""

    def _try(self, trials: Sequence[Trial]) -> None:
        """Run changes on the crises that choose, then price in calm times what helps; as far as runs are left.

        Runs are kept back for pricing and judging as many as may be recommended.
        """
        per, back = len(self.verdicts.choosing), self.rules.top * (len(self.verdicts.calm) + len(self.verdicts.judging))
        room = self.rules.max_runs - self.runs.made
        most = max((room - back) // per, 1 if not self.trials else 0)
        if most * per > room:
            most = 0
        self.untried += [one.change for one in trials[most:]]
        tried = list(trials[:most])
        self.runs.take([(name, one.change) for one in tried for name in self.verdicts.choosing])
        for one in tried:
            self.trials[one.change] = one
            one.benefit = self.verdicts.benefit(one.change, self.verdicts.choosing)
            one.objection = self.verdicts.unfit(one)
        helping = sorted((one for one in tried if one.objection is None), key=lambda one: -one.benefit)
        room = self.rules.max_runs - self.runs.made
        keep = min(self.rules.top, max(room // (len(self.verdicts.calm) + len(self.verdicts.judging)), 1)) * len(
            self.verdicts.judging
        )
        priced = max((room - keep) // len(self.verdicts.calm), 0)
        for one in helping[priced:]:
            one.objection = Objection("budget", "no run was left to price it in calm times")
        self.runs.take([(name, one.change) for one in helping[:priced] for name in self.verdicts.calm])
        for one in helping[:priced]:
            one.objection = self.verdicts.price(one)

    def _pairs(self) -> list[Trial]:
        """The best changes of different levers, two by two."""
        best: dict[tuple[str, ...], Trial] = {}
        for one in self._ranked():
            best.setdefault(one.change.levers, one)
        chosen = list(best.values())[: self.rules.pairs_of]
        return [Trial(a.change.plus(b.change), (a.change, b.change)) for a, b in combinations(chosen, 2)]

    def _judge(self) -> tuple[Trial, ...]:
        accepted: list[Trial] = []
        for one in self._ranked():
            taken = {other.change.levers for other in accepted}
            if one.change.levers in taken:
                one.objection = Objection("same_levers", "another value of the same levers scores higher")
            elif len(accepted) == self.rules.top:
                one.objection = Objection("outscored", f"{self.rules.top} others score higher")
            elif (one.score or 0.0) < (part := self._best_part(one)) + self.rules.least_gain:
                one.objection = Objection(
                    "adds_little", f"its score of {one.score:.2f} adds too little to the {part:.2f} of one of its parts"
                )
            elif self.rules.max_runs - self.runs.made < len(self.verdicts.judging):
                one.objection = Objection("budget", "no run was left to judge it")
            else:
                self.runs.take([(name, one.change) for name in self.verdicts.judging])
                one.objection = self.verdicts.sentenced(one)
                if one.objection is None:
                    accepted.append(one)
        return tuple(accepted)

    def _best_part(self, one: Trial) -> float:
        """The better score of the parts of a pair; the lowest there is for a single change."""
        return max((self.trials[part].score or 0.0 for part in one.parts), default=-math.inf)

    def _ranked(self) -> list[Trial]:
        """What is fit so far, best score first; of equal scores what was tried first."""
        fit = [one for one in self.trials.values() if one.objection is None and one.score is not None]
        return sorted(fit, key=lambda one: -(one.score or 0.0))

    # -------------------------------------------------------------------------------------------------------- answer

    def _answer(self, accepted: tuple[Trial, ...], reason: str = "") -> Recommendations:
        trials = list(self.trials.values())
        table = np.array([self.verdicts.benefits(one.change, self.verdicts.choosing) for one in trials])
        places = {one.change: place for place, one in enumerate(trials)}

        def told(one: Trial) -> Recommendation:
            names = (*self.verdicts.choosing, *self.verdicts.judging, *self.verdicts.calm)
            effects = {name: effect for name in names if (effect := self.verdicts.effect(name, one.change)) is not None}
            unrun = {name: found.why for name in names if isinstance(found := self.runs.get(name, one.change), Unrun)}
            return Recommendation(
                scenario=self.question.scenario,
                levers=one.change,
                base=self.base,
                quantities={name: many for name in names if (many := self.runs.quantities(name, one.change))},
                effects=effects,
                unpriced=unrun,
                chosen_on=self.verdicts.choosing,
                judged_on=self.verdicts.judging,
                calm=self.verdicts.calm,
                calm_cost=one.cost,
                score=one.score,
                judged_score=one.judged_score,
                chance=by_chance(table, places[one.change]),
                tried=len(trials),
                rejected_because=one.objection,
            )

        rejected = tuple(told(one) for one in trials if one.objection is not None)
        if not accepted and not reason:
            reason = why_none(self.question.scenario, rejected)
        return Recommendations(
            scenario=self.question.scenario,
            accepted=tuple(told(one) for one in accepted),
            rejected=rejected,
            untried=tuple(self.untried),
            runs=self.runs.made,
            chosen_on=self.verdicts.choosing,
            judged_on=self.verdicts.judging,
            calm=self.verdicts.calm,
            left_out=self.left_out,
            rules=self.rules,
            reason=reason,
            labels=tuple(self.labels),
        )
