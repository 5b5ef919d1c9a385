"""Invented shocks: what is named moves as asked, the rest as a covariance says that it would. Pure.

::

    names         sectors as people call them
    shock         what is invented, and how shocks add up
    eras          the days on which a covariance is measured
    moves         moves, covariances, conditional moves
    correlation   correlations that are asked for, and the nearest ones that can be
    credit        a freeze of credit, in units of the one that the data hold
    world         what a shock meets, and what it does there
    impulses      from a shock to that
    shapes        how much of it has happened, bar by bar
    plan          what is known before a simulation
    steps         bar by bar: how far everything moves
    generate      from all that to a path
    history       the real past of that path
    propagation   how wrong the method was in the crises
    shocked       the result
"""

from __future__ import annotations

from quantdesk.scenarios.shocks.correlation import Repair, clipped, higham, repaired
from quantdesk.scenarios.shocks.eras import ERAS, Era, resolve_era
from quantdesk.scenarios.shocks.generate import generate
from quantdesk.scenarios.shocks.moves import Covariance, by_session, closes_of, covariance, moves
from quantdesk.scenarios.shocks.plan import Method
from quantdesk.scenarios.shocks.propagation import CRISES, Crisis, Prediction, PropagationError, propagation_error
from quantdesk.scenarios.shocks.shock import SHAPES, TYPES, Shock, Shocks, synthetic_shock
from quantdesk.scenarios.shocks.shocked import Outage, Shocked

__all__ = [
    "CRISES", "ERAS", "SHAPES", "TYPES", "Covariance", "Crisis", "Era", "Method", "Outage", "Prediction",
    "PropagationError", "Repair", "Shock", "Shocked", "Shocks", "by_session", "clipped", "closes_of", "covariance",
    "generate", "higham", "moves", "propagation_error", "repaired", "resolve_era", "synthetic_shock",
]  # fmt: skip
