"""A backtest that sees the members of the day: what it may wish for, and when it must let go.

A wish for a symbol that is no member when it is decided is refused, or dropped and counted. A position in a member that
leaves is closed:

- at its last session, where the exit was known by then (before the open, when trades happen at the open);
- at the first session after the exit became known, where it came as a surprise and there is still a price;
- at the last price there was, where there is none any more: a delisting pays the last trade. What a failed company paid
  after that, often nothing, is not in any price; load it as a last row if you know it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantdesk.errors import BadInput

if TYPE_CHECKING:
    from quantdesk.backtest.inputs import Plan
    from quantdesk.market.universes import Universe

__all__ = ["admitted", "with_exits"]

Booleans = npt.NDArray[np.bool_]


def admitted(weights: pd.DataFrame, universe: Universe, *, drop: bool) -> tuple[pd.DataFrame, dict[str, int]]:
    """Weights of members alone, and by symbol how many wishes were dropped.

    Parameters
    ----------
    weights
        Target weights at decisions, indexed by aware timestamps.
    universe
        Who may be wished for: asked for each decision's day, with what was known at the decision.
    drop
        Set the weight of a symbol that is no member to 0; otherwise the first one is refused.

    Raises
    ------
    BadInput
        The first weight of a symbol that is no member, with its time.
    """
    member = universe.mask(pd.DatetimeIndex(weights.index), [str(name) for name in weights.columns]).to_numpy()
    outside = (weights.to_numpy(dtype=float) != 0.0) & ~member
    if outside.any() and not drop:
        row, column = np.argwhere(outside)[0]
        raise BadInput(
            f"{weights.columns[column]} has the weight {weights.iloc[row, column]:g} at {weights.index[row]}, and is no"
            f" member of the universe {universe.name} on that day.",
            'Choose among universe.members(day), or pass Setup(outside="drop") to drop and count such wishes.',
        )
    counts = outside.sum(axis=0)
    dropped = {str(name): int(count) for name, count in zip(weights.columns, counts, strict=True) if count}
    return weights.mask(outside, 0.0), dropped


def with_exits(plan: Plan, universe: Universe, *, at_open: bool) -> tuple[Plan, dict[str, int]]:
    """Targets of 0 where a member leaves; and by symbol how many purchases of a leaving member were dropped.

    Parameters
    ----------
    plan
        Targets of members, on the rows that trade them.
    universe
        Who is a member when.
    at_open
        Whether a session trades at its open, when nothing is known that its own close brought.
    """
    names = list(plan.symbols)
    known = plan.index[:-1].insert(0, plan.index[0]) if at_open else plan.index
    today = universe.mask(plan.index, names, as_of=known).to_numpy()
    following = pd.DatetimeIndex(plan.index[1:].append(plan.index[-1:]))
    tomorrow = universe.mask(following, names, as_of=known).to_numpy()
    stays = today & tomorrow
    targets = plan.targets.copy()
    leaving = (np.nan_to_num(targets) != 0.0) & ~stays
    targets[leaving] = 0.0
    for row, column in np.argwhere(stays[:-1] & ~stays[1:]):
        targets[_exit_row(plan, int(row) + 1, int(column)), column] = 0.0
    dropped = {name: int(count) for name, count in zip(names, leaving.sum(axis=0), strict=True) if count}
    return replace(plan, targets=targets), dropped


def _exit_row(plan: Plan, first: int, column: int) -> int:
    """The row that closes a position which must go by row `first`: the next one with a price, else the last one."""
    priced = np.flatnonzero(~np.isnan(plan.execution[:, column]))
    after = priced[priced >= first]
    if after.size:
        return int(after[0])
    return int(priced[-1]) if priced.size else first
