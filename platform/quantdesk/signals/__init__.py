"""Features -> target weights. Pure: nothing is read, nothing is written, nothing knows the time.

Every function takes a frame of features as `at_sessions` files it: index ``(timestamp, symbol)`` with the close
of the session at which the row was known, one column per feature. It gives target weights: one row per decision, one
column per symbol, each weight a fraction of the account's value, long only, summing to at most 1. What is not invested
is cash.

**No look-ahead.** The row at time T uses the features of T and of earlier rows. It is a wish that is known *after* the
close of T, so `quantdesk.backtest.run` trades it at the next session. A period (week, month) is rebalanced on its
**first** session: which session is the last one is known only when the next has come, the first is known at once.
Cutting off the future therefore never changes a past row.

**Nulls.** A symbol whose feature is null is not eligible on that row: its weight is 0 and nobody takes its place beyond
the ranking. Leading rows on which no symbol has a value are left out.
"""

from quantdesk.signals.rules import (
    STRATEGIES,
    Strategy,
    equal_weight,
    mean_reversion,
    momentum_alpha,
    strategy,
    top_n,
)
from quantdesk.signals.tables import Rebalance, at_sessions, rebalance_rows, wide

__all__ = [
    "STRATEGIES",
    "Rebalance",
    "Strategy",
    "at_sessions",
    "equal_weight",
    "mean_reversion",
    "momentum_alpha",
    "rebalance_rows",
    "strategy",
    "top_n",
    "wide",
]
