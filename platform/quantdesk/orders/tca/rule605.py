"""A set of orders in the shape of a report under Rule 605 of Regulation NMS. Pure.

Followed is the text of 17 CFR 242.605(a)(1) with the definitions of 242.600(b) as adopted on 2000-11-17 (as Rule
11Ac1-5) and renumbered in 2005: its order types, its sizes in shares, its columns in their order. Behind them stand the
columns that the amendments of 2024-03-06 (89 FR 26428) added and that these data can fill: realised spreads at several
delays, and times finer than a second. The amendments' own categories (sizes by notional value, immediate-or-cancel and
midpoint-or-better orders apart, orders with stop prices) are not followed: their text was not at hand. Reports that are
filed since then may have them, so that the two cannot be laid side by side row by row.

What a filed report has and this one has not: a month of a market center's orders from others. These are orders of one
desk, over whatever time is given, and they may be simulated. Shares traded count as executed away, unless a venue is
named as the center.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.orders.amounts import MICRO
from quantdesk.orders.order import OrderType, TimeInForce
from quantdesk.orders.tca.facts import Fill, OrderFacts
from quantdesk.orders.tca.spreads import HORIZONS, Known, fill_table
from quantdesk.orders.tca.tape import Tape, Why

__all__ = ["ORDER_TYPES", "SIZES", "Report", "category", "report", "size_category"]

ORDER_TYPES = ("market", "marketable limit", "inside the quote", "at the quote", "near the quote")
SIZES = ("100-499", "500-1,999", "2,000-4,999", "5,000 or greater")
NEAR = MICRO // 10
"""A limit order is near the quote up to ten cents behind it."""
TIMES = {
    "shares_0_9_s": (0, 10),
    "shares_10_29_s": (10, 30),
    "shares_30_59_s": (30, 60),
    "shares_60_299_s": (60, 300),
    "shares_5_30_min": (300, 1800),
}
"""Shares executed within these seconds after receipt, the first included, the second not (but 30 minutes are)."""
_SIZES = ((500, SIZES[0]), (2000, SIZES[1]), (5000, SIZES[2]))


@dataclass(frozen=True)
class Report:
    """The report and what is not in it.

    Attributes
    ----------
    table
        By ``symbol``, ``order_type``, ``order_size``: the columns of 242.605(a)(1)(i) and (ii) in their order, then
        ``realized_…`` at the delays and ``time_mean_ms`` after the amendments. Spreads and amounts are dollars a
        share, times seconds unless the name says otherwise; NaN where nothing is known or the rule asks for nothing.
    left_out
        How many orders are not covered or fall in no category, by reason.
    notes
        What to know before comparing it with a filed report.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    def parts(self) -> dict[str, pd.DataFrame]:
        """The table as people read it, in three parts: what is asked of all orders, of those that take, and since 2024.

        Headings are words with their units, counts whole numbers, amounts in cents.
        """
        takes = self.table.index.get_level_values("order_type").isin(ORDER_TYPES[:2])
        shown = self.table.rename_axis(["stock", "order type", "shares ordered"])
        return {
            "All covered orders": _worded(shown, _OF_ALL),
            "Market and marketable limit orders": _worded(shown[takes], _OF_TAKERS),
            "After the amendments of 2024": _worded(shown, _SINCE_2024),
        }


def _worded(table: pd.DataFrame, headings: Mapping[str, str]) -> pd.DataFrame:
    found = {}
    for name, heading in headings.items():
        values = table[name]
        if "¢" in heading:
            values = (100 * values.astype(float)).round(2)
        elif name.endswith(("_s", "_ms")) and not name.startswith("shares_"):
            values = values.astype(float).round(3)
        else:
            values = values.astype("Int64")
        found[heading] = values
    return pd.DataFrame(found, index=table.index)


def size_category(shares: int) -> str:
    """The category of an order's size; empty below 100 shares, for which the rule has none."""
    if shares < 100:
        return ""
    return next((name for bound, name in _SIZES if shares < bound), SIZES[-1])


def category(order: OrderFacts) -> tuple[str, str]:
    """The order type of the rule, or an empty text and why the order is left out."""
    if order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        return "", "submitted with a stop price"
    if order.time_in_force in (TimeInForce.OPENING, TimeInForce.CLOSING):
        return "", "for an auction"
    if order.order_type == OrderType.MIDPOINT_PEG:
        return "", "special handling (midpoint peg)"
    if not order.arrival.usable:
        return "", "no usable best bid and offer at receipt"
    if not size_category(order.shares):
        return "", "fewer than 100 shares"
    if order.order_type == OrderType.MARKET:
        return "market", ""
    bid, ask = order.arrival.bid, order.arrival.ask
    # Seen from the buying side: how far the limit lies beyond the near quote, and how wide the market is.
    beyond = order.limit - bid if order.side > 0 else ask - order.limit
    if beyond >= ask - bid:
        return "marketable limit", ""
    if beyond > 0:
        return "inside the quote", ""
    if beyond == 0:
        return "at the quote", ""
    return ("near the quote", "") if -beyond <= NEAR else ("", "a limit more than ten cents from the quote")


def report(orders: Known, tapes: Mapping[str, Tape], center: str = "") -> Report:
    """The report.

    Parameters
    ----------
    orders
        What :func:`~quantdesk.orders.tca.facts.checked` gives.
    tapes
        Quotes by symbol, for realised spreads.
    center
        The venue that reports; what was executed there is not away.
    """
    covered: dict[str, tuple[OrderFacts, Sequence[Fill]]] = {}
    keys: dict[str, tuple[str, str, str]] = {}
    left_out: Counter[str] = Counter()
    for name, (order, own) in orders.items():
        kind, why = category(order)
        if why:
            left_out[why] += 1
        else:
            covered[name] = (order, own)
            keys[name] = (order.symbol, kind, size_category(order.shares))
    fills = fill_table(covered, tapes)
    if len(fills):
        fills["realized_by_rule"] = _by_rule(fills, tapes)
    rows = {
        key: _row([covered[name][0] for name in names], fills[fills["order_id"].isin(names)], key[1], center)
        for key, names in _grouped(keys).items()
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["symbol", "order_type", "order_size"]) if rows else None
    empty = pd.MultiIndex.from_arrays([[], [], []], names=["symbol", "order_type", "order_size"])
    table = pd.DataFrame(list(rows.values()), index=empty if index is None else index, columns=list(_COLUMNS))
    return Report(table, dict(sorted(left_out.items())), _notes(orders, center))


def _grouped(keys: Mapping[str, tuple[str, str, str]]) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, key in keys.items():
        found.setdefault(key, []).append(name)
    return dict(
        sorted(found.items(), key=lambda one: (one[0][0], ORDER_TYPES.index(one[0][1]), SIZES.index(one[0][2])))
    )


def _by_rule(fills: pd.DataFrame, tapes: Mapping[str, Tape]) -> pd.Series:
    """Realised spreads as 242.600 defines them: five minutes later, or by the last quote of a session that ended."""
    realized = fills["realized_5min"].copy()
    ended = fills["unknown_5min"] == Why.CLOSED.words
    for symbol, rows in fills[ended].groupby("symbol"):
        found = tapes[str(symbol)].last_of_session(rows["at"].astype("int64").to_numpy())
        middle = np.where(found.why == Why.THERE, (found.bid + found.ask) / 2 / MICRO, np.nan)
        realized.loc[rows.index] = 2 * rows["side"] * (rows["price"] - middle)
    return realized


def _row(orders: Iterable[OrderFacts], fills: pd.DataFrame, kind: str, center: str) -> dict[str, Any]:
    orders = list(orders)
    shares, elapsed = fills["shares"], fills["elapsed_s"]
    here = fills["venue"] == center if center else pd.Series(False, index=fills.index)
    ended = {order.order_id: order.shares for order in orders if order.end is not None}
    traded = fills[fills["order_id"].isin(list(ended))]["shares"].sum()
    row: dict[str, Any] = {
        "covered_orders": len(orders),
        "covered_shares": sum(order.shares for order in orders),
        "cancelled_shares": int(sum(ended.values()) - traded),
        "executed_here_shares": int(shares[here].sum()),
        "executed_away_shares": int(shares[~here].sum()),
    }
    for name, (least, most) in TIMES.items():
        within = (elapsed >= least) & ((elapsed < most) | (elapsed == 1800) & (most == 1800))
        row[name] = int(shares[within].sum())
    row["average_realized_spread"] = _mean(fills, "realized_by_rule")
    marketable = kind in ORDER_TYPES[:2]
    row["average_effective_spread"] = _mean(fills, "effective_spread") if marketable else np.nan
    better = fills["improvement"]
    for name, which in (("improved", better > 0), ("at_quote", better == 0), ("outside", better < 0)):
        some = fills[which]
        row[f"{name}_shares"] = int(some["shares"].sum()) if marketable else np.nan
        if name != "at_quote":
            row[f"{name}_amount"] = abs(_mean(some, "improvement")) if marketable else np.nan
        row[f"{name}_time_s"] = _mean(some, "elapsed_s") if marketable else np.nan
    for name in HORIZONS:
        row[f"realized_{name}"] = _mean(fills, f"realized_{name}")
    row["time_mean_ms"] = 1000 * _mean(fills, "elapsed_s")
    return row


_COLUMNS = (
    "covered_orders", "covered_shares", "cancelled_shares", "executed_here_shares", "executed_away_shares", *TIMES,
    "average_realized_spread", "average_effective_spread", "improved_shares", "improved_amount", "improved_time_s",
    "at_quote_shares", "at_quote_time_s", "outside_shares", "outside_amount", "outside_time_s",
    *(f"realized_{name}" for name in HORIZONS), "time_mean_ms",
)  # fmt: skip


_OF_ALL = {
    "covered_orders": "orders",
    "covered_shares": "shares",
    "cancelled_shares": "cancelled",
    "executed_here_shares": "here",
    "executed_away_shares": "away",
    "shares_0_9_s": "0-9 s",
    "shares_10_29_s": "10-29 s",
    "shares_30_59_s": "30-59 s",
    "shares_60_299_s": "60-299 s",
    "shares_5_30_min": "5-30 min",
    "average_realized_spread": "realised, ¢",
}
_OF_TAKERS = {
    "average_effective_spread": "effective, ¢",
    "improved_shares": "improved",
    "improved_amount": "by, ¢",
    "improved_time_s": "after, s",
    "at_quote_shares": "at the quote",
    "at_quote_time_s": "after, s ",
    "outside_shares": "outside",
    "outside_amount": "by, ¢ ",
    "outside_time_s": "after, s  ",
}
_SINCE_2024 = {f"realized_{name}": f"realised {name}, ¢" for name in HORIZONS} | {"time_mean_ms": "mean time, ms"}


def _mean(fills: pd.DataFrame, column: str) -> float:
    """Share-weighted, over what is known."""
    if not len(fills):
        return np.nan
    known = fills[fills[column].notna()]
    weight = float(known["shares"].sum())
    return float((known[column] * known["shares"]).sum()) / weight if weight else np.nan


def _notes(orders: Known, center: str) -> tuple[str, ...]:
    modes = sorted({order.mode for order, _ in orders.values() if order.mode})
    where = f"{center} is the center" if center else "no venue is the center, so that all is executed away"
    open_orders = sum(order.end is None for order, _ in orders.values())
    waiting = f"{open_orders} orders are still open: what is left of them is not counted as cancelled."
    return (
        f"Executions: {', '.join(modes) or 'of unknown origin'}. This is no filed report.",
        f"Orders of one desk, as it received them; {where}.",
        "Order types, sizes and columns of 17 CFR 242.605 as adopted in 2000; realised spreads at several delays and "
        "time in milliseconds after the amendments of 2024, whose own categories are not followed.",
        *((waiting,) if open_orders else ()),
        "The average realised spread takes the last quote of the session where it ended within five minutes, as the "
        "rule says; the columns by delay leave such shares out.",
    )
