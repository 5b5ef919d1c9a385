"""What goes into a backtest, checked once: prices, target weights, and when each target is traded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantdesk.backtest.members import admitted, with_exits
from quantdesk.errors import BadInput, BadParameter, UnknownName

if TYPE_CHECKING:
    from quantdesk.market.universes import Universe

__all__ = ["Limits", "Plan", "Setup", "plan"]

Floats = npt.NDArray[np.float64]
_SLACK = 1e-9  # weights are sums of floats


@dataclass(frozen=True, slots=True)
class Limits:
    """What target weights may look like; a row beyond them is refused, never silently scaled.

    Parameters
    ----------
    gross
        Largest sum of absolute weights; 1.0 means no leverage.
    single
        Largest absolute weight of one symbol.
    long_only
        Whether a negative weight is refused.
    """

    gross: float = 1.0
    single: float = 1.0
    long_only: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """The account and the rules of a backtest.

    Parameters
    ----------
    cash
        What the account starts with, in its currency.
    missing
        What to do when a held symbol, or one that is to be traded, has no price at a session. ``"error"`` refuses the
        backtest and names the symbol and the session. ``"carry"`` values the holding at its last known price, leaves
        the order undone, and counts every such session in `stale_sessions`.
    limits
        What target weights may look like.
    labels
        The labels of the data, for example ``("real", "survivors_only")``; every result carries them on.
    universe
        Who may be held on a day; anything with prices when None. Its labels are carried on, too.
    outside
        What to do with a weight for a symbol that is no member of `universe` on the day of the decision: ``"error"``
        names the first one, ``"drop"`` sets it to 0 and counts it in `Backtest.outside`.

    Raises
    ------
    BadParameter
        `cash` is not a positive number.
    UnknownName
        Another word for `missing` or `outside`.
    """

    cash: float = 1_000_000.0
    missing: Literal["error", "carry"] = "error"
    limits: Limits = field(default_factory=Limits)
    labels: tuple[str, ...] = ()
    universe: Universe | None = None
    outside: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        if isinstance(self.cash, bool) or not isinstance(self.cash, (int, float)) or not 0 < self.cash < float("inf"):
            raise BadParameter(f"cash is {self.cash!r}.", "Give a positive, finite amount.")
        if self.missing not in ("error", "carry"):
            raise UnknownName("missing", str(self.missing), ("error", "carry"))
        if self.outside not in ("error", "drop"):
            raise UnknownName("outside", str(self.outside), ("error", "drop"))

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Those of the data and of the universe, each once."""
        return tuple(dict.fromkeys((*self.labels, *(self.universe.labels if self.universe is not None else ()))))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Checked and aligned: rows are sessions from the first decision on, columns are the symbols of the weights.

    Parameters
    ----------
    index, symbols
        The sessions (UTC) and the symbols.
    execution
        Price at which each session trades; NaN where it cannot.
    marks
        Price before any trade of the session: `execution`, or the last close before it; NaN before the first price.
    closes
        Price that values the holdings at the end of the session: the close, or the last one known.
    fresh
        Whether `closes` is this session's own price.
    targets
        Target weights on the row at which they are **traded** (one session after the decision); NaN on other rows.
    pending
        The last decision, when no session follows it; it is not traded.
    outside
        By symbol, how many wishes were dropped because it was no member of the universe.
    """

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    execution: Floats
    marks: Floats
    closes: Floats
    fresh: npt.NDArray[np.bool_]
    targets: Floats
    pending: Mapping[str, float] | None
    outside: Mapping[str, int] = field(default_factory=dict)


def plan(prices: pd.DataFrame, weights: pd.DataFrame, opens: pd.DataFrame | None, setup: Setup) -> Plan:
    """Check `prices`, `weights` and `opens`, and put each decision on the session that trades it.

    Raises
    ------
    BadInput
        Empty, misaligned, unsorted or naive tables, prices that are not positive, weights that are not finite or beyond
        the limits.
    UnknownName
        A weight for a symbol without prices.
    """
    _check_prices("prices", prices)
    _check_weights(weights, prices, setup.limits)
    outside: dict[str, int] = {}
    if setup.universe is not None:
        weights, outside = admitted(weights, setup.universe, drop=setup.outside == "drop")
    if opens is not None:
        _check_prices("opens", opens)
        if not opens.index.equals(prices.index) or not set(weights.columns) <= set(opens.columns):
            raise BadInput(
                "The open prices do not cover the same sessions and symbols as the close prices.",
                "Give opens with the index of prices and every symbol of the weights.",
            )
    symbols = tuple(str(symbol) for symbol in weights.columns)
    first = prices.index.get_loc(weights.index[0])
    window = prices.iloc[first:]
    closes = window[list(symbols)].to_numpy(dtype=float)
    execution = closes if opens is None else opens.iloc[first:][list(symbols)].to_numpy(dtype=float)
    carried = window[list(symbols)].ffill().to_numpy(dtype=float)
    before = np.vstack([np.full((1, len(symbols)), np.nan), carried[:-1]])

    rows = window.index.get_indexer(weights.index)
    targets = np.full(closes.shape, np.nan)
    tradable = rows + 1 < len(window)
    targets[rows[tradable] + 1] = weights.to_numpy(dtype=float)[tradable]
    last = weights.iloc[-1]
    made = Plan(
        index=pd.DatetimeIndex(window.index),
        symbols=symbols,
        execution=execution,
        marks=np.where(np.isnan(execution), before, execution),
        closes=carried,
        fresh=~np.isnan(closes),
        targets=targets,
        pending=None if tradable[-1] else {str(name): float(weight) for name, weight in last.items()},
        outside=outside,
    )
    if setup.universe is None:
        return made
    made, leaving = with_exits(made, setup.universe, at_open=opens is not None)
    return replace(made, outside={name: outside.get(name, 0) + leaving.get(name, 0) for name in (*outside, *leaving)})


def _check_table(what: str, table: pd.DataFrame) -> None:
    if not isinstance(table, pd.DataFrame) or table.empty:
        raise BadInput(f"The {what} are empty.", "Give a frame with at least one row and one column.")
    if not isinstance(table.index, pd.DatetimeIndex) or table.index.tz is None:
        raise BadInput(f"The {what} are indexed by {table.index.dtype}.", "Index them by timestamps with a time zone.")
    if not table.index.is_monotonic_increasing or table.index.has_duplicates:
        raise BadInput(f"The sessions of the {what} are not increasing.", "Sort them and keep each session once.")
    if table.columns.has_duplicates:
        raise BadInput(f"The {what} name a symbol twice.", "Keep each symbol once.")
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes):
        raise BadInput(f"The {what} hold something that is not a number.", "Give float columns.")


def _check_prices(what: str, prices: pd.DataFrame) -> None:
    _check_table(what, prices)
    values = prices.to_numpy(dtype=float)
    bad = ~np.isnan(values) & ~((values > 0) & np.isfinite(values))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise BadInput(
            f"The {what} hold {values[row, column]:g} for {prices.columns[column]} at {prices.index[row]}.",
            "A price is positive and finite, or NaN where there is none.",
        )


def _check_weights(weights: pd.DataFrame, prices: pd.DataFrame, limits: Limits) -> None:
    _check_table("weights", weights)
    for symbol in weights.columns:
        if symbol not in prices.columns:
            raise UnknownName("symbol", str(symbol), [str(name) for name in prices.columns])
    strange = weights.index.difference(prices.index)
    if len(strange):
        raise BadInput(
            f"The weights decide at {strange[0]}, which is not a session of the prices.",
            "Decide at timestamps of the prices' own index.",
        )
    values = weights.to_numpy(dtype=float)
    for wrong, why in (
        (~np.isfinite(values), "a weight is a finite number; use 0 for nothing"),
        ((values < -_SLACK) & limits.long_only, "weights are long only unless Limits(long_only=False) is given"),
        (np.abs(values) > limits.single + _SLACK, f"one symbol may take {limits.single:g} at most"),
    ):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise BadInput(
                f"The weight of {weights.columns[column]} at {weights.index[row]} is {values[row, column]:g}.",
                f"{why[0].upper()}{why[1:]}.",
            )
    gross = np.abs(values).sum(axis=1)
    if (gross > limits.gross + _SLACK).any():
        row = int(np.argmax(gross > limits.gross + _SLACK))
        raise BadInput(
            f"The weights at {weights.index[row]} sum to {gross[row]:g} in absolute terms.",
            f"At most {limits.gross:g} is allowed; scale them, or raise Limits(gross=...).",
        )
