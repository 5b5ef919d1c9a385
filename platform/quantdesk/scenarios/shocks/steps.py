"""Bar by bar: how far everything moves, given what is shocked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.shocks.moves import betas, root
from quantdesk.scenarios.shocks.plan import Plan
from quantdesk.scenarios.shocks.shapes import active, lasting, moved

__all__ = ["multiples", "simulate"]

Floats = NDArray[np.float64]


def simulate(plan: Plan, seed: int) -> tuple[Floats, Floats]:
    """Mean moves and noise of each bar, both ``(horizon + 1, names)``; NaN means for what nothing is known of."""
    horizon, cov = plan.horizon, plan.cov
    place = {name: number for number, name in enumerate(plan.names)}
    inside = np.array([place[name] for name in cov.symbols])
    draws = np.random.default_rng([seed, 0x5130C]).standard_normal((horizon + 1, len(cov.symbols)))
    steps, noise = np.full((horizon + 1, len(plan.names)), np.nan), np.zeros((horizon + 1, len(plan.names)))
    steps[:, inside] = 0.0
    parts = [np.diff(moved(one, horizon), prepend=0.0) for one in plan.shocks]
    on = [active(one, horizon) for one in plan.shocks]
    wild = multiples(plan, "noise", plan.names)
    broken = _broken(plan)
    roots = {False: root(cov.matrix), True: root(plan.stressed) if plan.repair else cov.matrix}
    slopes: dict[tuple[bool, tuple[int, ...]], Floats] = {}
    for bar in range(1, horizon + 1):
        given: dict[str, float] = {}
        drivers: set[str] = set()
        for impulse, part, is_on in zip(plan.impulses, parts, on, strict=True):
            if is_on[bar]:
                for name, move in impulse.moves.items():
                    given[name] = given.get(name, 0.0) + move * part[bar]
                drivers.update(name for name in impulse.drivers if name in cov.symbols)
        state = bool(broken[bar])
        drawn = roots[state] @ draws[bar]
        among = tuple(int(one) for one in cov.places(sorted(drivers))) if drivers else ()
        if among:
            key = (state, among)
            if key not in slopes:
                slopes[key] = betas(plan.stressed if state else cov.matrix, np.array(among))
            steps[bar, inside] = slopes[key] @ np.array([given[cov.symbols[one]] for one in among])
            drawn = drawn - slopes[key] @ drawn[list(among)]
        noise[bar, inside] = drawn * wild[bar, inside] * plan.method.noise
        for name, move in given.items():
            steps[bar, place[name]], noise[bar, place[name]] = move, 0.0
    return _carried(steps, plan), noise


def _carried(steps: Floats, plan: Plan) -> Floats:
    """What is shocked and unknown to the era stays where it was put when it is not shocked."""
    shocked = {name for one in plan.impulses for name in one.moves}
    for column, name in enumerate(plan.names):
        if name in shocked:
            steps[:, column] = np.nan_to_num(steps[:, column])
    return steps


def multiples(plan: Plan, what: Literal["noise", "quotes", "depth"], names: Sequence[str]) -> Floats:
    """Multiples by bar and name: logs of all shocks add up."""
    logs = np.zeros((plan.horizon + 1, len(names)))
    place = {name: number for number, name in enumerate(names)}
    for shock, impulse in zip(plan.shocks, plan.impulses, strict=True):
        part = lasting(shock, plan.horizon)
        for name, log in getattr(impulse, what).items():
            logs[:, place[name]] += part * log
    found: Floats = np.exp(logs).round(10)
    return found


def _broken(plan: Plan) -> NDArray[np.bool_]:
    """In which bars correlations are broken."""
    found = np.zeros(plan.horizon + 1, dtype=bool)
    for shock, impulse in zip(plan.shocks, plan.impulses, strict=True):
        if impulse.mean_correlation is not None:
            found |= active(shock, plan.horizon)
            if shock.shape == "L":
                found[shock.delay_days + 1 :] = True
    return found
