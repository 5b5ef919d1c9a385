"""Why a portfolio did better or worse than its benchmark: Brinson and Fachler (1985), linked over time exactly.

On each session, by group g with weights w and returns R of portfolio (p) and benchmark (b):

- **allocation** ``(w_pg - w_bg) (R_bg - R_b)``: more of the groups that did better than the benchmark;
- **selection** ``w_bg (R_pg - R_bg)``: better holdings inside a group;
- **interaction** ``(w_pg - w_bg) (R_pg - R_bg)``: more of a group in which the holdings were better.

What weights at the start of a session and returns of its holdings do not explain (costs, trades inside a session) is
its own line, **trading**. All effects are linked with `quantdesk.backtest.linking`, so that they sum to the
difference of the compounded returns to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantdesk.backtest.linking import active_coefficients
from quantdesk.backtest.result import Backtest
from quantdesk.errors import BadInput

__all__ = ["CASH", "Attribution", "attribute", "attribution_table", "brinson_fachler", "group_sessions"]

CASH = "Cash"
_EFFECTS = ("allocation", "selection", "interaction")


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """The difference between two compounded returns, split up. All numbers are fractions.

    Parameters
    ----------
    table
        One row per group; columns ``allocation``, ``selection``, ``interaction``, ``total`` (linked),
        ``portfolio_weight`` and ``benchmark_weight`` (means over the sessions).
    trading
        The linked effect of costs and of trades inside a session.
    cumulative
        Per session, the sum so far of each effect over all groups, and of ``trading``.
    portfolio_return, benchmark_return, active_return
        Compounded over the period; the third is the difference of the first two.
    labels
        The labels of the data.
    """

    table: pd.DataFrame
    trading: float
    cumulative: pd.DataFrame
    portfolio_return: float
    benchmark_return: float
    active_return: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GroupSessions:
    """Weights and returns of groups on each session, shape (sessions, groups); see `group_sessions`."""

    weights: pd.DataFrame
    returns: pd.DataFrame


def group_sessions(
    weights: pd.DataFrame, returns: pd.DataFrame, groups: Mapping[str, str], *, residual: str = CASH
) -> GroupSessions:
    """Gather holdings into groups.

    Parameters
    ----------
    weights
        Weight of each symbol **before** the session's return, shape (sessions, symbols).
    returns
        Return of each symbol on that session, same shape; NaN is allowed where the weight is 0.
    groups
        The group of each symbol.
    residual
        The group of what the weights leave of 1; it returns 0.

    Returns
    -------
    GroupSessions
        A group without weight has the return 0; `brinson_fachler` then takes the other side's.

    Raises
    ------
    BadInput
        Tables of different shape, a symbol without a group, a holding without a return.
    """
    if not weights.index.equals(returns.index) or list(weights.columns) != list(returns.columns):
        raise BadInput("Weights and returns name other sessions or symbols.", "Give two tables of the same shape.")
    without = [str(symbol) for symbol in weights.columns if symbol not in groups]
    if without:
        raise BadInput(f"{', '.join(without)} belong to no group.", "Name a group for every symbol that is held.")
    held = weights.to_numpy(dtype=float)
    earned = returns.to_numpy(dtype=float)
    unknown = np.isnan(earned) & (held != 0.0)
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise BadInput(
            f"{weights.columns[column]} is held at {weights.index[row]} without a return.",
            "Value it at a price on each session.",
        )
    contribution = np.where(held == 0.0, 0.0, held * np.nan_to_num(earned))
    names = sorted({groups[symbol] for symbol in weights.columns} - {residual})
    member = np.array([[groups[symbol] == name for name in names] for symbol in weights.columns], dtype=float)
    weight, brought = held @ member, contribution @ member
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = np.where(np.abs(weight) > 1e-15, brought / weight, 0.0)
    rest = 1.0 - weight.sum(axis=1, keepdims=True)
    labels = [*names, residual]
    return GroupSessions(
        pd.DataFrame(np.hstack([weight, rest]), weights.index, labels),
        pd.DataFrame(np.hstack([gained, np.zeros_like(rest)]), weights.index, labels),
    )


def brinson_fachler(
    portfolio: GroupSessions,
    benchmark: GroupSessions,
    portfolio_returns: pd.Series | None = None,
    benchmark_returns: pd.Series | None = None,
    labels: tuple[str, ...] = (),
) -> Attribution:
    """Attribute the difference between two sets of grouped holdings.

    Parameters
    ----------
    portfolio, benchmark
        Weights and returns by group on the same sessions; the weights of a session sum to 1. Groups that only one side
        knows count with weight 0 on the other. Where a side holds nothing of a group it has no return there; it then
        takes the other side's, so that the effect is pure allocation.
    portfolio_returns, benchmark_returns
        The returns that were really earned per session, costs included; the weighted sums of the groups when None. The
        difference to the weighted sums becomes ``trading``.
    labels
        The labels of the data.

    Raises
    ------
    BadInput
        Different sessions, weights that do not sum to 1, or a session that lost everything.
    """
    sessions = portfolio.weights.index
    if not len(sessions) or not sessions.equals(benchmark.weights.index):
        raise BadInput("Portfolio and benchmark have other sessions.", "Give both on the same ones, at least one.")
    names = sorted(set(portfolio.weights.columns) | set(benchmark.weights.columns))

    def grid(table: pd.DataFrame) -> np.ndarray:
        return table.reindex(columns=names, fill_value=0.0).to_numpy(dtype=float)

    wp, wb, rp, rb = (grid(t) for t in (portfolio.weights, benchmark.weights, portfolio.returns, benchmark.returns))
    for side, held in (("portfolio", wp), ("benchmark", wb)):
        wrong = np.abs(held.sum(axis=1) - 1) > 1e-9
        if wrong.any():
            raise BadInput(
                f"The {side}'s weights sum to {held.sum(axis=1)[wrong][0]:g} at {sessions[wrong][0]}.",
                "They sum to 1; put what is not invested into a group of its own.",
            )
    explained_p, explained_b = (wp * rp).sum(axis=1), (wb * rb).sum(axis=1)
    rp, rb = np.where(wp == 0.0, rb, rp), np.where(wb == 0.0, rp, rb)
    earned_p, earned_b = (
        explained if given is None else _aligned(given, sessions)
        for given, explained in ((portfolio_returns, explained_p), (benchmark_returns, explained_b))
    )
    effects = {
        "allocation": (wp - wb) * (rb - explained_b[:, None]),
        "selection": wb * (rp - rb),
        "interaction": (wp - wb) * (rp - rb),
    }
    scale = active_coefficients(earned_p, earned_b)
    linked = {name: effect * scale[:, None] for name, effect in effects.items()}
    trading = ((earned_p - explained_p) - (earned_b - explained_b)) * scale
    table = pd.DataFrame({name: effect.sum(axis=0) for name, effect in linked.items()}, pd.Index(names, name="group"))
    table["total"] = table.sum(axis=1)
    table["portfolio_weight"], table["benchmark_weight"] = wp.mean(axis=0), wb.mean(axis=0)
    steps = pd.DataFrame({name: effect.sum(axis=1) for name, effect in linked.items()}, sessions)
    steps["trading"] = trading
    totals = [float(np.expm1(np.log1p(values).sum())) for values in (earned_p, earned_b)]
    return Attribution(
        table=table,
        trading=float(trading.sum()),
        cumulative=steps.cumsum(),
        portfolio_return=totals[0],
        benchmark_return=totals[1],
        active_return=totals[0] - totals[1],
        labels=labels,
    )


def _aligned(returns: pd.Series, sessions: pd.Index) -> np.ndarray:
    if not sessions.isin(returns.index).all():
        raise BadInput("Some sessions have no earned return.", "Give one per session of the weights.")
    return returns.loc[sessions].to_numpy(dtype=float)


def attribute(portfolio: Backtest, benchmark: Backtest, groups: Mapping[str, str]) -> Attribution:
    """Attribute one backtest against another, by `groups` of symbols.

    Parameters
    ----------
    portfolio, benchmark
        Two backtests; the sessions that both have are used.
    groups
        The group of each symbol, for example `quantdesk.backtest.sectors.SECTORS`.

    Returns
    -------
    Attribution
        With a group ``Cash`` for what is not invested.
    """
    shared = portfolio.returns.index.intersection(benchmark.returns.index)
    if not len(shared):
        raise BadInput("The two backtests share no session.", "Run both on the same dates.")

    def grouped(one: Backtest) -> GroupSessions:
        before = one.weights.shift(1).loc[shared]
        moved = one.prices.pct_change(fill_method=None).loc[shared]
        return group_sessions(before, moved, groups)

    labels = tuple(dict.fromkeys((*portfolio.labels, *benchmark.labels)))
    return brinson_fachler(grouped(portfolio), grouped(benchmark), portfolio.returns, benchmark.returns, labels)


def attribution_table(found: Attribution) -> pd.DataFrame:
    """An attribution for people, in percentage points: the groups, trading, and their sum.

    Returns
    -------
    DataFrame
        Texts; columns ``allocation``, ``selection``, ``interaction``, ``total``, and the mean weights ``weight, %`` and
        ``benchmark, %``.
    """
    rows = found.table.loc[:, [*_EFFECTS, "total"]].copy()
    rows.loc["Trading", "total"] = found.trading
    rows.loc["Sum"] = rows.sum()
    points = 100 * rows
    points["weight, %"], points["benchmark, %"] = (
        100 * found.table[side] for side in ("portfolio_weight", "benchmark_weight")
    )
    # Adding 0.0 turns the -0.0 of a rounded crumb into 0.0.
    return points.rename_axis(None).map(lambda value: "" if np.isnan(value) else f"{round(value, 2) + 0.0:,.2f}")
