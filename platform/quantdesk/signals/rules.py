"""The rules themselves: from features to target weights. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.signals.tables import Rebalance, check_features, decision_rows, wide

__all__ = [
    "STRATEGIES",
    "Strategy",
    "equal_weight",
    "mean_reversion",
    "momentum_alpha",
    "strategy",
    "top_n",
]


def top_n(
    scores: pd.DataFrame,
    top: int = 5,
    *,
    rebalance: Rebalance = "monthly",
    weighting: Literal["equal", "rank"] = "equal",
    floor: float | None = None,
    eligible: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Hold the `top` symbols with the highest score at each rebalance.

    Parameters
    ----------
    scores
        Timestamps by symbols; higher is better; NaN is not eligible. For example the predictions of a model.
    top
        How many slots there are (capped at the number of symbols). A slot that no eligible symbol fills stays cash.
    rebalance
        See `rebalance_rows`.
    weighting
        ``"equal"``: each slot is ``1 / top``. ``"rank"``: the best gets ``top`` shares, the next ``top - 1``, ... of
        ``top (top + 1) / 2``.
    floor
        A symbol must score more than this to be held; None for no such rule.
    eligible
        Booleans, shape as `scores`: where a symbol may be held at all. It does not change which row is the first one.

    Returns
    -------
    DataFrame
        One row per rebalance, columns as in `scores`; each row sums to 1, or to less when slots stay empty. Between
        equal scores the order of the columns decides.

    Raises
    ------
    BadParameter
        `top` is below 1.
    BadInput
        No symbol has a score on any row.
    """
    slots = _whole("top", top)
    if weighting not in ("equal", "rank"):
        raise UnknownName("weighting", str(weighting), ("equal", "rank"))
    chosen = decision_rows(scores, rebalance)
    if eligible is not None:
        chosen = chosen.where(eligible.loc[chosen.index])
    if floor is not None:
        chosen = chosen.where(chosen > floor)
    return _fill_slots(chosen, slots, weighting)


def momentum_alpha(
    features: pd.DataFrame,
    top: int = 5,
    *,
    rebalance: Rebalance = "monthly",
    weighting: Literal["equal", "rank"] = "equal",
    trend_filter: bool = False,
    floor: float | None = None,
) -> pd.DataFrame:
    """Hold the winners of the last twelve months, leaving out the last one.

    The feature is ``mom_12_1``; the ranking is across the symbols of one row (Jegadeesh and Titman 1993; leaving out
    the last month avoids the short-term reversal of Jegadeesh 1990).

    Parameters
    ----------
    features
        Index ``(timestamp, symbol)`` with ``mom_12_1``, and with ``sma_50`` and ``sma_200`` when `trend_filter` is set.
    top, rebalance, weighting
        See `top_n`.
    trend_filter
        Hold a symbol only while its 50-session average is above its 200-session average.
    floor
        Hold a symbol only while its momentum is above this fraction; ``0.0`` makes it absolute momentum, which is what
        gives a single symbol something to decide.

    Returns
    -------
    DataFrame
        Target weights: one row per rebalance, one column per symbol.
    """
    scores = wide(features, "mom_12_1")
    rising = wide(features, "sma_50") > wide(features, "sma_200") if trend_filter else None
    return top_n(scores, top, rebalance=rebalance, weighting=weighting, floor=floor, eligible=rising)


def mean_reversion(
    features: pd.DataFrame,
    slots: int = 5,
    *,
    entry: float = -2.0,
    exit_at: float = 0.0,
    oversold: float | None = 30.0,
    rebalance: Rebalance = "daily",
) -> pd.DataFrame:
    """Buy what has fallen far below its 20-session average, sell it when it is back there.

    A symbol is bought when ``bollinger_z_20 <= entry`` and ``rsi_14 <= oversold``, and held until
    ``bollinger_z_20 >= exit_at`` or the feature turns null (Bollinger 2001; Wilder 1978).

    Parameters
    ----------
    features
        Index ``(timestamp, symbol)`` with ``bollinger_z_20``, and with ``rsi_14`` unless `oversold` is None.
    slots
        Each holding gets ``1 / slots`` (capped at the number of symbols); when more qualify, the lowest z-scores win.
    entry, exit_at
        Standard deviations from the average; `entry` is below `exit_at`.
    oversold
        The highest RSI (0..100) at which to buy; None to leave RSI out.
    rebalance
        How often the holdings are looked at; the entries and exits themselves are followed on every row.

    Returns
    -------
    DataFrame
        Target weights, only on rows where they differ from the row before: drift alone is not traded away.

    Raises
    ------
    BadParameter
        `slots` is below 1, or `entry` is not below `exit_at`.
    """
    count = _whole("slots", slots)
    if not entry < exit_at:
        raise BadParameter(f"entry is {entry!r} and exit_at is {exit_at!r}.", "Buy below the level at which you sell.")
    distance = wide(features, "bollinger_z_20")
    enters = distance <= entry
    if oversold is not None:
        enters &= wide(features, "rsi_14") <= oversold
    leaves = (distance >= exit_at) | distance.isna()
    state = pd.DataFrame(np.select([leaves, enters], [0.0, 1.0], np.nan), distance.index, distance.columns)
    held = state.ffill() == 1.0

    rows = decision_rows(distance, rebalance)
    weights = _fill_slots(-rows.where(held.loc[rows.index]), count, "equal")
    changed = np.concatenate([[True], (np.diff(weights.to_numpy(), axis=0) != 0).any(axis=1)])
    return weights[changed]


def equal_weight(features: pd.DataFrame, on: str | None = None, *, rebalance: Rebalance = "monthly") -> pd.DataFrame:
    """Hold every available symbol at the same weight: the benchmark that needs no opinion.

    Parameters
    ----------
    features
        Index ``(timestamp, symbol)``.
    on
        The feature that must not be null for a symbol to count as available; the first column when None.
    rebalance
        See `rebalance_rows`.

    Returns
    -------
    DataFrame
        Target weights that sum to 1 on each row with an available symbol.
    """
    if on is None and isinstance(features, pd.DataFrame) and not len(features.columns):
        raise BadInput("The frame of features has no column.", "Ask for at least one feature.")
    features = check_features(features)
    chosen = decision_rows(wide(features, str(features.columns[0]) if on is None else on), rebalance)
    there = chosen.notna().astype("float64")
    return there.div(there.sum(axis=1).where(lambda count: count > 0, 1.0), axis=0)


def _fill_slots(scores: pd.DataFrame, slots: int, weighting: str) -> pd.DataFrame:
    """Give the slots of each row to its highest scores; a slot that nobody fills stays empty."""
    slots = min(slots, scores.shape[1])
    shares = np.ones(slots) if weighting == "equal" else np.arange(slots, 0, -1, dtype=float)
    values = scores.to_numpy(dtype=float)
    ranked = np.argsort(np.where(np.isnan(values), np.inf, -values), axis=1, kind="stable")[:, :slots]
    weights = np.zeros_like(values)
    np.put_along_axis(weights, ranked, np.broadcast_to(shares / shares.sum(), ranked.shape), axis=1)
    weights[np.isnan(values)] = 0.0
    return pd.DataFrame(weights, index=scores.index, columns=scores.columns)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise BadParameter(f"{name} is {value!r}.", "Give a whole number of at least 1.")
    return int(value)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named rule.

    Parameters
    ----------
    name
        The public name, for example ``"momentum_alpha"``.
    features
        What `weights` needs as columns.
    weights
        Features -> target weights; its keyword arguments are the strategy's options.
    summary
        One sentence for people.
    """

    name: str
    features: tuple[str, ...]
    weights: Callable[..., pd.DataFrame]
    summary: str

    @property
    def title(self) -> str:
        """The name for people: ``"momentum alpha"``."""
        return self.name.replace("_", " ")

    @property
    def options(self) -> Mapping[str, object]:
        """The parameters of the rule with their defaults."""
        taken = inspect.signature(self.weights).parameters.values()
        return {one.name: one.default for one in taken if one.name != "features"}

    def __call__(self, features: pd.DataFrame, options: Mapping[str, object] | None = None) -> pd.DataFrame:
        """Target weights with these `options`; the defaults for those that are left out.

        Raises
        ------
        BadParameter
            An option that the strategy does not have.
        """
        given = dict(options or {})
        for name in given:
            if name not in self.options:
                raise BadParameter(f"{self.name} has no option {name!r}.", f"It has: {', '.join(self.options)}.")
        return self.weights(features, **given)


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            Strategy(
                "momentum_alpha",
                ("mom_12_1", "sma_50", "sma_200"),
                momentum_alpha,
                "Each month, hold the symbols with the highest return from twelve months to one month ago.",
            ),
            Strategy(
                "mean_reversion",
                ("bollinger_z_20", "rsi_14"),
                mean_reversion,
                "Buy what fell two deviations below its 20-session average, sell it when it is back there.",
            ),
            Strategy(
                "equal_weight",
                ("ret_1d",),
                equal_weight,
                "Hold every available symbol at the same weight.",
            ),
        )
    }
)
"""The strategies by name, for a notebook, a scenario and the command line."""


def strategy(name: str) -> Strategy:
    """The strategy of this name; `UnknownName` otherwise."""
    if name not in STRATEGIES:
        raise UnknownName("strategy", str(name), STRATEGIES)
    return STRATEGIES[name]
