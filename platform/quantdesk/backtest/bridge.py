"""The bridge to vectorbt 1.0.0, which simulates the orders when nothing but plain costs stands between wish and fill.

vectorbt takes seconds to import and warns while it does; it is imported when the first portfolio is built, never
before.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.backtest.costs import Costs
from quantdesk.backtest.inputs import Plan

__all__ = ["fills", "portfolio"]


def portfolio(plan: Plan, costs: Costs, cash: float, *, shorts: bool = False) -> Any:
    """Simulate `plan` as one vectorbt portfolio.

    All symbols share one account (``cash_sharing``). Each row of targets is a target percentage of the account's value
    at that row's prices before trading; sales go first (``call_seq="auto"``), and the last purchase is cut to the cash
    that is left after costs.

    Parameters
    ----------
    plan
        Targets already stand on the row that trades them.
    costs
        Commission and half-spread. `per_share` must be 0: vectorbt has no such fee.
    cash
        What the account starts with.
    shorts
        Whether positions may become negative.

    Returns
    -------
    vectorbt.Portfolio
        With ``freq="1D"``, so that its own statistics and plots work.
    """
    with warnings.catch_warnings():
        # Its dependencies use names that numpy, pandas and plotly are about to drop; none of it concerns the caller.
        warnings.simplefilter("ignore")
        import vectorbt as vbt

        # vectorbt multiplies every close with its position: a symbol without a price yet needs one, times 0 shares.
        closes = pd.DataFrame(plan.closes, plan.index, list(plan.symbols)).bfill().fillna(1.0)
        marks = np.where(np.isnan(plan.marks), closes.to_numpy(), plan.marks)
        return vbt.Portfolio.from_orders(
            closes,
            size=plan.targets,
            size_type="targetpercent",
            direction="both" if shorts else "longonly",
            price=plan.execution,
            val_price=marks,
            fees=costs.commission,
            slippage=costs.half_spread,
            init_cash=cash,
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
            freq="1D",
        )


def fills(simulated: Any) -> pd.DataFrame:
    """The trades of a vectorbt portfolio.

    Returns
    -------
    DataFrame
        Columns ``row``, ``column`` (positions in the plan), ``shares`` (signed), ``price``, ``fee``; in the order in
        which they were simulated.
    """
    records = simulated.orders.values
    sign = np.where(records["side"] == 0, 1.0, -1.0)  # vectorbt.portfolio.enums.OrderSide: Buy is 0, Sell is 1
    table = pd.DataFrame(
        {
            "row": records["idx"].astype(int),
            "column": records["col"].astype(int),
            "shares": sign * records["size"],
            "price": records["price"],
            "fee": records["fees"],
        }
    )
    return table.sort_values(["row", "shares"], kind="stable", ignore_index=True)
