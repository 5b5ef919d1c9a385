"""The analysis of a set of orders: everything measured once, then asked in tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.tca import rule605, tables
from quantdesk.orders.tca.averages import Interval, bootstrap, quantiles
from quantdesk.orders.tca.facts import Fill, OrderFacts, Routed, checked
from quantdesk.orders.tca.shortfall import Shortfall, shortfall
from quantdesk.orders.tca.spreads import Known, Reference, fill_table
from quantdesk.orders.tca.tape import Prints, Tape

__all__ = ["Analysis", "analyse"]

T = TypeVar("T", Tape, Prints)
OF_ORDER = ("action", "order_type", "time_in_force", "urgency", "size", "mode")
"""Columns of orders by which fills can be grouped too."""


@dataclass(frozen=True)
class Analysis:
    """What was measured.

    Attributes
    ----------
    orders
        One row for each order, by its id: what it was (``symbol``, ``side``, ``action``, ``shares``,
        ``order_type``, ``limit``, ``time_in_force``, ``urgency``, ``size``, ``mode``, ``arrival`` in UTC), how far it
        came (``filled_shares``, ``fill_rate``, ``is_open``, ``average_price``, ``fees_usd``, ``fee_per_share_usd``),
        its averages in basis points of the reference middle (``slippage_bps`` …, as in
        :func:`~quantdesk.orders.tca.tables.averages`), ``vwap_slippage_bps``, the components of its shortfall
        (``delay_usd`` … ``shortfall_usd``, ``paper_usd``, ``shortfall_bps``) and ``unknown``, what is missing.
    fills
        One row for each fill (:func:`~quantdesk.orders.tca.spreads.fill_table`), with what its order was.
    routed
        By venue the shares that were sent there; empty where nobody told.
    shortfalls
        By order the exact shortfall.
    reference
        Where middle and quote of the fills are from.
    known
        Orders and fills themselves.
    tapes
        By symbol.
    """

    orders: pd.DataFrame
    fills: pd.DataFrame
    routed: pd.Series
    shortfalls: Mapping[str, Shortfall]
    reference: Reference
    known: Known
    tapes: Mapping[str, Tape]

    @property
    def modes(self) -> tuple[str, ...]:
        """Where the fills come from: it belongs beside every number (``simulated``, ``mock``, ``paper``, ``live``)."""
        return tuple(sorted({mode for mode in self.orders["mode"] if mode}))

    def by(self, *keys: str, per: tables.Per = "notional") -> pd.DataFrame:
        """Averages by ``symbol``, ``venue``, ``size``, ``urgency``, ``order_type``, ``action``, ``mode`` …

        The columns of :func:`~quantdesk.orders.tca.tables.averages`; before them, where every key belongs to orders,
        those of :func:`~quantdesk.orders.tca.tables.sums` that count orders and shares, and by ``venue`` the shares
        ``sent`` there with their ``fill_rate``. Without keys, one row for all.
        """
        found = tables.averages(self.fills, keys, per)
        if "venue" not in keys and "liquidity" not in keys:
            counts = self.shortfall_by(*keys)[["orders", "ordered_shares", "fill_rate"]]
            return counts.join(found)
        orders = self.fills.groupby(list(keys), observed=True)["order_id"].nunique().rename("orders")
        found = orders.to_frame().join(found) if len(found) else found
        if keys == ("venue",) and len(self.routed):
            sent = self.routed.rename("sent").rename_axis("venue")
            found = sent.to_frame().join(found, how="outer")
            found.insert(2, "fill_rate", found["shares"].fillna(0) / found["sent"])
        return found

    def shortfall_by(self, *keys: str) -> pd.DataFrame:
        """Fill rate and implementation shortfall by columns of orders; without keys, one row for all."""
        return tables.sums(self.orders.reset_index(), keys)

    def realized_curve(self, per: tables.Per = "notional") -> pd.DataFrame:
        """Realised spread and price impact by delay (:func:`~quantdesk.orders.tca.tables.curve`)."""
        return tables.curve(self.fills, per)

    def interval(self, measure: str, seed: int, *, per: tables.Per = "notional", draws: int = 2000) -> Interval:
        """A 95 % bootstrap interval of an average over all fills: the same seed, the same interval.

        Parameters
        ----------
        measure
            One of :data:`~quantdesk.orders.tca.tables.MEASURES`.
        """
        if measure not in tables.MEASURES:
            raise UnknownName("measure", measure, tables.MEASURES)
        values, weights = self.fills[measure].to_numpy(), self.fills["shares"].to_numpy(float)
        if per == "notional":
            mid = self.fills["mid"].to_numpy()
            values, weights = values / mid * 1e4, weights * mid
        return bootstrap(values, weights, self.fills["order_id"], np.random.default_rng(seed), draws)

    def times(self, at: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)) -> pd.Series:
        """Share-weighted quantiles of the seconds from arrival to execution."""
        one = np.zeros(len(self.fills), np.int64)
        found = quantiles(self.fills["elapsed_s"], self.fills["shares"], one, 1, at)
        return pd.Series(found[0], index=[f"p{100 * one:g}" for one in at], name="seconds")

    def rule_605(self, center: str = "") -> rule605.Report:
        """The same orders in the shape of a report under Rule 605 (:mod:`quantdesk.orders.tca.rule605`)."""
        return rule605.report(self.known, self.tapes, center)


def analyse(
    orders: Iterable[OrderFacts],
    fills: Iterable[Fill],
    tapes: Iterable[Tape] = (),
    *,
    prints: Iterable[Prints] = (),
    routed: Iterable[Routed] = (),
    reference: Reference = "arrival",
) -> Analysis:
    """Measure what executions cost.

    Parameters
    ----------
    orders, fills
        What happened.
    tapes
        Quotes of the symbols, one tape each; without one there are no realised spreads.
    prints
        Trades of the symbols, for the slippage against the volume-weighted average price; the order's own are among
        them if the market reported them.
    routed
        Parts as they were sent to venues, for the fill rate of each.
    reference
        ``arrival`` or ``execution``, see :data:`~quantdesk.orders.tca.spreads.Reference`.

    Raises
    ------
    BadInput
        Facts that contradict each other, named.
    """
    known = checked(orders, fills)
    by_symbol = _by_symbol("tapes", tapes)
    costs = {name: shortfall(order, own) for name, (order, own) in known.items()}
    table = fill_table(known, by_symbol, reference)
    facts = _order_table(known, costs)
    done = tables.averages(table, ["order_id"], errors=False)
    facts = facts.join(done.drop(columns=["fills", "shares", "fee_per_share_usd"]))
    facts["vwap_slippage_bps"] = _vwap(known, _by_symbol("prints", prints))
    sent: dict[str, int] = {}
    for part in routed:
        sent[part.venue] = sent.get(part.venue, 0) + part.shares
    return Analysis(
        orders=facts,
        fills=table.join(facts[list(OF_ORDER)], on="order_id"),
        routed=pd.Series(dict(sorted(sent.items())), name="shares", dtype=np.int64),
        shortfalls=costs,
        reference=reference,
        known=known,
        tapes=by_symbol,
    )


def _by_symbol(what: str, given: Iterable[T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for one in given:
        if one.symbol in found:
            raise BadInput(f"There are two {what} of {one.symbol}.", "Put their sessions together in one.")
        found[one.symbol] = one
    return found


def _order_table(known: Known, costs: Mapping[str, Shortfall]) -> pd.DataFrame:
    rows = []
    for name, (order, own) in known.items():
        filled = sum(fill.shares for fill in own)
        notional = sum(fill.shares * fill.price for fill in own)
        cost = costs[name]
        money = {part: getattr(cost, part) for part in ("delay", "execution", "opportunity", "fees", "paper", "total")}
        dollars = {part: np.nan if value is None else float(value) for part, value in money.items()}
        rows.append(
            {
                "symbol": order.symbol,
                "side": order.side,
                "action": "buy" if order.side > 0 else "sell_short" if order.short else "sell",
                "shares": order.shares,
                "order_type": str(order.order_type),
                "limit": order.limit / MICRO if order.limit else np.nan,
                "time_in_force": str(order.time_in_force),
                "urgency": str(order.urgency),
                "size": tables.size_bucket(order.shares),
                "mode": str(order.mode),
                "arrival": pd.Timestamp(order.arrival.at, tz="UTC"),
                "filled_shares": filled,
                "fill_rate": filled / order.shares,
                "is_open": order.end is None,
                "average_price": notional / filled / MICRO if filled else np.nan,
                "fee_per_share_usd": dollars["fees"] / filled if filled else np.nan,
                **{f"{part}_usd": dollars[part] for part in ("paper", "delay", "execution", "opportunity", "fees")},
                "shortfall_usd": dollars["total"],
                "shortfall_bps": np.nan if cost.bps is None else cost.bps,
                "unknown": cost.why,
            }
        )
    frame = pd.DataFrame(rows, index=pd.Index(list(known), name="order_id", dtype=object), columns=_COLUMNS)
    frame["size"] = pd.Categorical(frame["size"], tables.SIZES, ordered=True)
    return frame


_COLUMNS = [
    "symbol", "side", "action", "shares", "order_type", "limit", "time_in_force", "urgency", "size", "mode",
    "arrival", "filled_shares", "fill_rate", "is_open", "average_price", "fee_per_share_usd", "paper_usd", "delay_usd",
    "execution_usd", "opportunity_usd", "fees_usd", "shortfall_usd", "shortfall_bps", "unknown",
]  # fmt: skip


def _vwap(known: Known, prints: Mapping[str, Prints]) -> list[float]:
    """By order how much worse its average price was than the market's, from its arrival to its last fill, in bps."""
    found = []
    for order, own in known.values():
        filled, tape = sum(fill.shares for fill in own), prints.get(order.symbol)
        if not filled or tape is None:
            found.append(np.nan)
            continue
        market = float(tape.vwap([order.arrival.at], [own[-1].at])[0])
        paid = sum(fill.shares * fill.price for fill in own) / filled
        found.append(order.side * (paid - market) / market * 1e4)
    return found
