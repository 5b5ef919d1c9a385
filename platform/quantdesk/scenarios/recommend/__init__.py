"""Which change of the settings would have helped, at what price, and whether it holds elsewhere. Pure.

Nothing is recommended that was not run: a change of the cash buffer, the stop distance, the position or sector limit,
or a hedge, one by one and the best two by two. It is chosen on the scenario in question and some other crises, priced
in calm times, and judged on the crises that it was not chosen on; it is rejected where it makes any of them worse than
a stated tolerance. What was tried and rejected is kept, with the reason. Figures are those of runs: who applies a
recommendation and runs again gets exactly them.
"""

from __future__ import annotations

from quantdesk.scenarios.recommend.calm import CALM_WINDOWS, calm_scenarios, entries_of
from quantdesk.scenarios.recommend.chance import Chance, by_chance
from quantdesk.scenarios.recommend.figures import Effect, Figures, Told, figures_of
from quantdesk.scenarios.recommend.question import Question
from quantdesk.scenarios.recommend.recommendation import CalmCost, Objection, Recommendation, Recommendations
from quantdesk.scenarios.recommend.rules import Rules
from quantdesk.scenarios.recommend.runner import Batch, Run
from quantdesk.scenarios.recommend.search import recommend
from quantdesk.scenarios.recommend.sizes import Sizes, sizes_in
from quantdesk.scenarios.recommend.space import Change, HedgeChoice, SearchSpace

__all__ = [
    "CALM_WINDOWS",
    "Batch",
    "CalmCost",
    "Chance",
    "Change",
    "Effect",
    "Figures",
    "HedgeChoice",
    "Objection",
    "Question",
    "Recommendation",
    "Recommendations",
    "Rules",
    "Run",
    "SearchSpace",
    "Sizes",
    "Told",
    "by_chance",
    "calm_scenarios",
    "entries_of",
    "figures_of",
    "recommend",
    "sizes_in",
]
