"""Run target weights through time.

What is assumed, and shown on every result: a decision of session T trades at session T+1, at its close, or at its open
where opens are given; fractions of shares trade; the order moves no price beyond its costs; idle cash earns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from quantdesk.backtest import bridge
from quantdesk.backtest.costs import Costs
from quantdesk.backtest.execution import Book, Execute, Fill, ImmediateFill, TargetOrder
from quantdesk.backtest.inputs import Plan, Setup
from quantdesk.backtest.inputs import plan as make_plan
from quantdesk.backtest.result import Backtest, account, unpriced
from quantdesk.errors import BadInput

__all__ = ["run"]


def run(
    prices: pd.DataFrame,
    weights: pd.DataFrame,
    costs: Costs | None = None,
    *,
    opens: pd.DataFrame | None = None,
    execute: Execute | None = None,
    setup: Setup | None = None,
) -> Backtest:
    """Trade `weights` on `prices`.

    Parameters
    ----------
    prices
        Close prices, shape (sessions, symbols), index increasing and aware; adjusted ones give total returns. NaN
        where a symbol has no price. Symbols without weights are ignored.
    weights
        Target weights, shape (decisions, symbols), at timestamps of `prices`; no NaN. Between two decisions the
        holdings drift. Each row is known after its session's close and trades at the next session.
    costs
        What a trade costs; ``Costs()`` when None.
    opens
        Open prices on the same adjustment basis as `prices`; with them, a decision trades at the next **open** instead
        of the next close.
    execute
        Turns orders into fills; `ImmediateFill` when None. Then `costs` is unused:
        the callable prices its own fills.
    setup
        Account, limits, labels and the rule for missing prices; ``Setup()`` when None.

    Returns
    -------
    Backtest
        Starts at the first decision.

    Raises
    ------
    BadInput
        See `quantdesk.backtest.inputs.plan`; and a held or wanted symbol without a price when
        ``setup.missing == "error"``; and fills that an `execute` callable was not asked for.
    """
    costs, setup = costs or Costs(), setup or Setup()
    planned = make_plan(prices, weights, opens, setup)
    if setup.missing == "error":
        _refuse_unpriced_targets(planned)
    simulated = None
    if execute is None and not costs.per_share:
        simulated = bridge.portfolio(planned, costs, setup.cash, shorts=not setup.limits.long_only)
        trades = bridge.fills(simulated)
    else:
        trades = _loop(planned, execute or ImmediateFill(costs), setup.cash, shorts=not setup.limits.long_only)
    said = _assumptions(costs if execute is None else None, opens is not None, setup, trades)
    labels = costs.labels(setup.all_labels) if execute is None else setup.all_labels
    result = account(planned, trades, setup.cash, said, labels)
    if setup.missing == "error" and result.stale_sessions:
        _refuse_unpriced_holding(planned, result)
    if float(result.equity.min()) <= 0:
        raise BadInput(
            f"The account is worth {float(result.equity.min()):,.2f} at {result.equity.idxmin()}: it is ruined.",
            "Use less leverage; what happens after that has no meaning.",
        )
    return replace(result, portfolio=simulated)


def _loop(plan: Plan, execute: Execute, cash: float, *, shorts: bool) -> pd.DataFrame:
    """Session by session: size the orders, hand them to `execute`, book what comes back."""
    held = np.zeros(len(plan.symbols))
    booked: list[tuple[int, int, float, float, float]] = []
    for row in np.flatnonzero(~np.isnan(plan.targets).all(axis=1)):
        marks = plan.marks[row]
        value = cash + float(held[held != 0] @ marks[held != 0])
        wish = np.zeros_like(held)
        priced = ~np.isnan(plan.execution[row]) & ~np.isnan(plan.targets[row])
        wish[priced] = plan.targets[row, priced] * value / marks[priced] - held[priced]
        size = np.where(priced, wish * np.where(priced, marks, 0.0), 0.0)
        ranked = [int(column) for column in np.argsort(size, kind="stable") if wish[column] != 0.0]
        timestamp = plan.index[int(row)].to_pydatetime()
        orders = tuple(
            TargetOrder(timestamp, plan.symbols[c], float(wish[c]), float(plan.execution[row, c])) for c in ranked
        )
        if not orders:
            continue
        book = Book(
            timestamp,
            cash,
            {plan.symbols[c]: float(held[c]) for c in np.flatnonzero(held)},
            {name: float(mark) for name, mark in zip(plan.symbols, marks, strict=True) if not np.isnan(mark)},
            value,
        )
        for column, fill in _checked(execute(orders, book), orders, plan):
            held[column] += fill.shares
            if not shorts and held[column] < 0:
                held[column] = 0.0  # a full sale leaves the crumb of a float division, never a short position
            cash -= fill.shares * fill.price + fill.fee
            booked.append((int(row), column, fill.shares, fill.price, fill.fee))
    return pd.DataFrame(booked, columns=["row", "column", "shares", "price", "fee"]).astype(
        {"row": int, "column": int, "shares": float, "price": float, "fee": float}
    )


def _checked(fills: Sequence[Fill], orders: Sequence[TargetOrder], plan: Plan) -> list[tuple[int, Fill]]:
    """Each fill with its column, refused when it is not (part of) an order."""
    left = {order.symbol: order.shares for order in orders}
    checked = []
    for fill in fills:
        wanted = left.get(fill.symbol, 0.0)
        fits = np.sign(fill.shares) == np.sign(wanted) and abs(fill.shares) <= abs(wanted) * (1 + 1e-9)
        if not fits or not fill.price > 0 or not np.isfinite(fill.price) or not 0 <= fill.fee < np.inf:
            raise BadInput(
                f"The execute callable filled {fill.shares:g} {fill.symbol} at {fill.price:g} (fee {fill.fee:g}) at"
                f" {orders[0].timestamp}, where {wanted:g} were left to fill.",
                "A fill has its order's side, at most its size, a positive price and a fee of at least 0.",
            )
        left[fill.symbol] = wanted - fill.shares
        checked.append((plan.symbols.index(fill.symbol), fill))
    return checked


def _refuse_unpriced_targets(plan: Plan) -> None:
    without = np.isnan(plan.execution) & (np.nan_to_num(plan.targets) != 0.0)
    if without.any():
        row, column = np.argwhere(without)[0]
        raise BadInput(
            f"{plan.symbols[column]} is to be bought or kept at {plan.index[row]}, where it has no price.",
            'Give it no weight there, or pass Setup(missing="carry") to leave such orders undone.',
        )


def _refuse_unpriced_holding(plan: Plan, result: Backtest) -> None:
    row, column = np.argwhere(unpriced(plan, result.positions.to_numpy()))[0]
    raise BadInput(
        f"{plan.symbols[column]} is held at {plan.index[row]}, where it has no price.",
        'Sell it before its prices end, or pass Setup(missing="carry") to value it at its last known price.',
    )


def _assumptions(costs: Costs | None, at_open: bool, setup: Setup, trades: pd.DataFrame) -> tuple[str, ...]:
    said = [
        f"Decided after the close of a session, traded at the next session's {'open' if at_open else 'close'}.",
        f"Costs: {costs}." if costs else "Fills and costs come from the execute callable.",
        "Fractions of shares trade; orders move no price beyond these costs; idle cash earns nothing.",
    ]
    if setup.missing == "carry":
        said.append("A holding without a price is valued at its last known one, and is not traded until it has one.")
    if setup.universe is not None:
        said.append(
            f"Only members of {setup.universe.name} on the day are bought, as known then; one that leaves is sold at"
            " its last session, or when the exit became known, and at its last price where there is none after it."
        )
    if not setup.limits.long_only and len(trades):
        said.append("Short positions pay no borrowing fee.")
    return tuple(said)
