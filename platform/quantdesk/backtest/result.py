"""What a backtest found: frozen, with its assumptions and the labels of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantdesk.backtest.inputs import Plan

__all__ = ["Backtest", "account", "unpriced"]


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """The account over time. Tables are indexed by session (UTC), from the first decision on; money is in its currency.

    Parameters
    ----------
    equity
        Value of the account at each close. The first row is the starting cash: nothing trades at the first decision.
    returns
        Change of `equity` from close to close, as a fraction; one row fewer than `equity`.
    weights
        Value of each holding at the close as a fraction of `equity`, drift included.
    positions
        Shares of each symbol after the session.
    cash
        Cash after the session.
    prices
        What the holdings were valued at: the close, or the last one known. NaN before a symbol's first price.
    fills
        One row per trade: ``timestamp``, ``symbol``, ``shares`` (signed), ``reference`` (price before costs),
        ``price``, ``fee``, ``spread_cost`` (what the price cost against the reference).
    costs
        Fees plus spread of each session.
    turnover
        Half of the traded value of each session as a fraction of `equity` before it: 1.0 exchanges the whole account.
    stale_sessions
        By symbol, how many sessions a holding was valued at an older price, or an order found no price. Empty normally.
    pending
        The last decision, when no session followed it; None otherwise.
    assumptions
        Sentences that say how prices, fills and costs were taken.
    labels
        The labels of the data.
    portfolio
        The vectorbt portfolio, for its plots and statistics; None when an `execute` callable or a per-share fee was
        used.
    outside
        By symbol, how many wishes were dropped because it was no member of the universe then. Empty without one.
    """

    equity: pd.Series
    returns: pd.Series
    weights: pd.DataFrame
    positions: pd.DataFrame
    cash: pd.Series
    prices: pd.DataFrame
    fills: pd.DataFrame
    costs: pd.Series
    turnover: pd.Series
    stale_sessions: Mapping[str, int]
    pending: Mapping[str, float] | None
    assumptions: tuple[str, ...]
    labels: tuple[str, ...]
    portfolio: Any = field(default=None, repr=False)
    outside: Mapping[str, int] = field(default_factory=dict)


def account(
    plan: Plan, trades: pd.DataFrame, cash: float, assumptions: tuple[str, ...], labels: tuple[str, ...]
) -> Backtest:
    """Book `trades` (see `quantdesk.backtest.bridge.fills`) and value the account at every close."""
    shape = plan.closes.shape
    rows, columns = trades["row"].to_numpy(dtype=int), trades["column"].to_numpy(dtype=int)
    shares, price, fee = (trades[name].to_numpy(dtype=float) for name in ("shares", "price", "fee"))
    reference = plan.marks[rows, columns]

    flow = np.zeros(shape)
    np.add.at(flow, (rows, columns), shares)
    volume = np.zeros(shape)
    np.add.at(volume, (rows, columns), np.abs(shares))
    positions = flow.cumsum(axis=0)
    positions[np.abs(positions) <= 1e-12 * volume.cumsum(axis=0)] = 0.0  # the crumbs of a sum of floats

    balance = cash + np.cumsum(-np.bincount(rows, shares * price + fee, minlength=shape[0]))
    value = np.where(positions == 0.0, 0.0, positions * plan.closes)
    equity = balance + value.sum(axis=1)
    paid = np.bincount(rows, fee + shares * (price - reference), minlength=shape[0])
    traded = np.bincount(rows, np.abs(shares) * reference, minlength=shape[0])
    before = np.concatenate([[cash], equity[:-1]])

    def table(values: Any) -> pd.DataFrame:
        return pd.DataFrame(values, plan.index, pd.Index(plan.symbols, name="symbol"))

    def series(values: Any, name: str) -> pd.Series:
        return pd.Series(values, plan.index, name=name)

    counts = unpriced(plan, positions).sum(axis=0)
    money = series(equity, "equity")
    return Backtest(
        equity=money,
        returns=money.pct_change().iloc[1:].rename("return"),
        weights=table(value / equity[:, None]),
        positions=table(positions),
        cash=series(balance, "cash"),
        prices=table(plan.closes),
        fills=pd.DataFrame(
            {
                "timestamp": plan.index[rows],
                "symbol": np.array(plan.symbols, dtype=object)[columns],
                "shares": shares,
                "reference": reference,
                "price": price,
                "fee": fee,
                "spread_cost": shares * (price - reference),
            }
        ),
        costs=series(paid, "costs"),
        turnover=series(traded / 2 / before, "turnover"),
        stale_sessions={name: int(count) for name, count in zip(plan.symbols, counts, strict=True) if count},
        pending=plan.pending,
        assumptions=assumptions,
        labels=labels,
        outside=plan.outside,
    )


def unpriced(plan: Plan, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Where a holding was valued at an older price, or a wish to trade found no price; shape as `positions`."""
    held_before = np.vstack([np.zeros((1, positions.shape[1])), positions[:-1]])
    wanted = ~np.isnan(plan.targets) & ((plan.targets != 0.0) | (held_before != 0.0))
    found: npt.NDArray[np.bool_] = ((positions != 0.0) & ~plan.fresh) | (wanted & np.isnan(plan.execution))
    return found
