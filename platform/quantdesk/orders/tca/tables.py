"""From fills and orders to tables: averages by group, shortfalls by group, the curve of realised spreads. Pure.

Averages are ratios of totals. Per share they are share-weighted, in dollars a share (``_usd``); per notional they are
weighted by the value at the reference middle, in basis points of it (``_bps``). A group's average is thereby the
weighted mean of those of its parts, whatever the parts are. A number that is not known is NaN; averages leave such
fills out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from quantdesk.errors import UnknownName
from quantdesk.orders.tca.averages import quantiles, ratios
from quantdesk.orders.tca.spreads import HORIZONS

__all__ = ["MEASURES", "Per", "averages", "curve", "size_bucket", "sums"]

Per = Literal["share", "notional"]
MEASURES = (
    "slippage",
    "effective_spread",
    "quoted_spread",
    "improvement",
    *(f"realized_{name}" for name in HORIZONS),
    *(f"impact_{name}" for name in HORIZONS),
)
"""What is averaged: columns of the table of fills."""
GROUPINGS = (
    "symbol",
    "venue",
    "liquidity",
    "order_id",
    "action",
    "order_type",
    "time_in_force",
    "urgency",
    "size",
    "mode",
)
"""Columns that tables can be grouped by; those of a venue and of liquidity belong to fills alone."""
_PARTS = ("delay", "execution", "opportunity", "fees", "shortfall")
_BUCKETS = ((100, "1-99"), (500, "100-499"), (2000, "500-1,999"), (5000, "2,000-4,999"))
SIZES = (*(name for _, name in _BUCKETS), "5,000+")


def size_bucket(shares: int) -> str:
    """The bucket of an order's size: those of Rule 605 as adopted in 2000, and odd lots before them."""
    return next((name for bound, name in _BUCKETS if shares < bound), SIZES[-1])


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows with the number of the group that each belongs to, and the groups in order."""

    codes: np.ndarray
    index: pd.Index

    def __len__(self) -> int:
        return len(self.index)


def grouped(frame: pd.DataFrame, keys: Sequence[str]) -> Grouped:
    """Rows by `keys`; without keys all rows are one group, "all".

    Raises
    ------
    UnknownName
        A key that is no column.
    """
    for key in keys:
        if key not in frame:
            raise UnknownName("grouping", key, [name for name in GROUPINGS if name in frame])
    if not keys:
        return Grouped(np.zeros(len(frame), np.int64), pd.Index(["all"] if len(frame) else [], dtype=object))
    found = frame.groupby(list(keys), sort=True, observed=True)
    index = found.size().index
    return Grouped(found.ngroup().to_numpy(), index)


def averages(
    fills: pd.DataFrame, keys: Sequence[str] = (), per: Per = "notional", *, errors: bool = True
) -> pd.DataFrame:
    """Averages of fills by group.

    Parameters
    ----------
    fills
        The table of fills, with the columns of their orders.
    keys
        Columns to group by.
    per
        ``share`` for dollars a share, ``notional`` for basis points.
    errors
        Whether the averages come with their errors.

    Returns
    -------
    pandas.DataFrame
        By group ``fills``, ``shares``, ``notional_usd`` (at the prices paid); each of :data:`MEASURES` and its standard
        error (``…_se``), with orders as observations; shares of what was filled at a price ``improved``, ``at_quote``
        and ``outside``; ``effective_over_quoted``; ``maker`` (of the shares whose liquidity is known);
        ``fee_per_share_usd``; seconds to execution, share-weighted: ``time_mean_s``, ``time_p50_s``, ``time_p90_s``,
        ``time_p99_s``. Empty where there are no fills.
    """
    groups = grouped(fills, keys)
    number, codes = len(groups), groups.codes
    shares = fills["shares"].to_numpy(float)
    orders = pd.factorize(fills["order_id"])[0] if errors else None
    found: dict[str, np.ndarray] = {
        "fills": np.bincount(codes, minlength=number),
        "shares": np.bincount(codes, shares, number).astype(np.int64),
        "notional_usd": np.bincount(codes, shares * fills["price"].to_numpy(), number),
    }
    mid = fills["mid"].to_numpy()
    weights, unit = (shares, "usd") if per == "share" else (shares * mid, "bps")
    for name in MEASURES:
        values = fills[name].to_numpy()
        done = ratios(values if per == "share" else values / mid * 1e4, weights, codes, orders, number)
        found[f"{name}_{unit}"] = done.mean
        if errors:
            found[f"{name}_{unit}_se"] = done.error
    effective, quoted = found[f"effective_spread_{unit}"], found[f"quoted_spread_{unit}"]
    found["effective_over_quoted"] = np.divide(effective, quoted, out=np.full(number, np.nan), where=quoted > 0)
    better = fills["improvement"].to_numpy()
    unknown = np.isnan(better)
    for name, which in (("improved", better > 0), ("at_quote", better == 0), ("outside", better < 0)):
        found[name] = ratios(np.where(unknown, np.nan, which), shares, codes, None, number).mean
    liquidity = fills["liquidity"].to_numpy()
    maker = np.where(liquidity == "", np.nan, liquidity == "add")
    found["maker"] = ratios(maker, shares, codes, None, number).mean
    found["fee_per_share_usd"] = ratios(fills["fee"], shares, codes, None, number).mean
    elapsed = fills["elapsed_s"].to_numpy()
    found["time_mean_s"] = ratios(elapsed, shares, codes, None, number).mean
    times = quantiles(elapsed, shares, codes, number, (0.5, 0.9, 0.99))
    for place, name in enumerate(("time_p50_s", "time_p90_s", "time_p99_s")):
        found[name] = times[:, place]
    return pd.DataFrame(found, index=groups.index)


def sums(orders: pd.DataFrame, keys: Sequence[str] = ()) -> pd.DataFrame:
    """What orders came to by group: how much was filled, and their implementation shortfall.

    Returns
    -------
    pandas.DataFrame
        By group ``orders``, ``ordered_shares``, ``filled_shares``, ``fill_rate``; over the orders whose shortfall is
        known (``known`` of them) ``paper_usd``, the sums ``delay_usd``, ``execution_usd``, ``opportunity_usd``,
        ``fees_usd``, ``shortfall_usd`` and the same in basis points of the paper value, ``…_bps``; and
        ``vwap_slippage_bps``, weighted by the value traded, over the orders for which it is known.
    """
    groups = grouped(orders, keys)
    number, codes = len(groups), groups.codes

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(codes, values, number)

    ordered, filled = (total(orders[name].to_numpy(float)) for name in ("shares", "filled_shares"))
    known = orders["shortfall_usd"].notna().to_numpy()
    paper = total(np.where(known, orders["paper_usd"], 0.0))
    found = {
        "orders": np.bincount(codes, minlength=number),
        "ordered_shares": ordered.astype(np.int64),
        "filled_shares": filled.astype(np.int64),
        "fill_rate": filled / np.where(ordered > 0, ordered, np.nan),
        "known": total(known.astype(float)).astype(np.int64),
        "paper_usd": paper,
    }
    for name in _PARTS:
        found[f"{name}_usd"] = total(np.where(known, orders[f"{name}_usd"], 0.0))
    for name in _PARTS:
        found[f"{name}_bps"] = found[f"{name}_usd"] / np.where(paper > 0, paper, np.nan) * 1e4
    traded = orders["filled_shares"].to_numpy(float) * orders["average_price"].to_numpy()
    found["vwap_slippage_bps"] = ratios(orders["vwap_slippage_bps"], traded, codes, None, number).mean
    return pd.DataFrame(found, index=groups.index)


def curve(fills: pd.DataFrame, per: Per = "notional") -> pd.DataFrame:
    """Realised spread and price impact by delay.

    Returns
    -------
    pandas.DataFrame
        One row for each of :data:`~quantdesk.orders.tca.spreads.HORIZONS`: ``delay_s``; the ``effective``,
        ``realized`` and ``impact`` of the **same** fills, those whose quote is known at that delay, so that the three
        add up; ``realized_se`` and ``impact_se``; ``shares`` that are known, and the ``share_known`` of all.
    """
    shares = fills["shares"].to_numpy(float)
    mid = fills["mid"].to_numpy()
    orders = pd.factorize(fills["order_id"])[0]
    weights = shares if per == "share" else shares * mid
    scale = np.ones(len(fills)) if per == "share" else 1e4 / mid
    rows = {}
    for name, delay in HORIZONS.items():
        impact = fills[f"impact_{name}"].to_numpy()
        there = ~np.isnan(impact)

        def mean(values: np.ndarray, there: np.ndarray = there) -> tuple[float, float]:
            chosen = np.where(there, values * scale, np.nan)
            done = ratios(chosen, weights, np.zeros(len(chosen), np.int64), orders, 1)
            return float(done.mean[0]), float(done.error[0])

        (effective, _), (realized, realized_se), (moved, moved_se) = (
            mean(fills[column].to_numpy()) for column in ("effective_spread", f"realized_{name}", f"impact_{name}")
        )
        rows[name] = {
            "delay_s": delay / 1e9,
            "effective": effective,
            "realized": realized,
            "realized_se": realized_se,
            "impact": moved,
            "impact_se": moved_se,
            "shares": int(shares[there].sum()),
            "share_known": float(shares[there].sum() / shares.sum()) if len(shares) else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
